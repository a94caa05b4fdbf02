"""Files as people bring them, one test a row of the list of cases: what the project makes of each.

The files in ``tests/cases/`` are small ones made after public bug reports; the number in front of a
name is that of its row.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

import build as command


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
    """Build as far as the verified integer network and return what its reports say."""
    words = ["--board", "Pynq-Z1", "--model", str(model), "--out", str(out), "--quiet"]
    assert command.main([*words, "--stop-step", "streamline", *options]) == 0
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
    assert "no neuron of the layer 'MultiThreshold_0' ever changes" in hidden
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
