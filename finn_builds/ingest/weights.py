"""Constants after quantizers as integers and scales."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qonnx.custom_op.general.bipolar_quant import binary_quant
from qonnx.custom_op.general.intquant import int_quant

from finn_builds.ingest.steps import QuantisedConstant


def quantise_constant(inputs: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> QuantisedConstant:
    """Return the integers of a constant behind a Quant node.

    They are found in float32 by qonnx's own operator: a constant is what the model's own
    arithmetic makes of it, also where its value lies on a tie.
    """
    value, scale, zero_point, bits = inputs
    width = np.asarray(bits, dtype=np.float32)
    signed, narrow = bool(attrs["signed"]), bool(attrs["narrow"])
    mode = attrs["rounding_mode"]
    quantised = int_quant(value, scale, zero_point, width, signed, narrow, mode)
    integers = np.rint(np.asarray(quantised, dtype=np.float64) / scale.astype(np.float64))
    return QuantisedConstant(
        integers.astype(np.int64), scale.astype(np.float32), int(width.flat[0])
    )


def bipolar_constant(value: np.ndarray, scale: np.ndarray) -> QuantisedConstant:
    """Return the integers of a constant after a BipolarQuant node."""
    integers = np.asarray(binary_quant(value, np.float32(1)))
    return QuantisedConstant(integers.astype(np.int64), scale.astype(np.float32), 1)
