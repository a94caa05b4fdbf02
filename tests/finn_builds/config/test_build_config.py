"""The configuration: what it accepts, completes and refuses, and what a step may read of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from finn_builds.config import build as config_module
from finn_builds.config import fingerprint as fp
from finn_builds.config.build import BuildConfig
from finn_builds.config.finn_fields import WITHOUT_EFFECT
from finn_builds.errors import UserError
from tests.finn_builds.toy_build import unchecked as make
from tests.finn_builds.toy_build import write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "my model.onnx"
    path.parent.mkdir()
    write_model(path)
    return path


class TestValidate:
    def test_defaults_come_from_the_board(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        cfg = make(model).validate()
        assert cfg.out == tmp_path / "build" / "my_model_Pynq-Z1"
        assert cfg.synth_clk_period_ns == 10.0
        assert cfg.fpga_part == "xc7z020clg400-1"
        assert cfg.model_file == model and cfg.model_name == "my_model"
        assert not cfg.out.exists()
        assert make(model, board="KV260_SOM").validate().synth_clk_period_ns == 5.333

    def test_given_values_stay(self, model: Path, tmp_path: Path) -> None:
        cfg = make(model, synth_clk_period_ns=4, output_dir=str(tmp_path / "o"), target_fps=1000)
        cfg = cfg.validate()
        assert (cfg.synth_clk_period_ns, cfg.out, cfg.target_fps) == (4.0, tmp_path / "o", 1000.0)

    def test_again_changes_nothing(self, model: Path) -> None:
        cfg = make(model, target_fps=100).validate()
        assert cfg.validate() == cfg

    def test_original_is_left_alone(self, model: Path) -> None:
        cfg = make(model)
        cfg.validate()
        assert cfg == make(model)

    def test_relative_paths_survive_a_change_of_folder(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(model.parent)
        cfg = make(Path(model.name)).validate()
        monkeypatch.chdir(tmp_path)
        assert cfg.model_file is not None and cfg.model_file.is_file()

    def test_round_trip_through_json(self, model: Path, tmp_path: Path) -> None:
        cfg = make(model, target_fps=5.0, trace="vcd", output_dir=str(tmp_path))
        assert BuildConfig.from_yaml(cfg.to_json()) == cfg
        assert BuildConfig.from_yaml("board: Pynq-Z1\ntop1: true\n").top1

    def test_what_is_set_later_is_checked_too(self, model: Path) -> None:
        cfg = make(model)
        cfg.style = "unrolled"  # type: ignore[assignment]
        with pytest.raises(UserError, match="style: expected auto or folded or sparse"):
            cfg.validate()

    def test_a_path_may_be_given_as_one(self, model: Path) -> None:
        cfg = BuildConfig(board="Pynq-Z1", model=model)  # type: ignore[arg-type]
        assert cfg.validate().model_file == model

    @pytest.mark.parametrize(("stop_step", "missing"), [(None, True), ("hw_codegen", False)])
    def test_the_compiler_is_looked_for_at_once(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_step, missing
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        cfg = make(model, stop_step=stop_step)
        if not missing:
            cfg.validate()
            return
        with pytest.raises(UserError, match=r"`g\+\+` is needed.*apt install g\+\+"):
            cfg.validate()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"board": None}, "no board given"),
            ({"board": "Nope"}, "unknown board 'Nope'"),
            ({"fpga_part": "xc7z010clg400-1"}, "fpga_part xc7z010clg400-1: Pynq-Z1 carries xc7z02"),
            ({"target_fps": 0}, "target_fps: expected a number above 0, found 0"),
            ({"target_fps": -1.5}, "target_fps: expected a number above 0, found -1.5"),
            ({"target_fps": float("nan")}, "target_fps: expected a number above 0, found nan"),
            ({"target_fps": float("inf")}, "target_fps: expected a number above 0, found inf"),
            ({"target_fps": "100"}, "target_fps: expected a number above 0, found '100'"),
            ({"target_fps": True}, "target_fps: expected a number above 0, found True"),
            (
                {"synth_clk_period_ns": 0.2},
                r"synth_clk_period_ns \(--clock-ns\): expected 1 ns or more",
            ),
            ({"fpga_part": 7}, r"fpga_part \(--part\): expected the full name of a part, found 7"),
            ({"colour": "red"}, "colour: no such option; Known are board, fpga_part"),
            ({"synth_clk_period": 3}, r"did you mean synth_clk_period_ns\?"),
            ({"style": "unrolled"}, "style: expected auto or folded or sparse, found 'unrolled'"),
            ({"trace": "ghw"}, "trace: expected vcd or fst, found 'ghw'"),
            ({"verify_frames": 0}, "verify_frames: expected a whole number of at least 3, found 0"),
            ({"verify_frames": 2}, "verify_frames: expected a whole number of at least 3, found 2"),
            ({"verify_frames": 1.5}, "verify_frames: expected a whole number"),
            ({"verify_seed": -1}, r"verify_seed \(--seed\): expected a whole number of at least 0"),
            ({"input_quant": "FLOAT32"}, "input_quant: expected INT2 to INT24 or UINT1 to UINT24"),
            ({"input_quant": "INT1"}, "input_quant: expected"),
            ({"input_quant": "UINT25"}, "input_quant: expected"),
            ({"input_scale": 0.5}, "input_scale needs input_quant"),
            ({"seeds": 3}, "--seeds 3 changes nothing without --route"),
            ({"chipdb": "x.bin"}, "--chipdb changes nothing without --route"),
            ({"clock_enable": True}, "--clock-enable changes nothing without --package ip"),
            ({"cells": "generic"}, "--cells generic changes nothing without --package ip"),
            (
                {"board": "ULX3S-25F", "route": True, "chipdb": "x.bin"},
                "--chipdb: the package that places ULX3S-25F has its own database",
            ),
            ({"input_quant": "INT8", "input_scale": 0.0}, "input_scale: expected a number above 0"),
            ({"model": "missing.onnx"}, "model missing.onnx: there is no such file"),
            ({"model": "."}, "unknown model '.'"),
            ({"model": "./"}, "this is a folder"),
            ({"model": "no-such-zoo-model"}, "unknown model 'no-such-zoo-model': the zoo has"),
            ({"data": "missing.npz"}, "data missing.npz: there is no such file"),
            ({"data": "cats"}, "unknown data 'cats': expected digits, jets, jets_unlabelled, or"),
            ({"folding_config_file": "missing.json"}, "folding configuration missing.json: there"),
            ({"force": True, "start_step": "x"}, "force runs every step"),
            ({"hls_clk_period_ns": 3.0}, "option hls_clk_period_ns has no effect in this flow"),
            ({"mvau_wwidth_max": 100}, "option mvau_wwidth_max has no effect in this flow"),
            ({"save_intermediate_models": False}, "option save_intermediate_models has no effect"),
        ],
    )
    def test_mistake_is_named(self, model: Path, options: dict, message: str) -> None:
        with pytest.raises(UserError, match=message) as error:
            make(model, **options).validate()
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("text", ["{", "[1]", "\x80"])
    def test_bad_folding_file(self, model: Path, tmp_path: Path, text: str) -> None:
        path = tmp_path / "folding.json"
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(UserError, match=r"folding configuration .*/folding\.json: "):
            make(model, folding_config_file=path).validate()

    def test_a_file_that_may_not_be_read(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not tried by its permissions, which say nothing to root."""
        monkeypatch.setattr("os.access", lambda path, mode: Path(path) != model)
        with pytest.raises(
            UserError, match=r"model .*my model\.onnx: no permission to read this file"
        ):
            make(model).validate()

    def test_output_folder_is_a_file(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "f").write_text("")
        with pytest.raises(UserError, match="there is a file of that name"):
            make(model, output_dir=tmp_path / "f").validate()

    @pytest.mark.parametrize("out", [".", "..", "/"])
    def test_output_folder_is_one_we_stand_in(
        self, model: Path, tmp_path: Path, out: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError, match="a build needs a folder of its own"):
            make(model, output_dir=out).validate()

    @pytest.mark.parametrize("package", ["finn_builds", "deploy/x", "tests/finn_builds/out"])
    def test_output_folder_among_the_sources(self, model: Path, package: str) -> None:
        with pytest.raises(UserError, match="lies among the sources"):
            make(model, output_dir=fp.ROOT / package).validate()

    @pytest.mark.parametrize("which", ["model", "data", "folding_config_file"])
    def test_output_folder_holds_an_input(self, model: Path, tmp_path: Path, which: str) -> None:
        out = tmp_path / "b"
        (out / "sub").mkdir(parents=True)
        suffix = {"model": ".onnx", "data": ".npz", "folding_config_file": ".json"}[which]
        file = out / "sub" / f"input{suffix}"
        file.write_text("{}")
        with pytest.raises(UserError, match=r"holds the input .*, which the build would"):
            make(model, output_dir=out, **{which: str(file)}).validate()

    def test_output_folder_may_be_called_like_a_data_set(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        cfg = make(model, data="digits", output_dir="digits").validate()
        assert cfg.out == tmp_path / "digits"


def test_finns_fields_are_taken_or_refused_by_name() -> None:
    """The list is FINN's own class, less what this flow reads."""
    finn = pytest.importorskip("finn.builder.build_dataflow_config")
    theirs = {item.name for item in dataclasses.fields(finn.DataflowBuildConfig)}
    ours = {item.name for item in config_module.OPTIONS}
    assert theirs - ours == WITHOUT_EFFECT
    assert {"board", "folding_config_file", "fpga_part", "output_dir", "start_step"} <= ours
    assert {"stop_step", "synth_clk_period_ns", "target_fps"} <= ours


class TestView:
    def test_notes_what_is_read(self, model: Path, tmp_path: Path) -> None:
        heard: list[tuple] = []
        cfg = make(model, output_dir=tmp_path / "o").validate()
        view = cfg.view(lambda *call: heard.append(call), tmp_path / "s", tmp_path / "n")
        assert isinstance(view, BuildConfig)
        assert view.board == "Pynq-Z1" and view.board_spec.family == "xc7"
        assert view.out == tmp_path / "n" and view.output_dir == cfg.out == tmp_path / "o"
        assert view.force is False
        view.progress(1, 2, "files")
        assert heard == [(1, 2, "files")]
        assert view.scratch == tmp_path / "s"
        with pytest.raises(RuntimeError, match="only a running step"):
            assert cfg.scratch
        assert view.reads == ["board"]
        assert view.clock_ns == 10 and view.model_name
        assert view.reads == ["board", "model", "synth_clk_period_ns"]

    def test_every_field_is_guarded_or_says_how_to_run(self) -> None:
        assert {"force", "output_dir", "start_step", "stop_step"} == config_module.RUN_FIELDS
        names = {item.name for item in dataclasses.fields(BuildConfig)}
        assert names == config_module.KEY_FIELDS | config_module.RUN_FIELDS
        assert not config_module.KEY_FIELDS & config_module.RUN_FIELDS

    def test_progress_is_for_a_running_step_alone(self, model: Path, tmp_path: Path) -> None:
        cfg = make(model).validate()
        told: list[tuple[int, int, str]] = []
        view = cfg.view(lambda *news: told.append(news), tmp_path, tmp_path)
        cfg.progress(1, 2, "outside a run: nobody is told")
        view.progress(2, 2, "files")
        assert told == [(2, 2, "files")]
