"""What the fingerprint of a configuration covers: options, contents of files, sources, versions."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from finn_builds.config import build as config_module
from finn_builds.config import fingerprint as fp
from finn_builds.config import inputs
from finn_builds.config.boards import BOARD_DIR
from tests.finn_builds.toy_build import unchecked as make
from tests.finn_builds.toy_build import write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "my model.onnx"
    path.parent.mkdir()
    write_model(path)
    return path


def test_is_the_same_twice_and_for_a_copy_elsewhere(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / model.name
    copy.parent.mkdir()
    shutil.copy(model, copy)
    first = make(model).validate().fingerprint()
    assert make(model).validate().fingerprint() == first
    assert make(copy, output_dir=tmp_path / "o").validate().fingerprint() == first


@pytest.mark.parametrize(
    "options",
    [
        {"board": "Pynq-Z2"},
        {"synth_clk_period_ns": 9.0},
        {"target_fps": 10},
        {"style": "folded"},
        {"data": "digits"},
        {"standardise": True},
        {"verify_frames": 10},
        {"verify_seed": 1},
        {"input_quant": "INT8"},
        {"top1": True},
        {"trace": "fst"},
    ],
)
def test_every_option_counts(model: Path, options: dict) -> None:
    base = make(model).validate().fingerprint()
    assert make(model, **options).validate().fingerprint() != base


@pytest.mark.parametrize("options", [{"force": True}, {"stop_step": "x"}, {"output_dir": "o"}])
def test_how_to_run_does_not_count(model: Path, options: dict) -> None:
    base = make(model).validate().fingerprint()
    assert make(model, **options).validate().fingerprint() == base


def test_content_of_files_counts(model: Path, tmp_path: Path) -> None:
    data, folding = tmp_path / "d.npz", tmp_path / "f.json"
    seen = set()

    def look() -> None:
        cfg = make(model, data=str(data), folding_config_file=folding).validate()
        seen.add(cfg.fingerprint())

    np.savez(data, x=np.zeros(3))
    folding.write_text("{}")
    look()
    np.savez(data, x=np.ones(3))
    look()
    folding.write_text('{"MVAU_rtl_0": {"PE": 2}}')
    look()
    write_model(model, 3)
    look()
    assert len(seen) == 4


def test_board_file_counts(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "Pynq-Z1.yaml"
    monkeypatch.setattr(config_module, "board_path", lambda name: path)
    shutil.copy(BOARD_DIR / path.name, path)
    cfg = make(model).validate()
    first = cfg.fingerprint()
    path.write_text(path.read_text().replace("DSP: 220", "DSP: 200"))
    assert cfg.fingerprint() != first


def test_external_tensors_count(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
        [numpy_helper.from_array(np.ones((1, 64), np.float32), "w")],
    )
    path = tmp_path / "m.onnx"
    onnx.save_model(
        helper.make_model(graph),
        str(path),
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    weights = tmp_path / "weights.bin"
    assert weights.is_file()
    first = fp.model_digest(path)
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    assert fp.model_digest(path) != first


def test_external_values_of_nodes_count(tmp_path: Path) -> None:
    value = numpy_helper.from_array(np.ones(64, np.float32), "w")
    value.data_location = TensorProto.EXTERNAL
    value.external_data.add(key="location", value="weights.bin")
    (tmp_path / "weights.bin").write_bytes(value.raw_data)
    value.ClearField("raw_data")
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["y"], value=value)],
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [64])],
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    first = fp.model_digest(path)
    (tmp_path / "weights.bin").write_bytes(bytes(256))
    assert fp.model_digest(path) != first


def test_any_file_can_be_hashed(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("# no model")
    first = fp.model_digest(path)
    path.write_text("# still none")
    assert fp.model_digest(path) != first


def test_sources_count(tmp_path: Path) -> None:
    package = tmp_path / "finn_builds" / "rtl"
    package.mkdir(parents=True)
    (package / "mvu.sv").write_text("module mvu; endmodule")
    (tmp_path / "notes.txt").write_text("")
    seen = [fp.source_digest(root=tmp_path)]
    (tmp_path / "notes.txt").write_text("not a source")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.pyc").write_text("")
    assert fp.source_digest(root=tmp_path) == seen[0]
    (package / "mvu.sv").write_text("module mvu2; endmodule")
    seen.append(fp.source_digest(root=tmp_path))
    (package / "mvu.sv").rename(package / "mvv.sv")
    seen.append(fp.source_digest(root=tmp_path))
    assert len(set(seen)) == 3


def test_real_sources_and_versions_are_found(model: Path) -> None:
    environment = make(model).validate().environment()
    assert environment["sources"] == fp.source_digest()
    assert environment["versions"]["qonnx"] != "absent"
    assert fp.versions(["no-such-package"]) == {"no-such-package": "absent"}
    assert fp.source_digest() != fp.source_digest(["deploy"])


def test_downloaded_data_count(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "DATA_CACHE", tmp_path / "cache")
    cfg = make(model, data="jets").validate()
    first = cfg.fingerprint()
    (tmp_path / "cache").mkdir()
    np.savez(tmp_path / "cache" / "jets.npz", x=np.ones(2))
    assert cfg.fingerprint() != first
