"""Jets from OpenML: data set 42468, ``hls4ml_lhc_jets_hlf`` (CC-BY-4.0), 830,000 jets."""

from __future__ import annotations

import os
import tempfile
from http.client import HTTPException
from pathlib import Path

import numpy as np

from brevitas_models.datasets import user_files
from brevitas_models.datasets.jets_features import CLASSES, FEATURES
from brevitas_models.datasets.table import (
    Table,
    check_features,
    check_labels,
    find_columns,
)
from brevitas_models.errors import UserError

DATA_ID = 42468
TITLE = f"OpenML {DATA_ID} hls4ml_lhc_jets_hlf (CC-BY-4.0)"
OTHERS = (
    "Other sources: 'zenodo' with a folder of its HDF5 files, the path of a .npz or .csv file with "
    "the jets, or 'surrogate', which needs no network but is no real data."
)


def cached(cache_dir: Path) -> Path:
    """Return where the jets lie once they are downloaded; a ``.npz`` as `user_files` reads it."""
    return cache_dir / f"jets_openml_{DATA_ID}.npz"


def table(cache_dir: Path) -> Table:
    """Return the jets of OpenML, downloaded at the first call.

    Raises
    ------
    UserError
        They can't be downloaded or kept, or are not what is expected.
    """
    path = cached(cache_dir)
    if not path.is_file():
        _download(path)
    try:
        found = user_files.read(path, feature_names=FEATURES, class_names=CLASSES)
    except UserError as error:
        raise UserError(f"{error} This is a downloaded copy: remove it to load it anew.") from None
    return found.renamed("jets", f"{TITLE}, {len(found.y):,} real jets")


def _download(path: Path) -> None:
    """Fetch the data set and keep it, whole or not at all, at `path`."""
    from sklearn.datasets import fetch_openml

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # What scikit-learn keeps is text, slow to read; it goes once it is read.
        folder = tempfile.TemporaryDirectory(dir=path.parent, prefix=".openml-")
    except OSError as error:
        raise UserError(
            f"{path.parent}: can't be written ({error.strerror}); give another cache folder."
        ) from None
    with folder:
        try:
            bunch = fetch_openml(data_id=DATA_ID, as_frame=True, data_home=folder.name, n_retries=1)
        except (OSError, HTTPException, EOFError, ValueError) as error:
            raise UserError(
                f"jets: {TITLE} could not be downloaded ({type(error).__name__}: {error}). Check "
                f"the network and try again. {OTHERS}"
            ) from None
        columns = [str(name) for name in bunch.data.columns]
        take = find_columns(columns, FEATURES, f"{TITLE}")

        def where(row: int) -> str:
            return f"{TITLE}, row {row} (counted from 0)"

        frame = bunch.data.iloc[:, take]
        try:
            x = check_features(frame.to_numpy(np.float64), FEATURES, where)
        except (TypeError, ValueError):
            kinds = ", ".join(f"{name} {kind}" for name, kind in frame.dtypes.items())
            raise UserError(f"{TITLE}: not every feature is a number: {kinds}. {OTHERS}") from None
        y, classes = check_labels(bunch.target.astype(str).to_numpy(str), CLASSES, where)
        part = Path(folder.name) / "whole.npz"
        try:
            np.savez(part, X=x, y=y.astype(np.uint8), classes=classes, feature_names=FEATURES)
            os.replace(part, path)
        except OSError as error:
            raise UserError(
                f"{path}: can't be written ({error.strerror}); make room or give another cache "
                f"folder."
            ) from None
