"""Quantizers of many levels: a factor, an offset, a shift and a clip, never a list of levels."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor, log2

import numpy as np

from finn_builds.errors import UserError
from finn_builds.ingest.elementwise import quant_levels
from finn_builds.ingest.steps import Step
from finn_builds.ingest.symbol import Line, fractions
from finn_builds.network import Affine, Requantise
from finn_builds.network.rules import MAX_INSIDE

#: Steps that hold a value between bounds.
CLAMPS = ("Relu", "Clip", "Min", "Max")
#: Bits of a shift beyond which a binary fraction is rounded like any other.
MAX_SHIFT = 56


def wide_requantise(
    line: Line,
    clamps: Sequence[Step],
    quantizer: Step,
    low: np.ndarray,
    high: np.ndarray,
) -> tuple[np.ndarray, Requantise]:
    """Return a Quant of clamped ``scale * integer + offset`` as an exact operation, with its signs.

    The integers are within `low` to `high`, (n,); those of an element whose sign is -1 are to be
    negated first. Codes are the quantizer's levels. Raises UserError where no factor, offset and
    shift give the same codes for every integer.
    """
    n = len(low)
    unit, zero = fractions(quantizer.constants[0]), int(quantizer.constants[1])
    least, most, _ = quant_levels(quantizer)
    scale, offset = line.scale / unit, line.offset / unit + zero
    least, most = _bounds(clamps, unit, zero, least + zero, most + zero, quantizer)
    sign = np.array([-1 if factor < 0 else 1 for factor in scale], dtype=np.int64)
    ends = np.where(sign < 0, -high, low), np.where(sign < 0, -low, high)
    mode = str(quantizer.attrs["rounding_mode"])
    mode = "ROUND" if mode == "HALF_EVEN" else mode
    lines = list(zip(map(abs, scale), offset, *(end.tolist() for end in ends), strict=True))
    form = _form(lines, mode, least, most)
    if form is None:
        # Levels that never come out leave room in the widest numbers.
        reached = [
            (_rounded(a * lo + b, mode), _rounded(a * hi + b, mode)) for a, b, lo, hi in lines
        ]
        lowest, highest = min(r[0] for r in reached), max(r[1] for r in reached)
        least, most = max(least, min(lowest, most)), min(most, max(highest, least))
        form = _form(lines, mode, least, most)
    if form is None:
        j = next(
            j
            for j in range(n)
            if _same_steps(*lines[j][:2], mode, least, most, *lines[j][2:]) is None
        )
        raise UserError(
            f"{quantizer} divides by a scale ({float(1 / abs(scale[j])):g} of the units that "
            f"reach it) that no factor within {MAX_INSIDE.bit_length() - 1} bits gives exactly "
            f"for element {j}; quantise to 8 bits or fewer there, or train it with a scale "
            "that is a power of two and fold BatchNormalization into the weights"
        )
    return sign, Requantise(form, least - zero)


def _form(
    lines: Sequence[tuple[Fraction, Fraction, int, int]], mode: str, least: int, most: int
) -> Affine | None:
    """Return lines between two integers each, clipped to levels, as one operation, or None."""
    binary = [_binary(*line) for line in lines]
    exact = [form for form in binary if form is not None]
    farthest = max(abs(least), abs(most))
    if len(exact) == len(lines) and all(farthest << s < MAX_INSIDE // 4 for _, _, s in exact):
        factor, added, shift = (np.array(part, dtype=np.int64) for part in zip(*exact, strict=True))
        mode, added = _plainest(mode, factor, added, shift, least)
        return Affine(factor, added - (least << shift), shift, most - least, mode, -least)
    found = [_same_steps(*line[:2], mode, least, most, *line[2:]) for line in lines]
    same = [form for form in found if form is not None]
    if len(same) < len(lines):
        return None
    factor, added, shift = (np.array(part, dtype=np.int64) for part in zip(*same, strict=True))
    return Affine(factor, added, shift, most - least)


def clamp(line: Line, clamps: Sequence[Step], low: int, high: int) -> Requantise | None:
    """Return clamps of a growing line of integers within `low` to `high` as an operation on those.

    None where there are no clamps, or a bound is not one integer for all elements.
    """
    if not clamps or any(factor <= 0 for factor in line.scale):
        return None
    least, most = low, high
    for step in clamps:
        ends = _ends_of(step)
        for bound, is_low in zip(ends, (True, False), strict=True):
            if bound is None:
                continue
            codes = set((fractions(bound) - line.offset) / line.scale)
            code = codes.pop()
            if codes or code.denominator != 1:
                return None
            if is_low:
                least, most = max(least, int(code)), max(most, int(code))
            else:
                least, most = min(least, int(code)), min(most, int(code))
    n = len(line.scale)
    zeros = np.zeros(n, dtype=np.int64)
    affine = Affine(zeros + 1, zeros - least, zeros, most - least, "FLOOR", -least)
    return Requantise(affine, least)


def _ends_of(step: Step) -> Sequence[np.ndarray | None]:
    """Return the lower and the upper bound of a clamp."""
    match step.op:
        case "Relu":
            return np.zeros(()), None
        case "Clip":
            return step.constants[0], step.constants[1]
        case "Min":
            return None, step.constants[0]
        case _:
            return step.constants[0], None


def _bounds(
    clamps: Sequence[Step],
    unit: Fraction | np.ndarray,
    zero: int,
    least: int,
    most: int,
    quantizer: Step,
) -> tuple[int, int]:
    """Return the codes at which clamps in front of a quantizer hold what it gives.

    A bound comes through rounding unchanged in order: the clamp may follow the rounding.
    """
    for step in clamps:
        low, high = _ends_of(step)
        for bound, is_low in ((low, True), (high, False)):
            if bound is None:
                continue
            codes = np.atleast_1d(fractions(bound) / unit + zero)
            rounded = {_rounded(code, str(quantizer.attrs["rounding_mode"])) for code in codes}
            if len(rounded) > 1:
                raise UserError(
                    f"{step} has bounds that differ between elements in front of {quantizer}, "
                    "which gives more than 256 levels; use one bound, or fewer bits"
                )
            (code,) = rounded
            if is_low:
                least, most = max(least, min(code, most)), max(most, min(code, most))
            else:
                least, most = min(least, max(code, least)), min(most, max(code, least))
    return least, most


def _binary(scale: Fraction, offset: Fraction, low: int, high: int) -> tuple[int, int, int] | None:
    """Return factor, offset and shift of a line of binary fractions, or None."""
    if scale.denominator & (scale.denominator - 1):
        return None
    whole = offset * scale.denominator
    if scale.denominator > 1 and (2 * whole).denominator > 1:
        # Levels change where the line is a multiple of 1/2. No integer lies between such a place
        # and the offset that is halfway between its neighbours: what it is exactly does not matter.
        offset = (floor(whole) + Fraction(1, 2)) / scale.denominator
    below = max(scale.denominator, offset.denominator)
    if below & (below - 1):
        return None
    shift = below.bit_length() - 1
    factor, added = int(scale * below), int(offset * below)
    if shift > MAX_SHIFT or factor * max(abs(low), abs(high)) + abs(added) >= MAX_INSIDE // 2:
        return None
    return factor, added, shift


def _plainest(
    mode: str, factor: np.ndarray, added: np.ndarray, shift: np.ndarray, least: int
) -> tuple[str, np.ndarray]:
    """Return a rounding mode that needs less logic, and the offset that goes with it."""
    half = (np.int64(1) << shift) >> 1
    rest = (np.int64(1) << shift) - 1
    if not shift.any():
        return "FLOOR", added
    if mode == "CEIL" or (mode == "UP" and least >= 0):
        return "FLOOR", added + rest
    if mode == "DOWN" and least >= 0:
        return "FLOOR", added
    # Where the number is never halfway between two integers all of these agree.
    step = np.gcd(np.maximum(factor, 0), np.int64(1) << shift)
    tie = (half - added) % step == 0
    if mode == "HALF_UP" and least >= 0:
        return "FLOOR", added + half
    if mode == "HALF_DOWN" and least >= 0:
        return "FLOOR", added + np.maximum(half - 1, 0)
    if mode in ("ROUND", "HALF_UP", "HALF_DOWN") and not (tie & (shift > 0)).any():
        return "FLOOR", added + half
    return mode, added


def _rounded(value: Fraction, mode: str) -> int:
    half = Fraction(1, 2)
    size = abs(value)
    sign = -1 if value < 0 else 1
    match mode:
        case "FLOOR":
            return floor(value)
        case "CEIL":
            return ceil(value)
        case "DOWN":
            return sign * floor(size)
        case "UP":
            return sign * ceil(size)
        case "HALF_UP":
            return sign * floor(size + half)
        case "HALF_DOWN":
            return sign * ceil(size - half)
        case _:
            return round(value)


@lru_cache(maxsize=4096)
def _same_steps(
    scale: Fraction, offset: Fraction, mode: str, least: int, most: int, low: int, high: int
) -> tuple[int, int, int] | None:
    """Return factor, offset and shift whose floor, from `least` on, has the steps of a line.

    Both are compared at every step within `low` to `high`: the first integer that reaches a level
    has to reach it, and the one below must not.
    """
    if not scale:
        return 0, min(max(_rounded(offset, mode), least), most) - least, 0
    steps = _steps(scale, offset, mode, least, most, low, high)
    if not steps:
        level = _rounded(scale * low + offset, mode)
        return 0, min(max(level, least), most) - least, 0
    levels = np.array([level - least for level, _ in steps], dtype=np.int64)
    first = np.array([at for _, at in steps], dtype=np.int64)
    # At both ends of the range too, which may lie within a level.
    at_low, at_high = (
        min(max(_rounded(scale * end + offset, mode), least), most) - least for end in (low, high)
    )
    # Bits of the largest number in front of the shift.
    reach = max(ceil(scale * max(abs(low), abs(high))), most - least).bit_length() + 2
    start = max(0, ceil(-log2(scale)))
    for shift in range(start, min(MAX_SHIFT, MAX_INSIDE.bit_length() - 1 - reach) + 1):
        nominal = scale * (1 << shift)
        for factor in sorted({floor(nominal), ceil(nominal)}, key=lambda a: abs(a - nominal)):
            up = (levels << shift) - factor * first
            lowest, highest = int(up.max()), int((up + factor - 1).min())
            if at_low > 0:
                lowest = max(lowest, (at_low << shift) - factor * low)
            if at_high < most - least:
                highest = min(highest, ((at_high + 1) << shift) - 1 - factor * high)
            if factor and lowest <= highest:
                return factor, _roundest(lowest, highest), shift
    return None


def _steps(
    scale: Fraction, offset: Fraction, mode: str, least: int, most: int, low: int, high: int
) -> list[tuple[int, int]]:
    """Return each level that is first reached within low + 1 .. high, and where."""
    begin = max(least + 1, _rounded(scale * low + offset, mode))
    end = min(most, _rounded(scale * high + offset, mode))
    found = []
    for level in range(begin, end + 1):
        at = _first(level, scale, offset, mode)
        if low < at <= high:
            found.append((level, at))
    return found


def _first(level: int, scale: Fraction, offset: Fraction, mode: str) -> int:
    """Return the smallest integer whose line rounds to `level` or more."""
    near = {"FLOOR": Fraction(0), "CEIL": Fraction(1), "DOWN": Fraction(int(level <= 0))}
    back = near.get(mode, Fraction(int(level > 0)) if mode == "UP" else Fraction(1, 2))
    at = floor((level - back - offset) / scale)
    return at if _rounded(scale * at + offset, mode) >= level else at + 1


def _roundest(low: int, high: int) -> int:
    """Return the integer from low to high with the most trailing zeros."""
    if low <= 0 <= high:
        return 0
    bits = max(0, (high - low).bit_length())
    for k in range(bits + 1, -1, -1):
        candidate = -(-low >> k) << k
        if low <= candidate <= high:
            return candidate
    return low
