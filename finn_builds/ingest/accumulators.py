"""Ranges of integer matrix products."""

import numpy as np
from qonnx.core.datatype import DataType

from finn_builds.errors import UserError
from finn_builds.ingest.chain import Step
from finn_builds.ingest.weights import integer_datatype

# The first integer above what float32, the carrier of integers in ONNX graphs, holds without gaps.
EXACT_LIMIT = 2**24


def datatype_range(datatype: str) -> tuple[int, int]:
    """Return the smallest and the largest value of a QONNX integer datatype."""
    kind = DataType[datatype]
    return int(kind.min()), int(kind.max())


def accumulator_ranges(weights: np.ndarray, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and largest sum of each output.

    Parameters
    ----------
    weights
        int64, shape (n_in, n_out).
    low, high
        Range of every input.

    Returns
    -------
    low, high
        int64, shape (n_out,).
    """
    at_low, at_high = weights * low, weights * high
    return np.minimum(at_low, at_high).sum(axis=0), np.maximum(at_low, at_high).sum(axis=0)


def accumulator_datatype(step: Step, weights: np.ndarray, datatype: str) -> str:
    """Return the smallest signed datatype that holds all sums of a layer.

    Raises
    ------
    UserError
        If the sums are too large to be exact in float32.
    """
    lows, highs = accumulator_ranges(weights, *datatype_range(datatype))
    low, high = int(lows.min()), int(highs.max())
    if max(-low, high) + 1 >= EXACT_LIMIT:
        raise UserError(
            f"{step} can sum up to {max(-low, high)}, more than the {EXACT_LIMIT} that are exact; "
            "use fewer inputs or narrower weights or activations"
        )
    return integer_datatype(min(low, -1), high)
