"""Labelled data in a user's own file: NumPy's .npz, or text with comma-separated values (.csv).

This is the one reader of such files: training, builds and boards read them with `read_table`.

``.npz``
    Either ``X`` (n, n_features) and ``y`` (n,), or ready-made splits ``x_train``, ``y_train``,
    ``x_test``, ``y_test`` and, if there is one, ``x_val``, ``y_val`` (capital X too). Labels are
    class indices from 0, or names. May also hold ``classes``, ``feature_names`` (else ``x0``,
    ``x1``, ...), ``scaler_mean`` with ``scaler_scale``, which then are the scaler, ``source`` (a
    text that says where the data come from) and ``surrogate`` (True: made up, not real data).
    Other arrays are ignored. Rows in messages count from 0, as in NumPy.
``.csv``
    Line 1 names the columns; the label is in the column ``label`` or ``class``, else ``y``, else in
    the last one. Separated by commas, semicolons or tabs. Rows in messages are lines of the file,
    the header being line 1.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

if __package__:  # in the project's checkout
    from deploy.errors import UserError
else:  # beside this file, as on the board
    from errors import UserError

__all__ = ["Scaler", "Table", "read_table"]

SUFFIXES = (".npz", ".csv")
SPLITS = ("train", "val", "test")
MAX_CLASSES = 1024

# What a column of labels is called; see also `_label_column`.
_LABELS = ("label", "class")

# What numpy.load lets through of its own, zipfile's and zlib's errors on a file that is not .npz.
_UNREADABLE = (
    OSError, ValueError, EOFError, KeyError, MemoryError, RuntimeError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip

Where = Callable[[int], str]
"""Says where row i is in its file, for messages."""


@dataclass(frozen=True, eq=False)
class Scaler:
    """Mean and positive standard deviation of the raw training data, float32 (n_features,) each."""

    mean: np.ndarray
    scale: np.ndarray

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return standardised features of raw ones, (n, n_features): ``(x - mean) / scale``."""
        return (x - self.mean) / self.scale


@dataclass(frozen=True, eq=False)
class Table:
    """Checked, labelled rows of one file.

    Attributes
    ----------
    source : str
        One sentence for people: what the file says of itself, else its name and checksum.
    x : (n, n_features) float32
        Raw, finite features.
    y : (n,) int64
        Index in `class_names`.
    parts : tuple of 3 int or None
        Numbers of rows of training, validation and test set, which lie in `x` in that order;
        None if the file has no splits, or if only the rows to measure on were read.
    surrogate : bool
        The rows are made up from statistics: an accuracy on them says nothing about real data.
    """

    name: str
    source: str
    x: np.ndarray
    y: np.ndarray
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    scaler: Scaler | None = None
    parts: tuple[int, int, int] | None = None
    surrogate: bool = False


