"""An offline stand-in for the jets, drawn from statistics that ship with the project.

The statistics are those of a class-wise Gaussian copula: for each class, how its features depend
on each other (correlations of their normal scores) and how each feature alone is distributed
(quantiles). ``surrogate_jets.md`` says what the shipped file holds and how it was made. What is
drawn lets everything run without a download. It is not a jet: no accuracy on it is a jet accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from brevitas_models.datasets.base import Features, Labels, Scaler
from brevitas_models.datasets.table import Table

STATISTICS = Path(__file__).with_name("surrogate_jets.npz")
SIZES = (60_000, 10_000, 10_000)
"""Frames of training, validation and test set."""

_TAIL = 4.0
"""Normal score up to which the tails are carried on beyond the outermost quantile."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Copula:
    """Statistics of a labelled table with C classes, F features, of which U differ, L quantiles."""

    feature_names: npt.NDArray[np.str_]
    class_names: npt.NDArray[np.str_]
    shares: Floats  # shape (C,): part of the rows that each class has; the sum is 1
    # shape (F,): which of the U columns below is feature f. Two features that are always equal
    # (d2_b1_mmdt and d2_a1_b1_mmdt are) share one.
    column_of: npt.NDArray[np.int64]
    integer: npt.NDArray[np.bool_]  # the feature has whole values only
    # shape (C, U, U): positive definite, ones on the diagonal: of the normal scores within a class
    correlations: Floats
    levels: Floats  # shape (L,): ascending probabilities of the quantiles, between 0 and 1
    quantiles: Floats  # shape (C, U, L): in the features' units
    # shape (U,): where values drawn beyond the outermost quantiles are cut off
    low: Floats
    high: Floats
    # shape (F,)
    scaler_mean: Floats
    scaler_scale: Floats
    origin: npt.NDArray[np.str_]  # what the statistics are of, a sentence

    @classmethod
    def read(cls, path: Path = STATISTICS) -> Copula:
        """Read statistics that ``benchmarks/fit_surrogate.py`` has written."""
        with np.load(path, allow_pickle=False) as file:
            return cls(**{field.name: file[field.name] for field in fields(cls)})

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Features, Labels]:
        """Return n raw frames, (n, F) float32, with their classes, (n,) int64."""
        y = rng.choice(len(self.shares), size=n, p=self.shares / self.shares.sum(dtype=np.float64))
        columns = np.empty((n, len(self.low)))
        scores = np.array([NormalDist().inv_cdf(float(level)) for level in self.levels])
        knots = np.concatenate([[-_TAIL], scores, [_TAIL]])
        for label, correlation in enumerate(self.correlations):
            rows = np.flatnonzero(y == label)
            mix = np.linalg.cholesky(correlation.astype(np.float64))
            z = rng.standard_normal((len(rows), len(mix))) @ mix.T
            for column, quantiles in enumerate(self.quantiles[label].astype(np.float64)):
                columns[rows, column] = np.interp(
                    z[:, column], knots, _with_tails(scores, quantiles)
                )
        columns = np.clip(columns, self.low, self.high)
        columns[:, self.integer] = np.rint(columns[:, self.integer])
        return columns[:, self.column_of].astype(np.float32), y.astype(np.int64)


def _with_tails(
    scores: npt.NDArray[np.float64], quantiles: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return quantiles at -_TAIL, `scores` and _TAIL; the outermost slopes are carried on."""
    slopes = np.diff(quantiles)[[0, -1]] / np.diff(scores)[[0, -1]]
    below = quantiles[0] - slopes[0] * (_TAIL + scores[0])
    above = quantiles[-1] + slopes[1] * (_TAIL - scores[-1])
    return np.concatenate([[below], quantiles, [above]])


def table(seed: int) -> Table:
    """Return training, validation and test frames of the shipped statistics, by `seed`."""
    copula = Copula.read()
    x, y = copula.draw(sum(SIZES), np.random.default_rng(seed))
    return Table(
        name="jets",
        source=f"surrogate, NOT real jets: {sum(SIZES):,} frames drawn from {copula.origin}",
        surrogate=True,
        x=x,
        y=y,
        feature_names=tuple(str(name) for name in copula.feature_names),
        class_names=tuple(str(name) for name in copula.class_names),
        scaler=Scaler(copula.scaler_mean, copula.scaler_scale),
        parts=SIZES,
    )
