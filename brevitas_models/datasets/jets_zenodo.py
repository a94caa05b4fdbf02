"""Jets from Zenodo: the HDF5 files of record 3602254, `hls4ml LHC jet dataset`.

Each file holds a matrix `jets`, whose columns `jetFeatureNames` names: among others our features
with ``j_`` before them, and the labels j_g, j_q, j_w, j_z, j_t, of which one is 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from brevitas_models.datasets.base import Features, Labels
from brevitas_models.datasets.jets_features import CLASSES, FEATURES, find_columns, finite
from brevitas_models.datasets.table import Table
from brevitas_models.errors import UserError

PATTERN = "jetImage_7_*p_*.h5"
"""100p in record 3602254; the records with up to 30, 50 and 150 particles a jet look the same."""


def table(folder: Path) -> Table:
    """Return the jets of all files in a folder and the folders in it, in the order of their names.

    The record's division into `train` and `val` is not kept: all are split again. Raises UserError
    if there are no such files, or one can't be read or is not of that layout.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected one with {PATTERN}, check the path.")
    paths = sorted(folder.rglob(PATTERN))
    if not paths:
        raise UserError(
            f"{folder}: no file {PATTERN} in it; expected the unpacked files of Zenodo record "
            f"3602254. Unpack them there, or give the folder that they are in."
        )
    xs, ys = zip(*(_read(path) for path in paths), strict=True)
    y = np.concatenate(ys)
    files = f"{len(paths)} file{'s' * (len(paths) != 1)}"
    return Table(
        name="jets",
        source=f"Zenodo record 3602254, {len(y):,} real jets of {files} jetImage_7_*.h5",
        x=np.concatenate(xs),
        y=y,
        feature_names=FEATURES,
        class_names=CLASSES,
    )


def _where(path: Path, row: int) -> str:
    return f"{path}, row {row} of jets (counted from 0)"


def _read(path: Path) -> tuple[Features, Labels]:
    """Return features (n, 16) and labels (n,) of one file."""
    try:
        import h5py
    except ImportError:
        raise UserError(
            "jets: the source zenodo needs the Python package h5py; install it (pip install h5py)."
        ) from None

    try:
        with h5py.File(path, "r") as file:
            for key in ("jets", "jetFeatureNames"):
                if not isinstance(file.get(key), h5py.Dataset):
                    raise UserError(
                        f"{path}: no data set {key!r}; found {', '.join(file) or 'nothing'}. "
                        f"Expected a file of Zenodo record 3602254."
                    )
            jets, raw_names = file["jets"][()], file["jetFeatureNames"][()]
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise UserError(
            f"{path}: can't be read as HDF5 ({error}). Download the file again."
        ) from None
    if np.ndim(jets) != 2 or jets.dtype.kind not in "fiu" or not len(jets):
        raise UserError(
            f"{path}: jets is {jets.dtype} of shape {np.shape(jets)}; expected numbers of shape "
            f"(n, number of names)."
        )
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in raw_names.ravel()]
    if len(names) != jets.shape[1]:
        raise UserError(
            f"{path}: jetFeatureNames holds {len(names)} names for {jets.shape[1]} columns; "
            "expected one for each. Download the file again."
        )
    features = find_columns(names, [f"j_{name}" for name in FEATURES], str(path))
    labels = find_columns(names, [f"j_{name}" for name in CLASSES], str(path))
    hot = jets[:, labels]
    wrong = ((hot != 0) & (hot != 1)).any(axis=1) | (hot.sum(axis=1) != 1)
    if wrong.any():
        row = int(wrong.argmax())
        values = ", ".join(f"j_{n} = {v:g}" for n, v in zip(CLASSES, hot[row], strict=True))
        raise UserError(
            f"{_where(path, row)}: the label is {values}; expected one 1 and otherwise 0. "
            "Download the file again."
        )
    x = finite(jets[:, features], lambda row: _where(path, row))
    return x, hot.argmax(axis=1).astype(np.int64)
