"""From one table to training, validation and test set."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from brevitas_models.datasets.base import Dataset, Features, Labels, Scaler, Truth
from brevitas_models.datasets.table import TableLike
from brevitas_models.errors import UserError

VALIDATION_SHARE = 0.1
TEST_SHARE = 0.2
MOST_RECORDED = 1 << 20  # rows of a file; of a random fifth of them, about 100 kB

Rows = npt.NDArray[np.intp]


def split(table: TableLike, seed: int) -> Dataset:
    """Split a table into a `Dataset`.

    - A table with splits of its own keeps them, row for row; a missing validation set is taken
      from its training rows.
    - Else exact duplicates (features and label) are dropped, so that none is both trained and
      tested on, and the rest is shuffled and split 70 : 10 : 20, the same in every class.

    The scaler is the one recorded with the data, else it is fitted on the training rows alone.
    Where the table has targets, they take the place of labels. Raises UserError if a class has too
    few rows to be split.
    """
    y: Truth | None = table.y if table.targets is None else table.targets
    assert y is not None
    rng = np.random.default_rng(seed)
    notes: list[str]
    if table.parts is not None:
        train, val, test, notes = _own_parts(table, y, rng)
    else:
        notes = []
        kept = np.flatnonzero(~duplicates(table.x, y))
        if len(kept) < len(y):
            dropped = len(y) - len(kept)
            notes.append(f"{dropped:,} exact duplicate row{'s' * (dropped > 1)} dropped")
        _require_rows(table, y[kept], 3, "one each to train, validate and test on")
        parts = stratified(_strata(y[kept]), (VALIDATION_SHARE, TEST_SHARE), rng)
        train, val, test = (kept[part] for part in parts)
        notes.append(f"split {len(train):,} : {len(val):,} : {len(test):,} by seed {seed}")
    recorded = table.scaler
    scaler = Scaler(recorded.mean, recorded.scale) if recorded else Scaler.fit(table.x[train])
    return Dataset(
        name=table.name,
        source="; ".join([table.source, *notes]),
        surrogate=table.surrogate,
        x_train=table.x[train],
        y_train=y[train],
        x_val=table.x[val],
        y_val=y[val],
        x_test=table.x[test],
        y_test=y[test],
        feature_names=table.feature_names,
        class_names=table.class_names,
        scaler=scaler,
        class_order=table.class_order,
        split=test_rows(table, test) if table.parts is None else None,
        target_names=table.target_names,
    )


def test_rows(table: TableLike, test: Rows) -> dict[str, str | int] | None:
    """Return which rows of a user's file are the test set, as a model records it.

    A build that gets the same file measures on these rows alone.

    Returns
    -------
    dict or None
        ``sha256`` of the file, its number of ``rows``, and ``test``: one bit a row, those of eight
        rows in a byte from the highest on, deflated, in base 64. None if the rows are not those of
        a file, or too many to be recorded with a model.
    """
    rows = len(table.x)
    if not table.digest or rows > MOST_RECORDED:
        return None
    mask = np.zeros(rows, bool)
    mask[test] = True
    packed = base64.b64encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode()
    return {"sha256": table.digest, "rows": rows, "test": packed}


def stratified(y: Labels, shares: Sequence[float], rng: np.random.Generator) -> tuple[Rows, ...]:
    """Return shuffled row numbers of what is left, and of one part for each share.

    Every class gives each part its share of rows, rounded to the nearest, but never none.

    Parameters
    ----------
    y : (n,) int64
        Labels; each class that occurs does so more often than there are shares.
    shares : sequence of float
        Positive, with a sum below 1.

    Returns
    -------
    tuple of int arrays
        The remainder first, then the parts in the order of `shares`.
    """
    parts: list[list[Rows]] = [[] for _ in range(len(shares) + 1)]
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        sizes = [max(1, round(share * len(rows))) for share in shares]
        ends = np.cumsum([len(rows) - sum(sizes), *sizes])
        for part, piece in zip(parts, np.split(rows, ends[:-1]), strict=True):
            part.append(piece)
    return tuple(rng.permutation(np.concatenate(part)) for part in parts)


def _strata(y: Truth) -> Labels:
    """Return the class of each row; targets are split as one class."""
    return y.astype(np.int64) if y.ndim == 1 else np.zeros(len(y), np.int64)


def duplicates(x: Features, y: Truth) -> npt.NDArray[np.bool_]:
    """Return, for each row, whether an earlier one has the same features and label."""
    keys = _keys(np.column_stack([x, y.astype(np.float32)]))
    repeated = np.ones(len(y), bool)
    repeated[np.unique(keys, return_index=True)[1]] = False
    return repeated


def _keys(x: Features) -> npt.NDArray[np.void]:
    """Return one opaque value a row; adding zero makes the two float zeros the same."""
    rows = np.ascontiguousarray(x + np.float32(0))
    return rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()


def _own_parts(
    table: TableLike, y: Truth, rng: np.random.Generator
) -> tuple[Rows, Rows, Rows, list[str]]:
    assert table.parts is not None
    n_train, n_val, n_test = table.parts
    train, val, test = np.split(np.arange(len(y)), np.cumsum([n_train, n_val]))
    notes = []
    if not n_val:
        _require_rows(table, y[train], 2, "one each to train and validate on")
        left, taken = stratified(_strata(y[train]), (VALIDATION_SHARE,), rng)
        train, val = train[left], train[taken]
        notes.append(f"validation set of {len(val):,} rows taken from the training rows")
    _require_rows(table, y[train], 1, "one to train on")
    known = _keys(table.x[np.concatenate([train, val])])
    seen = int(np.isin(_keys(table.x[test]), known).sum())
    if seen:
        notes.append(f"{seen:,} of the {n_test:,} test rows are also among the training rows")
    return train, val, test, notes


def _require_rows(table: TableLike, y: Truth, least: int, why: str) -> None:
    if y.ndim == 2:
        if len(y) < least:
            raise UserError(
                f"{table.source}: {len(y)} usable row{'s' * (len(y) != 1)}; at least {least} "
                f"needed ({why}). Add rows."
            )
        return
    counts = np.bincount(y, minlength=len(table.class_names))
    if len(counts) < 2:
        raise UserError(
            f"{table.source}: all rows are of class {table.class_names[0]!r}; a classifier needs "
            f"two classes or more."
        )
    if counts.min() < least:
        name, count = table.class_names[int(counts.argmin())], int(counts.min())
        raise UserError(
            f"{table.source}: class {name!r} has {count} usable row{'s' * (count != 1)}; at least "
            f"{least} needed ({why}). Add rows, or leave the class out."
        )
