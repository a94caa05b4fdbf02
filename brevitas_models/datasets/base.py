"""What every data set looks like to training, evaluation and build."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brevitas_models.files import write_atomic

Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Truth = Labels | Features


@dataclass(frozen=True, eq=False)
class Scaler:
    """Standardises features: ``(x - mean) / scale``, in float32."""

    # shape (n_features,): in the units of the raw features; `scale` is positive
    mean: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]

    @classmethod
    def fit(cls, x: Features) -> Scaler:
        """Return the scaler of the mean and the (population) standard deviation of raw features.

        A feature that never changes gets scale 1, so that it standardises to about zero.

        Parameters
        ----------
        x : (n, n_features) float32, n > 0
            Training frames, and only those: Hawks et al. 2021's published code fits on the test
            frames too, which lets them leak into the model.
        """
        wide = x.astype(np.float64)
        mean, deviation = wide.mean(axis=0), wide.std(axis=0)
        scale = deviation.astype(np.float32)
        # A constant comes out of the sums of `std` as a rounding error instead of zero.
        constant = (x == x[0]).all(axis=0) | (scale < np.finfo(np.float32).tiny)
        scale[constant] = 1
        return cls(mean.astype(np.float32), scale)

    def transform(self, x: Features) -> Features:
        """Return standardised features of raw ones, (n, n_features)."""
        return (x - self.mean) / self.scale

    def inverse(self, z: Features) -> Features:
        """Return raw features of standardised ones, (n, n_features)."""
        return z * self.scale + self.mean


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, split: raw features, labels or targets, and what is known about them.

    Attributes
    ----------
    name : str
        ``digits``, ``jets``, or the name of the user's file without its ending.
    source : str
        One sentence for people: where the frames come from and what was done to them. It is
        printed and recorded with everything that is trained or measured on them.
    surrogate : bool
        The frames are made up from statistics: an accuracy on them says nothing about real data
        and must never be shown as if it did.
    x_train, x_val, x_test : (n, n_features) float32
        Raw features.
    y_train, y_val, y_test : (n,) int64, or (n, n_targets) float32
        Index in `class_names`; where there are `target_names`, the numbers that a network should
        give.
    feature_names, class_names, target_names : tuple of str
        In the order of the columns, and of the label indices. There are classes or targets.
    scaler : Scaler
        Recorded with the data, else fitted on the training frames.
    class_order : str
        What decides the order of the classes of a user's file, for people.
    split : dict or None
        Which rows of a user's file are the test set: see `splitting.test_rows`.
    """

    name: str
    source: str
    surrogate: bool
    x_train: Features
    y_train: Truth
    x_val: Features
    y_val: Truth
    x_test: Features
    y_test: Truth
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    scaler: Scaler
    class_order: str = ""
    split: dict[str, str | int] | None = None
    target_names: tuple[str, ...] = ()

    @property
    def n_features(self) -> int:
        """Number of input features."""
        return len(self.feature_names)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def outputs(self) -> str:
        """What a network should give, and how much of it, in words."""
        if self.target_names:
            return f"{len(self.target_names)} targets"
        return f"{self.n_classes} classes"

    def write_test_set(
        self, path: Path, frames: int | None = None, *, labelled: bool = True
    ) -> None:
        """Write the test set as a ``.npz`` for builds, with the scaler and all that is known.

        It is written whole or not at all; of `frames`, only that many, the first. Without labels
        it suits models whose outputs are not classes.
        """
        total, source = len(self.y_test), self.source
        if frames is not None and frames < total:
            source += f"; the first {frames:,} of {total:,} test frames"
        labels = {"y_test": self.y_test[:frames].astype(np.uint16), "classes": self.class_names}
        content = io.BytesIO()
        np.savez_compressed(
            content,
            x_test=self.x_test[:frames],
            feature_names=self.feature_names,
            **(labels if labelled else {}),
            scaler_mean=self.scaler.mean,
            scaler_scale=self.scaler.scale,
            source=source,
            surrogate=self.surrogate,
        )
        write_atomic(path, content.getvalue())
