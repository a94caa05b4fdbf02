"""Pages of real builds: what they say is what the build's other reports hold."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import build as command
from finn_builds import BuildConfig, BuildResult, build
from finn_builds.config.build import KEY_FIELDS, OPTIONS
from finn_builds.report.origin import command_line
from finn_builds.run.progress import Reporter
from tests.finn_builds.report.browser import assert_renders
from tests.finn_builds.report.outline import Outline, text_of
from tests.finn_builds.small_network import SIZES, save_small_network

#: Steps that take more than a second, some of them only for large networks.
LONG = {
    "streamline",
    "choose_style",
    "hw_codegen",
    "set_fifo_depths",
    "measure_rtlsim_performance",
    "out_of_context_synthesis",
    "report",
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A QONNX network, and data with labels drawn at random."""
    rng = np.random.default_rng(4)
    folder = tmp_path_factory.mktemp("inputs")
    x = rng.normal(scale=2, size=(500, SIZES[0])).astype(np.float32)
    np.savez(folder / "data.npz", X=x, y=rng.integers(0, 3, 500))
    return save_small_network(folder / "small.onnx"), folder / "data.npz"


class Listener(Reporter):
    """Notes which steps tell how far they have come."""

    def __init__(self) -> None:
        self.running = ""
        self.told: set[str] = set()

    def started(self, index: int, total: int, name: str, expected: float | None = None) -> None:
        self.running = name

    def progress(self, done: int, total: int, what: str = "") -> None:
        assert 0 <= done <= total
        self.told.add(self.running)


def built(
    folder: Path,
    inputs: tuple[Path, Path],
    listener: Listener | None = None,
    **options: object,
) -> BuildResult:
    return build(
        BuildConfig(
            board="Pynq-Z1",
            model=str(inputs[0]),
            data=str(inputs[1]),
            output_dir=folder,
            verify_frames=200,
            **options,
        ),
        reporter=listener,
    )


