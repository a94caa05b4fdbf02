"""Thresholds as a multiplication: the pair of constants with the fewest digits.

For thresholds t_1 < t_2 < ... of a sum x, ``floor((a x + b) / 2^s)`` counts those that x has
reached where, for each k, ``a t_k + b >= k 2^s`` and ``a (t_k - 1) + b < k 2^s``. There is such a
b where the numbers ``k 2^s - a t_k`` lie within a - 1 of each other, and it is any of an interval.
That is a condition on each two thresholds; all of them leave an interval of ``a / 2^s``.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from finn_builds.sparse.scaled import Scaled
from finn_builds.sparse.share import signed_digits

#: Thresholds below which a search is as cheap.
MIN_STEPS = 4
#: Signed digits of a factor beyond which other forms are cheaper.
MAX_DIGITS = 5
#: Factors that are tried of one shift.
MAX_FACTORS = 48


def fitted(thresholds: Sequence[int]) -> Scaled | None:
    """Return the form of fewest digits that counts ascending thresholds; None if there is none."""
    if len(thresholds) < MIN_STEPS:
        return None
    t = np.array(thresholds, dtype=np.int64)
    ends = _ratios(t)
    if ends is None:
        return None
    low, high = ends
    best: tuple[int, Scaled] | None = None
    # A dyadic number in the interval has about as many places as the interval is narrow.
    for shift in range(64 - int(np.abs(t).max()).bit_length() - len(t).bit_length()):
        first = int(low * (1 << shift)) + 1
        last = -int(-high * (1 << shift)) - 1
        for factor in range(first, min(last, first + MAX_FACTORS - 1) + 1):
            digits = len(signed_digits(factor))
            if digits > MAX_DIGITS or (best is not None and digits >= best[0]):
                continue
            off = (np.arange(1, len(t) + 1) << shift) - factor * t
            least, most = int(off.max()), int(off.min()) + factor - 1
            if least <= most:
                offset = _roundest(least, most)
                best = digits, Scaled(factor, offset, shift, "FLOOR", 0, len(t))
        if last - first >= MAX_FACTORS or (best is not None and best[0] == 1):
            break
    return None if best is None else best[1]


def _ratios(t: np.ndarray) -> tuple[Fraction, Fraction] | None:
    """Return the ends of the open interval in which a / 2^s must lie, None if it is empty."""
    low, high = Fraction(0), None
    # Neighbours first: they rule out most of what is not uniform.
    for apart in range(1, len(t)):
        steps = t[apart:] - t[:-apart]
        narrow, wide = int(steps.min()), int(steps.max())
        low = max(low, Fraction(apart, narrow + 1))
        if wide > 1:
            limit = Fraction(apart, wide - 1)
            high = limit if high is None else min(high, limit)
        if high is not None and low >= high:
            return None
    return None if high is None else (low, high)


def _roundest(low: int, high: int) -> int:
    """Return the number of the interval with the most zeros at its end."""
    if low <= 0 <= high:
        return 0
    zeros = (low - 1 ^ high).bit_length() - 1
    return (high >> zeros) << zeros
