"""What integers stand for a quantised tensor, and what one of them is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np

from finn_builds.ingest.elementwise import evaluate_steps, quant_levels, quant_scale
from finn_builds.ingest.steps import Step
from finn_builds.ingest.symbol import line_of
from finn_builds.network.types import BIPOLAR, bits_of, datatype_for, range_of, step_of

#: Bits of an input or an output of the network.
MAX_INPUT_BITS = 24
#: Levels of a quantizer beyond which they are never listed.
LISTED_LEVELS = 256


@dataclass(frozen=True, eq=False)
class Codes:
    """Integer codes of a tensor: ``value = (code - zero_point) * divisor * scale``."""

    datatype: str
    low: int  # smallest code
    high: int  # largest code
    scale: np.ndarray  # of the quantizer, shape () or (n,)
    divisor: int  # greatest common divisor of the levels
    zero_point: int  # added to the levels where that makes their type narrower

    @classmethod
    def of(cls, quantizer: Step) -> Codes:
        """Return the codes of a quantizer's levels."""
        low, high, step = quant_levels(quantizer)
        return _codes(low, high, gcd(low, step), bipolar=step == 2, scale=quant_scale(quantizer))

    @classmethod
    def of_range(cls, low: int, high: int, *, bipolar: bool) -> Codes:
        """Return the codes of integers that are their own values."""
        return _codes(low, high, 1, bipolar=bipolar, scale=np.ones((), np.float32))

    def all(self) -> np.ndarray:
        """Return all values of the codes' type, in order, int64."""
        low, high = range_of(self.datatype)
        return np.arange(low, high + 1, step_of(self.datatype))

    def from_values(self) -> tuple[Step, ...]:
        """Return steps from values to codes."""
        steps = [Step("Div", "codes", (self.scale,))]
        if self.divisor != 1:
            steps.append(Step("Div", "codes", (np.float32(self.divisor),)))
        if self.zero_point:
            steps.append(Step("Add", "codes", (np.float32(self.zero_point),)))
        return tuple(steps)

    def to_values(self) -> tuple[Step, ...]:
        """Return steps from codes to values."""
        steps = []
        if self.zero_point:
            steps.append(Step("Sub", "codes", (np.float32(self.zero_point),)))
        if self.divisor != 1:
            steps.append(Step("Mul", "codes", (np.float32(self.divisor),)))
        if not (self.scale == 1).all():
            steps.append(Step("Mul", "codes", (self.scale,)))
        return tuple(steps)


def codes_of_levels(levels: np.ndarray, scale: np.ndarray) -> Codes:
    """Return the codes of some integers, in order, in units of a scale."""
    divisor = int(np.gcd.reduce(levels)) or 1
    bipolar = (levels // divisor).tolist() == [-1, 1]
    return _codes(int(levels[0]), int(levels[-1]), divisor, bipolar=bipolar, scale=scale)


def _codes(low: int, high: int, divisor: int, *, bipolar: bool, scale: np.ndarray) -> Codes:
    divisor = divisor or 1
    low, high = low // divisor, high // divisor
    bipolar = bipolar and (low, high) == (-1, 1)
    datatype = BIPOLAR if bipolar else datatype_for(low, high)
    zero_point = 0
    # Levels around an offset (an asymmetric quantizer's) cost less counted from the lowest.
    if max(1, (high - low).bit_length()) < bits_of(datatype):
        zero_point, low, high = -low, 0, high - low
        datatype = datatype_for(low, high)
    return Codes(datatype, low, high, np.asarray(scale), divisor, zero_point)


def is_wide(quantizer: Step) -> bool:
    """Return whether a quantizer has more levels than are ever listed."""
    low, high, _ = quant_levels(quantizer)
    return high - low >= LISTED_LEVELS


def are_whole(values: np.ndarray) -> bool:
    """Return whether numbers are integers but for the roundings of double precision.

    One that is far smaller than 1 and not 0 is a multiple of another unit.
    """
    size = np.abs(values)
    small = (size < 0.5) & (size > 1e-12 * size.max(initial=0))
    near = np.abs(values - np.rint(values)) <= 1e-11 * np.maximum(size, 1)
    return bool(near.all() and not small.any())


def kept_and_moved(steps: Sequence[Step], index: int, n: int) -> tuple[int, tuple[Step, ...]]:
    """Return where the steps that give codes end, and the exact line that follows them.

    The steps end with the quantizer, step `index`, or with what follows it and is not a line.
    """
    end = len(steps)
    while end > index + 1 and line_of(steps[end - 1 :], n) is not None:
        end -= 1
    while end < len(steps) and steps[end].op == "Mark":
        end += 1
    return end, tuple(steps[end:])


def quantised_codes(steps: Sequence[Step], index: int, end: int, n: int) -> Codes | None:
    """Return the codes of steps of which number `index` is the last quantizer, up to `end`.

    None if what follows the quantizer leaves the multiples of its scale.
    """
    quantizer = steps[index]
    after = [step for step in steps[index + 1 : end] if step.op != "Mark"]
    if not after:
        return Codes.of(quantizer)
    low, high, step = quant_levels(quantizer)
    scale = quant_scale(quantizer)
    levels = np.arange(low, high + 1, step)
    unit = np.broadcast_to(scale.astype(np.float64), n)
    values = evaluate_steps(after, levels[:, None] * unit) / unit
    integers = np.rint(values)
    if not are_whole(values):
        return None
    return codes_of_levels(np.unique(integers.astype(np.int64)), scale)
