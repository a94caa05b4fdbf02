"""Ranges of integer matrix products."""

import numpy as np
from qonnx.core.datatype import DataType

from ..errors import UserError
from .chain import Step
from .weights import integer_datatype

# The first integer above what float32, the carrier of integers in ONNX graphs, holds without gaps.
EXACT_LIMIT = 2**24


def accumulator_range(weights: np.ndarray, datatype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and largest sum of each output for any input of a datatype.

    Parameters
    ----------
    weights
        int64, shape (n_in, n_out).
    datatype
        QONNX datatype of the inputs.

    Returns
    -------
    low, high
        int64, shape (n_out,).
    """
    kind = DataType[datatype]
    at_low, at_high = weights * int(kind.min()), weights * int(kind.max())
    return np.minimum(at_low, at_high).sum(axis=0), np.maximum(at_low, at_high).sum(axis=0)


def accumulator_datatype(step: Step, weights: np.ndarray, datatype: str) -> str:
    """Return the smallest signed datatype that holds all sums of a layer.

    Raises
    ------
    UserError
        If the sums are too large to be exact in float32.
    """
    low, high = accumulator_range(weights, datatype)
    if max(-int(low.min()), int(high.max())) + 1 >= EXACT_LIMIT:
        raise UserError(
            f"{step} can sum up to {max(-int(low.min()), int(high.max()))}, more than the "
            f"{EXACT_LIMIT} that are exact; use fewer inputs or narrower weights or activations"
        )
    return integer_datatype(min(int(low.min()), -1), int(high.max()))
