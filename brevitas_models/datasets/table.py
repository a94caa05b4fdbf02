"""One table of labelled rows, and the checks that everything read from outside goes through."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from brevitas_models.datasets.base import Features, Labels, Scaler
from brevitas_models.errors import UserError

MAX_CLASSES = 1024

Where = Callable[[int], str]
"""Says where row i is to be found, in the words of its file."""


@dataclass(frozen=True, eq=False)
class Table:
    """Checked rows of one origin, before they are split.

    Attributes
    ----------
    name, source, surrogate, feature_names, class_names
        As in `Dataset`.
    x : (n, n_features) float32
        Raw, finite features.
    y : (n,) int64
        Index in `class_names`.
    where : callable
        Position of row i in its file, for messages.
    scaler : Scaler or None
        The one recorded with the data.
    parts : tuple of 3 int or None
        Numbers of rows of training, validation and test set, which lie in `x` in that order;
        None if the data come without splits. Without training rows the table is only to be
        measured on.
    """

    name: str
    source: str
    x: Features
    y: Labels
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    where: Where
    scaler: Scaler | None = None
    parts: tuple[int, int, int] | None = None
    surrogate: bool = False

    def renamed(self, name: str, source: str | None = None) -> Table:
        """Return the table under another name and, if given, another source."""
        return replace(self, name=name, source=source or self.source)

    def aligned(
        self, feature_names: Sequence[str] | None, class_names: Sequence[str] | None
    ) -> Table:
        """Return the table with its columns and labels in a wanted order, found by name.

        Further columns are left out. Wanted classes without a row are fine here.

        Raises
        ------
        UserError
            A wanted feature is missing, or a row is of a class that is not wanted.
        """
        table = self
        if feature_names is not None and tuple(feature_names) != self.feature_names:
            take = find_columns(self.feature_names, feature_names, self.source)
            scaler = self.scaler and Scaler(self.scaler.mean[take], self.scaler.scale[take])
            table = replace(
                table, x=self.x[:, take], feature_names=tuple(feature_names), scaler=scaler
            )
        if class_names is not None and tuple(class_names) != self.class_names:
            new = {name: index for index, name in enumerate(class_names)}
            index = np.array([new.get(name, -1) for name in self.class_names])
            y = index[self.y].astype(np.int64)
            if (y < 0).any():
                row = int((y < 0).argmax())
                raise UserError(
                    f"{self.where(row)}: the label is {self.class_names[self.y[row]]!r}; expected "
                    f"one of {', '.join(class_names)}."
                )
            table = replace(table, y=y, class_names=tuple(class_names))
        return table


def find_columns(found: Sequence[str], wanted: Sequence[str], what: str) -> list[int]:
    """Return the position of each wanted name among those found.

    Raises
    ------
    UserError
        Names are missing: all of them, and what was found, are named.
    """
    missing = [name for name in wanted if name not in found]
    if missing:
        near = difflib.get_close_matches(missing[0], found, n=1)
        raise UserError(
            f"{what}: feature{'s' * (len(missing) > 1)} {', '.join(missing)} missing; found "
            f"{', '.join(found)}."
            + (f" Is {near[0]!r} meant to be {missing[0]!r}?" if near else "")
            + " Rename or add the columns."
        )
    return [found.index(name) for name in wanted]


def check_names(values: Sequence[object], expected: int | None, what: str) -> tuple[str, ...]:
    """Return names as text; each must be there, be different, and fit the expected number."""
    names = tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values)
    if expected is not None and len(names) != expected:
        raise UserError(f"{what}: {len(names)} names for {expected} columns; give one for each.")
    for position, name in enumerate(names):
        if not name.strip():
            raise UserError(f"{what}: name {position + 1} of {len(names)} is empty; give it one.")
        if name in names[:position]:
            raise UserError(f"{what}: the name {name!r} occurs twice; names must differ.")
    return names


def check_features(x: npt.ArrayLike, names: Sequence[str], where: Where) -> Features:
    """Return a matrix of raw features as float32.

    Parameters
    ----------
    x : (n, n_features) array of numbers
    names : sequence of n_features str
    where : callable
        Position of row i, for messages.

    Raises
    ------
    UserError
        A value is NaN, infinite or too large for float32: its row and column are named.
    """
    wide = np.asarray(x)
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = np.ascontiguousarray(wide, dtype=np.float32)
    bad = ~np.isfinite(narrow)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        others = int(bad.sum()) - 1
        raise UserError(
            f"{where(row)}, feature {names[column]!r}: the value is {wide[row, column]}; every "
            f"feature must be a finite number that fits float32. Fill in or remove such rows"
            f"{f' ({others:,} more such values)' if others else ''}."
        )
    return narrow


def check_labels(
    y: npt.ArrayLike, class_names: Sequence[str] | None, where: Where
) -> tuple[Labels, tuple[str, ...]]:
    """Return labels as class indices, with the names of the classes.

    Integers are indices counted from 0. Texts are names of classes; texts that are all integers
    count as integers unless they are all among the given names.

    Parameters
    ----------
    y : (n,) array
        Integers (of any type, whole floats too) or texts.
    class_names : sequence of str or None
        The allowed classes. None: the texts in alphabetical order, or "0", "1", ... up to the
        largest integer.
    where : callable
        Position of row i, for messages.

    Returns
    -------
    y : (n,) int64
    class_names : tuple of str

    Raises
    ------
    UserError
        A label is empty, no integer, or not allowed: its row, value and what is allowed.
    """
    values = np.asarray(y)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind == "U":
        texts = np.char.strip(values)
        distinct, first, inverse = np.unique(texts, return_index=True, return_inverse=True)
        if "" in distinct:
            row = int(first[list(distinct).index("")])
            raise UserError(f"{where(row)}: the label is empty; give every row a label.")
        if class_names is None or not set(distinct) <= set(class_names):
            numbers = _whole_numbers(distinct)
            if numbers is None:
                return _named(distinct, first, inverse, class_names, where)
            return _indices(numbers[inverse], class_names, where)
        index = np.array([list(class_names).index(text) for text in distinct], np.int64)
        return index[inverse], tuple(class_names)
    wide = values.astype(np.float64)
    whole = np.isfinite(wide) & (wide == np.floor(wide)) & (np.abs(wide) < 2**53)
    if not whole.all():
        row = int((~whole).argmax())
        raise UserError(
            f"{where(row)}: the label is {values[row]}; labels are class indices 0, 1, 2, ... or "
            f"names of classes."
        )
    return _indices(values.astype(np.int64), class_names, where)


def _whole_numbers(texts: npt.NDArray[np.str_]) -> Labels | None:
    try:
        values = np.array([float(text) for text in texts])
    except ValueError:
        return None
    small = np.isfinite(values) & (np.abs(values) < 2**53)
    if not small.all() or (values != np.floor(values)).any():
        return None
    return values.astype(np.int64)


def _named(
    distinct: npt.NDArray[np.str_],
    first: npt.NDArray[np.intp],
    inverse: npt.NDArray[np.intp],
    class_names: Sequence[str] | None,
    where: Where,
) -> tuple[Labels, tuple[str, ...]]:
    """Take texts for the names of classes; `class_names`, if given, does not hold them all."""
    if class_names is not None:
        row = min(
            int(r) for r, text in zip(first, distinct, strict=True) if text not in class_names
        )
        position = list(first).index(row)
        raise UserError(
            f"{where(row)}: the label is {str(distinct[position])!r}; expected one of "
            f"{', '.join(class_names)}."
        )
    if len(distinct) > MAX_CLASSES:
        raise UserError(
            f"{where(0)}: the label is {str(distinct[inverse[0]])!r}, one of {len(distinct):,} "
            f"different ones; at most {MAX_CLASSES:,} classes are supported. Is this the column "
            f"of the labels?"
        )
    return inverse.astype(np.int64), tuple(str(text) for text in distinct)


def _indices(
    y: Labels, class_names: Sequence[str] | None, where: Where
) -> tuple[Labels, tuple[str, ...]]:
    """Check integers as indices of classes."""
    limit = MAX_CLASSES if class_names is None else len(class_names)
    wrong = (y < 0) | (y >= limit)
    if wrong.any():
        row = int(wrong.argmax())
        named = "" if class_names is None else f", for {', '.join(class_names)}"
        raise UserError(
            f"{where(row)}: the label is {y[row]}; expected 0 to {limit - 1}{named}. Number the "
            f"classes from 0, or give their names."
        )
    if class_names is None:
        class_names = [str(index) for index in range(int(y.max()) + 1)]
    return y, tuple(class_names)


def check_scaler(
    mean: npt.ArrayLike, scale: npt.ArrayLike, names: Sequence[str], what: str
) -> Scaler:
    """Return a recorded scaler.

    Raises
    ------
    UserError
        Not one finite mean and one positive scale for each feature.
    """
    checked = []
    for key, value in (("scaler_mean", mean), ("scaler_scale", scale)):
        array = np.asarray(value)
        if array.shape != (len(names),) or array.dtype.kind not in "fiu":
            raise UserError(
                f"{what}: {key} is {array.dtype} of shape {array.shape}; expected one number for "
                f"each of the {len(names)} features."
            )
        with np.errstate(over="ignore"):
            narrow = array.astype(np.float32)
        good = np.isfinite(narrow) if key == "scaler_mean" else np.isfinite(narrow) & (narrow > 0)
        if not good.all():
            column = int((~good).argmax())
            raise UserError(
                f"{what}: {key} of feature {names[column]!r} is {array[column]}; expected a finite "
                f"{'positive ' if key == 'scaler_scale' else ''}number."
            )
        checked.append(narrow)
    return Scaler(*checked)