def read_table(
    path: Path,
    *,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    test_only: bool = False,
) -> Table:
    """Read and check a user's ``.npz`` or ``.csv``; `UserError` names the row or column at fault.

    Parameters
    ----------
    feature_names, class_names : sequence of str or None
        What a model expects, in its order; columns and labels are found by their names. Further
        columns are left out; a wanted class need not have a row. None: as in the file.
    test_only : bool
        Return only rows to measure on: the test set if the file has splits, which may then be all
        it holds, else every row in its own order.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a file that ends in {' or '.join(SUFFIXES)}.")
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise _cannot_read(path, error) from None
    # The name alone: the sentence is recorded with models that are passed on.
    source = f"file {path.name} (SHA-256 {digest.hexdigest()[:12]})"
    if suffix == ".csv":
        table, where = _read_csv(path, source, feature_names, class_names)
    else:
        table, where = _read_npz(path, source, feature_names, class_names, test_only)
    return _aligned(table, feature_names, class_names, where)


def _cannot_read(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path}: can't be read ({error.strerror or error}); expected a readable file."
    )


def _aligned(
    table: Table,
    feature_names: Sequence[str] | None,
    class_names: Sequence[str] | None,
    where: Where,
) -> Table:
    """Return a table with its columns and labels in the wanted order, found by name."""
    if feature_names is not None and tuple(feature_names) != table.feature_names:
        take = _find_columns(table.feature_names, feature_names, table.source)
        scaler = table.scaler and Scaler(table.scaler.mean[take], table.scaler.scale[take])
        table = replace(
            table, x=table.x[:, take], feature_names=tuple(feature_names), scaler=scaler
        )
    if class_names is not None and tuple(class_names) != table.class_names:
        new = {name: index for index, name in enumerate(class_names)}
        index = np.array([new.get(name, -1) for name in table.class_names])
        y = index[table.y].astype(np.int64)
        if (y < 0).any():
            row = int((y < 0).argmax())
            raise _unknown_label(where(row), table.class_names[table.y[row]], class_names)
        table = replace(table, y=y, class_names=tuple(class_names))
    return table


# ---- .npz


def _read_npz(
    path: Path,
    source: str,
    feature_names: Sequence[str] | None,
    class_names: Sequence[str] | None,
    test_only: bool,
) -> tuple[Table, Where]:
    arrays = _arrays(path)
    pairs = _pairs(arrays, path, test_only)
    keys = [x_key for x_key, _ in pairs]
    xs = [arrays[x_key] for x_key in keys]
    ys = [arrays[y_key] for _, y_key in pairs]
    for (x_key, y_key), x, y in zip(pairs, xs, ys, strict=True):
        _check_shapes(x, y, path, x_key, y_key)
        if x.shape[1] != xs[0].shape[1]:
            raise UserError(
                f"{path}: {x_key} has {x.shape[1]} features, {keys[0]} has {xs[0].shape[1]}; all "
                f"splits need the same ones."
            )
    starts = np.cumsum([0, *[len(x) for x in xs]])

    def where(row: int) -> str:
        part = int(np.searchsorted(starts, row, side="right")) - 1
        return f"{path}, row {row - starts[part]} of {keys[part]} (counted from 0)"

    said = _single(arrays, "source", "U", "one text, or none", path)
    source = " ".join((said or "").split()) or source
    names, note = _npz_features(arrays, xs[0].shape[1], path, feature_names)
    source += note
    classes = class_names
    if "classes" in arrays:
        classes = _check_names(list(arrays["classes"].ravel()), None, f"{path}, classes")
    scaler = _npz_scaler(arrays, names, path)
    if scaler is not None and "source" not in arrays:
        source += ", with the scaler recorded in it"
    # All splits are read even if only the last is wanted: together they say what classes exist.
    y, classes = _check_labels(np.concatenate(ys), classes, where)
    x = _check_features(np.concatenate(xs), names, where)
    skipped = int(starts[-2]) if test_only else 0
    parts: tuple[int, int, int] | None = None
    if not test_only and keys != ["x"]:
        sizes = {key: len(rows) for key, rows in zip(keys, xs, strict=True)}
        parts = (sizes["x_train"], sizes.get("x_val", 0), sizes["x_test"])
    table = Table(
        name=path.stem,
        source=source,
        x=x[skipped:],
        y=y[skipped:],
        feature_names=names,
        class_names=classes,
        scaler=scaler,
        parts=parts,
        surrogate=bool(_single(arrays, "surrogate", "b", "True or False", path)),
    )
    return table, lambda row: where(skipped + row)


def _npz_features(
    arrays: Mapping[str, np.ndarray],
    n_features: int,
    path: Path,
    wanted: Sequence[str] | None,
) -> tuple[tuple[str, ...], str]:
    """Return the names of the columns, and what has to be said about where they come from."""
    if "feature_names" in arrays:
        what = f"{path}, feature_names"
        return _check_names(list(arrays["feature_names"].ravel()), n_features, what), ""
    if wanted is None:
        return tuple(f"x{column}" for column in range(n_features)), ""
    if len(wanted) == n_features:
        return tuple(wanted), ", which does not name its features: taken in the expected order"
    raise UserError(
        f"{path}: {n_features} features without feature_names; expected these {len(wanted)}: "
        f"{', '.join(wanted)}. Add feature_names to the file."
    )


def _npz_scaler(
    arrays: Mapping[str, np.ndarray], names: Sequence[str], path: Path
) -> Scaler | None:
    """Return the recorded scaler: one finite mean and one positive scale for each feature."""
    keys = ("scaler_mean", "scaler_scale")
    if not any(key in arrays for key in keys):
        return None
    if not all(key in arrays for key in keys):
        raise UserError(
            f"{path}: scaler_mean and scaler_scale belong together; one is missing. "
            "Add it, or leave out both."
        )
    checked = []
    for key in keys:
        values = arrays[key]
        if values.shape != (len(names),) or values.dtype.kind not in "fiu":
            raise UserError(
                f"{path}: {key} is {values.dtype} of shape {values.shape}; expected one number for "
                f"each of the {len(names)} features."
            )
        with np.errstate(over="ignore"):
            narrow = values.astype(np.float32)
        good = np.isfinite(narrow) if key == "scaler_mean" else np.isfinite(narrow) & (narrow > 0)
        if not good.all():
            column = int((~good).argmax())
            raise UserError(
                f"{path}: {key} of feature {names[column]!r} is {values[column]}; expected a "
                f"finite {'positive ' if key == 'scaler_scale' else ''}number."
            )
        checked.append(narrow)
    return Scaler(*checked)


def _single(
    arrays: Mapping[str, np.ndarray], key: str, kind: str, expected: str, path: Path
) -> Any:
    """Return the single value of an array, or None if the file has no array of that name."""
    value = arrays.get(key)
    if value is None:
        return None
    if value.size != 1 or value.dtype.kind != kind:
        raise UserError(
            f"{path}: {key} is {value.dtype} of shape {value.shape}; expected {expected}."
        )
    return value.item()


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of the file whose names mean something here, under their small names."""
    known = {"x", "y", "classes", "feature_names", "scaler_mean", "scaler_scale"}
    known |= {"source", "surrogate"} | {f"{letter}_{part}" for letter in "xy" for part in SPLITS}
    what = ""
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise UserError(f"{path}: a single array; expected a .npz with X and y.")
        arrays: dict[str, np.ndarray] = {}
        with loaded as file:
            for what in file.files:
                key = what.casefold()
                if key in arrays:
                    raise UserError(
                        f"{path}: {what} and another array differ in case only. Rename one."
                    )
                if key in known:
                    arrays[key] = file[what]
                    if not isinstance(arrays[key], np.ndarray):
                        raise ValueError("it is not an array")
    except _UNREADABLE as error:
        if what and "pickle" in str(error):
            raise UserError(
                f"{path}: {what} holds Python objects, which are not loaded for safety; expected "
                f"plain numbers or texts. Save it as X.astype(float), or names as astype(str)."
            ) from None
        inside = f" array {what}" if what else ""
        raise UserError(
            f"{path}:{inside} can't be read as .npz ({error}). Write the file again with "
            f"numpy.savez."
        ) from None
    return arrays


