"""What is written down about a training: the checkpoint's info, the recipe, the epochs."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from brevitas_models.datasets import Dataset, Scaler
from brevitas_models.model.heads import heads_of
from brevitas_models.train.distill import Teacher
from brevitas_models.train.recipe import Recipe
from brevitas_models.train.rounds import RoundResult

_PACKAGES = ("torch", "brevitas", "numpy", "qonnx", "scikit-learn")
# Figures that follow from the network alone; all others are of the frames they were measured on.
_OF_THE_NETWORK = ("bops", "bops_32bit_input", "remaining_weights", "weight_bits")


def checkpoint_info(
    recipe: Recipe,
    data: Dataset,
    teacher: Teacher | None,
    last: RoundResult,
    figures: Mapping[str, float],
    command: str,
    unit: Scaler | None = None,
) -> dict[str, Any]:
    """Return what a checkpoint records; see `checkpoint.INFO_KEYS`.

    `unit` is what standardises the targets, where there are any. On surrogate data the names of
    measured figures get the prefix ``surrogate_``.
    """
    best = last.best
    if data.surrogate:
        # So that nobody takes them for figures of the real data.
        figures = {
            key if key in _OF_THE_NETWORK else f"surrogate_{key}": value
            for key, value in figures.items()
        }
    if recipe.data.source is not None:
        # A folder of this machine says nothing elsewhere; `data.source` has the file's checksum.
        name = Path(recipe.data.source).name
        recipe = recipe.replace("data", source=name)
    heads = heads_of(recipe.network, recipe.training.loss)
    targets: dict[str, Any] = {}
    if unit is not None:
        targets = {
            "target_names": data.target_names,
            "target_scaler": {"mean": unit.mean, "scale": unit.scale},
            "losses": [head.loss for head in heads for _ in range(head.size)],
        }
    digest = hashlib.sha256(teacher.path.read_bytes()).hexdigest() if teacher else None
    return {
        "model": recipe.name,
        "dataset": data.name,
        "source": data.source,
        "surrogate": data.surrogate,
        "feature_names": data.feature_names,
        "class_names": data.class_names,
        "split": data.split,
        **targets,
        "scaler": {"mean": data.scaler.mean, "scale": data.scaler.scale},
        "metrics": {
            **figures,
            "folds": recipe.data.folds,
            "pruned": last.pruned,
            "validation_loss": best.validation_loss,
            "epoch": best.epoch,
            "round": last.round.index + 1,
        },
        "seed": recipe.training.seed,
        "versions": {name: metadata.version(name) for name in _PACKAGES},
        "recipe": recipe.to_dict(),
        "teacher": {"file": teacher.path.name, "sha256": digest} if teacher else None,
        "command": command,
    }


def recorded_command(arguments: Sequence[str]) -> str:
    """Return a command line for the record, with paths cut to the names of their files."""
    names = (Path(part).name if "/" in part else part for part in arguments)
    return shlex.join(["train.py", *names])


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Write a recipe as YAML, all settings in it."""
    path.write_text(yaml.safe_dump(recipe.to_dict(), sort_keys=False), encoding="utf-8")


def write_history(path: Path, results: Sequence[RoundResult]) -> None:
    """Write all epochs as CSV; `round` counts from 1."""
    rows = [
        {"round": result.round.index + 1, **dataclasses.asdict(epoch)}
        for result in results
        for epoch in result.history
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
