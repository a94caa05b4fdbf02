"""From a recipe to an autoencoder's checkpoint and QONNX.

python -m brevitas_models.anomaly.make brevitas_models/zoo/jets_anomaly.yaml build/jets_anomaly
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from brevitas_models import datasets, yaml_file
from brevitas_models.anomaly import learning
from brevitas_models.anomaly.autoencoder import Autoencoder, check, export_qonnx
from brevitas_models.datasets import Dataset
from brevitas_models.errors import UserError
from brevitas_models.metrics.roc import roc_auc
from brevitas_models.model import checkpoint
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.train.settings import DataSettings, TrainingSettings
from brevitas_models.yaml_file import Section

FRAMES = "jets_unlabelled"
"""The data set of the zoo that a build verifies with: the score has no classes."""

_WITHOUT_EFFECT = ("classes", "folds", "random_labels", "schedule", "patience", "l1", "average")
_PACKAGES = ("torch", "brevitas", "numpy", "qonnx", "scikit-learn")


class AnomalyRecipe(Section):
    """Everything that decides what an autoencoder becomes, apart from the data itself."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    # Classes that it learns from; frames of the others are only measured on
    usual: tuple[str, ...] = Field(min_length=1)
    # Share of the usual validation frames that may be above the threshold
    trigger_rate: float = Field(0.01, ge=0, lt=1)
    network: MLPConfig
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()


def load(path: Path) -> AnomalyRecipe:
    """Read and check a recipe; raises UserError for what is wrong in it."""
    return yaml_file.load(path, "model", lambda values: yaml_file.check(AnomalyRecipe, values))


def make(recipe: AnomalyRecipe, out: Path) -> dict[str, float]:
    """Train and measure an autoencoder, write its ``.pt`` and ``.onnx``; return the figures."""
    check(recipe.network)
    _check_used(recipe)
    data = datasets.load(recipe.data.dataset, source=recipe.data.source, seed=recipe.data.seed)
    _check_data(recipe, data)
    usual = [data.class_names.index(name) for name in recipe.usual]
    x, validation = (
        data.scaler.transform(frames[np.isin(labels, usual)])
        for frames, labels in ((data.x_train, data.y_train), (data.x_val, data.y_val))
    )
    torch.manual_seed(recipe.training.seed)
    model = Autoencoder(QuantMLP(recipe.network))
    history = learning.learn(model, x, validation, recipe.training)
    model.threshold = learning.threshold(learning.scores(model, validation), recipe.trigger_rate)
    figures = measure(model, data, recipe.usual)
    figures["validation_loss"] = min(loss for _, loss in history)
    info = _info(recipe, data, model, figures)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint.save(out / f"{recipe.name}.pt", model.network, info)
    # A score has no classes.
    export_qonnx(model, {**info, "class_names": []}, out / f"{recipe.name}.onnx")
    return figures


def measure(model: Autoencoder, data: Dataset, usual: Sequence[str]) -> dict[str, float]:
    """Return figures of the test frames.

    ``auc_NAME`` of each class that is not usual, against all usual ones (1 is perfect, 0.5
    chance); ``trigger_NAME``: the share of each class's frames that set the trigger bit.
    """
    found = learning.scores(model, data.scaler.transform(data.x_test))
    known = np.isin(data.y_test, [data.class_names.index(name) for name in usual])
    figures = {"threshold": float(model.threshold), "largest_score": float(found.max())}
    for index, name in enumerate(data.class_names):
        mine = data.y_test == index
        figures[f"trigger_{name}"] = float((found[mine] > model.threshold).mean())
        if name not in usual:
            both = mine | known
            truth = mine[both].astype(np.int64)
            areas = roc_auc(truth, np.stack([-found[both], found[both]], axis=1).astype(float))
            figures[f"auc_{name}"] = float(areas[1])
    return figures


def from_checkpoint(path: Path) -> tuple[Autoencoder, dict[str, Any]]:
    """Read what `make` wrote; raises UserError for other files."""
    network, info = checkpoint.load(path)
    if "threshold" not in info:
        raise UserError(f"{path}: expected the checkpoint of an autoencoder, found another model")
    return Autoencoder(network, int(info["threshold"])).eval(), info


def _check_used(recipe: AnomalyRecipe) -> None:
    """Raise UserError for settings that are known to recipes but of no effect here."""
    for name, section in (("data", recipe.data), ("training", recipe.training)):
        for key, usual in type(section)().model_dump().items():
            if key in _WITHOUT_EFFECT and getattr(section, key) != usual:
                raise UserError(
                    f"{name}.{key}: has no effect on an autoencoder, expected {usual}, found "
                    f"{getattr(section, key)}; leave it out"
                )


def _check_data(recipe: AnomalyRecipe, data: Dataset) -> None:
    unknown = [name for name in recipe.usual if name not in data.class_names]
    if unknown:
        raise UserError(
            f"usual: {data.name} has the classes {', '.join(data.class_names)}, found "
            f"{', '.join(unknown)}; choose of these"
        )
    if recipe.network.layers[0] != data.n_features:
        raise UserError(
            f"network.layers: {data.name} has {data.n_features} features, the network "
            f"{recipe.network.layers[0]} inputs; change the first and last size"
        )


def _info(
    recipe: AnomalyRecipe, data: Dataset, model: Autoencoder, figures: dict[str, float]
) -> dict[str, Any]:
    prefix = "surrogate_" if data.surrogate else ""
    return {
        "model": recipe.name,
        "dataset": FRAMES if data.name == "jets" else data.name,
        "source": data.source,
        "surrogate": data.surrogate,
        "feature_names": data.feature_names,
        "class_names": data.feature_names,  # of the network's outputs: the features again
        "scaler": {"mean": data.scaler.mean, "scale": data.scaler.scale},
        "threshold": model.threshold,
        "metrics": {f"{prefix}{name}": value for name, value in figures.items()},
        "seed": recipe.training.seed,
        "versions": {name: metadata.version(name) for name in _PACKAGES},
        "recipe": recipe.model_dump(mode="json"),
    }


def main(argv: Sequence[str]) -> int:
    """Make the autoencoder of a recipe; returns the exit code."""
    if len(argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        figures = make(load(Path(argv[0])), Path(argv[1]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, value in figures.items():
        print(f"{name:20} {value:.4g}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