def _pairs(arrays: Mapping[str, np.ndarray], path: Path, test_only: bool) -> list[tuple[str, str]]:
    """Return the names of features and labels: of one table, or of the splits, test set last."""
    split = [key for key in arrays if key.startswith(("x_", "y_"))]
    if not split:
        pairs = [("x", "y")]
    else:
        if "x" in arrays or "y" in arrays:
            raise UserError(
                f"{path}: holds X or y and also {', '.join(split)}; give one table or ready-made "
                f"splits, not both."
            )
        needed = ("test",) if test_only else ("train", "test")
        pairs = [
            (f"x_{part}", f"y_{part}")
            for part in SPLITS
            if part in needed or f"x_{part}" in arrays or f"y_{part}" in arrays
        ]
    missing = [key for pair in pairs for key in pair if key not in arrays]
    if missing:
        raise UserError(
            f"{path}: {' and '.join(missing)} missing; found "
            f"{', '.join(arrays) or 'no known array'}. Expected X (n, n_features) and y (n,), or "
            f"x_train, y_train, x_test, y_test."
        )
    return pairs


def _check_shapes(x: np.ndarray, y: np.ndarray, path: Path, x_key: str, y_key: str) -> None:
    if x.ndim != 2 or x.shape[1] == 0 or x.dtype.kind not in "fiub":
        raise UserError(
            f"{path}: {x_key} is {x.dtype} of shape {x.shape}; expected numbers of shape "
            f"(n, n_features)."
            + (" Flatten each frame with X.reshape(len(X), -1)." if x.ndim > 2 else "")
        )
    if y.ndim != 1 or y.dtype.kind not in "fiubSU":
        raise UserError(
            f"{path}: {y_key} is {y.dtype} of shape {y.shape}; expected class indices or names of "
            f"shape (n,)." + (" Turn one-hot rows into y.argmax(axis=1)." if y.ndim == 2 else "")
        )
    if len(x) != len(y):
        raise UserError(
            f"{path}: {x_key} has {len(x)} rows, {y_key} has {len(y)}; need as many. "
            "Give one label a row."
        )
    if not len(x):
        raise UserError(f"{path}: {x_key} holds no rows; give at least one.")


