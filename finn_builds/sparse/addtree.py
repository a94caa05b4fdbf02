"""Sums of many terms as trees of carry chains."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from finn_builds.sparse.ir import Builder, Term

IntArray = NDArray[np.int64]

# Partners that are tried for the smallest term of a sum.
PARTNERS = 7


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


class SumBuilder:
    """Builds sums over one layer's sources in a graph builder.

    Parameters
    ----------
    builder : Builder
    sources : list of int
        The nodes that feed the layer.
    max_terms : int
        Terms that one carry chain adds.
    by_level : bool
        Balance the trees (least depth) rather than keep chains narrow (fewest LUTs).
    """

    def __init__(
        self, builder: Builder, sources: list[int], max_terms: int, by_level: bool
    ) -> None:
        self.builder = builder
        self.max_terms = max_terms
        self.by_level = by_level
        self.low = np.array([builder.ranges[s][0] for s in sources], dtype=np.int64)
        self.high = np.array([builder.ranges[s][1] for s in sources], dtype=np.int64)
        # LUTs of all chains merged so far, by the rule that ranks merges.
        self.spent = 0
        eye = np.eye(len(sources), dtype=np.int64)
        self.sources = [Linear(s, eye[i], 0) for i, s in enumerate(sources)]

    def range_of(self, coef: IntArray, offset: int) -> tuple[int, int]:
        """Return the exact range of a linear form of the sources."""
        pos, neg = np.maximum(coef, 0), np.minimum(coef, 0)
        lo = int(pos @ self.low + neg @ self.high) + offset
        return lo, int(pos @ self.high + neg @ self.low) + offset

    def _span(self, op: Operand) -> tuple[int, int]:
        return op.shift, op.shift + self.builder.width(op.form.node)

    def _luts(self, ops: tuple[Operand, ...], const: int = 0) -> int:
        """Return about how many LUTs a chain over these operands and a constant takes."""
        spans = [self._span(o) for o in ops]
        if const:
            spans.append(((const & -const).bit_length() - 1, const.bit_length()))
        lows, tops = sorted(s[0] for s in spans), sorted(s[1] for s in spans)
        if len(spans) == 1:
            return 0
        if len(spans) == 2:
            return max(0, tops[0] - lows[1])
        return max(0, tops[-2] - lows[1]) + (tops[-1] > tops[-2])

    def merge(
        self, ops: tuple[Operand, ...], label: str = "", target: int | None = None
    ) -> Operand:
        """Return the sum of up to three operands as one operand (one carry chain).

        With a `target`, the sum's node is the plain signed number `coef @ sources + target`.
        """
        shift = 0 if target is not None else min(o.shift for o in ops)
        flip = -1 if target is None and all(o.sign < 0 for o in ops) else 1
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
        node = self.builder.sum(terms, const, label, self.range_of(coef, offset))
        level = max(o.level for o in ops)
        luts = self._luts(ops, const & ((1 << self.builder.width(node)) - 1))
        self.spent += luts
        return Operand(Linear(node, coef, offset), shift, flip, level + (luts > 0))

    def _pick(self, ops: list[Operand], arity: int) -> tuple[Operand, ...]:
        """Return the operands to merge next; `ops` is sorted, smallest first."""
        first, rest = ops[0], ops[1 : PARTNERS + 1]
        best: tuple[tuple[float, int, int], tuple[Operand, ...]] | None = None
        for others in [(o,) for o in rest] + (
            list(combinations(rest, 2)) if arity == 3 and len(rest) > 1 else []
        ):
            group = (first, *others)
            luts = self._luts(group)
            if arity == 3 and len(group) == 2 and luts and len(ops) > 2:
                continue
            top = max(self._span(o)[1] for o in group)
            rank = (luts / len(others), max(o.level for o in group) if self.by_level else 0, top)
            if best is None or rank < best[0]:
                best = (rank, group)
        assert best is not None
        return best[1]

    def _order(self, op: Operand) -> tuple[int, int, int, int]:
        low, top = self._span(op)
        return (op.level if self.by_level else 0, top, low, op.form.node)

    def total(
        self, ops: list[Operand], label: str = "", target: int | None = None
    ) -> Operand | None:
        """Return the sum of operands as one operand; None if there are none.

        A target's constant takes the third place of the last chain, where it costs nothing.
        """
        live = list(ops)
        if not live:
            return None
        last = 2 if target is not None and self.max_terms == 3 else 1
        while len(live) > last:
            live.sort(key=self._order)
            three = self.max_terms == 3 and (len(live) - last) % 2 == 0
            chosen = self._pick(live, 3 if three else 2)
            live = [o for o in live if all(o is not c for c in chosen)]
            final = not live and target is None
            live.append(self.merge(chosen, label if final else f"{label}_part"))
        if target is None:
            return live[0]
        return self.merge(tuple(live), label, target)
