"""The operator graph: nodes, the exact range of each, and the builder that makes one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from finn_builds.sparse.chain import Wiring, wiring_of
from finn_builds.sparse.nodes import (
    Clip,
    Compare,
    Concat,
    Const,
    Field,
    Input,
    Node,
    Reg,
    Sum,
    Table,
    Term,
    operands,
    renumber,
    width_of,
)


@dataclass(frozen=True)
class Graph:
    """An immutable operator graph; a node comes after its operands.

    Attributes
    ----------
    outputs : tuple of int
        The node of each element of the output frame.
    labels : tuple of str
        What each node is to the network, e.g. `l1_n7_acc`; empty where nothing is known.
    layers : tuple of int or None
        The network's layer that each node was built for; None for inputs and constants.
    """

    nodes: tuple[Node, ...]
    ranges: tuple[tuple[int, int], ...]
    outputs: tuple[int, ...]
    labels: tuple[str, ...]
    layers: tuple[int | None, ...]
    n_in: int

    def width(self, node: int) -> int:
        """Return the number of bits of a node."""
        return width_of(*self.ranges[node])

    def live(self) -> list[bool]:
        """Return, for each node, whether an output depends on it."""
        alive = [False] * len(self.nodes)
        for out in self.outputs:
            alive[out] = True
        for i in range(len(self.nodes) - 1, -1, -1):
            if alive[i]:
                for src in operands(self.nodes[i]):
                    alive[src] = True
        return alive

    @cached_property
    def wiring(self) -> Wiring:
        """How nodes lie on wires and carry chains."""
        return wiring_of(self.nodes, self.ranges)

    @cached_property
    def users(self) -> list[list[int]]:
        """For each node the nodes that read it (outputs are not among them)."""
        users: list[list[int]] = [[] for _ in self.nodes]
        for i, node in enumerate(self.nodes):
            for src in set(operands(node)):
                users[src].append(i)
        return users


class Builder:
    """Builds a graph node by node; equal nodes are one node, constants fold away.

    `layer` is the network's layer that the next nodes are built for.
    """

    def __init__(self, n_in: int) -> None:
        self.n_in = n_in
        self.nodes: list[Node] = []
        self.ranges: list[tuple[int, int]] = []
        self.labels: list[str] = []
        self.layers: list[int | None] = []
        self.layer: int | None = None
        self._ids: dict[Node, int] = {}

    def _add(self, node: Node, lo: int, hi: int, label: str) -> int:
        if lo == hi and not isinstance(node, Const | Input):
            return self.const(lo)
        found = self._ids.get(node)
        if found is not None:
            return found
        self._ids[node] = len(self.nodes)
        self.nodes.append(node)
        self.ranges.append((lo, hi))
        self.labels.append(label)
        self.layers.append(None if isinstance(node, Const | Input) else self.layer)
        return len(self.nodes) - 1

    def width(self, node: int) -> int:
        """Return the number of bits of a node."""
        return width_of(*self.ranges[node])

    def const(self, value: int) -> int:
        """Return the node of a constant."""
        return self._add(Const(value), value, value, "")

    def input(self, index: int, lo: int, hi: int) -> int:
        """Return input `index`, whose raw element lies in [lo, hi], in offset binary."""
        width = max(1, width_of(lo, hi))
        bias = 1 << (width - 1) if lo < 0 else 0
        node = Input(index, width, bias, lo + bias, hi + bias)
        return self._add(node, lo + bias, hi + bias, f"x{index}")

    def sum(
        self,
        terms: Iterable[Term],
        const: int = 0,
        label: str = "",
        within: tuple[int, int] | None = None,
    ) -> int:
        """Return the sum of terms and a constant; constant terms fold into the constant.

        `within` is a range that the caller knows to hold the sum, where terms depend on each
        other and their own ranges say too little.
        """
        kept: list[Term] = []
        lo = hi = const
        for t in terms:
            t_lo, t_hi = self.ranges[t.src]
            if t_lo < 0:
                raise ValueError(f"node {t.src} is signed and cannot be a term")
            if t.inv:
                full = (1 << self.width(t.src)) - 1
                t_lo, t_hi = full - t_hi, full - t_lo
            lo, hi = lo + (t_lo << t.shift), hi + (t_hi << t.shift)
            if t_lo == t_hi:
                const += t_lo << t.shift
            else:
                kept.append(t)
        if len(kept) == 1 and const == 0 and kept[0].shift == 0 and not kept[0].inv:
            return kept[0].src
        if within is not None:
            lo, hi = max(lo, within[0]), min(hi, within[1])
        kept.sort(key=lambda t: (t.shift, t.src, t.inv))
        return self._add(Sum(tuple(kept), const), lo, hi, label)

    def table(self, fields: Iterable[Field], values: Iterable[int], label: str = "") -> int:
        """Return a truth table over fields; values at unreachable addresses may be anything."""
        fields, values = tuple(fields), tuple(int(v) for v in values)
        if len(values) != 1 << sum(f.width for f in fields):
            raise ValueError(f"{len(values)} values do not fill a table of {fields}")
        return self._add(Table(fields, values), min(values), max(values), label)

    def known_table(self, fields: Iterable[Field], values: Iterable[int]) -> int | None:
        """Return the node of a truth table that was made before; None if it was not."""
        return self._ids.get(Table(tuple(fields), tuple(values)))

    def compare(
        self, src: Field, select: Iterable[Field], bounds: Iterable[int], label: str = ""
    ) -> int:
        """Return the bit `src >= bounds[select]`."""
        select, bounds = tuple(select), tuple(int(b) for b in bounds)
        if len(bounds) != 1 << sum(f.width for f in select):
            raise ValueError(f"{len(bounds)} bounds do not fit the selector {select}")
        if all(b <= 0 for b in bounds):
            return self.const(1)
        if all(b >> src.width for b in bounds):
            return self.const(0)
        return self._add(Compare(src, select, bounds), 0, 1, label)

    def concat(self, fields: Iterable[Field], label: str = "", top: int | None = None) -> int:
        """Return fields side by side, the first least significant; `top` if it is never above."""
        kept: list[Field] = []
        value, at, constant = 0, 0, True
        for f in fields:
            lo, hi = self.ranges[f.src]
            if lo == hi:
                value |= ((lo >> f.lsb) & ((1 << f.width) - 1)) << at
            else:
                constant = False
            at += f.width
            kept.append(f)
        if constant:
            return self.const(value)
        if len(kept) == 1 and kept[0].lsb == 0 and kept[0].width == self.width(kept[0].src):
            return kept[0].src
        most = (1 << at) - 1
        return self._add(Concat(tuple(kept)), 0, most if top is None else min(top, most), label)

    def clip(self, src: int, shift: int, top: int, label: str = "", base: int = 0) -> int:
        """Return `(src >> shift) - base` clipped to [0, top]."""
        lo, hi = (min(max((v >> shift) - base, 0), top) for v in self.ranges[src])
        return self._add(Clip(src, shift, top, base), lo, hi, label)

    def reg(self, src: int) -> int:
        """Return `src` one clock later; a constant needs no register."""
        if isinstance(self.nodes[src], Const):
            return src
        self.layer = self.layers[src]
        return self._add(Reg(src), *self.ranges[src], self.labels[src])

    def copy(self, node: Node, graph: Graph, index: int) -> int:
        """Return node `index` of another graph as `node`, its operands already renumbered."""
        self.layer = graph.layers[index]
        return self._add(node, *graph.ranges[index], graph.labels[index])

    def whole(self, src: int) -> Field:
        """Return all bits of a node as a field."""
        return Field(src, 0, self.width(src))

    def finish(self, outputs: Iterable[int]) -> Graph:
        """Return the graph of what the outputs depend on."""
        return drop_dead(self.whole_graph(outputs))

    def whole_graph(self, outputs: Iterable[int]) -> Graph:
        """Return the graph with all nodes, those that no output depends on too."""
        return Graph(
            tuple(self.nodes),
            tuple(self.ranges),
            tuple(outputs),
            tuple(self.labels),
            tuple(self.layers),
            self.n_in,
        )


def compacted(graph: Graph) -> tuple[Graph, dict[int, int]]:
    """Return the graph of what the outputs depend on, equal nodes once, and the new numbers."""
    builder = Builder(graph.n_in)
    at: dict[int, int] = {}
    for i, alive in enumerate(graph.live()):
        if alive:
            at[i] = builder.copy(renumber(graph.nodes[i], at), graph, i)
    return builder.whole_graph(at[o] for o in graph.outputs), at


def drop_dead(graph: Graph) -> Graph:
    """Return the graph without the nodes that no output depends on."""
    return compacted(graph)[0]