# ---- .csv


def _read_csv(
    path: Path,
    source: str,
    feature_names: Sequence[str] | None,
    class_names: Sequence[str] | None,
) -> tuple[Table, Where]:
    rows = _csv_rows(path)
    _, header = next(rows, (0, []))
    if not header:
        raise UserError(f"{path}: the file is empty; expected a header line and rows.")
    if all(_is_number(field) for field in header):
        raise UserError(
            f"{path}, line 1: only numbers; expected the names of the columns, for example "
            f"x0,x1,label."
        )
    names = _check_names([field.strip() for field in header], None, f"{path}, line 1")
    if len(names) < 2:
        raise UserError(
            f"{path}, line 1: one column, {names[0]!r}; expected at least one feature and the "
            f"label, separated by commas."
        )
    label = _label_column(names, path)
    if names[label].casefold() not in (*_LABELS, "y"):
        source += f", with the labels in its last column, {names[label]!r}"
    features = tuple(name for column, name in enumerate(names) if column != label)
    if feature_names is not None:
        # Only these are read, so that a column of, say, comments does no harm.
        _find_columns(features, feature_names, str(path))
        features = tuple(feature_names)
    columns = [names.index(name) for name in features]

    values, lines, labels = array("d"), array("q"), []
    for line, row in rows:
        if len(row) != len(names):
            raise UserError(
                f"{path}, line {line}: {len(row)} fields; expected {len(names)}, as in line 1."
            )
        try:
            values.extend([float(row[column]) for column in columns])
        except ValueError:
            column = next(c for c in columns if not _is_number(row[c]))
            found = f"{row[column]!r} is not a number" if row[column].strip() else "no value"
            raise UserError(
                f"{path}, line {line}, column {names[column]!r}: {found}; every feature must be a "
                f"finite number. Fill in or remove such rows."
            ) from None
        lines.append(line)
        labels.append(row[label])
    if not lines:
        raise UserError(f"{path}: no rows after the header; expected at least one.")

    def where(row: int) -> str:
        return f"{path}, line {lines[row]}"

    x = np.frombuffer(values, np.float64).reshape(len(lines), len(columns))
    y, classes = _check_labels(
        np.array(labels), class_names, lambda row: f"{where(row)}, column {names[label]!r}"
    )
    table = Table(
        name=path.stem,
        source=source,
        x=_check_features(x, features, where),
        y=y,
        feature_names=features,
        class_names=classes,
    )
    return table, where


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of every line that is not blank."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = max(",;\t", key=header.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for row in reader:
                if any(field.strip() for field in row):
                    yield reader.line_num, row
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8."
        ) from None
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not valid CSV ({error}).") from None
    except OSError as error:
        raise _cannot_read(path, error) from None


