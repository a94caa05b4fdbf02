"""A quantizer for a network whose input has none."""

from dataclasses import dataclass

import numpy as np
from qonnx.core.datatype import DataType

from deploy.host_operations import level_range
from finn_builds.errors import UserError
from finn_builds.ingest.steps import Step

NAMES = "BIPOLAR, UINT1 to UINT24 and INT2 to INT24"


@dataclass(frozen=True)
class InputQuant:
    """A quantizer to put before the first layer."""

    datatype: str  # QONNX name: BIPOLAR, UINT1 to UINT24, INT2 to INT24
    scale: float  # what one integer is worth, in units of the first layer's input

    def __post_init__(self) -> None:
        parse_datatype(self.datatype)
        scale = float(np.float32(self.scale))
        if not (np.isfinite(scale) and scale > 0):
            raise UserError(
                f"the input scale is {self.scale}; expected a positive number; give another one"
            )

    def step(self) -> Step:
        """Return the quantizer as a step."""
        scale = np.asarray(self.scale, dtype=np.float32)
        bits, signed = parse_datatype(self.datatype)
        if signed and bits == 1:
            return Step("BipolarQuant", "input_quant", (scale,))
        attrs = {"signed": int(signed), "narrow": 0, "rounding_mode": "ROUND"}
        return Step("Quant", "input_quant", (scale, np.float32(0), np.float32(bits)), attrs)


def parse_datatype(name: str) -> tuple[int, bool]:
    """Return width and signedness of an input datatype; BIPOLAR is one signed bit."""
    try:
        datatype = DataType[name.upper()]
    except (KeyError, ValueError, AttributeError, AssertionError):
        datatype = None
    known = datatype is not None and datatype.is_integer() and datatype.name != "TERNARY"
    if not known or not 1 <= datatype.bitwidth() <= 24 or datatype.name == "INT1":
        raise UserError(
            f"the input datatype is '{name}'; supported are {NAMES}; choose one of them"
        )
    return datatype.bitwidth(), datatype.signed()


def calibrate_scale(x: np.ndarray, datatype: str) -> float:
    """Return the scale of an input quantizer that loses least on sample data.

    The largest magnitude, and ever smaller shares of it, are tried as the end of the range; the one
    with the smallest mean squared quantisation error over all values is taken. A few outliers
    therefore do not cost the bulk of the data its resolution. The data are what reaches the first
    layer, shape (frames, features), in floating point; data that are empty, not finite, all zero or
    of the wrong sign raise UserError.
    """
    bits, signed = parse_datatype(datatype)
    values = np.asarray(x, dtype=np.float64).reshape(-1)
    if not values.size or not np.isfinite(values).all():
        raise UserError(
            "can't find an input scale: the data are empty or hold NaN or infinity; expected "
            "numbers: clean the data, or give --input-scale"
        )
    if signed and bits == 1:
        scale = np.abs(values).mean()
        return _positive(scale, datatype)
    low, high = level_range(bits, signed, narrow=False)
    # The end of the range the data need: for signed types either side may decide.
    ends = [values.max() / high] + ([values.min() / low] if low else [])
    full = _positive(max(ends), datatype)
    candidates = full * np.linspace(1, 0.2, 81)
    errors = [
        np.mean((np.clip(np.round(values / s), low, high) * s - values) ** 2) for s in candidates
    ]
    return float(np.float32(candidates[int(np.argmin(errors))]))


def _positive(scale: float, datatype: str) -> float:
    if not scale > 0:
        raise UserError(
            f"can't find an input scale: the data have no value that {datatype} could hold but 0; "
            "choose a signed type, other data, or give --input-scale"
        )
    return float(np.float32(scale))
