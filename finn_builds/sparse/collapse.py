"""Parts of a graph that are functions of a few bits, as one table where that costs less.

A sum of two small operands, a multiple of a code, a small neuron with what counts its levels: each
is a function of the bits beneath it. Where a table of these takes fewer LUTs than the node and all
that only this node needs, it takes their place. What never occurs at its address does not matter:
values that nodes do not take, and those of several nodes that do not go together.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from finn_builds.sparse.cones import Cone, Cones, Cut
from finn_builds.sparse.cost import delays, estimate
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Graph, drop_dead
from finn_builds.sparse.logic import compare_shape, logic_of
from finn_builds.sparse.nodes import Compare, Const, Input, Reg, Sum, Table, operands
from finn_builds.sparse.tablenet import net_of, paired_luts
from finn_builds.sparse.truth import bit_column, filled, shrink_to

# Bits of which a node is tried as a table.
MAX_BITS = 8
# LUTs to be gained by a table, a function that may share a LUT counted as half of one: any, or so
# much that it is a gain in whatever way functions find together.
MARGINS = (0.0, 0.5)


def collapsed(graph: Graph, family: Family) -> Graph:
    """Return a graph, not pipelined, with tables in place of what costs more.

    Nodes keep their numbers. Those that are not needed any more are still there.
    """
    best, least = graph, estimate(drop_dead(graph), family).luts
    for margin in MARGINS:
        found = _Collapse(graph, family, margin).run()
        luts = estimate(drop_dead(found), family).luts
        if luts < least:
            best, least = found, luts
    return best


class _Collapse:
    """One pass from the inputs to the outputs."""

    def __init__(self, graph: Graph, family: Family, margin: float) -> None:
        self.graph, self.family, self.margin = graph, family, margin
        self.nodes = list(graph.nodes)
        # Of the graph as it was: a table is the same function of other bits.
        self.cones = Cones(graph.nodes, graph.ranges)
        self.delays = delays(graph, family)
        # For each node the number of those that read it, outputs included.
        self.readers = Counter(graph.outputs)
        self.luts = [0.0] * len(self.nodes)
        for i, alive in enumerate(graph.live()):
            if alive:
                self.readers.update(set(operands(self.nodes[i])))
                self.luts[i] = self._luts(i)

    def _luts(self, i: int) -> float:
        node = self.nodes[i]
        logic = logic_of(self.graph, i, self.family)
        if logic is not None:
            return paired_luts(logic.net, self.family.lut_inputs)
        match node:
            case Sum():
                return self.family.chain_luts(self.graph.wiring.chains[i])
            case Compare():
                return compare_shape(node, self.family).luts
            case _:
                return 0.0

    def run(self) -> Graph:
        """Return the graph with tables."""
        for i, node in enumerate(self.nodes):
            kept = isinstance(node, Input | Const | Reg) or self.graph.ranges[i][0] < 0
            if self.readers[i] and not kept:
                self._try(i)
        return replace(self.graph, nodes=tuple(self.nodes))

    def _try(self, i: int) -> None:
        """Put a table in the place of a node where that is cheaper, and not slower."""
        most, best = self.margin, None
        for cut in self.cones.below(i):
            if not 0 < len(cut) <= MAX_BITS or not all(self.readers[src] for src, _ in cut):
                continue
            dead = self._dead(i, cut)
            saved = sum(self.luts[k] for k in dead)
            if saved <= most:
                continue
            cone = Cone(self.cones, cut)
            values = filled(cone.of(i), cone.reached).tolist()
            if saved - _least(values) <= most:
                continue
            net = net_of(values, len(cut), self.graph.width(i), self.family.lut_inputs)
            luts = paired_luts(net, self.family.lut_inputs)
            slower = self.family.t_lut * net.depth > self._delay(i, cut)
            if saved - luts > most and not slower:
                table = Table(tuple(cone.fields), tuple(values))
                most, best = saved - luts, (table, luts, self.family.t_lut * net.depth, dead)
        if best is not None:
            table, self.luts[i], self.delays[i], dead = best
            for k in dead:
                self.readers.subtract(set(operands(self.nodes[k])))
            self.readers.update({f.src for f in table.fields})
            self.nodes[i] = table

    def _dead(self, i: int, cut: Cut) -> list[int]:
        """Return a node and what nobody would read if it were a function of a cut."""
        leaves = {src for src, _ in cut}
        left: Counter[int] = Counter()
        dead = [i]
        for k in dead:
            for src in set(operands(self.nodes[k])):
                left[src] += 1
                if left[src] == self.readers[src] and src not in leaves:
                    dead.append(src)
        return dead

    def _delay(self, i: int, cut: Cut) -> float:
        """Return the delay of the longest way from a cut to a node."""
        at = {src: 0.0 for src, _ in cut}

        def arrival(k: int) -> float:
            if k not in at:
                at[k] = self.delays[k] + max(map(arrival, operands(self.nodes[k])), default=0.0)
            return at[k]

        return arrival(i)


def _least(values: list[int]) -> float:
    """Return what a table takes at least."""
    n = len(values).bit_length() - 1
    luts = 0.0
    for column in {bit_column(values, k) for k in range(max(values).bit_length())}:
        reads = len(shrink_to(column, n)[1])
        luts += 0.0 if reads < 2 else 0.5 if reads < 6 else 1.0
    return luts
