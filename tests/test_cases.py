"""Files as people bring them, one test a row of the list of cases: what the project makes of each.

The files in ``tests/cases/`` are small ones made after public bug reports; the number in front of a
name is that of its row.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

import build as command
from finn_builds.ingest import HostSplit
from finn_builds.run.runner import result_of


def built(
    capsys: pytest.CaptureFixture[str], out: Path, model: Path, *options: str
) -> dict[str, Any]:
    """Build a model without synthesis and return its summary."""
    words = ["--board", "Pynq-Z1", "--model", str(model), "--out", str(out), "--quiet", "--json"]
    assert command.main([*words, "--synth", "none", "--verify-frames", "200", *options]) == 0
    summary: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert summary["mismatches"] == 0
    return summary


def streamlined(capsys: pytest.CaptureFixture[str], out: Path, model: Path, *options: str) -> Any:
    """Build as far as the sparse layers are compiled and return what the reports say."""
    words = ["--board", "Pynq-Z1", "--model", str(model), "--out", str(out), "--quiet"]
    assert command.main([*words, "--stop-step", "hw_codegen", *options]) == 0
    capsys.readouterr()
    return {
        name: json.loads((out / "report" / f"{name}.json").read_text())
        for name in ("accuracy", "findings")
    }


def test_row_07_the_order_of_the_classes_is_told_and_can_be_given(cases, tmp_path, capsys):
    model = cases / "07_dropout.onnx"
    numbers = streamlined(capsys, tmp_path, model, "--data", str(cases / "07_numbers.csv"))
    assert numbers["accuracy"]["accuracy"] == pytest.approx(0.22)
    assert numbers["accuracy"]["classes"] == "0, 1, 2, 3 (by number)"
    names = streamlined(capsys, tmp_path, model, "--data", str(cases / "07_names.csv"))
    assert names["accuracy"]["accuracy"] == pytest.approx(0.27)
    assert names["accuracy"]["classes"] == "W, Z, gluon, quark (in alphabetical order)"
    given = ["--data", str(cases / "07_names.csv"), "--classes", "gluon,quark,W,Z"]
    found = streamlined(capsys, tmp_path, model, *given)
    assert found["accuracy"]["accuracy"] == pytest.approx(0.22)
    assert found["accuracy"]["classes"] == "gluon, quark, W, Z (as --classes gives them)"


@pytest.mark.slow
def test_row_10_constant_layers_are_named_on_screen_page_and_json(cases, tmp_path, capsys):
    summary = built(capsys, tmp_path / "out", cases / "10_constant_hidden_layer.onnx")
    hidden, outputs = summary["warnings"]
    assert "no neuron of the layer 'MultiThreshold_0'" in hidden
    assert "(of node 'BipolarQuant_13' (BipolarQuant)) ever changes" in hidden
    assert "no output of the network" in outputs
    page = (tmp_path / "out" / "report.html").read_text()
    assert hidden.replace("'", "&#39;") in page and "10 never change, whatever the input" in page
    found = json.loads((tmp_path / "out" / "report" / "findings.json").read_text())
    assert [one["of"] for one in found["constants"]] == [10, 4]


@pytest.mark.slow
def test_row_13_features_alone_and_float_targets(cases, tmp_path, capsys):
    model, out = cases / "13_regression.onnx", tmp_path / "out"
    alone = built(capsys, out, model, "--data", str(cases / "13_x_only.npz"))
    assert alone["accuracy"] is None and alone["rmse"] is None
    verified = json.loads((out / "report" / "verification.json").read_text())
    assert verified["inputs"].startswith("200 frames of file 13_x_only.npz")
    targets = built(capsys, out, model, "--data", str(cases / "13_targets.npz"))
    with np.load(cases / "13_targets.npz") as data:
        x, y = data["X"].astype(np.float32), data["y"]
    given = ModelWrapper(str(model)).transform(InferShapes())
    frames = (execute_onnx(given, {"x": row[None]}) for row in x)
    outputs = np.concatenate([next(iter(frame.values())) for frame in frames])
    assert targets["rmse"] == pytest.approx(np.sqrt(((outputs - y) ** 2).mean()), rel=1e-5)
    assert targets["rmse_of_constant"] == pytest.approx(np.sqrt(y.var(axis=0).mean()), rel=1e-5)
    assert targets["accuracy_frames"] == 300 and len(targets["rmse_by_output"]) == 2
    assert "RMSE" in (out / "report.html").read_text()


def outputs_of_the_file(model: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    """Execute a file as it was given, frame by frame, by qonnx."""
    given = onnx.load(model)
    for node in given.graph.node:
        if node.domain == "qonnx":  # that of early converters
            node.domain = "qonnx.custom_op.general"
    for held in (*given.graph.input, *given.graph.output):
        for dim in held.type.tensor_type.shape.dim:
            dim.dim_value = dim.dim_value or 1
    wrapped = ModelWrapper(given).transform(InferShapes())
    read = {name for node in given.graph.node for name in node.input}
    names = [held.name for held in given.graph.input if held.name in read]
    frames = [execute_onnx(wrapped, {names[0]: row[None]}) for row in x]
    return {name: np.stack([np.ravel(frame[name]) for frame in frames]) for name in frames[0]}


BUILT = [
    "03_squeeze",
    "05_leaky_relu",
    "05_elu",
    "11_log_in_front",
    "11_sqrt_in_front",
    "11_exp_behind",
    "12_domain_qonnx",
    "12_silu",
    "14_unread_input",
    "14_topk_index",
    "14_logits_and_probabilities",
    "15_input_scale_per_feature",
]


@pytest.mark.parametrize("name", BUILT)
def test_rows_03_to_15_are_taken_and_give_what_the_file_gives(cases, tmp_path, capsys, name):
    """Each is verified by the build itself, and here with its outputs against the given file."""
    model = cases / f"{name}.onnx"
    streamlined(capsys, tmp_path, model)
    split = result_of(tmp_path, HostSplit)
    rng = np.random.default_rng(5)
    x = rng.normal(size=(25, 8)).astype(np.float32)
    x = np.abs(x) + np.float32(0.01) if "in_front" in name else x  # a logarithm, a root
    expected = outputs_of_the_file(model, x)
    found = split.host.after(split.network.execute(split.host.before(x)))
    found = found if isinstance(found, dict) else {next(iter(expected)): found}
    for output, values in expected.items():
        np.testing.assert_allclose(
            found[output].reshape(values.shape), values, rtol=1e-4, atol=1e-5, err_msg=output
        )


def test_row_12_floatquant_is_named(cases, tmp_path, capsys):
    words = ["--board", "Pynq-Z1", "--model", str(cases / "12_floatquant.onnx"), "--quiet"]
    assert command.main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "(FloatQuant), which can't be built" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_row_15_wide_factors_are_built(cases, tmp_path, capsys):
    """A scale for each feature that is not a power of two makes weights of 30 bits."""
    summary = built(capsys, tmp_path / "out", cases / "15_input_scale_per_feature.onnx")
    assert summary["frames_verified"] == 200


@pytest.mark.slow
def test_row_p1_the_class_behind_an_unsigned_quantiser(cases, tmp_path, capsys):
    """The hardware's choice of the class among unsigned codes is that of the given file."""
    model, out = cases / "p1_top1_unsigned.onnx", tmp_path / "out"
    built(capsys, out, model, "--top1")
    split = result_of(out, HostSplit)
    x = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32) * 3
    (expected,) = outputs_of_the_file(model, x).values()
    with np.load(out / "deploy" / "validation.npz") as vectors:
        integers, classes = vectors["inputs"], vectors["classes"]
    assert len(np.unique(classes)) > 2
    np.testing.assert_array_equal(split.host.classify(split.network.execute(integers)), classes)
    chosen = split.host.classify(split.network.execute(split.host.before(x)))
    np.testing.assert_array_equal(chosen, expected.argmax(axis=1))
