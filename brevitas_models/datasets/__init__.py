"""Data sets with one small interface: ``load(name or path) -> Dataset``. NumPy only, no torch."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from brevitas_models.datasets import digits, jets
from brevitas_models.datasets.base import Dataset, Scaler
from brevitas_models.datasets.splitting import split
from brevitas_models.datasets.table import ReadTable, Table
from brevitas_models.errors import UserError

__all__ = ["NAMES", "Dataset", "ReadTable", "Scaler", "load"]

NAMES = ("digits", "jets")


def load(
    name_or_path: str | Path,
    *,
    source: str | None = None,
    seed: int = 0,
    cache_dir: Path | None = None,
    data_dir: Path | None = None,
    read_table: ReadTable | None = None,
    classes: Sequence[str] | None = None,
    targets: bool = False,
) -> Dataset:
    """Load, check and split a data set.

    Parameters
    ----------
    name_or_path : str or Path
        ``digits``, ``jets``, or a file that `read_table` reads.
    source : str or None
        Of ``jets`` only, see `jets.table`: ``openml``, ``zenodo``, ``surrogate``, a file, or None
        for what is available. `Dataset.source` says which it was.
    seed : int
        Of the split, and of the surrogate's frames; the same seed gives the same arrays.
    cache_dir : Path or None
        Where downloads are kept; None: ``.cache/prunestream`` in the user's home.
    data_dir : Path or None
        Folder of the ``zenodo`` files.
    classes : sequence of str or None
        The classes of a file in the order that the model gives them; None: as in the file.
    targets : bool
        The labels of a file are numbers that a network should give.
    read_table : ReadTable or None
        Reads users' files, for example ``deploy.tables.read_table``; only files need it.

    Raises
    ------
    UserError
        Whatever is wrong with the name, or with the data set of that name. The errors of
        `read_table` pass through as they are.
    """
    name = str(name_or_path)
    reader = read_table or _no_reader
    if seed < 0:
        raise UserError(f"seed is {seed}; expected 0 or more. Give another one.")
    if name != "jets" and (source is not None or data_dir is not None):
        raise UserError(
            f"{name}: a source or data folder can only be chosen for jets; leave it out."
        )
    if classes is not None and name in NAMES:
        raise UserError(
            f"{name}: has an order of classes of its own; expected classes with a file only. Leave "
            f"them out."
        )
    if targets and (name in NAMES or classes is not None):
        raise UserError(
            f"training.loss: {name} has classes; expected cross_entropy, found a loss of numbers. "
            f"Give a file with numbers as labels, and no data.classes."
        )
    table: Table
    if name == "digits":
        table = digits.table()
    elif name == "jets":
        cache_dir = cache_dir or Path.home() / ".cache" / "prunestream"
        table = jets.table(
            source, seed=seed, cache_dir=cache_dir, data_dir=data_dir, read_table=reader
        )
    elif Path(name).suffix:
        if classes is not None:
            table = reader(Path(name), class_names=classes, class_order="as --classes gives them")
        elif targets:
            table = reader(Path(name), targets=True)
        else:
            table = reader(Path(name))
    else:
        near = difflib.get_close_matches(name, NAMES, n=1)
        raise UserError(
            f"no data set {name!r}; expected {', '.join(NAMES)}, or a file that ends in .npz or "
            f".csv." + (f" Is {near[0]!r} meant?" if near else "")
        )
    data = split(table, seed)
    return dataclasses.replace(data, name=name) if name in NAMES else data


def _no_reader(path: Path, **_: object) -> NoReturn:
    raise UserError(
        f"{path}: a data file needs a reader, which the caller of load() passes in; expected "
        f"read_table=deploy.tables.read_table or another, found none."
    )
