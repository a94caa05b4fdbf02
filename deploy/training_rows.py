"""Which rows of a file the training of a model has used, so that a measured accuracy says on what.

Needs only numpy and runs on Python 3.10.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from deploy.tables import Table

__all__ = ["measured_rows", "unseen_rows"]


def unseen_rows(split: object, digest: str, rows: int) -> np.ndarray | None:
    """Return which rows of a file the training of a model did not use, bool (rows,).

    `split` is what ``train.py`` wrote into the model: ``sha256`` of the file, its number of
    ``rows``, and ``test``, one bit a row, deflated, in base 64; empty if every row was used.
    `digest` and `rows` are those of the file at hand. None if the model says nothing of it.
    """
    if not isinstance(split, Mapping) or split.get("sha256") != digest or split.get("rows") != rows:
        return None
    text = split.get("test")
    if text == "":
        return np.zeros(rows, bool)
    if not isinstance(text, str):
        return None
    try:
        packed = np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), np.uint8)
        mask = np.unpackbits(packed, count=rows).astype(bool)
    except (binascii.Error, zlib.error, ValueError):
        return None
    return mask if 8 * len(packed) >= rows else None


def measured_rows(table: Table, split: object, *, shipped: bool = False) -> tuple[str, Any]:
    """Return what has to be said of the rows to measure on, and which they are.

    `split` is what the model says of the file that it was trained on, see `unseen_rows`; `shipped`
    that the file is the test set of a data set of the project, and says so itself.
    """
    everything = slice(None)
    if table.own_test_set:
        return ("" if shipped else ", its test set"), everything
    if table.y is None and table.targets is None:
        return ", without labels", everything
    unseen, rows = unseen_rows(split, table.digest, len(table.x)), len(table.x)
    if unseen is None:
        return ", of which training may have used some: the model does not say", everything
    if not unseen.any():
        return ", all of them used in training", everything
    return f", the {unseen.sum():,} of its {rows:,} rows that training did not use", unseen
