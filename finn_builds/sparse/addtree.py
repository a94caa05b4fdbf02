"""Sums of many terms as trees of carry chains."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeAlias

import numpy as np

from finn_builds.network.ops import IntArray
from finn_builds.sparse.graph import Builder
from finn_builds.sparse.nodes import Term

# Partners that are tried for the smallest term of a sum.
PARTNERS = 7


# The positions of a number on a chain: its lowest, and the one above its highest.
Span: TypeAlias = tuple[int, int]


def chain_luts(spans: Sequence[Span]) -> int:
    """Return about how many LUTs a chain over up to four numbers takes, a constant included."""
    if len(spans) < 2:
        return 0
    low, top = sorted(s[0] for s in spans)[1], sorted(s[1] for s in spans)
    if len(spans) == 2:
        return max(0, top[0] - low)
    return max(0, top[-2] - low) + (top[-1] > top[-2])


def pick(spans: Sequence[Span], arity: int, levels: Sequence[int] | None) -> tuple[int, ...]:
    """Return which of some numbers, the smallest first, to add next, the first among them.

    `arity` is what one chain adds, 2 or 3; `levels` are the chains that each number has passed,
    where trees are to be balanced.
    """
    # Ranked by LUTs per number that is got rid of, level, top. This is the search's inner loop.
    count = min(len(spans), PARTNERS + 1)
    low, top = spans[0]
    level = levels[0] if levels else 0
    best: tuple[float, int, int] | None = None
    chosen: tuple[int, ...] = ()
    for k in range(1, count):
        low_k, top_k = spans[k]
        level_k = levels[k] if levels and levels[k] > level else level
        low_min, low_max = (low, low_k) if low < low_k else (low_k, low)
        top_min, top_max = (top, top_k) if top < top_k else (top_k, top)
        luts = top_min - low_max
        if arity == 2 or luts <= 0 or len(spans) == 2:
            rank = (float(luts if luts > 0 else 0), level_k, top_max)
            if best is None or rank < best:
                best, chosen = rank, (0, k)
        if arity == 2:
            continue
        for m in range(k + 1, count):
            # From the second lowest position to the second highest, and one for the carry.
            low_m, top_m = spans[m]
            start = low_min if low_m < low_min else low_m if low_m < low_max else low_max
            if top_m >= top_max:
                middle, large = top_max, top_m
            else:
                middle, large = top_m if top_m > top_min else top_min, top_max
            half = ((middle - start if middle > start else 0) + (large > middle)) / 2
            if best is not None and half > best[0]:
                continue
            rank = (half, levels[m] if levels and levels[m] > level_k else level_k, large)
            if best is None or rank < best:
                best, chosen = rank, (0, k, m)
    return chosen


@dataclass(frozen=True, eq=False)
class Linear:
    """A node that stands for a linear form of a layer's sources.

    `node = coef @ sources + offset`, where `sources` are the unsigned nodes that feed the layer.
    """

    node: int
    coef: IntArray
    offset: int


@dataclass(frozen=True, eq=False)
class Operand:
    """A signed, shifted linear form on its way into a sum: `sign * (form << shift)`."""

    form: Linear
    shift: int
    sign: int
    level: int


@dataclass(frozen=True)
class Joint:
    """Two nodes that depend on each other: ``scale_a * a + scale_b * b`` lies in low..high."""

    a: int
    b: int
    scale_a: int
    scale_b: int
    low: int
    high: int


class SumBuilder:
    """Builds sums over one layer's sources, of `max_terms` terms a chain, in a graph builder.

    `by_level` balances the trees (least depth) rather than keep chains narrow (fewest LUTs).
    `joint` says which sources depend on each other.
    """

    def __init__(
        self,
        builder: Builder,
        sources: list[int],
        max_terms: int,
        by_level: bool,
        joint: Sequence[Joint] = (),
    ) -> None:
        self.builder = builder
        self.max_terms = max_terms
        self.by_level = by_level
        self.low = np.array([builder.ranges[s][0] for s in sources], dtype=np.int64)
        self.high = np.array([builder.ranges[s][1] for s in sources], dtype=np.int64)
        at = {node: k for k, node in enumerate(sources)}
        self.joint = [(at[j.a], at[j.b], j) for j in joint if j.a in at and j.b in at]
        # LUTs of all chains merged so far, by the rule that ranks merges.
        self.spent = 0
        eye = np.eye(len(sources), dtype=np.int64)
        self.sources = [Linear(s, eye[i], 0) for i, s in enumerate(sources)]

    def range_of(self, coef: IntArray, offset: int) -> tuple[int, int]:
        """Return the exact range of a linear form of the sources."""
        pos, neg = np.maximum(coef, 0), np.minimum(coef, 0)
        lo = int(pos @ self.low + neg @ self.high) + offset
        hi = int(pos @ self.high + neg @ self.low) + offset
        counted = set[int]()
        for a, b, both in self.joint:
            times, rest = divmod(int(coef[a]), both.scale_a)
            if (
                times
                and not rest
                and times * both.scale_b == coef[b]
                and counted.isdisjoint((a, b))
            ):
                # What a source adds is replaced once, whichever others it depends on as well.
                counted |= {a, b}
                for k in (a, b):
                    ends = sorted((int(coef[k] * self.low[k]), int(coef[k] * self.high[k])))
                    lo, hi = lo - ends[0], hi - ends[1]
                ends = sorted((times * both.low, times * both.high))
                lo, hi = lo + ends[0], hi + ends[1]
        return lo, hi

    def _span(self, op: Operand) -> Span:
        return op.shift, op.shift + self.builder.width(op.form.node)

    def merge(
        self,
        ops: tuple[Operand, ...],
        label: str = "",
        target: int | None = None,
        within: tuple[int, int] | None = None,
    ) -> Operand:
        """Return the sum of up to three operands as one operand (one carry chain).

        With a `target`, the sum's node is the plain signed number `coef @ sources + target`.
        `within` is a range that is known to hold the operands' sum, where sources depend on each
        other.
        """
        shift = 0 if target is not None else min(o.shift for o in ops)
        # Where only the highest number is left, its bits are wires unless they are complemented.
        highest = max(ops, key=lambda o: self._span(o)[1])
        flip = highest.sign if target is None else 1
        terms: list[Term] = []
        coef = np.zeros_like(ops[0].form.coef)
        offset = 0
        for o in ops:
            k, sign = o.shift - shift, o.sign * flip
            full = (1 << self.builder.width(o.form.node)) - 1
            terms.append(Term(o.form.node, k, sign < 0))
            coef = coef + sign * (o.form.coef << k)
            offset += (sign * o.form.offset + (full if sign < 0 else 0)) << k
        const = 0 if target is None else target - offset
        offset += const
        lo, hi = self.range_of(coef, offset)
        if within is not None:
            ends = sorted(flip * end for end in within)
            lo, hi = max(lo, (ends[0] >> shift) + offset), min(hi, (ends[1] >> shift) + offset)
        node = self.builder.sum(terms, const, label, (lo, hi))
        level = max(o.level for o in ops)
        spans = [self._span(o) for o in ops]
        added = const & ((1 << self.builder.width(node)) - 1)
        if added:
            spans.append(((added & -added).bit_length() - 1, added.bit_length()))
        luts = chain_luts(spans)
        self.spent += luts
        return Operand(Linear(node, coef, offset), shift, flip, level + (luts > 0))

    def _order(self, op: Operand) -> tuple[int, int, int, int]:
        low, top = self._span(op)
        return (op.level if self.by_level else 0, top, low, op.form.node)

    def total(
        self,
        ops: list[Operand],
        label: str = "",
        target: int | None = None,
        within: tuple[int, int] | None = None,
    ) -> Operand | None:
        """Return the sum of operands as one operand; None if there are none.

        A target's constant takes the third place of the last chain, where it costs nothing; for
        `within` see `merge`.
        """
        live = sorted(((self._order(op), op) for op in ops), key=itemgetter(0))
        if not live:
            return None
        last = 2 if target is not None and self.max_terms == 3 else 1
        while len(live) > last:
            three = self.max_terms == 3 and (len(live) - last) % 2 == 0
            head = live[: PARTNERS + 1]
            levels = [op.level for _, op in head] if self.by_level else None
            spans = [(low, top) for (_, top, low, _), _ in head]
            picked = pick(spans, 3 if three else 2, levels)
            chosen = tuple(head[k][1] for k in picked)
            for k in reversed(picked):
                del live[k]
            final = not live and target is None
            op = self.merge(
                chosen, label if final else f"{label}_part", None, within if final else None
            )
            insort(live, (self._order(op), op), key=itemgetter(0))
        if target is None:
            return live[0][1]
        return self.merge(tuple(op for _, op in live), label, target, within)
