"""Data sets behind one small interface: ``load(name or path) -> Dataset``. NumPy only, no torch."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from brevitas_models.datasets import digits, jets, user_files
from brevitas_models.datasets.base import Dataset, Scaler
from brevitas_models.datasets.splitting import split
from brevitas_models.errors import UserError

__all__ = ["NAMES", "Dataset", "Scaler", "load"]

NAMES = ("digits", "jets")


def load(
    name_or_path: str | Path,
    *,
    source: str | None = None,
    seed: int = 0,
    cache_dir: Path | None = None,
    data_dir: Path | None = None,
    test_only: bool = False,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """Load, check and split a data set.

    Parameters
    ----------
    name_or_path : str or Path
        ``digits``, ``jets``, or a ``.npz`` or ``.csv`` file as `user_files` describes it.
    source : str or None
        Of ``jets`` only, see `jets.table`: ``openml``, ``zenodo``, ``surrogate``, a file, or None
        for what is at hand. `Dataset.source` says which it was.
    seed : int
        Of the split, and of the surrogate's frames; the same seed gives the same arrays.
    cache_dir : Path or None
        Where downloads are kept; None: ``.cache/prunestream`` in the user's home.
    data_dir : Path or None
        Folder of the ``zenodo`` files.
    test_only : bool
        The caller only measures. A file without splits of its own then is a test set as a whole,
        in its own order and with its duplicates; everything else keeps its usual test set, so that
        nothing is measured on that was trained on. Training and validation sets may be empty and
        the scaler None.
    feature_names, class_names : sequence of str or None
        What a model expects. Columns and labels are brought into this order by their names.

    Raises
    ------
    UserError
        Whatever is wrong with the name, the file or what it holds, with row or column.
    """
    name = str(name_or_path)
    if seed < 0:
        raise UserError(f"seed is {seed}; expected 0 or more. Give another one.")
    if name != "jets" and (source is not None or data_dir is not None):
        raise UserError(
            f"{name}: a source or data folder can only be chosen for jets; leave it out."
        )
    if name == "digits":
        table = digits.table()
    elif name == "jets":
        table = jets.table(
            source,
            seed=seed,
            cache_dir=cache_dir or Path.home() / ".cache" / "prunestream",
            data_dir=data_dir,
            test_only=test_only,
        )
    elif Path(name).suffix.lower() in user_files.SUFFIXES:
        table = user_files.read(
            Path(name), feature_names=feature_names, class_names=class_names, test_only=test_only
        )
    else:
        near = difflib.get_close_matches(name, NAMES, n=1)
        raise UserError(
            f"no data set {name!r}; expected {', '.join(NAMES)}, or a file that ends in "
            f"{' or '.join(user_files.SUFFIXES)}." + (f" Is {near[0]!r} meant?" if near else "")
        )
    return split(table.aligned(feature_names, class_names), seed)
