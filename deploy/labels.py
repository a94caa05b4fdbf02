"""What labelled rows say: the class of each, or the numbers that a network should give."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from deploy.errors import UserError
from deploy.wanted import Wanted

__all__ = ["MAX_CLASSES", "Truth", "Where", "truth_of"]

MAX_CLASSES = 1024

Where = Callable[[int], str]
"""Says where row i is in its file, for messages."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The labels of a table."""

    y: np.ndarray | None  # int64 (n,), index in `names`; None where there are targets
    # float32 (n, n_outputs), what the network should give; None where there are classes
    targets: np.ndarray | None
    names: tuple[str, ...]  # of the classes in their order, or of the targets
    order: str = ""  # what decides the order of the classes, for people; empty for targets


def truth_of(
    values: np.ndarray,
    where: Where,
    wanted: Wanted,
    column_names: Sequence[str] | None = None,
) -> Truth:
    """Return what labels mean.

    Whole numbers are classes counted from 0, or from 1 if the highest says so; others than that are
    the names of the classes. Texts are names, in alphabetical order; texts that are all numbers
    count as numbers unless they are all among the given names. Rows of k values with a single 1
    and else 0 are one-hot. Numbers with fractions, and rows of them, are targets.

    The values are numbers or texts, (n,) or (n, k); `column_names` are those of the k columns.
    """
    class_names, targets = wanted.class_names, wanted.targets
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    column_names = None if column_names is None or values.ndim == 1 else tuple(column_names)
    if values.dtype.kind == "U":
        texts = np.char.strip(values)
        if (texts == "").any():
            row = int(np.argwhere(texts == "")[0][0])
            raise UserError(f"{where(row)}: the label is empty; give every row a label.")
        known = class_names is not None and set(np.unique(texts)) <= set(class_names)
        numbers = None if known else _numbers(texts)
        if numbers is None:
            if values.ndim == 2 or targets:
                bad = next(i for i, row in enumerate(texts.reshape(len(texts), -1))
                           if _numbers(row) is None)  # fmt: skip
                raise UserError(
                    f"{where(bad)}: {', '.join(repr(str(t)) for t in texts[bad].ravel())}; "
                    f"expected numbers as targets, or a single column of class names."
                )
            return _named(texts, wanted, where)
        values = numbers
    if values.ndim == 2 and not targets and _looks_one_hot(values):
        return _one_hot(values, wanted, column_names, where)
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        row, *_ = (int(i) for i in np.argwhere(~np.isfinite(wide))[0])
        found = wide[row][~np.isfinite(wide[row])][0] if wide.ndim == 2 else values[row]
        raise UserError(f"{where(row)}: the label is {found}; expected a class or a finite number.")
    whole = wide == np.floor(wide)
    if values.ndim == 1 and not targets and whole.all() and (np.abs(wide) >= 2**53).any():
        row = int((np.abs(wide) >= 2**53).argmax())
        raise UserError(f"{where(row)}: the label is {values[row]}; expected a smaller number.")
    if values.ndim == 2 or targets or not whole.all():
        if class_names is not None and not targets and values.ndim == 1:
            row = int((~whole).argmax())
            raise UserError(
                f"{where(row)}: the label is {values[row]}; expected a class: its number from 0, "
                f"or one of {', '.join(class_names)}."
            )
        return _targets(wide, column_names, where)
    return _numbered(values.astype(np.int64), wanted, where)


def _numbers(texts: np.ndarray) -> np.ndarray | None:
    """Return the numbers of texts, or None; True and False in several columns are 1 and 0."""
    if texts.ndim == 2:
        small = np.char.lower(texts)
        texts = np.where(small == "true", "1", np.where(small == "false", "0", texts))
    try:
        return np.array([float(text) for text in texts.ravel()]).reshape(texts.shape)
    except ValueError:
        return None


def _named(texts: np.ndarray, wanted: Wanted, where: Where) -> Truth:
    """Take texts as the names of classes."""
    class_names = wanted.class_names
    distinct, first, inverse = np.unique(texts, return_index=True, return_inverse=True)
    if class_names is not None:
        index = {name: position for position, name in enumerate(class_names)}
        strange = [i for i, text in enumerate(distinct) if text not in index]
        if strange:
            row = min(int(first[i]) for i in strange)
            raise unknown_label(where(row), str(texts[row]), class_names)
        y = np.array([index[text] for text in distinct], np.int64)[inverse]
        return Truth(y, None, tuple(class_names), wanted.class_order)
    missing = [i for i, text in enumerate(distinct) if text.casefold() == "nan"]
    if missing:
        row = int(first[missing[0]])
        raise UserError(
            f"{where(row)}: the label is {str(texts[row])!r}, which stands for no value; give "
            "every row a label."
        )
    if len(distinct) > MAX_CLASSES:
        raise UserError(
            f"{where(0)}: the label is {str(texts[0])!r}, one of {len(distinct):,} different ones; "
            f"at most {MAX_CLASSES:,} classes are supported. Is this the column of the labels?"
        )
    names = tuple(str(text) for text in distinct)
    return Truth(inverse.astype(np.int64), None, names, "in alphabetical order")