def _label_column(names: Sequence[str], path: Path) -> int:
    small = [name.casefold() for name in names]
    marked = [column for column, name in enumerate(small) if name in _LABELS]
    if len(marked) > 1:
        raise UserError(
            f"{path}, line 1: columns {names[marked[0]]!r} and {names[marked[1]]!r} both look like "
            f"the label; keep one."
        )
    # `y` can also be a coordinate beside a column that is plainly the label.
    marked = marked or [column for column, name in enumerate(small) if name == "y"]
    return marked[0] if marked else len(names) - 1


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# ---- names, features and labels of both


def _find_columns(found: Sequence[str], wanted: Sequence[str], what: str) -> list[int]:
    """Return the position of each wanted name among those found; all must be there."""
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


def _check_names(values: Sequence[Any], expected: int | None, what: str) -> tuple[str, ...]:
    """Return names as text; none may be empty or occur twice, and their number must fit."""
    names = tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values)
    if expected is not None and len(names) != expected:
        raise UserError(f"{what}: {len(names)} names for {expected} columns; give one for each.")
    for position, name in enumerate(names):
        if not name.strip():
            raise UserError(f"{what}: name {position + 1} of {len(names)} is empty; give it one.")
        if name in names[:position]:
            raise UserError(f"{what}: the name {name!r} occurs twice; names must differ.")
    return names


def _check_features(x: np.ndarray, names: Sequence[str], where: Where) -> np.ndarray:
    """Return raw features (n, n_features) as float32; NaN, infinite and larger ones are refused."""
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = np.ascontiguousarray(x, dtype=np.float32)
    bad = ~np.isfinite(narrow)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        others = int(bad.sum()) - 1
        raise UserError(
            f"{where(row)}, feature {names[column]!r}: the value is {x[row, column]}; every "
            f"feature must be a finite number that fits float32. Fill in or remove such rows"
            f"{f' ({others:,} more such values)' if others else ''}."
        )
    return narrow


def _check_labels(
    values: np.ndarray, class_names: Sequence[str] | None, where: Where
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return labels as class indices, int64 (n,), with the names of the classes.

    Integers (whole floats too) are indices counted from 0. Texts are names of classes; texts that
    are all integers count as integers unless they are all among the given names. Without names
    these are the texts in alphabetical order, or "0", "1", ... up to the largest integer.
    """
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


def _whole_numbers(texts: np.ndarray) -> np.ndarray | None:
    try:
        values = np.array([float(text) for text in texts])
    except ValueError:
        return None
    small = np.isfinite(values) & (np.abs(values) < 2**53)
    if not small.all() or (values != np.floor(values)).any():
        return None
    return values.astype(np.int64)


def _named(
    distinct: np.ndarray,
    first: np.ndarray,
    inverse: np.ndarray,
    class_names: Sequence[str] | None,
    where: Where,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Take texts as the names of classes; `class_names`, if given, does not hold them all."""
    if class_names is not None:
        row = min(int(first[i]) for i, text in enumerate(distinct) if text not in class_names)
        raise _unknown_label(where(row), str(distinct[inverse[row]]), class_names)
    if len(distinct) > MAX_CLASSES:
        raise UserError(
            f"{where(0)}: the label is {str(distinct[inverse[0]])!r}, one of {len(distinct):,} "
            f"different ones; at most {MAX_CLASSES:,} classes are supported. Is this the column "
            f"of the labels?"
        )
    return inverse.astype(np.int64), tuple(str(text) for text in distinct)


def _unknown_label(place: str, label: str, class_names: Sequence[str]) -> UserError:
    return UserError(f"{place}: the label is {label!r}; expected one of {', '.join(class_names)}.")


def _indices(
    y: np.ndarray, class_names: Sequence[str] | None, where: Where
) -> tuple[np.ndarray, tuple[str, ...]]:
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