@pytest.fixture(scope="module")
def folded(inputs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    folder = tmp_path_factory.mktemp("build") / "folded"
    return built(folder, inputs, style="folded", synth="none")


@pytest.fixture(scope="module")
def listener() -> Listener:
    return Listener()


@pytest.fixture(scope="module")
def sparse(
    inputs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, listener: Listener
) -> BuildResult:
    folder = tmp_path_factory.mktemp("build") / "sparse"
    return built(folder, inputs, listener, style="sparse", top1=True, synth="yosys")


def read(result: BuildResult, name: str) -> dict:
    return json.loads((result.report / f"{name}.json").read_text())


@pytest.mark.slow
class TestFigures:
    @pytest.fixture(params=["folded", "sparse"])
    def result(self, request: pytest.FixtureRequest) -> BuildResult:
        return request.getfixturevalue(request.param)

    def test_one_frame_alone_takes_the_latency_of_the_first(self, result: BuildResult) -> None:
        performance = read(result, "rtlsim_performance")
        assert performance["one_frame"]["latency_cycles"] == performance["latency_cycles"]

    def test_the_nodes_together_take_the_latency(self, result: BuildResult) -> None:
        found = read(result, "report")
        passages = found["passages"]
        assert sum(p["adds"] for p in passages) == result.summary["latency_cycles"]
        assert passages[0]["enters"] == 0
        assert passages[-1]["leaves"] == result.summary["latency_cycles"]
        for passage in passages:
            assert passage["enters"] <= passage["first_out"] <= passage["leaves"]
            assert sum(adds for _, adds in passage["parts"]) in (0, passage["adds"])
            assert all(adds >= 0 for _, adds in passage["parts"])

    def test_layers_are_those_of_the_network(self, result: BuildResult) -> None:
        found = read(result, "report")
        assert len(found["layers"]) == 3
        for layer, real in zip(found["layers"], result.network.layers, strict=True):
            assert (layer["n_in"], layer["n_out"]) == real.weights.shape
            assert layer["nonzero"] == np.count_nonzero(real.weights)
            assert layer["weight_type"] == real.weight_datatype
        nodes = {node["name"]: node for node in found["nodes"]}
        for number, layer in enumerate(found["layers"], 1):
            assert number in nodes[layer["node"]]["layers"]

    def test_resources_are_those_of_the_reports(self, result: BuildResult) -> None:
        found = read(result, "report")
        estimated = read(result, "estimate_layer_resources_final")
        for node in found["nodes"]:
            assert node["estimated"]["LUT"] == estimated[node["name"]]["LUT"]
        lut = next(use for use in found["uses"] if use["name"] == "LUT")
        assert lut["estimated"] == pytest.approx(estimated["total"]["LUT"], abs=len(found["nodes"]))
        assert lut["device"] == 53200

    def test_confusion_gives_the_accuracy(self, result: BuildResult) -> None:
        confusion = np.array(read(result, "report")["classes"]["confusion"])
        accuracy = read(result, "accuracy")
        assert confusion.sum() == accuracy["frames"]
        assert np.trace(confusion) / confusion.sum() == pytest.approx(accuracy["accuracy"])

    def test_streams_carry_every_frame(self, result: BuildResult) -> None:
        streams = read(result, "report")["streams"]
        frames = read(result, "rtlsim_performance")["N"]
        assert streams[0]["source"] == "input" and streams[-1]["sink"] == "output"
        assert all(stream["beats"] % frames == 0 for stream in streams)
        assert all(0 < s["moved"] <= 1 and s["moved"] + s["stalled"] <= 1 for s in streams)

    def test_page(self, result: BuildResult) -> None:
        page = (result.out / "report.html").read_text(encoding="utf-8")
        assert len(page.encode()) < 2_000_000
        Outline(page)
        words = text_of(page)
        assert f"Latency {result.summary['latency_cycles']} cycles measured" in words
        for step in (*result.ran, *result.reused):
            assert step in words or step == "report"
        for layer in range(1, 4):
            assert re.search(rf"Layer {layer} ?, (folded|sparse)", words)

    def test_in_a_browser(self, result: BuildResult, tmp_path: Path) -> None:
        assert_renders(result.out / "report.html", tmp_path)


@pytest.mark.slow
def test_synthesised_figures_are_those_of_the_tool(sparse: BuildResult) -> None:
    found, tool = read(sparse, "report"), read(sparse, "synth_resources")
    uses = {use["name"]: use for use in found["uses"]}
    for name, use in uses.items():
        assert use["synthesised"] == tool["(top)"][name]
    for node in found["nodes"]:
        assert node["synthesised"]["LUT"] == tool[node["name"]]["LUT"]
    (pipeline,) = [node for node in found["nodes"] if len(node["layers"]) == 3]
    names = [part["name"] for part in pipeline["parts"]]
    assert names == ["layer 1", "layer 2", "layer 3", "around the layers"]
    luts = sum(part["synthesised"]["LUT"] for part in pipeline["parts"])
    assert luts == pipeline["synthesised"]["LUT"]
    assert found["synthesis"]["path_ns"] == tool["(top)"]["critical_path_ns"]


@pytest.mark.slow
def test_every_step_that_may_take_long_tells_how_far_it_is(
    sparse: BuildResult, listener: Listener
) -> None:
    assert set(sparse.ran) >= LONG
    assert listener.told >= LONG


@pytest.mark.slow
def test_two_builds_side_by_side(
    folded: BuildResult, sparse: BuildResult, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "compare.html"
    argv = ["compare", str(folded.out), str(sparse.out), "--out", str(page)]
    assert command.main(argv) == 0
    table = capsys.readouterr().out
    assert re.search(r"style +folded +sparse", table)
    assert re.search(rf"{folded.summary['latency_cycles']:,} cycles", table)
    Outline(page.read_text())


class TestCommandLine:
    def test_every_setting_has_an_option(self) -> None:
        """What decides the result can be given on the command line."""
        flags = {item.name for item in OPTIONS if item.flag}
        assert KEY_FIELDS - {"fpga_part"} <= flags, "the part is the board's"

    def test_the_command_repeats_the_build(
        self, inputs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folding = tmp_path / "a folding.json"
        folding.write_text("{}")
        given = {
            "board": "Pynq-Z1",
            "model": str(inputs[0]),
            "output_dir": tmp_path / "out",
            "synth_clk_period_ns": 7.5,
            "target_fps": 1.25e6,
            "folding_config_file": str(folding),
            "style": "folded",
            "latency_cycles": 12,
            "data": str(inputs[1]),
            "standardise": True,
            "input_quant": "INT6",
            "input_scale": 1 / 3,
            "top1": True,
            "verify_frames": 77,
            "verify_seed": 3,
            "trace": "vcd",
        }
        cfg = BuildConfig(**given).validate()
        words = shlex.split(command_line(cfg))
        assert words[:2] == [".venv/bin/python", "build.py"]
        seen: list[BuildConfig] = []

        def note(config: BuildConfig, **_: object) -> None:
            seen.append(config)
            raise KeyboardInterrupt

        monkeypatch.setattr("finn_builds.build", note)
        assert command.main(words[2:]) == 130
        again = seen[0].validate()
        assert again == cfg

    def test_defaults_are_left_out(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)
        cfg = BuildConfig(board="Pynq-Z1").validate()
        assert command_line(cfg) == ".venv/bin/python build.py --board Pynq-Z1 --model jets"

    def test_a_file_without_a_suffix_stays_a_path(
        self, inputs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copy(inputs[0], tmp_path / "net")
        monkeypatch.chdir(tmp_path)
        cfg = BuildConfig(board="Pynq-Z1", model="./net").validate()
        assert command_line(cfg).endswith("--board Pynq-Z1 --model ./net")
