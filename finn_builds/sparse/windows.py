"""Counts of thresholds of which a window has at most one: a table and one comparison.

The high bits of a number say in which window it lies. A table of them says how many thresholds are
passed at least, and one comparison of the low bits decides the one within, its bound picked by the
table. A binary search has a comparison for every bit of the count, and each sees the whole number.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from finn_builds.sparse.cost import estimate
from finn_builds.sparse.family import CompareShape, Family
from finn_builds.sparse.graph import Builder
from finn_builds.sparse.logic import compare_shape
from finn_builds.sparse.nodes import Compare, Field, Term
from finn_builds.sparse.tablenet import table_luts

# High bits that say in which window a number lies: a table of more costs what comparisons save.
MAX_WINDOW_BITS = 7
# High bits that pick the bound of a comparison themselves.
MAX_DIRECT_BITS = 5


@dataclass(frozen=True)
class Windows:
    """A count as ``(least[high] + reached) mod 2^count_bits``, `high` the top `bits` of the number.

    `reached` is ``number mod 2^low >= bounds[high]``. Where no threshold lies within a window,
    `least` is one less than the count, and the bound is 0. If `coded`, the bound is picked by
    `least` and a bit above it, which says whether a threshold lies within.
    """

    bits: int
    low: int
    count_bits: int
    least: tuple[int, ...]
    bounds: tuple[int, ...]
    coded: bool

    @property
    def code(self) -> list[int]:
        """The table of the high bits: `least`, and the bit above it if coded."""
        within = zip(self.least, self.bounds, strict=True)
        return [k + ((self.coded and bound > 0) << self.count_bits) for k, bound in within]

    @property
    def code_bits(self) -> int:
        """Bits of the table's values."""
        return self.count_bits + self.coded

    def picked(self) -> list[int]:
        """Return the bound for each value of what picks it."""
        if not self.coded:
            return list(self.bounds)
        bounds = [0] * (1 << self.code_bits)
        for code, bound in zip(self.code, self.bounds, strict=True):
            bounds[code] = bound
        return bounds

    def shape(self, family: Family) -> CompareShape:
        """Return the form of the comparison."""
        select = Field(0, 0, self.code_bits if self.coded else self.bits)
        return compare_shape(
            Compare(Field(0, 0, self.low), (select,), tuple(self.picked())), family
        )

    def table_luts(self, family: Family) -> int:
        """Return the LUTs of the table."""
        return table_luts(self.code, self.bits, self.code_bits, family.lut_inputs)

    def build(self, builder: Builder, node: int, top: int, label: str) -> int:
        """Return the node of the count, `top` at most."""
        high = Field(node, builder.width(node) - self.bits, self.bits)
        code = builder.table([high], self.code, f"{label}_window")
        select = builder.whole(code) if self.coded else high
        low = Field(node, 0, self.low)
        reached = builder.compare(low, [select], self.picked(), f"{label}_last")
        least = builder.concat([Field(code, 0, min(self.count_bits, builder.width(code)))])
        return _raised(builder, least, reached, self.count_bits, top, label)


def cheapest_windows(
    thresholds: Sequence[int], width: int, top: int, family: Family, most: int, quick: bool
) -> tuple[int, Windows] | None:
    """Return the LUTs of the cheapest windows, less than `most`, and these; None without such.

    The thresholds ascend, all within 1..top; the number has `width` bits. If it has to be `quick`,
    the comparison is one whose bounds are in its own LUTs.
    """
    tried = []
    for found in windows_of(thresholds, width, top):
        shape = found.shape(family)
        if not (quick and shape.kind == "bounds"):
            tried.append((shape.luts + _raised_luts(found.count_bits, family), found))
    best = None
    for luts, found in sorted(tried, key=lambda one: (one[0], one[1].coded, one[1].low)):
        # A LUT makes two functions at best.
        if luts + (found.code_bits + 1) // 2 < most and luts + found.table_luts(family) < most:
            most = luts + found.table_luts(family)
            best = most, found
    return best


def windows_of(thresholds: Sequence[int], width: int, top: int) -> list[Windows]:
    """Return the windows of each size, divided no further than their thresholds ask for."""
    count_bits = len(thresholds).bit_length()
    windows = []
    for low in range(1, width):
        for bits in range(width - low, min(width - 1, MAX_WINDOW_BITS) + 1):
            found = _divided(thresholds, width, top, low, bits)
            if found is None:
                continue
            if any(found[1]):
                windows.append(Windows(bits, low, count_bits, *found, True))
                if bits <= MAX_DIRECT_BITS:
                    windows.append(Windows(bits, low, count_bits, *found, False))
            break
    return windows


def _divided(
    thresholds: Sequence[int], width: int, top: int, low: int, bits: int
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return `least` and `bounds` of windows of 2^low numbers.

    Those with two thresholds are divided into what the top `bits` of a number tell apart. None
    where one of these still has two.
    """
    fine = width - bits
    size = 1 << len(thresholds).bit_length()
    least: list[int] = []
    bounds: list[int] = []
    for first in range(0, 1 << width, 1 << fine):
        if first > top:
            # Never reached: what costs nothing.
            least.append(least[-1])
            bounds.append(bounds[-1])
            continue
        for unit in (low, fine):
            start = first >> unit << unit
            passed = bisect_right(thresholds, start)
            within = bisect_left(thresholds, start + (1 << unit)) - passed
            if within <= 1:
                break
        else:
            return None
        least.append(passed if within else (passed - 1) % size)
        bounds.append(thresholds[passed] & ((1 << low) - 1) if within else 0)
    return tuple(least), tuple(bounds)


@lru_cache(maxsize=64)
def _raised_luts(bits: int, family: Family) -> int:
    """Return the LUTs of a number of some bits plus one bit."""
    builder, top = Builder(2), (1 << bits) - 1
    least, reached = builder.input(0, 0, top), builder.input(1, 0, 1)
    return estimate(builder.finish([_raised(builder, least, reached, bits, top, "")]), family).luts


def _raised(builder: Builder, least: int, reached: int, bits: int, top: int, label: str) -> int:
    """Return a number of some bits plus one bit, 0 after all ones."""
    total = builder.sum([Term(least), Term(reached)], 0, f"{label}_sum")
    return builder.concat([Field(total, 0, min(bits, builder.width(total)))], label, top)
