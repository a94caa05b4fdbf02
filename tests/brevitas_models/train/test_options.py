"""No setting of a recipe is without effect: each, changed alone, gives another result."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper

import train as command
from brevitas_models.model import checkpoint
from brevitas_models.model.config import MLPConfig
from brevitas_models.pruning.settings import PruningSettings
from brevitas_models.train.settings import (
    DataSettings,
    DistillationSettings,
    TrainingSettings,
)

BASE = {
    "name": "toy",
    "network": {"layers": [4, 8, 3], "weight_bits": 3, "act_bits": 3, "input_bits": 5},
    "data": {"dataset": "toy.npz"},
    "training": {"epochs": 3, "batch_size": 32, "learning_rate": 0.02},
    "pruning": {"share": 0.5},
}
ROUNDS = ["pruning.schedule=fine_tuning", "pruning.share=0"]
HARDWARE = ["pruning.schedule=one_shot", "pruning.criterion=hardware"]
TEACHER = ["distillation.samples=100"]
JETS = ["network.layers=[16, 4, 5]", "data.dataset=jets", "data.source=surrogate"]
# Each setting with the change to be made and what else it needs, before and after.
CHANGES: dict[str, tuple[str, list[str]]] = {
    "network.layers": ("[4, 9, 3]", []),
    "network.weight_bits": ("[3, 6]", []),
    "network.act_bits": ("[2]", []),
    "network.input_bits": ("3", []),
    "network.batch_norm": ("no_affine", []),
    "network.scale": ("free", []),
    "network.weight_scale": ("per_channel", []),
    "network.activation": ("hardtanh", []),
    "network.narrow_range": ("false", []),
    "network.bias": ("false", []),
    "network.fold_batch_norm": ("true", []),
    "network.skip": ("[[0, 1]]", ["network.layers=[4, 4, 3]"]),
    "data.dataset": ("other.npz", []),
    "data.source": ("tiny_jets.npz", [*JETS, "training.batch_size=1024"]),
    "data.classes": ('["2", "1", "0"]', []),
    "data.seed": ("1", []),
    "data.folds": ("3", []),
    "data.random_labels": ("0.75", []),
    "training.epochs": ("4", []),
    "training.batch_size": ("16", []),
    "training.learning_rate": ("0.05", []),
    "training.schedule": ("constant", []),
    "training.patience": ("1", ["training.epochs=25", "training.learning_rate=0.2"]),
    "training.l1": ("0.01", []),
    "training.seed": ("1", []),
    "pruning.schedule": ("one_shot", []),
    "pruning.share": ("0.7", []),
    "pruning.shares": ("[0.2, 0.5]", [*ROUNDS, "pruning.shares=[0, 0.5]"]),
    "pruning.start": ("0.3", []),
    "pruning.end": ("0.9", []),
    "pruning.criterion": ("random", []),
    "pruning.scope": ("per_layer", []),
    "pruning.cost": ("estimate", HARDWARE),
    "distillation.samples": ("150", TEACHER),
    "distillation.neighbours": ("3", TEACHER),
    "distillation.along": ("[0, 0.5]", TEACHER),
    "distillation.across": ("[0, 0.1]", TEACHER),
    "distillation.noise": ("0.5", TEACHER),
    "distillation.temperature": ("3", TEACHER),
    "distillation.teacher_inputs": ("raw", TEACHER),
}
#: Settings of table edges and of their distillation, which tests of their own try.
TABLES = {
    "network.edges",
    "network.code_widths",
    "network.input_ranges",
    "network.table_knots",
    "training.average",
    "pruning.lut_budget",
    "distillation.space",
    "distillation.local",
}
#: Outputs and numbers as targets, which tests/test_regression.py tries.
HEADS = {"network.outputs", "training.loss"}
# Names: what they say is printed, and tested where it is.
WORDS = {"name", "distillation.teacher_name"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with data sets, a teacher and the base recipe."""
    path = tmp_path_factory.mktemp("options")
    rng = np.random.default_rng(0)
    for name, rows, columns, classes in (
        ("toy", 150, 4, 3),
        ("other", 150, 4, 3),
        ("tiny_jets", 200, 16, 5),
    ):
        x = rng.normal(size=(rows, columns)).astype(np.float32) * 2 + 1
        extra = {}
        if columns == 16:
            from brevitas_models.datasets.jets_features import FEATURES

            extra["feature_names"] = np.array(FEATURES)
        y = (x[:, :classes] + rng.normal(size=(rows, classes))).argmax(1)
        np.savez(path / f"{name}.npz", X=x, y=y, **extra)
    weight = rng.normal(size=(4, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset), path / "teacher.onnx")
    (path / "toy.yaml").write_text(yaml.safe_dump(BASE))
    return path


def outcome(settings: list[str], out: Path) -> dict[str, Any]:
    """Train as told; return weights, figures and epochs, without what only repeats the settings."""
    line = ["--model", "toy.yaml", "--out", str(out), "--quiet"]
    for setting in settings:
        line += ["--set", setting]
    if any("distillation" in setting for setting in settings):
        line += ["--teacher", "teacher.onnx"]
    assert command.main(line) == 0
    model, info = checkpoint.load(out / "toy.pt")
    with (out / "history.csv").open() as file:
        epochs = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    figures = {key: value for key, value in info["metrics"].items() if key != "folds"}
    return {"state": model.state_dict(), "metrics": figures, "epochs": epochs}


def test_every_setting_is_tried() -> None:
    settings = {
        f"{section}.{key}"
        for section, keys in {
            "network": MLPConfig.model_fields,
            "data": DataSettings.model_fields,
            "training": TrainingSettings.model_fields,
            "pruning": PruningSettings.model_fields,
            "distillation": DistillationSettings.model_fields,
        }.items()
        for key in keys
    }
    assert settings - WORDS - TABLES - HEADS == set(CHANGES)


@pytest.mark.parametrize("setting", list(CHANGES))
def test_a_setting_has_an_effect(
    setting: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    value, needed = CHANGES[setting]
    before = outcome(needed, tmp_path / "before")
    after = outcome([*needed, f"{setting}={value}"], tmp_path / "after")
    one, other = before["state"], after["state"]
    same = one.keys() == other.keys() and all(
        one[key].shape == other[key].shape and torch.equal(one[key], other[key]) for key in one
    )
    assert not (
        same and before["metrics"] == after["metrics"] and before["epochs"] == after["epochs"]
    ), capsys.readouterr().out


def test_batch_norm_has_four_forms(folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    figures = [
        outcome([f"network.batch_norm={kind}"], tmp_path / kind)["epochs"][-1]
        for kind in ("on", "off", "no_affine", "no_running_stats")
    ]
    losses = {row["validation_loss"] for row in figures}
    assert len(losses) == 4
