"""Data in a user's own file: NumPy's .npz and .npy, or text with separated values (.csv and so on).

This is the one reader of such files: training, builds and boards read them with `read_table`.

``.npz``
    Either ``X`` (n, n_features) and ``y`` (n,), or ready-made splits ``x_train``, ``y_train``,
    ``x_test``, ``y_test`` and, if there is one, ``x_val``, ``y_val`` (capital X too). Labels are
    class indices, names, one-hot rows or numbers that a network should give, see `labels`. May also
    hold ``classes``, ``feature_names`` (else ``x0``, ``x1``, ...), ``scaler_mean`` with
    ``scaler_scale``, which then are the scaler, ``source`` (a text that says where the data come
    from) and ``surrogate`` (True: made up, not real data). Other arrays are ignored. Rows in
    messages count from 0, as in NumPy.
``.npy``
    One array of features.
``.csv``, ``.tsv``, ``.txt``
    Line 1 names the columns; `text_tables` says which is the label. Separated by commas,
    semicolons, tabs, bars or spaces, in UTF-8, UTF-16 or the encoding of Windows. Rows in messages
    are lines of the file, the header being line 1.
"""

from __future__ import annotations

import difflib
import hashlib
import zipfile
import zlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

if __package__:  # in the project's checkout
    from deploy.errors import UserError
    from deploy.labels import Truth, Where, truth_of, unknown_label
    from deploy.text_tables import TextFile, cannot_read, roles
else:  # beside this file, as on the board
    from errors import UserError
    from labels import Truth, Where, truth_of, unknown_label
    from text_tables import TextFile, cannot_read, roles

__all__ = ["SUFFIXES", "Scaler", "Table", "read_table"]

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
SUFFIXES = (".npz", ".npy", *TEXT_SUFFIXES)
SPLITS = ("train", "val", "test")

