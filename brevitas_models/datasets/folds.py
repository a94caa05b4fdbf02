"""Cross-validation: all frames of a data set, each part of them once as the test set."""

from __future__ import annotations

import dataclasses

import numpy as np

from brevitas_models.datasets.base import Dataset, Scaler
from brevitas_models.errors import UserError


def fold(data: Dataset, index: int, folds: int) -> Dataset:
    """Return all frames of a data set, split so that the part `index` of `folds` is the test set.

    The parts, at least 2, are of about equal size; the data set's own split does not matter. A
    tenth of the frames outside the part is the validation set. A scaler that was fitted on the
    training set is fitted again, so that it has not seen the test set either; one that came with
    the data stays. Raises UserError if there are fewer frames than would give every part some.
    """
    x = np.concatenate([data.x_train, data.x_val, data.x_test])
    y = np.concatenate([data.y_train, data.y_val, data.y_test])
    if len(x) < 10 * folds:
        raise UserError(
            f"data.folds {folds}: needs at least {10 * folds} frames, {data.name} has {len(x)}; "
            f"ask for fewer folds"
        )
    order = np.random.default_rng(0).permutation(len(x))
    test = np.sort(order[index::folds])
    others = np.setdiff1d(order, test)
    others = np.random.default_rng(1 + index).permutation(others)
    validation, train = np.split(others, [max(len(others) // 10, 1)])
    fitted = Scaler.fit(data.x_train)
    own = np.array_equal(data.scaler.mean, fitted.mean)
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


def with_test_frames(data: Dataset) -> Dataset:
    """Return a data set whose test frames are trained on too."""
    return dataclasses.replace(
        data,
        x_train=np.concatenate([data.x_train, data.x_test]),
        y_train=np.concatenate([data.y_train, data.y_test]),
        source=f"{data.source}; test frames trained on too",
        split=None if data.split is None else {**data.split, "test": ""},
    )
