"""Exact arithmetic for a model whose sums need more bits than a double's mantissa has.

Numbers are arrays of objects: each element is a Fraction, or a float where it is infinite. Every
constant of a model is a binary fraction, so that factors, addends, sums and quantizers are exact.
What has no exact value (a sigmoid, a root) is computed in double precision from the nearest double.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from itertools import chain
from math import ceil, floor, isfinite, lcm
from typing import Any

import numpy as np

#: Integers from here on are computed with exactly, in place of double precision: below it the
#: roundings of a few operations in double precision stay far below one unit.
EXACT_FROM = 1 << 40
#: Sums of products of whole numbers below this are exact in double precision.
_MANTISSA = 52
_HALF = Fraction(1, 2)

Numbers = np.ndarray  # of objects

_ROUNDED: dict[str, Callable[[Fraction], int]] = {
    "ROUND": round,
    "HALF_EVEN": round,
    "FLOOR": floor,
    "CEIL": ceil,
    "DOWN": lambda v: floor(v) if v > 0 else ceil(v),
    "ROUND_TO_ZERO": lambda v: floor(v) if v > 0 else ceil(v),
    "UP": lambda v: ceil(v) if v > 0 else floor(v),
    "HALF_UP": lambda v: floor(v + _HALF) if v > 0 else ceil(v - _HALF),
    "HALF_DOWN": lambda v: ceil(v - _HALF) if v > 0 else floor(v + _HALF),
}


def rationals(values: Any) -> Numbers:
    """Return numbers as they are, exactly, in the shape of the argument."""
    array = np.asarray(values)
    if array.dtype == object:
        return array
    distinct, at = np.unique(array, return_inverse=True)
    exact = np.empty(len(distinct), dtype=object)
    exact[:] = [Fraction(v) if isfinite(v) else v for v in distinct.tolist()]
    return exact[at.reshape(-1)].reshape(array.shape)


def doubles(values: Any) -> np.ndarray:
    """Return the nearest doubles of numbers."""
    return np.asarray(values, dtype=np.float64)


def each(function: Callable[..., Any], *arrays: Any) -> Numbers:
    """Return a function of each element, the arrays broadcast."""
    found = np.frompyfunc(function, len(arrays), 1)(*arrays)
    return np.asarray(found, dtype=object)


def rounded(x: Numbers, mode: str) -> Numbers:
    """Return whole numbers, rounded in one of the modes of QONNX's Quant."""
    how = _ROUNDED[mode.upper()]
    return each(lambda v: Fraction(how(v)) if isfinite(v) else v, x)


def clipped(x: Numbers, low: Any, high: Any) -> Numbers:
    """Return numbers held between bounds, None where there is none."""
    if low is not None:
        x = np.maximum(x, rationals(low))
    return x if high is None else np.minimum(x, rationals(high))


def quantised(
    x: Numbers, scale: Any, zero_point: Any, bounds: tuple[int, int], mode: str
) -> Numbers:
    """Return what a Quant gives: codes within bounds, times its scale."""
    unit, zero = rationals(scale), rationals(zero_point)
    codes = rounded(clipped(x / unit + zero, *bounds), mode)
    return np.asarray((codes - zero) * unit)


def signed_bit(x: Numbers, scale: Any, zero_point: Any) -> Numbers:
    """Return what a Quant of one signed bit gives: -1 or 1, times its scale."""
    unit, zero = rationals(scale), rationals(zero_point)
    codes = each(lambda v: Fraction(1 if v >= 0 else -1), x / unit + zero)
    return np.asarray((codes - zero) * unit)


def normalised(x: Numbers, parameters: Sequence[Any], epsilon: float) -> Numbers:
    """Return a BatchNormalization; its root alone is that of double precision."""
    gamma, beta, mean, var = parameters
    std = np.sqrt(doubles(var) + np.float64(np.float32(epsilon)))
    factor = rationals(gamma) / rationals(std)
    return np.asarray((x - rationals(mean)) * factor + rationals(beta))


def affine(
    function: Callable[[list[np.ndarray]], np.ndarray], operands: Sequence[Numbers], growth: int
) -> Numbers:
    """Return an affine function, known on doubles, of exact numbers.

    It is applied to a few bits of all operands at a time, in which double precision is exact: its
    results grow by at most `growth` bits, and have as many whole multiples as its constants need.
    """
    nothing = function([np.zeros(x.shape) for x in operands])
    below = lcm(*{v.denominator for x in operands for v in x.flat})
    total = np.zeros(nothing.shape, dtype=object)
    width = _MANTISSA - growth
    for shift, parts in _pieces(operands, below, width):
        found = np.rint(function(parts) - nothing).astype(np.int64).astype(object)
        total = total + found * (1 << shift)
    return np.asarray(each(lambda v: Fraction(v, below), total) + rationals(nothing))


def bilinear(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    left: Numbers,
    right: Numbers,
    terms: int,
) -> Numbers:
    """Return a function that is linear in each of two operands, as sums of up to `terms` products.

    The function is known on doubles.
    """
    bits = (_MANTISSA - terms.bit_length()) // 2
    below = lcm(*{v.denominator for v in right.flat})
    total: Any = 0
    for shift, (part,) in _pieces([right], below, bits):
        growth = terms.bit_length() + bits
        found = affine(partial(_on_first, function, part), [left], growth)
        total = total + found * (1 << shift)
    return np.asarray(total / Fraction(below))


def _on_first(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    second: np.ndarray,
    operands: list[np.ndarray],
) -> np.ndarray:
    return function(operands[0], second)


def _pieces(
    operands: Sequence[Numbers], below: int, width: int
) -> list[tuple[int, list[np.ndarray]]]:
    """Return numbers times `below` as doubles of `width` bits, and the shift of each such part."""
    whole = [[v.numerator * (below // v.denominator) for v in x.flat] for x in operands]
    most = max((abs(v).bit_length() for v in chain(*whole)), default=0)
    mask = (1 << width) - 1
    found = []
    for shift in range(0, max(most, 1), width):
        parts = [
            np.array(
                [((abs(v) >> shift) & mask) * (1 if v > 0 else -1) for v in values],
                dtype=np.float64,
            ).reshape(x.shape)
            for values, x in zip(whole, operands, strict=True)
        ]
        found.append((shift, parts))
    return found


def by_rank(
    function: Callable[[list[np.ndarray | None]], list[np.ndarray]],
    operands: Sequence[Numbers | None],
) -> list[np.ndarray]:
    """Return a function that only compares and chooses elements, known on doubles."""
    known = [x for x in operands if x is not None]
    order = sorted({v for x in known for v in x.flat})
    rank = {v: float(k) for k, v in enumerate(order)}
    values = np.empty(len(order), dtype=object)
    values[:] = order
    ranks = [None if x is None else doubles(each(rank.__getitem__, x)) for x in operands]
    return [
        values[np.rint(y).astype(np.int64)] if y.dtype.kind == "f" else y for y in function(ranks)
    ]
