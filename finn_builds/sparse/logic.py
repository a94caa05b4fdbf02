"""Which nodes are boolean functions of a few bits, as which LUTs, and which of these serve two.

Tables, clips and small comparisons are one thing here: cells over bits of other nodes. The cost
model, the delays and the emitter ask this file, so that what is counted is what is built.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from finn_builds.sparse.bits import AnyBit, field_bits, flipped
from finn_builds.sparse.chain import Bit
from finn_builds.sparse.family import Bounds, CompareShape, Family
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.lutnet import LUT_INPUTS, Cell
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
    operands,
)
from finn_builds.sparse.tablenet import DUAL_INPUTS, Cells, TableNet, net_of, pairs, table_net
from finn_builds.sparse.truth import bit_column

#: A cell: its node, and its number in the node's net.
Place: TypeAlias = tuple[int, int]

# Bits above a clipped number that are looked at as one truth table.
MAX_TOP_BITS = 8


@dataclass(frozen=True)
class Logic:
    """A node as cells: a function for each of its bits, and the bit that each variable is.

    Cells that melt into the adder after them are no LUTs of their own.
    """

    net: TableNet
    reads: tuple[AnyBit, ...]
    melts: frozenset[int] = frozenset()

    @property
    def luts(self) -> int:
        """LUTs where none is shared."""
        return self.net.single_luts - len(self.melts)


@dataclass(frozen=True)
class Packing:
    """The nodes that are LUTs, by their numbers, and the cells that share a LUT, both ways."""

    logic: dict[int, Logic]
    partners: dict[Place, Place]


def wanted(node: Compare) -> tuple[int, Bounds]:
    """Return the low bits that do not matter to a comparison, and the comparison without them."""
    skip = 0
    while skip < node.src.width and all(b % (2 << skip) == 0 for b in node.bounds):
        skip += 1
    bounds = tuple([b >> skip for b in node.bounds])
    columns = tuple([bit_column(bounds, k) for k in range(max(bounds).bit_length())])
    select = sum(f.width for f in node.select)
    return skip, Bounds(bounds, columns, node.src.width - skip, select)


def compare_shape(node: Compare, family: Family) -> CompareShape:
    """Return the cheapest form of a comparison on a family."""
    return family.compare_shape(wanted(node)[1])


def absorbed(graph: Graph, family: Family) -> list[int]:
    """Return the bits of each node that melt into the LUTs of the adder after it, as a mask.

    A six-input LUT of a plain two-operand adder has four inputs to spare: where a bit of a table of
    at most five inputs meets one that goes straight into the chain, it is computed inside.
    """
    users, chains = graph.users, graph.wiring.chains
    outputs = set(graph.outputs)
    melts = [0] * len(graph.nodes)
    if not family.absorbs:
        return melts
    for i, node in enumerate(graph.nodes):
        if not isinstance(node, Table) or len(users[i]) != 1 or i in outputs:
            continue
        if sum(f.width for f in node.fields) > family.absorbs:
            continue
        user = graph.nodes[users[i][0]]
        chain = chains.get(users[i][0])
        if chain is None or not isinstance(user, Sum) or not chain.plain:
            continue
        others = [t.src for t in user.terms if t.src != i]
        if len(others) != 1 or melts[others[0]]:
            continue
        for column in chain.columns:
            own = [b for b in column if b.src == i]
            if len(column) == 2 and ranked(column, graph.nodes)[1] in own:
                melts[i] |= 1 << own[0].index
    return melts


def ranked(column: Sequence[Bit], nodes: Sequence[Node]) -> list[Bit]:
    """Return a column with the bit that can go straight into a chain first.

    A chain takes its first operand as it is, not inverted; a table goes second, where it melts into
    the LUT.
    """
    return sorted(column, key=lambda b: (b.inv, isinstance(nodes[b.src], Table), b.src))


def logic_of(graph: Graph, index: int, family: Family, melting: int = 0) -> Logic | None:
    """Return a node as cells; None for one that is not made of LUTs alone.

    `melting` are the bits that melt into the adder after it.
    """
    node, k = graph.nodes[index], family.lut_inputs
    match node:
        case Table():
            reads = [b for f in node.fields for b in field_bits(graph, f)]
            flip = flipped(reads)
            values = [node.values[a ^ flip] for a in range(len(node.values))]
            net = net_of(values, len(reads), graph.width(index), k)
            stays = {cell for b, cell in enumerate(net.outs) if not (melting >> b) & 1}
            melts = {cell for cell in net.outs if cell not in stays and net.cells[cell].is_lut}
            return Logic(net, tuple(reads), frozenset(melts))
        case Compare():
            skip, compared = wanted(node)
            if family.compare_shape(compared).kind != "table":
                return None
            src = Field(node.src.src, node.src.lsb + skip, node.src.width - skip)
            reads = [b for f in (src, *node.select) for b in field_bits(graph, f)]
            flip = flipped(reads)
            column = sum(((compared.table >> (a ^ flip)) & 1) << a for a in range(1 << len(reads)))
            return Logic(table_net((column,), len(reads), k), tuple(reads))
        case Clip():
            bits = field_bits(graph, Field(node.src, 0, graph.width(node.src)))
            sign = [bits.pop()] if graph.ranges[node.src][0] < 0 else []
            count, width = node.top.bit_length(), graph.width(index)
            # Bits that no number within the clip has are left out.
            body, over = bits[node.shift :][: min(count, width)], bits[node.shift + count :] + sign
            flip = flipped([*body, *over])
            base = node.base >> count
            net = clip_net(len(body), len(over), bool(sign), width, base, flip, k)
            return Logic(net, (*body, *over))
        case _:
            return None


@lru_cache(maxsize=1 << 12)
def clip_net(
    body: int, over: int, signed: bool, width: int, base: int, flip: int, lut_inputs: int
) -> TableNet:
    """Return a clip to `width` bits, all zeros below and all ones above.

    Its variables are the `body` bits of the number that may pass, lowest first, and the `over` bits
    above, the last a sign if `signed`. A number passes where these are `base`, which is 0 if there
    are more than `MAX_TOP_BITS`. `flip` are the variables that come inverted.
    """
    n = body + over
    cells = Cells(n)
    tops = [(v, (flip >> v) & 1) for v in range(body, n)]
    sign = [tops.pop()] if signed else []
    # Where all of many must be 0, one bit says whether they are.
    while base == 0 and len(tops) + signed >= lut_inputs:
        some, tops = tops[:lut_inputs], tops[lut_inputs:]
        inverted = sum(inv << k for k, (_, inv) in enumerate(some))
        size = 1 << len(some)
        any_set = Cell(tuple(v for v, _ in some), ((1 << size) - 1) ^ (1 << inverted))
        tops.append((cells.add(any_set), 0))
    tops += sign
    inverted = sum(inv << k for k, (_, inv) in enumerate(tops))
    seen = [a ^ inverted for a in range(1 << len(tops))]
    if signed:
        half = 1 << (len(tops) - 1)
        seen = [(a ^ half) - half for a in seen]
    own = [(v, (flip >> v) & 1) for v in range(body)]
    below, above = ([int(a < base) for a in seen], [int(a > base) for a in seen])
    nets = []
    if len(tops) < lut_inputs:
        nets.append(_clipped(cells.copy(), own, [v for v, _ in tops], below, above, width))
    if len(tops) > 2:
        flags = [f for f in (below, above) if any(f)]
        found = table_net(tuple(bit_column(f, 0) for f in flags), len(tops), lut_inputs)
        part = cells.copy()
        at = part.take(found.cells, len(tops), [v for v, _ in tops])
        flag = [at[k] for k in found.outs]
        said = range(1 << len(flags))
        low = [(a & 1) * any(below) for a in said]
        high = [(a >> (len(flags) - 1)) * any(above) for a in said]
        nets.append(_clipped(part, own, flag, low, high, width))
    return min(nets, key=lambda net: (net.luts(lut_inputs), net.depth))


def _clipped(
    cells: Cells,
    body: Sequence[tuple[int, int]],
    controls: Sequence[int],
    below: Sequence[int],
    above: Sequence[int],
    width: int,
) -> TableNet:
    """Return bits that pass unless what controls them says that the number is below or above."""
    outs = []
    for own in [[b] for b in body] + [[] for _ in range(width - len(body))]:
        bits = 0
        for address in range(1 << (len(own) + len(controls))):
            at = address >> len(own)
            passes = (address & 1) ^ own[0][1] if own else 0
            bits |= int(not below[at] and (above[at] or passes)) << address
        outs.append(cells.add(Cell((*(v for v, _ in own), *controls), bits)))
    return cells.net(outs)


def clip_luts(node: Clip, lo: int, hi: int, lut_inputs: int = LUT_INPUTS) -> int:
    """Return the LUTs of a clip of a number in [lo, hi], of which the whole result is wanted."""
    count, signed = node.top.bit_length(), lo < 0
    bits = max(0, max(hi.bit_length(), (~lo).bit_length() * signed) - node.shift)
    body, over = min(count, bits), max(0, bits - count) + signed
    net = clip_net(body, over, signed, count, node.base >> count, 0, lut_inputs)
    return net.luts(lut_inputs)


def pack(graph: Graph, family: Family) -> Packing:
    """Return the nodes that are made of LUTs, and which of their cells share one."""
    melts = absorbed(graph, family)
    logic: dict[int, Logic] = {}
    level: list[int] = []
    small: list[Place] = []
    cells: list[tuple[int, frozenset[Hashable]]] = []
    share = DUAL_INPUTS[family.lut_inputs] > 0
    for i, node in enumerate(graph.nodes):
        begin = max((level[s] for s in operands(node)), default=0)
        own = logic_of(graph, i, family, melts[i])
        if own is None:
            starts = isinstance(node, Input | Const | Reg)
            level.append(0 if starts else begin + (not isinstance(node, Concat)))
            continue
        logic[i] = own
        level.append(begin + max(own.net.levels, default=0))
        if not share:
            continue
        for k, (cell, at) in enumerate(zip(own.net.cells, own.net.levels, strict=True)):
            if cell.is_lut and not own.net.whole[k] and k not in own.melts:
                small.append((i, k))
                cells.append((begin + at, _nets(graph, i, own, cell)))
    partners: dict[Place, Place] = {}
    for a, b in pairs(cells, family.lut_inputs):
        partners[small[a]], partners[small[b]] = small[b], small[a]
    return Packing(logic, partners)


def _nets(graph: Graph, index: int, logic: Logic, cell: Cell) -> frozenset[Hashable]:
    """Return what a cell reads, each net by where it comes from."""
    n = logic.net.n_vars
    reads: set[Hashable] = set()
    for i in cell.inputs:
        bit = logic.reads[i] if i < n else None
        if bit is None:
            reads.add(("cell", index, i - n))
        elif isinstance(bit, Bit):
            reads.add(origin(graph, bit.src, bit.index))
    return frozenset(reads)


def origin(graph: Graph, src: int, index: int) -> tuple[int, int]:
    """Return the node and the bit that a wire begins at."""
    while True:
        node = graph.nodes[src]
        if isinstance(node, Concat):
            for field in node.fields:
                if index < field.width:
                    src, index = field.src, field.lsb + index
                    break
                index -= field.width
            else:
                return src, index
            continue
        if isinstance(node, Sum):
            low = graph.wiring.chains[src].low
            bit = low[index] if index < len(low) else None
            if isinstance(bit, Bit):
                src, index = bit.src, bit.index
                continue
        return src, index
