"""Jets from OpenML: data set 42468, ``hls4ml_lhc_jets_hlf`` (CC-BY-4.0), 830,000 jets."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import numpy as np

from brevitas_models.datasets.jets_features import CLASSES, FEATURES, find_columns, finite
from brevitas_models.datasets.splitting import split
from brevitas_models.datasets.table import Table
from brevitas_models.errors import UserError
from brevitas_models.files import write_atomic

DATA_ID = 42468
TITLE = f"OpenML {DATA_ID} hls4ml_lhc_jets_hlf (CC-BY-4.0)"
OTHERS = (
    "Other sources: 'zenodo' with a folder of its HDF5 files, the path of a .npz or .csv file with "
    "the jets, or 'surrogate', which needs no network but is no real data."
)


def cached(cache_dir: Path) -> Path:
    """Return where the jets lie once they are downloaded."""
    return cache_dir / f"jets_openml_{DATA_ID}.npz"


def for_builds(cache_dir: Path) -> Path:
    """Return where the test set of seed 0 lies once the jets are downloaded.

    Builds take their frames from it instead of the surrogate's.
    """
    return cache_dir / "jets.npz"


def table(cache_dir: Path) -> Table:
    """Return the jets of OpenML, downloaded at the first call.

    Raises UserError if they can't be downloaded or kept, or are not what is expected.
    """
    path = cached(cache_dir)
    if not path.is_file():
        _download(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            x, y = file["X"], file["y"]
            names = tuple(file["feature_names"]), tuple(file["classes"])
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: can't be read ({error}). This is a downloaded copy: remove it to load it "
            "again."
        ) from None
    if names != (FEATURES, CLASSES) or x.shape != (len(y), len(FEATURES)):
        raise UserError(
            f"{path}: expected {len(FEATURES)} features of jets, found {x.shape[1:]} with the "
            f"names {', '.join(names[0])}. This is a downloaded copy: remove it to load it again."
        )
    found = Table(
        name="jets",
        source=f"{TITLE}, {len(y):,} real jets",
        x=x,
        y=y.astype(np.int64),
        feature_names=FEATURES,
        class_names=CLASSES,
    )
    if not for_builds(cache_dir).is_file():
        with _writing(for_builds(cache_dir)):
            split(found, 0).write_test_set(for_builds(cache_dir))
    return found


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what a disk refuses into the user's error."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: can't be written ({error.strerror}); make room or give another cache folder."
        ) from None


def _download(path: Path) -> None:
    """Fetch the data set and keep it, whole or not at all, at `path`."""
    from sklearn.datasets import fetch_openml

    with _writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        # What scikit-learn keeps is text, slow to read; it goes once it is read.
        folder = tempfile.TemporaryDirectory(dir=path.parent, prefix=".openml-")
    with folder:
        try:
            bunch = fetch_openml(data_id=DATA_ID, as_frame=True, data_home=folder.name, n_retries=1)
        except (OSError, HTTPException, EOFError, ValueError) as error:
            raise UserError(
                f"jets: {TITLE} could not be downloaded ({type(error).__name__}: {error}). Check "
                f"the network and try again. {OTHERS}"
            ) from None

    def where(row: int) -> str:
        return f"{TITLE}, row {row} (counted from 0)"

    columns = [str(name) for name in bunch.data.columns]
    frame = bunch.data.iloc[:, find_columns(columns, FEATURES, TITLE)]
    try:
        x = finite(frame.to_numpy(np.float64), where)
    except (TypeError, ValueError):
        kinds = ", ".join(f"{name} {kind}" for name, kind in frame.dtypes.items())
        raise UserError(f"{TITLE}: not every feature is a number: {kinds}. {OTHERS}") from None
    labels = bunch.target.astype(str).to_numpy(str)
    y = np.select([labels == name for name in CLASSES], range(len(CLASSES)), -1)
    if (y < 0).any():
        row = int((y < 0).argmax())
        raise UserError(
            f"{where(row)}: the label is {str(labels[row])!r}; expected one of "
            f"{', '.join(CLASSES)}. {OTHERS}"
        )
    content = io.BytesIO()
    np.savez(content, X=x, y=y.astype(np.uint8), classes=CLASSES, feature_names=FEATURES)
    with _writing(path):
        write_atomic(path, content.getvalue())
