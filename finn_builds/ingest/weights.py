"""Constants after quantizers as integers and scales."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qonnx.custom_op.general.bipolar_quant import binary_quant
from qonnx.custom_op.general.intquant import int_quant

from finn_builds.errors import UserError
from finn_builds.ingest.chain import QuantisedConstant, Step

MAX_WEIGHT_BITS = 8


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


def check_weight(step: Step, weight: QuantisedConstant) -> tuple[np.ndarray, np.ndarray]:
    """Return a layer's weights, int64 (n_in, n_out), and their float32 scale, () or (n_out,)."""
    if weight.bits > MAX_WEIGHT_BITS:
        raise UserError(
            f"{step} has {weight.bits}-bit weights; supported are 1 to {MAX_WEIGHT_BITS} bits: "
            "train it with narrower weights"
        )
    low, high = int(weight.integers.min()), int(weight.integers.max())
    if low < -128 or high > 127:
        raise UserError(
            f"{step} has weights from {low} to {high} in units of their scale (zero point taken "
            "off); supported are -128 to 127: use a signed quantizer without a zero point"
        )
    scale = np.broadcast_to(weight.scale, weight.integers.shape)
    if not (scale == scale[:1]).all():
        raise UserError(
            f"{step} has a weight scale that differs from input to input; supported is one scale "
            "for all weights or one per output: train it so"
        )
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise UserError(
            f"{step} has a weight scale that is not a positive number; expected one above 0: train "
            "or export the model again"
        )
    row = scale[0]
    return weight.integers, row[0] if (row == row[0]).all() else row
