"""Data that a model is verified and judged with: read, in the order of its inputs and outputs."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deploy.host_model import HostModel
from deploy.tables import Table, read_table
from finn_builds.errors import UserError


@dataclass(frozen=True)
class GivenData:
    """Raw data for a model, with what it should give for them if that is known."""

    x: np.ndarray  # (n, ...), raw input as the model takes it
    y: np.ndarray | None  # int64 (n,), class indices in the order of the model's outputs
    targets: np.ndarray | None  # float32 (n, n_out), what the model should give
    source: str  # where the data come from and what training saw of them, as a sentence fragment
    surrogate: bool  # drawn from statistics of the real data, not real
    classes: str = ""  # the classes in their order and where it is from; empty if known by name


def load_data(
    path: Path,
    host: HostModel,
    *,
    standardise: bool = False,
    classes: Sequence[str] | None = None,
    split: object = None,
    shipped: bool = False,
) -> GivenData:
    """Load the rows of a data file to measure on, in the order of a model's inputs and outputs.

    Parameters
    ----------
    standardise : bool
        Subtract the mean of the training data and divide by their standard deviation first; the
        file brings both.
    classes : sequence of str or None
        The file's classes in the order of the model's outputs; None: the names that the model has.
    split : object
        What the model says of the file that it was trained on, see `unseen_rows`.
    shipped : bool
        The file is the test set of a data set of the project, and says so itself.

    Raises
    ------
    UserError
        The data do not suit the model.
    """
    outputs = max(2, host.n_scores)
    n_in = int(np.prod(host.input_shape))
    if classes is not None:
        check_classes(classes, host)
    table = read_table(
        path,
        feature_names=host.feature_names or None,
        class_names=classes or host.class_names or None,
        class_order="as --classes gives them" if classes else "as the model has them",
        n_features=n_in,
        n_outputs=host.n_scores,
        targets=bool(host.losses),
        labelled=False,
        test_only=True,
    )
    which, kept = _measured_rows(table, split, shipped=shipped)
    x, y, targets = (
        part if part is None else part[kept] for part in (table.x, table.y, table.targets)
    )
    assert x is not None
    if standardise:
        if table.scaler is None:
            raise UserError(
                "--standardise: expected the mean and standard deviation of the training data with "
                f"{table.name}, found neither; give a .npz that holds them as scaler_mean and "
                "scaler_scale"
            )
        x = table.scaler.transform(x)
    if x.shape[1] != n_in:
        raise UserError(
            f"the model takes {n_in} features, but {table.name} ({table.source}) has {x.shape[1]}; "
            "give --data with the features the model was trained on"
        )
    if y is not None and len(table.class_names) > outputs:
        raise UserError(
            f"the data have {len(table.class_names)} classes ({', '.join(table.class_names)}), but "
            f"the model has {host.n_scores} outputs; give --data with the classes the model was "
            "trained on"
        )
    if targets is not None:
        _check_targets(targets, host, table.name)
    known = bool(host.class_names) and table.class_names == host.class_names and not classes
    said = "" if y is None or known else f"{', '.join(table.class_names)} ({table.class_order})"
    x = x.reshape(len(x), *host.input_shape)
    return GivenData(x, y, targets, table.source + which, table.surrogate, said)


def check_classes(classes: Sequence[str], host: HostModel) -> None:
    """Raise UserError unless an order of classes suits a model's outputs and its own names."""
    outputs = max(2, host.n_scores)
    if len(classes) != outputs:
        raise UserError(
            f"--classes names {len(classes)} classes, the model has {outputs}: expected one name "
            f"for each, in the order of the model's outputs; found {', '.join(classes)}"
        )
    own = host.class_names
    if own and set(own) == set(classes) and tuple(classes) != tuple(own):
        raise UserError(
            f"--classes {','.join(classes)}: the model itself has the order {','.join(own)}; leave "
            "the option out"
        )


def unseen_rows(split: object, digest: str, rows: int) -> np.ndarray | None:
    """Return which rows of a file the training of a model did not use, bool (rows,).

    Parameters
    ----------
    split : object
        What ``train.py`` wrote into the model: ``sha256`` of the file, its number of ``rows``, and
        ``test``, one bit a row, deflated, in base 64; empty if every row was used.
    digest, rows
        Of the file at hand.

    Returns
    -------
    ndarray or None
        None if the model says nothing of this file.
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


def _measured_rows(table: Table, split: object, *, shipped: bool) -> tuple[str, Any]:
    """Return what has to be said of the rows to measure on, and which they are."""
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


def outputs_of(host: HostModel, integers: np.ndarray) -> np.ndarray:
    """Return all outputs of a model side by side, float32 (n, values), for its integers."""
    found = host.after(integers)
    return np.concatenate(list(found.values()), axis=1) if isinstance(found, dict) else found


def _check_targets(targets: np.ndarray, host: HostModel, name: str) -> None:
    if host.kind == "argmax":
        raise UserError(
            f"{name} holds numbers with fractions as labels, but the model gives a class; give "
            "--data with classes"
        )
    outputs = sum(int(np.prod(out.shape)) for out in host.outputs)
    if targets.shape[1] != outputs:
        raise UserError(
            f"{name} holds {targets.shape[1]} targets a frame, but the model has {outputs} "
            "outputs; give --data with a target for each of them"
        )
