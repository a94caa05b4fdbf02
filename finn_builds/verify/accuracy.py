"""How often a network is right, on which data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Accuracy:
    """How often the network is right."""

    accuracy: float  # share of right classes
    standard_error: float  # binomial
    frames: int
    source: str  # where the frames come from
    surrogate: bool  # drawn from statistics of the real data
    # of the model as given, where this flow put a quantiser before its input
    accuracy_without_input_quantizer: float | None = None
    kind: str = "measured: the verified integer network on all of these frames"

    def as_json(self) -> dict[str, Any]:
        """Return the fields that say something."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def share_right(classes: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the share of right class indices (n,) and its binomial standard error."""
    share = float((classes == labels).mean())
    return share, math.sqrt(share * (1 - share) / len(labels))
