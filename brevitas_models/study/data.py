"""The frames of a study's points, each array once."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from pathlib import Path

import numpy as np

from brevitas_models import datasets
from brevitas_models.datasets import Dataset, ReadTable
from brevitas_models.datasets.folds import fold
from brevitas_models.errors import UserError
from brevitas_models.model.heads import learns_classes
from brevitas_models.study.config import Study
from brevitas_models.study.points import Point
from brevitas_models.train import store
from brevitas_models.train.distill import Teacher
from brevitas_models.train.experiment import Experiment
from brevitas_models.train.settings import DistillationSettings


class StudyData:
    """Loads, splits, labels and mixes frames, and keeps equal arrays once.

    `about` says which data were found and the teacher, with checksums.
    """

    def __init__(
        self, study: Study, teacher: Path | None, read_table: ReadTable | None = None
    ) -> None:
        chosen = study.base.data
        self.data = datasets.load(
            chosen.dataset,
            source=chosen.source,
            seed=chosen.seed,
            read_table=read_table,
            classes=chosen.classes,
        )
        ways = study.base.distillation or DistillationSettings()
        self.teacher = Teacher(teacher, ways.teacher_inputs) if teacher is not None else None
        self.about = f"{self.data.name}: {self.data.source}"
        if self.teacher is not None:
            digest = hashlib.sha256(self.teacher.path.read_bytes()).hexdigest()
            self.about += f"; teacher {self.teacher.path.name} {digest[:12]}"
        self.arrays: list[np.ndarray] = []
        self._seen: dict[str, int] = {}
        self._folds: dict[tuple[int, int], Dataset] = {}
        self._known: dict[Hashable, tuple[int, ...]] = {}
        self._digests: list[str] = []
        self._keys: dict[Point, str] = {}

    def of(self, point: Point) -> tuple[int, ...]:
        """Return which arrays are a point's, as `work.Member.arrays`.

        Raises UserError if the network does not fit the data or the teacher, or the teacher is
        missing.
        """
        settings = point.recipe
        if self.teacher is not None and settings.distillation is None:
            settings = settings.model_copy(update={"distillation": DistillationSettings()})
        mixed = settings.distillation is not None and settings.distillation.samples > 0
        seed = settings.training.seed if mixed else None
        name = (settings.data, settings.distillation, point.fold, seed)
        data = self.fold(point)
        experiment = Experiment(settings, data, self.teacher)  # checks the sizes
        if data.target_names or not learns_classes(experiment.heads):
            raise UserError(
                "a study compares networks that name classes, found training.loss "
                f"{settings.training.loss!r}; train these one by one with train.py"
            )
        if name not in self._known:
            frames, validation = experiment.frames()
            asked = experiment.opinion()
            parts = (
                frames.x.numpy(),
                frames.target.numpy(),
                validation.x.numpy(),
                validation.target.numpy(),
                data.scaler.transform(data.x_test),
                data.y_test,
                frames.x.numpy() if frames.origin is None else frames.origin.numpy(),
                *([] if asked is None else [asked]),
            )
            self._known[name] = tuple(self._keep(part) for part in parts)
        return self._known[name]

    def key(self, point: Point) -> str:
        """Return the name of a point, which changes with all that decides its result."""
        if point not in self._keys:
            frames = ",".join(self._digests[index] for index in self.of(point))
            label = (point.kind, point.trial, point.fold)
            self._keys[point] = store.key(point.recipe, frames, *label)
        return self._keys[point]

    def fold(self, point: Point) -> Dataset:
        """Return the data set as it is split for a point."""
        folds, index = point.recipe.data.folds, point.fold
        if folds == 1:
            return self.data
        if (folds, index) not in self._folds:
            self._folds[folds, index] = fold(self.data, index, folds)
        return self._folds[folds, index]

    def _keep(self, array: np.ndarray) -> int:
        array = np.ascontiguousarray(array)
        name = store.digest(array)
        if name not in self._seen:
            self._seen[name] = len(self.arrays)
            self.arrays.append(array)
            self._digests.append(name)
        return self._seen[name]
