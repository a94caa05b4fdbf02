"""Thresholds: how many of a neuron's constants its accumulator has reached, as logic.

The accumulator is an unsigned node here and every offset is already in the thresholds, so a bias
costs nothing. Four shapes compete, by their LUTs:

- *table*: the accumulator's high bits and one carry, the comparison of its low bits with the
  residue that all thresholds share, address a truth table. Uniform thresholds with a step of a
  power of two are this: an added constant, a shift and a clip. A shared residue of 0 means that
  no threshold sees the low bits at all.
- *search*: binary search, one comparison per output bit, its bound picked by the bits before.
- *windows*: a table of the high bits and one comparison of the low ones (`windows`), where
  thresholds lie far enough apart.
- *clip*: the constant is really added, then shift and clip. Where ranges already keep the sum
  within the clip only wires are left: one threshold is then the top bit of the sum.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Builder
from finn_builds.sparse.logic import clip_luts, compare_shape
from finn_builds.sparse.nodes import Clip, Compare, Field
from finn_builds.sparse.tablenet import table_luts
from finn_builds.sparse.windows import Windows, cheapest_windows

# A table of more address bits than this is never cheaper and takes long to cost.
MAX_TABLE_BITS = 9


@dataclass(frozen=True)
class Count:
    """A node and how it counts: passed thresholds = `scale * node + offset`."""

    node: int
    scale: int
    offset: int


@dataclass(frozen=True)
class _Plan:
    """A shape that counts thresholds, `kind` `table`, `search` or `windows`, and what it costs."""

    luts: int
    depth: int
    kind: str
    low_bits: int = 0
    windows: Windows | None = None


def _table_values(thresholds: Sequence[int], low_bits: int, width: int, top: int) -> list[int]:
    """Return the table over (carry, high bits); unreachable addresses repeat the last value."""
    values = []
    for high in range(1 << (width - low_bits)):
        high = min(high, top >> low_bits)
        for carry in (0, 1) if low_bits else (1,):
            seen = (high << low_bits) + (((1 << low_bits) - 1) if carry else 0)
            values.append(bisect_right(thresholds, seen))
    return values


def _plan_tables(thresholds: Sequence[int], width: int, top: int, family: Family) -> list[_Plan]:
    plans = []
    out_bits = len(thresholds).bit_length()
    for low in range(width):
        residues = {t & ((1 << low) - 1) for t in thresholds}
        if len(residues) > 1:
            break
        carry = low > 0 and residues != {0}
        bits = width - low + carry
        if bits > MAX_TABLE_BITS:
            continue
        values = _table_values(thresholds, low, width, top)
        if low and not carry:
            values = values[0::2]
        luts = table_luts(values, bits, out_bits, family.lut_inputs)
        if carry:
            residue = residues.pop()
            luts += compare_shape(Compare(Field(0, 0, low), (), (residue,)), family).luts
        plans.append(_Plan(luts, 1 + carry, "table", low))
    return plans


@dataclass(frozen=True)
class ClipShape:
    """Uniform thresholds as `min(max((acc + const) >> shift, 0), top)`, less `surplus`.

    `const` is in units of the accumulator; `surplus` counts thresholds that were added below
    the accumulator's range to make `top` one less than a power of two.
    """

    const: int
    shift: int
    top: int
    surplus: int

    def luts(self, lo: int, hi: int, family: Family) -> int:
        """Return the LUTs of the clip for an accumulator in [lo, hi]."""
        clip = Clip(0, self.shift, self.top)
        return clip_luts(clip, lo + self.const, hi + self.const, family.lut_inputs)


def clip_shape(thresholds: Sequence[int], lo: int, hi: int) -> ClipShape | None:
    """Return thresholds as an added constant, a shift and a clip; None where they are not uniform.

    The thresholds ascend, all of them in lo+1 .. hi, the inclusive range of the accumulator.
    """
    first, last, n = thresholds[0], thresholds[-1], len(thresholds)
    if n == 1:
        # The one bit that says it, with the sum in [0, 2^(shift+1)): no clip is left.
        shift = max((first - lo - 1).bit_length(), (hi - first).bit_length())
        return ClipShape((1 << shift) - first, shift, 1, 0)
    steps = {b - a for a, b in itertools.pairwise(thresholds)}
    step = steps.pop()
    if steps or step <= 0 or step & (step - 1):
        return None
    top = (1 << n.bit_length()) - 1
    missing = top - n
    if last + step > hi:
        surplus = 0  # more thresholds above, never reached
    elif first - step <= lo:
        surplus = missing  # more thresholds below, always passed
    elif missing == 0:
        surplus = 0
    else:
        return None
    const = step - (first - surplus * step)
    return ClipShape(const, step.bit_length() - 1, top, surplus)


def _search_bounds(thresholds: Sequence[int], bit: int, bits: int, never: int) -> list[int]:
    """Return the bound of output bit `bit` for each value of the bits above it."""
    bounds = []
    for above in range(1 << (bits - 1 - bit)):
        index = above * (2 << bit) + (1 << bit) - 1
        bounds.append(thresholds[index] if index < len(thresholds) else never)
    return bounds


def _plan_search(thresholds: Sequence[int], width: int, family: Family) -> _Plan:
    bits = len(thresholds).bit_length()
    luts = 0
    for bit in range(bits):
        bounds = _search_bounds(thresholds, bit, bits, 1 << width)
        select = (Field(0, 0, bits - 1 - bit),) if bit < bits - 1 else ()
        luts += compare_shape(Compare(Field(0, 0, width), select, tuple(bounds)), family).luts
    return _Plan(luts, 2 * bits, "search")


def best_plan(thresholds: Sequence[int], width: int, top: int, family: Family) -> _Plan:
    """Return the cheapest shape for ascending thresholds, all within 1..top."""
    plans = [
        *_plan_tables(thresholds, width, top, family),
        _plan_search(thresholds, width, family),
    ]
    best = min(plans, key=lambda p: (p.luts, p.depth))
    # A table is a LUT or two deep, a search a comparison for every bit of the count.
    quick = best.kind == "table"
    found = cheapest_windows(thresholds, width, top, family, best.luts, quick)
    return best if found is None else _Plan(found[0], 4, "windows", windows=found[1])


def reachable(thresholds: Sequence[int], lo: int, hi: int) -> tuple[int, list[int]]:
    """Return how many thresholds [lo, hi] always passes and those that decide."""
    always = sum(t <= lo for t in thresholds)
    return always, [t for t in thresholds if lo < t <= hi]


def count_passed(
    builder: Builder,
    node: int,
    thresholds: Sequence[int],
    label: str,
    family: Family,
    missed: bool = False,
) -> Count:
    """Build the count of ascending thresholds that an unsigned node's value has reached.

    With `missed` a table counts the thresholds that are not reached; it costs the same, and saves
    whoever needs that number the inverters.
    """
    lo, hi = builder.ranges[node]
    always, rest = reachable(thresholds, lo, hi)
    if not rest:
        return Count(builder.const(0), 1, always)
    width = builder.width(node)
    plan = best_plan(rest, width, hi, family)
    if plan.kind == "search":
        return Count(_search(builder, node, rest, label), 1, always)
    if plan.windows is not None:
        return Count(plan.windows.build(builder, node, len(rest), label), 1, always)
    low = plan.low_bits
    values = _table_values(rest, low, width, hi)
    fields = [Field(node, low, width - low)]
    residue = rest[0] & ((1 << low) - 1)
    if low and residue:
        carry = builder.compare(Field(node, 0, low), (), (residue,), f"{label}_carry")
        fields.insert(0, Field(carry, 0, 1))
    elif low:
        values = values[0::2]
    if missed:
        values = [len(rest) - v for v in values]
        return Count(builder.table(fields, values, label), -1, always + len(rest))
    return Count(builder.table(fields, values, label), 1, always)


def _search(builder: Builder, node: int, thresholds: Sequence[int], label: str) -> int:
    width = builder.width(node)
    bits = len(thresholds).bit_length()
    known: list[Field] = []
    for bit in reversed(range(bits)):
        bounds = _search_bounds(thresholds, bit, bits, 1 << width)
        found = builder.compare(Field(node, 0, width), known, bounds, f"{label}_b{bit}")
        known = [Field(found, 0, 1), *known]
    # An exact range: an offset added to a range too wide would need a bit that is never set.
    return builder.concat(known, label, top=len(thresholds))
