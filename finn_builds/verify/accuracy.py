"""How often a network is right, on which data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Accuracy:
    """How often the network is right.

    Attributes
    ----------
    accuracy, standard_error : float
        Share of right classes and its binomial standard error.
    frames : int
        Frames it was measured on.
    source : str
        Where these come from.
    surrogate : bool
        They are drawn from statistics of the real data, not real.
    accuracy_without_input_quantizer : float or None
        The share of the model as it was given, where this flow put a quantiser before its input.
    kind : str
        How it was measured.
    """

    accuracy: float
    standard_error: float
    frames: int
    source: str
    surrogate: bool
    accuracy_without_input_quantizer: float | None = None
    kind: str = "measured: the verified integer network on all of these frames"

    def as_json(self) -> dict[str, Any]:
        """Return the fields that say something."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def share_right(classes: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the share of right classes and its binomial standard error.

    Parameters
    ----------
    classes, labels : ndarray of int, shape (n,)
        Found and true class indices.
    """
    share = float((classes == labels).mean())
    return share, math.sqrt(share * (1 - share) / len(labels))
