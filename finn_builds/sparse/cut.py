"""Operators that are slower than a clock period, cut into shorter ones that stages lie between.

A long adder becomes two: the lower one hands its carry to the upper one. A comparison becomes three
of half the width: greater above, or not less above and not less below. A deep truth table becomes
two of an address bit less, and a choice between them.
"""

from __future__ import annotations

from collections.abc import Sequence

from finn_builds.sparse.cost import delays
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Builder, Graph
from finn_builds.sparse.nodes import Compare, Field, Sum, Table, Term, operands, renumber

#: Each time slow operators lose the positions that fit a stage, or half of them.
_ROUNDS = 100


def cut(graph: Graph, family: Family, budget: float) -> Graph:
    """Return a graph whose operators take at most `budget` ns each, as far as they can be cut.

    What can't be is left: a single LUT, an adder of a few positions.
    """
    for _ in range(_ROUNDS):
        delay = delays(graph, family)
        slow = [d > budget for d in delay]
        if not any(slow):
            break
        changed = _Cutter(graph, family, budget).rebuild(slow)
        if changed is None:
            break
        graph = changed
    return graph


class _Cutter:
    """Copies a graph, slow nodes in pieces."""

    def __init__(self, graph: Graph, family: Family, budget: float) -> None:
        self.graph, self.family = graph, family
        self.builder = Builder(graph.n_in)
        fixed = family.t_carry_in + family.t_carry_out
        self.positions = int((budget - fixed) / family.t_carry_bit)

    def rebuild(self, slow: Sequence[bool]) -> Graph | None:
        """Return the graph with slow nodes cut, None where none of them could be."""
        graph, builder = self.graph, self.builder
        at: dict[int, int] = {}
        cut_any = False
        for i, node in enumerate(graph.nodes):
            moved = renumber(node, {s: at[s] for s in set(operands(node))})
            piece = None
            if slow[i]:
                builder.layer = graph.layers[i]
                match moved:
                    case Sum():
                        piece = self._sum(moved, *graph.ranges[i], graph.labels[i])
                    case Compare():
                        piece = self._compare(moved, graph.labels[i])
                    case Table():
                        piece = self._table(moved, *graph.ranges[i], graph.labels[i])
                    case _:
                        pass
            cut_any |= piece is not None
            at[i] = builder.copy(moved, graph, i) if piece is None else piece
        return builder.finish(at[o] for o in graph.outputs) if cut_any else None

    def _add(
        self, terms: Sequence[Term], const: int, label: str, within: tuple[int, int] | None = None
    ) -> int:
        """Return a sum in chains of two operands each, a constant counted as one."""
        left = list(terms)
        while len(left) + (const != 0) > 2 and len(left) > 1:
            left[:2] = [Term(self.builder.sum(left[:2], 0, label))]
        return self.builder.sum(left, const, label, within)

    def _sum(self, node: Sum, lo: int, hi: int, label: str) -> int | None:
        if len(node.terms) + (node.const != 0) > 2 and len(node.terms) > 1:
            return self._add(node.terms, node.const, label, (lo, hi))
        bits = max(hi.bit_length(), (~lo).bit_length() + 1 if lo < 0 else 0)
        # The chain begins where the second operand does: bits of one operand alone pass by.
        begins = [t.shift for t in node.terms]
        begins += [_trailing(node.const)] if node.const else []
        lowest = sorted(begins)[min(1, len(begins) - 1)]
        size = min(self.positions - 1, (bits - lowest) // 2)
        if size < 1:
            return None
        at = lowest + size
        # In two's complement the sum is not negative once this is added, and is so again after it.
        extra = 1 << bits if lo < 0 else 0
        const = node.const + extra
        below, above = [], []
        for term in node.terms:
            width = self.builder.width(term.src)
            taken = min(max(at - term.shift, 0), width)
            if taken:
                part = self.builder.concat((Field(term.src, 0, taken),), label)
                below.append(Term(part, term.shift, term.inv))
            if taken < width:
                part = self.builder.concat((Field(term.src, taken, width - taken),), label)
                above.append(Term(part, max(0, term.shift - at), term.inv))
        lower = self._add(below, const & ((1 << at) - 1), f"{label}_low")
        have = self.builder.width(lower)
        if have > at:
            carry = self.builder.concat((Field(lower, at, have - at),), f"{label}_carry")
            above.append(Term(carry))
        upper = self._add(
            above, const >> at, f"{label}_high", ((lo + extra) >> at, (hi + extra) >> at)
        )
        fields = [Field(lower, 0, min(have, at))]
        if have < at:
            fields.append(Field(self.builder.const(0), 0, at - have))
        fields.append(self.builder.whole(upper))
        whole = self.builder.concat(fields, label, top=hi + extra)
        if not extra:
            return whole
        return self.builder.sum([Term(whole)], -extra, label, (lo, hi))

    def _compare(self, node: Compare, label: str) -> int | None:
        width = node.src.width
        low = width // 2
        if low < 1:
            return None
        bounds = [min(max(b, 0), 1 << width) for b in node.bounds]
        over = Field(node.src.src, node.src.lsb + low, width - low)
        under = Field(node.src.src, node.src.lsb, low)
        above = [b >> low for b in bounds]
        verdicts = [
            self.builder.compare(over, node.select, [b + 1 for b in above], f"{label}_above"),
            self.builder.compare(over, node.select, above, f"{label}_least"),
            self.builder.compare(
                under, node.select, [b & ((1 << low) - 1) for b in bounds], f"{label}_below"
            ),
        ]
        values = [int(bool(a & 1 or (a & 2 and a & 4))) for a in range(8)]
        return self._lookup([Field(v, 0, 1) for v in verdicts], values, label)

    def _table(self, node: Table, lo: int, hi: int, label: str) -> int | None:
        if sum(f.width for f in node.fields) <= self.family.lut_inputs:
            return None
        *rest, last = node.fields
        select = Field(last.src, last.lsb + last.width - 1, 1)
        if last.width > 1:
            rest.append(Field(last.src, last.lsb, last.width - 1))
        base = min(lo, 0)
        values = [v - base for v in node.values]
        half = len(values) // 2
        bits = []
        for k in range(max(values).bit_length()):
            column = [(v >> k) & 1 for v in values]
            pair = [self._lookup(rest, part, label) for part in (column[:half], column[half:])]
            fields = [*(Field(p, 0, 1) for p in pair), select]
            choice = [(a & 1, (a >> 1) & 1)[a >> 2] for a in range(8)]
            bits.append(Field(self._lookup(fields, choice, label), 0, 1))
        whole = self.builder.concat(bits, label, top=hi - base)
        return self.builder.sum([Term(whole)], base, label, (lo, hi)) if base else whole

    def _lookup(self, fields: Sequence[Field], values: Sequence[int], label: str) -> int:
        """Return a table of bits, without the fields that are constant."""
        if min(values) == max(values):
            return self.builder.const(values[0])
        kept, at = [], 0
        addresses = [0]
        for field in fields:
            lo, hi = self.builder.ranges[field.src]
            if lo == hi:
                fixed = ((lo >> field.lsb) & ((1 << field.width) - 1)) << at
                addresses = [a | fixed for a in addresses]
            else:
                kept.append(field)
                addresses = [a | (v << at) for v in range(1 << field.width) for a in addresses]
            at += field.width
        chosen = [values[a] for a in addresses]
        if min(chosen) == max(chosen):
            return self.builder.const(chosen[0])
        return self.builder.table(kept, chosen, label)


def _trailing(value: int) -> int:
    """Return the number of zeros below the lowest one."""
    return (value & -value).bit_length() - 1
