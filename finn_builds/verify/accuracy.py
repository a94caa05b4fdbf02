"""How good a network is, on which data: how often it is right, or how far from its targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from deploy.class_heads import ClassHead, classes_right


@dataclass(frozen=True)
class Accuracy:
    """How often the network is right."""

    accuracy: float  # share of right classes
    standard_error: float  # see `share_right`
    frames: int
    source: str  # where the frames come from, and what training saw of them
    surrogate: bool  # drawn from statistics of the real data
    # of the model as given, where this flow put a quantiser before its input
    accuracy_without_input_quantizer: float | None = None
    # the classes in their order and where it is from, if the model does not name them
    classes: str | None = None
    kind: str = "measured: the verified integer network on all of these frames"

    def as_json(self) -> dict[str, Any]:
        """Return the fields that say something."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class HeadAccuracy:
    """How often an output of classes is right, beside outputs of numbers."""

    output: str  # its name
    accuracy: float
    standard_error: float


@dataclass(frozen=True)
class TargetError:
    """How far the network's outputs are from what they should be."""

    # root of the mean square over all frames and numbers; None where all outputs are classes
    rmse: float | None
    rmse_by_output: tuple[float, ...]
    rmse_of_constant: float | None  # of the best constant answer, the targets' own means
    frames: int
    source: str
    surrogate: bool
    heads: tuple[HeadAccuracy, ...] = ()  # outputs that are classes
    kind: str = "measured: the verified integer network on all of these frames"

    def as_json(self) -> dict[str, Any]:
        """Return all fields."""
        return asdict(self)


Quality = Accuracy | TargetError


def share_right(classes: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the share of right class indices (n,) and its binomial standard error.

    Where all are right, or none, the error is that of the share (right + 1) / (n + 2), Laplace's
    rule: the binomial one would be 0 for however few frames.
    """
    return _share(classes == labels)


def _share(hits: np.ndarray) -> tuple[float, float]:
    n, right = len(hits), int(hits.sum())
    likely = right / n if 0 < right < n else (right + 1) / (n + 2)
    return right / n, math.sqrt(likely * (1 - likely) / n)


def target_error(
    outputs: np.ndarray,
    targets: np.ndarray,
    source: str,
    *,
    surrogate: bool,
    heads: Sequence[ClassHead] = (),
) -> TargetError:
    """Compare a network's outputs with what they should be, both (n, n_out).

    `heads` are outputs of classes, by name and columns; all other columns are numbers.
    """
    classes = {at for _, columns in heads for at in range(columns.start, columns.stop)}
    numbers = [at for at in range(targets.shape[1]) if at not in classes]
    wide = targets[:, numbers].astype(np.float64)
    squares = (outputs[:, numbers].astype(np.float64) - wide) ** 2
    spread = (wide - wide.mean(axis=0)) ** 2
    shares = [(name, *_share(classes_right(outputs, targets, columns))) for name, columns in heads]
    return TargetError(
        rmse=math.sqrt(squares.mean()) if numbers else None,
        rmse_by_output=tuple(float(value) for value in np.sqrt(squares.mean(axis=0))),
        rmse_of_constant=math.sqrt(spread.mean()) if numbers else None,
        frames=len(targets),
        source=source,
        surrogate=surrogate,
        heads=tuple(HeadAccuracy(*share) for share in shares),
    )


def quality_of(content: Mapping[str, Any] | None) -> Quality | None:
    """Return what `as_json` of one of the two described."""
    if content is None:
        return None
    if "rmse" in content:
        by_output = tuple(content["rmse_by_output"])
        heads = tuple(HeadAccuracy(**head) for head in content.get("heads", ()))
        return TargetError(**{**content, "rmse_by_output": by_output, "heads": heads})
    return Accuracy(**content)
