"""From a recipe to a checkpoint: load, train, measure, write."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import shlex
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from brevitas_models import checkpoint, datasets, distill, export, metrics, outputs, training
from brevitas_models.datasets import Dataset, Scaler
from brevitas_models.distill import Teacher
from brevitas_models.errors import UserError
from brevitas_models.progress import Reporter
from brevitas_models.quant_mlp import QuantMLP
from brevitas_models.recipe import DistillationSettings, Recipe
from brevitas_models.training import EpochRecord, Frames, OnEpoch

_PACKAGES = ("torch", "brevitas", "numpy", "qonnx", "scikit-learn")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A recipe with the data and the teacher that it is to be followed with.

    Attributes
    ----------
    recipe : Recipe
    data : Dataset
    teacher : Teacher or None
    """

    recipe: Recipe
    data: Dataset
    teacher: Teacher | None

    def __post_init__(self) -> None:
        recipe, data = self.recipe, self.data
        sizes = recipe.network.layers
        if (sizes[0], sizes[-1]) != (data.n_features, data.n_classes):
            raise UserError(
                f"network.layers: the data set {data.name} has {data.n_features} features and "
                f"{data.n_classes} classes, the network {sizes[0]} inputs and {sizes[-1]} outputs; "
                f"change the first or last size, or give another data set"
            )
        if self.teacher is not None:
            self.teacher.check_fits(data.n_features, data.n_classes)
        elif recipe.distillation is not None:
            name = recipe.distillation.teacher_name
            raise UserError(
                f"{recipe.name} learns from a teacher: give its file with --teacher model.onnx"
                + (f" ({name})" if name else "")
            )

    def frames(self) -> tuple[Frames, Frames]:
        """Return what to learn from and what to judge by while learning.

        Without a teacher these are training and validation set. With one, only their inputs are
        used; inputs may be mixed around them, and the targets are the teacher's.
        """
        data, scaler = self.data, _scaler(self.data)
        train, validation = scaler.transform(data.x_train), scaler.transform(data.x_val)
        if self.teacher is None:
            return _frames(train, data.y_train), _frames(validation, data.y_val)
        settings = self.recipe.distillation or DistillationSettings()
        if settings.samples > 0:
            rng = np.random.default_rng(self.recipe.training.seed)
            ways = settings.model_dump(include={"neighbours", "along", "across", "noise"})
            everything = np.concatenate([train, validation])
            # A tenth as many to judge by, around the validation set. Their neighbours may be
            # training frames: among themselves they would have only distant ones.
            validation = distill.mix_neighbours(
                validation, everything, max(settings.samples // 10, 1), rng=rng, **ways
            )
            train = distill.mix_neighbours(train, train, settings.samples, rng=rng, **ways)
        return self._taught(train, settings), self._taught(validation, settings)

    def _taught(self, x: np.ndarray, settings: DistillationSettings) -> Frames:
        logits = torch.from_numpy(self._teacher_logits(x))
        return Frames(torch.from_numpy(x), torch.softmax(logits / settings.temperature, dim=1))

    def _teacher_logits(self, x: np.ndarray) -> np.ndarray:
        """Return the teacher's logits (n, n_classes) for standardised features."""
        assert self.teacher is not None
        return self.teacher.logits(_scaler(self.data).inverse(x) if self.teacher.takes_raw else x)

    def fit(self, on_epoch: OnEpoch | None = None) -> tuple[QuantMLP, list[EpochRecord]]:
        """Train a fresh model; see `training.train`."""
        recipe = self.recipe
        temperature = recipe.distillation.temperature if recipe.distillation else 1.0
        frames, validation = self.frames()
        model = fresh_model(recipe)
        history = training.train(
            model,
            frames,
            validation,
            recipe.training,
            recipe.pruning,
            temperature=temperature,
            on_epoch=on_epoch,
        )
        return model, history

    def answers(self, model: QuantMLP) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return the true classes of the test set, the model's and the teacher's, each (n,)."""
        x = _scaler(self.data).transform(self.data.x_test)
        own = training.evaluate(model, torch.from_numpy(x)).argmax(dim=1).numpy()
        asked = self._teacher_logits(x).argmax(axis=1) if self.teacher is not None else None
        return self.data.y_test, own, asked


def run(
    recipe: Recipe,
    *,
    teacher: Path | None,
    folds: int,
    out: Path,
    command: str,
    reporter: Reporter,
) -> Path:
    """Train a model as its recipe says, measure it and write all about it into a folder.

    Parameters
    ----------
    recipe : Recipe
    teacher : Path or None
        QONNX file of a teacher.
    folds : int
        1: accuracy is measured on the test set, which the model has not seen. More: it is measured
        on all frames by that many siblings of the model, each of which has not seen the frames
        that it is measured on; the model itself then is trained on all frames.
    out : Path
        Folder for ``<name>.pt``, ``<name>.onnx``, ``<name>.yaml`` and ``history.csv``. A folder
        from an earlier training is replaced, at the end and as a whole.
    command : str
        What made it, for the record.
    reporter : Reporter

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    UserError
        For anything in the recipe, the data, the teacher or `out` that does not fit.
    """
    outputs.check(out, recipe.name)
    chosen = recipe.data
    data = datasets.load(chosen.dataset, source=chosen.source, seed=chosen.seed)
    reporter.note(f"data: {data.source}")
    ways = recipe.distillation or DistillationSettings()
    asked = Teacher(teacher, ways.teacher_inputs) if teacher is not None else None
    if asked is not None and recipe.distillation is None:
        recipe = dataclasses.replace(recipe, distillation=ways)
    experiment = Experiment(recipe, data, asked)

    epochs = recipe.training.epochs
    if folds > 1:
        figures = _cross_fitted(experiment, folds, reporter)
        experiment = dataclasses.replace(experiment, data=_with_test_frames(data))
    with reporter.training(recipe.name, epochs) as on_epoch:
        model, history = experiment.fit(on_epoch)
    if folds == 1:
        figures = metrics.accuracy_figures(*experiment.answers(model))

    what = "surrogate frames (not real data)" if data.surrogate else f"{data.name}, frames unseen"
    for line in metrics.accuracy_lines(figures, what):
        reporter.result(line)
    info = _info(experiment, model, history, figures, folds, command)
    with outputs.folder(out, recipe.name) as stage:
        checkpoint.save(stage / f"{recipe.name}.pt", model, info)
        export.export_qonnx(model, info, stage / f"{recipe.name}.onnx")
        _write_recipe(stage / f"{recipe.name}.yaml", recipe)
        _write_history(stage / "history.csv", history)
    reporter.result(f"checkpoint: {out / recipe.name}.pt, QONNX: {out / recipe.name}.onnx")
    return out / f"{recipe.name}.pt"


def fresh_model(recipe: Recipe) -> QuantMLP:
    """Return an untrained model with the initial weights of the recipe's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        return QuantMLP(recipe.network)


def fold(data: Dataset, index: int, folds: int) -> Dataset:
    """Return all frames of a data set, split so that the part `index` of `folds` is the test set.

    Parameters
    ----------
    data : Dataset
        Its own split does not matter.
    index : int
        0 .. folds - 1.
    folds : int
        Number of parts of about equal size, at least 2.

    Returns
    -------
    Dataset
        A tenth of the frames outside the part is the validation set. A scaler that was fitted on
        the training set is fitted anew, so that it has not seen the test set either; one that came
        with the data stays.

    Raises
    ------
    UserError
        If there are fewer frames than would give every part some.
    """
    x = np.concatenate([data.x_train, data.x_val, data.x_test])
    y = np.concatenate([data.y_train, data.y_val, data.y_test])
    if len(x) < 10 * folds:
        raise UserError(
            f"--folds {folds}: needs at least {10 * folds} frames, {data.name} has {len(x)}; "
            f"ask for fewer folds"
        )
    order = np.random.default_rng(0).permutation(len(x))
    test = np.sort(order[index::folds])
    others = np.setdiff1d(order, test)
    others = np.random.default_rng(1 + index).permutation(others)
    validation, train = np.split(others, [max(len(others) // 10, 1)])
    fitted = Scaler.fit(data.x_train)
    own = np.array_equal(_scaler(data).mean, fitted.mean)
    return dataclasses.replace(
        data,
        x_train=x[train],
        y_train=y[train],
        x_val=x[validation],
        y_val=y[validation],
        x_test=x[test],
        y_test=y[test],
        scaler=Scaler.fit(x[train]) if own else data.scaler,
    )


def recorded_command(arguments: Sequence[str]) -> str:
    """Return a command line for the record, with paths cut to the names of their files."""
    names = (Path(part).name if "/" in part else part for part in arguments)
    return shlex.join(["train.py", *names])


def _cross_fitted(experiment: Experiment, folds: int, reporter: Reporter) -> dict[str, float]:
    """Measure siblings of a model, each on a part of the frames that it has not seen."""
    parts = []
    for index in range(folds):
        sibling = dataclasses.replace(experiment, data=fold(experiment.data, index, folds))
        title = f"{experiment.recipe.name}, fold {index + 1} of {folds}"
        with reporter.training(title, experiment.recipe.training.epochs) as on_epoch:
            model, _ = sibling.fit(on_epoch)
        parts.append(sibling.answers(model))
    truth, own, asked = zip(*parts, strict=True)
    teacher = None if experiment.teacher is None else np.concatenate(asked)
    return metrics.accuracy_figures(np.concatenate(truth), np.concatenate(own), teacher)


def _with_test_frames(data: Dataset) -> Dataset:
    return dataclasses.replace(
        data,
        x_train=np.concatenate([data.x_train, data.x_test]),
        y_train=np.concatenate([data.y_train, data.y_test]),
        source=f"{data.source}; test frames trained on too",
    )


def _info(
    experiment: Experiment,
    model: QuantMLP,
    history: list[EpochRecord],
    figures: dict[str, float],
    folds: int,
    command: str,
) -> dict[str, Any]:
    """Return what a checkpoint records; see `checkpoint.INFO_KEYS`."""
    recipe, data, teacher = experiment.recipe, experiment.data, experiment.teacher
    best = next(record for record in reversed(history) if record.best)
    figures = {**figures, "folds": folds}
    if data.surrogate:
        # So that nobody takes them for figures of the real data.
        figures = {f"surrogate_{key}": value for key, value in figures.items()}
    digest = hashlib.sha256(teacher.path.read_bytes()).hexdigest() if teacher else None
    if recipe.data.source is not None:
        # A folder of this machine says nothing elsewhere; `data.source` has the file's checksum.
        name = Path(recipe.data.source).name
        recipe = dataclasses.replace(recipe, data=recipe.data.model_copy(update={"source": name}))
    return {
        "model": recipe.name,
        "dataset": data.name,
        "source": data.source,
        "surrogate": data.surrogate,
        "feature_names": data.feature_names,
        "class_names": data.class_names,
        "scaler": {"mean": _scaler(data).mean, "scale": _scaler(data).scale},
        "metrics": {
            **figures,
            "pruned": best.pruned,
            "validation_loss": best.validation_loss,
            "epoch": best.epoch,
        },
        "seed": recipe.training.seed,
        "versions": {name: metadata.version(name) for name in _PACKAGES},
        "recipe": recipe.to_dict(),
        "teacher": {"file": teacher.path.name, "sha256": digest} if teacher else None,
        "command": command,
    }


def _scaler(data: Dataset) -> Scaler:
    assert data.scaler is not None, "a data set with training frames has a scaler"
    return data.scaler


def _frames(x: np.ndarray, y: np.ndarray) -> Frames:
    return Frames(torch.from_numpy(x), torch.from_numpy(y))


def _write_recipe(path: Path, recipe: Recipe) -> None:
    path.write_text(yaml.safe_dump(recipe.to_dict(), sort_keys=False), encoding="utf-8")


def _write_history(path: Path, history: list[EpochRecord]) -> None:
    rows = [dataclasses.asdict(record) for record in history]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
