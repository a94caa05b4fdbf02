"""Constants behind quantizers as integers and scales."""

import numpy as np
from qonnx.core.datatype import DataType
from qonnx.custom_op.general.bipolar_quant import binary_quant
from qonnx.custom_op.general.intquant import int_quant

from finn_builds.errors import UserError
from finn_builds.ingest.chain import QuantisedConstant, Step

MAX_WEIGHT_BITS = 8


def integer_datatype(low: int, high: int, values: np.ndarray | None = None) -> str:
    """Return the smallest QONNX integer datatype for a range.

    Parameters
    ----------
    low, high
        The range.
    values
        The values themselves, where known: those that are all -1 or +1 are BIPOLAR.
    """
    if values is not None and values.size and np.isin(values, (-1, 1)).all() and low < 0 < high:
        return "BIPOLAR"
    if low >= 0:
        bits = max(1, int(high).bit_length())
        return DataType[f"UINT{bits}"].name
    bits = 1 + max(int(-low - 1).bit_length(), int(high).bit_length())
    return f"INT{max(2, bits)}"


def weight_datatype(integers: np.ndarray) -> str:
    """Return the smallest signed datatype for weights; BIPOLAR where all are -1 or +1."""
    low, high = min(int(integers.min()), -1), int(integers.max())
    return integer_datatype(low, high, integers if high > 0 else None)


def quantise_constant(
    value: np.ndarray,
    scale: np.ndarray,
    zero_point: np.ndarray,
    bits: np.ndarray,
    *,
    signed: bool,
    narrow: bool,
    rounding: str,
) -> QuantisedConstant:
    """Return the integers of a constant behind a Quant node.

    They are found in float32 by qonnx's own operator: a constant is what the model's own
    arithmetic makes of it, also where its value lies on a tie.
    """
    width = np.asarray(bits, dtype=np.float32)
    quantised = int_quant(value, scale, zero_point, width, signed, narrow, rounding)
    integers = np.rint(np.asarray(quantised, dtype=np.float64) / scale.astype(np.float64))
    return QuantisedConstant(
        integers.astype(np.int64), scale.astype(np.float32), int(width.flat[0])
    )


def bipolar_constant(value: np.ndarray, scale: np.ndarray) -> QuantisedConstant:
    """Return the integers of a constant behind a BipolarQuant node."""
    integers = np.asarray(binary_quant(value, np.float32(1)))
    return QuantisedConstant(integers.astype(np.int64), scale.astype(np.float32), 1)


def check_weight(step: Step, weight: QuantisedConstant) -> tuple[np.ndarray, np.ndarray]:
    """Return a layer's weights and their scale, one or one per output.

    Returns
    -------
    integers
        int64, shape (n_in, n_out).
    scale
        float32, shape () or (n_out,).

    Raises
    ------
    UserError
        If the weights are too wide, their scale varies along the inputs or is not positive.
    """
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
