"""Jet tagging: 16 high-level features of a simulated LHC jet, 5 kinds of jet.

The task of Hawks et al., "Ps and Qs", Frontiers in AI 4 (2021) 676564.
"""

from __future__ import annotations

from pathlib import Path

from brevitas_models.datasets import jets_openml, jets_zenodo, surrogate
from brevitas_models.datasets.jets_features import CLASSES, FEATURES
from brevitas_models.datasets.table import ReadTable, Table
from brevitas_models.errors import UserError

SOURCES = ("openml", "zenodo", "surrogate")


def table(
    source: str | None,
    *,
    seed: int,
    cache_dir: Path,
    data_dir: Path | None,
    read_table: ReadTable,
) -> Table:
    """Return jets from one of the places they are to be had.

    Parameters
    ----------
    source : str or None
        ``openml``: OpenML 42468, downloaded once into `cache_dir`. ``zenodo``: the HDF5 files of
        Zenodo record 3602254 in `data_dir`. The path of a ``.npz`` or ``.csv`` file, or of a folder
        of such HDF5 files. ``surrogate``: frames drawn from statistics; no real jets. None: what is
        at hand, that is `data_dir` if given, else an earlier download from OpenML, else the
        surrogate. Nothing is downloaded unless asked for.

    Raises
    ------
    UserError
        There is no such source, or what it holds is not as expected.
    """
    if source is None:
        if data_dir is not None:
            source = "zenodo"
        else:
            source = "openml" if jets_openml.cached(cache_dir).is_file() else "surrogate"
    if data_dir is not None and source != "zenodo":
        raise UserError(
            f"jets: the data folder {data_dir} is only used with the source zenodo; found "
            f"{source!r}. Leave out one of the two."
        )
    if source == "surrogate":
        return surrogate.table(seed)
    if source == "openml":
        return jets_openml.table(cache_dir)
    if source == "zenodo":
        if data_dir is None:
            raise UserError(
                "jets: the source zenodo needs the folder with its files "
                f"({jets_zenodo.PATTERN}); give it as the data folder."
            )
        return jets_zenodo.table(data_dir)
    path = Path(source)
    if path.is_dir():
        return jets_zenodo.table(path)
    if not path.suffix:
        raise UserError(
            f"jets: unknown source {source!r}; expected {', '.join(SOURCES)}, or the path of a "
            f".npz or .csv file."
        )
    return read_table(path, feature_names=FEATURES, class_names=CLASSES)