def unknown_label(place: str, label: str, class_names: Sequence[str]) -> UserError:
    """Return the error of a label that is none of the classes."""
    near = difflib.get_close_matches(label, class_names, n=1)
    meant = f" Is {near[0]!r} meant?" if near else ""
    return UserError(
        f"{place}: the label is {label!r}; expected one of {', '.join(class_names)}.{meant}"
    )


def _numbered(y: np.ndarray, wanted: Wanted, where: Where) -> Truth:
    """Take whole numbers as classes, or as the targets of a single output."""
    class_names, order, n_outputs = wanted.class_names, wanted.class_order, wanted.n_outputs
    low, high = int(y.min()), int(y.max())
    if class_names is not None:
        index = {name: position for position, name in enumerate(class_names)}
        found = np.unique(y)
        if all(str(value) in index for value in found):
            places = np.array([index[str(value)] for value in found], np.int64)
            return Truth(places[np.searchsorted(found, y)], None, tuple(class_names), order)
        return Truth(_counted(y, len(class_names), class_names, where), None, tuple(class_names),
                     order + _base(y, len(class_names)))  # fmt: skip
    if n_outputs is not None:
        count = max(2, n_outputs)
        names = tuple(str(index) for index in range(count))
        if count == 2 and set(np.unique(y)) == {-1, 1}:
            return Truth((y + 1) // 2, None, ("-1", "1"), "-1 first")
        if n_outputs == 1 and not 0 <= low <= high <= 1 and not 1 <= low <= high <= 2:
            return _targets(y.astype(np.float64), None, where)
        counted = _counted(y, count, None, where)
        if counted is not y:
            names = tuple(str(index) for index in range(1, count + 1))
        return Truth(counted, None, names, "by number" + _base(y, count))
    found = np.unique(y)
    if low != 0 and len(found) <= MAX_CLASSES:
        names = tuple(str(value) for value in found)
        return Truth(np.searchsorted(found, y).astype(np.int64), None, names, "by number")
    y = _counted(y, MAX_CLASSES, None, where)
    return Truth(y, None, tuple(str(index) for index in range(high + 1)), "by number")


def _counted(
    y: np.ndarray, count: int, class_names: Sequence[str] | None, where: Where
) -> np.ndarray:
    """Return indices from 0 of classes that are counted from 0 or from 1."""
    if _base(y, count):
        return y - 1
    wrong = (y < 0) | (y >= count)
    if wrong.any():
        row = int(wrong.argmax())
        named = "" if class_names is None else f", for {', '.join(class_names)}"
        raise UserError(
            f"{where(row)}: the label is {y[row]}; expected 0 to {count - 1}{named}. Number the "
            f"classes from 0, or give their names."
        )
    return y


def _base(y: np.ndarray, count: int) -> str:
    """Return what has to be said of classes that are counted from 1; empty if they are not."""
    return ", counted from 1" if y.min() >= 1 and y.max() == count else ""


def _looks_one_hot(values: np.ndarray) -> bool:
    """Tell rows of 0 and 1 of which most have a single 1."""
    if not np.isin(values, (0, 1)).all():
        return False
    return bool(2 * (values.astype(np.int64).sum(axis=1) == 1).sum() > len(values))


def _one_hot(
    values: np.ndarray, wanted: Wanted, column_names: tuple[str, ...] | None, where: Where
) -> Truth:
    class_names, count = wanted.class_names, values.shape[1]
    ones = values.astype(np.int64).sum(axis=1)
    if (ones != 1).any():
        row = int((ones != 1).argmax())
        raise UserError(
            f"{where(row)}: {ones[row]} of {count} one-hot labels are 1; expected a single one."
        )
    y = values.argmax(axis=1).astype(np.int64)
    own = tuple(str(index) for index in range(count)) if column_names is None else column_names
    if class_names is None:
        return Truth(y, None, own, "in the order of the one-hot columns")
    if set(own) == set(class_names):
        y = np.array([list(class_names).index(name) for name in own], np.int64)[y]
    elif len(class_names) != count:
        raise UserError(
            f"{where(0)}: {count} one-hot labels; expected one for each of "
            f"{', '.join(class_names)}."
        )
    return Truth(y, None, tuple(class_names), wanted.class_order)


def _targets(wide: np.ndarray, column_names: tuple[str, ...] | None, where: Where) -> Truth:
    wide = wide.reshape(len(wide), -1)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    if not np.isfinite(narrow).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(narrow))[0])
        raise UserError(
            f"{where(row)}: the target is {wide[row, column]}; expected a number that fits float32."
        )
    names = column_names or tuple(f"y{index}" for index in range(wide.shape[1]))
    return Truth(None, narrow, names)