# What numpy.load lets through of its own, zipfile's and zlib's errors on a file that is not .npz.
_UNREADABLE = (
    OSError, ValueError, EOFError, KeyError, MemoryError, RuntimeError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip


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
    """Checked rows of one file.

    Attributes
    ----------
    source : str
        One sentence for people: what the file says of itself, else its name and checksum.
    x : (n, n_features) float32
        Raw, finite features.
    y : (n,) int64 or None
        Index in `class_names`; None where there are targets, or features alone.
    class_names : tuple of str
        Empty if there are no classes.
    class_order : str
        What decides the order of the classes, for people.
    targets : (n, n_targets) float32 or None
        Numbers that a network should give.
    parts : tuple of 3 int or None
        Numbers of rows of training, validation and test set, which lie in `x` in that order;
        None if the file has no splits, or if only the rows to measure on were read.
    surrogate : bool
        The rows are made up from statistics: an accuracy on them says nothing about real data.
    digest : str
        SHA-256 of the file, or empty.
    own_test_set : bool
        Only the rows to measure on were read, and they are the test set of a file with splits.
    """

    name: str
    source: str
    x: np.ndarray
    y: np.ndarray | None
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    scaler: Scaler | None = None
    parts: tuple[int, int, int] | None = None
    surrogate: bool = False
    class_order: str = ""
    targets: np.ndarray | None = None
    target_names: tuple[str, ...] = ()
    digest: str = ""
    own_test_set: bool = False


@dataclass(frozen=True)
class _Wanted:
    """What a model takes and gives, as far as it is known; see `read_table`."""

    feature_names: tuple[str, ...] | None
    class_names: tuple[str, ...] | None
    class_order: str
    n_features: int | None
    n_outputs: int | None
    targets: bool
    labelled: bool
    test_only: bool


def read_table(
    path: Path,
    *,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    class_order: str = "as the model has them",
    n_features: int | None = None,
    n_outputs: int | None = None,
    targets: bool = False,
    labelled: bool = True,
    test_only: bool = False,
) -> Table:
    """Read and check a user's file; `UserError` names the row or column at fault.

    Parameters
    ----------
    feature_names, class_names : sequence of str or None
        What a model expects, in its order; columns and labels are found by their names. Further
        columns are left out; a wanted class need not have a row. None: as in the file.
    class_order : str
        Where the order of `class_names` is from, for people.
    n_features, n_outputs : int or None
        Sizes of the model that the rows are for, if they are known.
    targets : bool
        Labels are numbers that a network should give, also if they look like classes.
    labelled : bool
        The file must hold labels; else it may hold features alone.
    test_only : bool
        Return only rows to measure on: the test set if the file has splits, which may then be all
        it holds, else every row in its own order.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(
            f"{path}: expected a file that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}."
        )
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                hasher.update(piece)
    except OSError as error:
        raise cannot_read(path, error) from None
    digest = hasher.hexdigest()
    # The name alone: the sentence is recorded with models that are passed on.
    source = f"file {path.name} (SHA-256 {digest[:12]})"
    wanted = _Wanted(
        feature_names=None if feature_names is None else tuple(feature_names),
        class_names=None if class_names is None else _check_names(class_names, None, "classes"),
        class_order=class_order,
        n_features=n_features,
        n_outputs=n_outputs,
        targets=targets,
        labelled=labelled,
        test_only=test_only,
    )
    read = _read_text if suffix in TEXT_SUFFIXES else _read_numpy
    table, where = read(path, source, wanted)
    return replace(_aligned(table, wanted, where), digest=digest)


def _aligned(table: Table, wanted: _Wanted, where: Where) -> Table:
    """Return a table with its columns and labels in the wanted order, found by name."""
    names, classes = wanted.feature_names, wanted.class_names
    if names is not None and names != table.feature_names:
        take = _find_columns(table.feature_names, names, table.source)
        scaler = table.scaler and Scaler(table.scaler.mean[take], table.scaler.scale[take])
        table = replace(table, x=table.x[:, take], feature_names=names, scaler=scaler)
    if classes is not None and table.y is not None and classes != table.class_names:
        new = {name: index for index, name in enumerate(classes)}
        index = np.array([new.get(name, -1) for name in table.class_names])
        y = index[table.y].astype(np.int64)
        if (y < 0).any():
            row = int((y < 0).argmax())
            raise unknown_label(where(row), table.class_names[table.y[row]], classes)
        table = replace(table, y=y, class_names=classes, class_order=wanted.class_order)
    return table


# ---- .npz


def _read_numpy(path: Path, source: str, wanted: _Wanted) -> tuple[Table, Where]:
    arrays = _arrays(path)
    pairs = _pairs(arrays, path, wanted)
    keys = [x_key for x_key, _ in pairs]
    for x_key in keys:
        arrays[x_key] = _flat(arrays[x_key], wanted.n_features)
    xs = [arrays[x_key] for x_key in keys]
    ys = [arrays[y_key] for _, y_key in pairs if y_key in arrays]
    for x_key, y_key in pairs:
        x = arrays[x_key]
        _check_shapes(x, arrays.get(y_key), path, x_key, y_key)
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
    names, note = _npz_features(arrays, xs[0].shape[1], path, wanted.feature_names)
    source += note
    classes, order = wanted.class_names, wanted.class_order
    if "classes" in arrays:
        classes = _check_names(list(arrays["classes"].ravel()), None, f"{path}, classes")
        order = "as the file has them"
    scaler = _npz_scaler(arrays, names, path)
    if scaler is not None and "source" not in arrays:
        source += ", with the scaler recorded in it"
    # All splits are read even if only the last is wanted: together they say what classes exist.
    truth = Truth(None, None, ())
    if ys:
        truth = truth_of(
            np.concatenate(ys),
            where,
            class_names=classes,
            order=order,
            n_outputs=wanted.n_outputs,
            targets=wanted.targets,
        )
    x = _check_features(np.concatenate(xs), names, where)
    skipped = int(starts[-2]) if wanted.test_only else 0
    parts: tuple[int, int, int] | None = None
    if not wanted.test_only and keys != ["x"]:
        sizes = {key: len(rows) for key, rows in zip(keys, xs, strict=True)}
        parts = (sizes["x_train"], sizes.get("x_val", 0), sizes["x_test"])
    table = Table(
        name=path.stem,
        source=source,
        x=x[skipped:],
        y=None if truth.y is None else truth.y[skipped:],
        feature_names=names,
        scaler=scaler,
        parts=parts,
        surrogate=bool(_single(arrays, "surrogate", "b", "True or False", path)),
        targets=None if truth.targets is None else truth.targets[skipped:],
        own_test_set=wanted.test_only and keys != ["x"],
        **_names(truth),
    )
    return table, lambda row: where(skipped + row)


def _names(truth: Truth) -> dict[str, Any]:
    """Return the fields of a table that name classes or targets."""
    return {
        "class_names": () if truth.y is None else truth.names,
        "class_order": truth.order,
        "target_names": () if truth.targets is None else truth.names,
    }


def _flat(x: np.ndarray, n_features: int | None) -> np.ndarray:
    """Return frames of several dimensions as rows, if a model takes as many numbers."""
    fits = x.ndim > 2 and len(x) > 0 and n_features == x[0].size
    return x.reshape(len(x), -1) if fits else x


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
    arrays: dict[str, np.ndarray] = {}
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            if path.suffix.lower() == ".npz":
                raise UserError(f"{path}: a single array; expected a .npz with X and y.")
            return {"x": loaded}
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


def _pairs(arrays: Mapping[str, np.ndarray], path: Path, wanted: _Wanted) -> list[tuple[str, str]]:
    """Return the names of features and labels: of one table, or of the splits, test set last.

    Unless labels must be there, either every part has them or none.
    """
    split = [key for key in arrays if key.startswith(("x_", "y_"))]
    if not split:
        pairs = [("x", "y")]
    else:
        if "x" in arrays or "y" in arrays:
            raise UserError(
                f"{path}: holds X or y and also {', '.join(split)}; give one table or ready-made "
                f"splits, not both."
            )
        needed = ("test",) if wanted.test_only else ("train", "test")
        pairs = [
            (f"x_{part}", f"y_{part}")
            for part in SPLITS
            if part in needed or f"x_{part}" in arrays or f"y_{part}" in arrays
        ]
    missing = [key for pair in pairs for key in pair if key not in arrays]
    unlabelled = missing == [y_key for _, y_key in pairs]
    if missing and (wanted.labelled or not unlabelled):
        raise UserError(
            f"{path}: {' and '.join(missing)} missing; found "
            f"{', '.join(arrays) or 'no known array'}. Expected X (n, n_features) and y (n,), or "
            f"x_train, y_train, x_test, y_test."
        )
    return pairs


def _check_shapes(x: np.ndarray, y: np.ndarray | None, path: Path, x_key: str, y_key: str) -> None:
    if x.ndim != 2 or x.shape[1] == 0 or x.dtype.kind not in "fiub":
        raise UserError(
            f"{path}: {x_key} is {x.dtype} of shape {x.shape}; expected numbers of shape "
            f"(n, n_features)."
            + (" Flatten each frame with X.reshape(len(X), -1)." if x.ndim > 2 else "")
        )
    if y is not None and (y.ndim not in (1, 2) or y.dtype.kind not in "fiubSU" or 0 in y.shape[1:]):
        raise UserError(
            f"{path}: {y_key} is {y.dtype} of shape {y.shape}; expected class indices or names of "
            f"shape (n,), or one-hot rows or targets of shape (n, n_outputs)."
        )
    if y is not None and len(x) != len(y):
        raise UserError(
            f"{path}: {x_key} has {len(x)} rows, {y_key} has {len(y)}; need as many. "
            "Give one label a row."
        )
    if not len(x):
        raise UserError(f"{path}: {x_key} holds no rows; give at least one.")


# ---- text


def _read_text(path: Path, source: str, wanted: _Wanted) -> tuple[Table, Where]:
    file = TextFile(path)
    layout = file.layout
    if layout.header is not None:
        nameless = layout.header[:1] == ("",)  # pandas' index, or an error below
        _check_names(layout.header[nameless:], None, f"{path}, line 1")
    names = file.names
    if wanted.feature_names is not None and layout.header is not None:
        # Only these are read, so that a column of, say, comments does no harm.
        _find_columns(names, wanted.feature_names, str(path))
    found = roles(
        file,
        feature_names=wanted.feature_names,
        n_features=wanted.n_features,
        n_outputs=wanted.n_outputs,
        required=wanted.labelled,
    )
    columns, labelled = found.features, found.labels
    source += file.note + found.note
    features = _check_names([names[c] for c in columns], None, f"{path}, line 1")
    if layout.header is None:
        features, note = _npz_features({}, len(columns), path, wanted.feature_names)
        source += note

    number = layout.number
    values, lines, labels = array("d"), array("q"), []
    for line, row in file.rows():
        try:
            values.extend([number(row[column]) for column in columns])
        except ValueError:
            column = next(c for c in columns if not _is_number(row[c], number))
            found_text = f"{row[column]!r} is not a number" if row[column].strip() else "no value"
            raise UserError(
                f"{path}, line {line}, column {names[column]!r}: {found_text}; every feature must "
                f"be a finite number. Fill in or remove such rows."
            ) from None
        lines.append(line)
        labels.append([row[column] for column in labelled])

    def where(row: int) -> str:
        return f"{path}, line {lines[row]}"

    x = np.frombuffer(values, np.float64).reshape(len(lines), len(columns))
    truth = Truth(None, None, ())
    if labelled:
        shown = [names[column] for column in labelled]
        said = f"column {shown[0]!r}" if len(shown) == 1 else f"columns {shown[0]!r} and so on"
        texts = np.array(labels)
        if layout.decimal_comma and len(texts):
            texts = np.char.replace(texts, ",", ".")
        truth = truth_of(
            texts,
            lambda row: f"{where(row)}, {said}",
            class_names=wanted.class_names,
            order=wanted.class_order,
            column_names=_without_prefix(shown),
            n_outputs=wanted.n_outputs,
            targets=wanted.targets,
        )
    table = Table(
        name=path.stem,
        source=source,
        x=_check_features(x, features, where),
        y=truth.y,
        feature_names=features,
        targets=truth.targets,
        **_names(truth),
    )
    return table, where


def _without_prefix(names: Sequence[str]) -> list[str]:
    """Return the names of several columns without the ``label_`` that they begin with."""
    starts = {name.partition("_")[0].casefold() for name in names}
    shared = len(names) > 1 and len(starts) == 1 and all("_" in name for name in names)
    return [name.partition("_")[2] for name in names] if shared else list(names)


def _is_number(text: str, number: Any) -> bool:
    try:
        number(text)
    except ValueError:
        return False
    return True


# ---- names and features of both


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
