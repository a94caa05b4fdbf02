"""Data that a model is verified and judged with: read, in the order of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.class_heads import ClassHead, with_all_values
from deploy.errors import HostModelError
from deploy.host_model import HostModel
from deploy.tables import read_table
from deploy.training_rows import measured_rows
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
    # of `targets`: outputs that are classes, and their columns
    heads: tuple[ClassHead, ...] = ()


def load_data(
    path: Path,
    host: HostModel,
    *,
    standardise: bool = False,
    classes: Sequence[str] | None = None,
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
    which, kept = measured_rows(table, host.split, shipped=shipped)
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
    heads: tuple[ClassHead, ...] = ()
    if targets is not None:
        targets, heads = _judged(targets, host, table.name)
    known = bool(host.class_names) and table.class_names == host.class_names and not classes
    said = "" if y is None or known else f"{', '.join(table.class_names)} ({table.class_order})"
    x = x.reshape(len(x), *host.input_shape)
    return GivenData(x, y, targets, table.source + which, table.surrogate, said, heads)


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


def outputs_of(host: HostModel, integers: np.ndarray) -> np.ndarray:
    """Return all outputs of a model side by side, float32 (n, values), for its integers."""
    found = host.after(integers)
    return np.concatenate(list(found.values()), axis=1) if isinstance(found, dict) else found


def _judged(
    targets: np.ndarray, host: HostModel, name: str
) -> tuple[np.ndarray, tuple[ClassHead, ...]]:
    """Return targets of all values, and the outputs that are classes."""
    if host.kind == "argmax" and len(host.outputs) == 1:
        raise UserError(
            f"{name} holds numbers with fractions as labels, but the model gives a class; give "
            "--data with classes"
        )
    try:
        whole, heads = with_all_values(targets, host)
    except HostModelError as error:
        raise UserError(f"--data: {name} holds {error}") from error
    return whole, tuple(heads)
