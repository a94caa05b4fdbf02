"""Data sets in a user's own file: NumPy's .npz or text with comma-separated values (.csv).

``.npz``
    Either ``X`` (n, n_features) and ``y`` (n,), or ready-made splits ``x_train``, ``y_train``,
    ``x_test``, ``y_test`` and, if there is one, ``x_val``, ``y_val`` (capital X too). Labels are
    class indices from 0, or names. May also hold ``classes``, ``feature_names`` (else ``x0``,
    ``x1``, ...), and ``scaler_mean`` with ``scaler_scale``, which then are the scaler. Other arrays
    are ignored. Rows in messages count from 0, as in NumPy.
``.csv``
    Line 1 names the columns; the label is in the column ``label`` or ``class``, else ``y``, else in
    the last one. Separated by commas, semicolons or tabs. Rows in messages are lines of the file,
    the header being line 1.
"""

from __future__ import annotations

import csv
import hashlib
import zipfile
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brevitas_models.datasets.table import (
    Table,
    check_features,
    check_labels,
    check_names,
    check_scaler,
    find_columns,
)
from brevitas_models.errors import UserError

SUFFIXES = (".npz", ".csv")
SPLITS = ("train", "val", "test")

# What a column of labels is called; see also `_label_column`.
_LABELS = ("label", "class")

# What numpy.load lets through of its own, zipfile's and zlib's errors on a file that is no .npz.
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def read(
    path: Path,
    *,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    test_only: bool = False,
) -> Table:
    """Read and check a user's file.

    Parameters
    ----------
    path : Path
        Ends in ``.npz`` or ``.csv``.
    feature_names, class_names : sequence of str or None
        What the columns and labels must be, and their order; None: as in the file.
    test_only : bool
        Return only rows to measure on: the test set if the file has splits, which may then be all
        it holds, else every row.

    Raises
    ------
    UserError
        The file can't be read, or something in it is not as told above.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path}: expected a file that ends in {' or '.join(SUFFIXES)}.")
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(
            f"{path}: can't be read ({error.strerror or error}); expected a readable file."
        ) from None
    # The name alone: the sentence is recorded with models that are passed on.
    source = f"file {path.name} (SHA-256 {digest[:12]})"
    if path.suffix.lower() == ".csv":
        table = _read_csv(path, source, feature_names, class_names, test_only)
    else:
        table = _read_npz(path, source, feature_names, class_names, test_only)
    return table.aligned(feature_names, class_names)


def _read_npz(
    path: Path,
    source: str,
    feature_names: Sequence[str] | None,
    class_names: Sequence[str] | None,
    test_only: bool,
) -> Table:
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

    n_features = xs[0].shape[1]
    if "feature_names" in arrays:
        names = check_names(
            list(arrays["feature_names"].ravel()), n_features, f"{path}, feature_names"
        )
    elif feature_names is None:
        names = tuple(f"x{column}" for column in range(n_features))
    elif len(feature_names) == n_features:
        names = tuple(feature_names)
        source += ", which does not name its features: taken in the expected order"
    else:
        raise UserError(
            f"{path}: {n_features} features without feature_names; expected these "
            f"{len(feature_names)}: {', '.join(feature_names)}. Add feature_names to the file."
        )
    classes = class_names
    if "classes" in arrays:
        classes = check_names(list(arrays["classes"].ravel()), None, f"{path}, classes")
    scaler = None
    if ("scaler_mean" in arrays) != ("scaler_scale" in arrays):
        raise UserError(
            f"{path}: scaler_mean and scaler_scale belong together; one is missing. "
            "Add it, or leave out both."
        )
    if "scaler_mean" in arrays:
        scaler = check_scaler(arrays["scaler_mean"], arrays["scaler_scale"], names, str(path))
        source += ", with the scaler recorded in it"
    # All splits are read even if only the last is wanted: together they tell the classes.
    y, classes = check_labels(np.concatenate(ys), classes, where)
    x = check_features(np.concatenate(xs), names, where)
    skipped = int(starts[-2]) if test_only else 0
    sizes = {key: len(rows) for key, rows in zip(keys, xs, strict=True)}
    parts: tuple[int, int, int] | None = None
    if test_only:
        parts = (0, 0, len(xs[-1]))
    elif keys != ["x"]:
        parts = (sizes["x_train"], sizes.get("x_val", 0), sizes["x_test"])
    return Table(
        name=path.stem,
        source=source,
        x=x[skipped:],
        y=y[skipped:],
        feature_names=names,
        class_names=classes,
        where=lambda row: where(skipped + row),
        scaler=scaler,
        parts=parts,
    )


def _arrays(path: Path) -> dict[str, npt.NDArray]:
    """Read all arrays of the file whose names mean something here, under their small names."""
    known = {"x", "y", "classes", "feature_names", "scaler_mean", "scaler_scale"}
    known |= {f"{letter}_{part}" for letter in "xy" for part in SPLITS}
    what = ""
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise UserError(f"{path}: a single array; expected a .npz with X and y.")
        arrays: dict[str, npt.NDArray] = {}
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
                        raise ValueError("it is no array")
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


def _pairs(arrays: Mapping[str, npt.NDArray], path: Path, test_only: bool) -> list[tuple[str, str]]:
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


def _check_shapes(x: npt.NDArray, y: npt.NDArray, path: Path, x_key: str, y_key: str) -> None:
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


def _read_csv(
    path: Path,
    source: str,
    feature_names: Sequence[str] | None,
    class_names: Sequence[str] | None,
    test_only: bool,
) -> Table:
    rows = _csv_rows(path)
    _, header = next(rows, (0, []))
    if not header:
        raise UserError(f"{path}: the file is empty; expected a header line and rows.")
    if all(_is_number(field) for field in header):
        raise UserError(
            f"{path}, line 1: only numbers; expected the names of the columns, for example "
            f"x0,x1,label."
        )
    names = check_names([field.strip() for field in header], None, f"{path}, line 1")
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
        find_columns(features, feature_names, str(path))
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
            found = f"{row[column]!r} is no number" if row[column].strip() else "no value"
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
    y, classes = check_labels(
        np.array(labels), class_names, lambda row: f"{where(row)}, column {names[label]!r}"
    )
    return Table(
        name=path.stem,
        source=source,
        x=check_features(x, features, where),
        y=y,
        feature_names=features,
        class_names=classes,
        where=where,
        parts=(0, 0, len(lines)) if test_only else None,
    )


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
            f"{path}: no UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8."
        ) from None
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: no valid CSV ({error}).") from None
    except OSError as error:
        raise UserError(
            f"{path}: can't be read ({error.strerror or error}); expected a readable file."
        ) from None


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
