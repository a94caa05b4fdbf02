"""LUTs, flip-flops and delay of every node of an operator graph for a family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from finn_builds.sparse.bits import AnyBit, field_bits
from finn_builds.sparse.chain import Bit
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.logic import Packing, absorbed, compare_shape, logic_of, pack, wanted
from finn_builds.sparse.nodes import Clip, Compare, Concat, Const, Field, Input, Reg, Sum, Table


@dataclass(frozen=True)
class Cost:
    """What a graph costs: LUTs and flip-flops, and the LUTs of each node."""

    luts: int
    flip_flops: int
    per_node: tuple[int, ...]


def estimate(graph: Graph, family: Family) -> Cost:
    """Return what a graph costs on a family; a LUT of two functions counts for the later one."""
    packing = pack(graph, family)
    luts = [0] * len(graph.nodes)
    feeding: set[tuple[int, int]] = set()
    flip_flops = 0
    for i, node in enumerate(graph.nodes):
        if i in packing.logic:
            luts[i] = packing.logic[i].luts
            continue
        match node:
            case Sum():
                luts[i] = family.chain_luts(graph.wiring.chains[i])
            case Compare():
                luts[i] = compare_shape(node, family).luts
            case Reg():
                flip_flops += graph.width(i)
                if family.fed_registers:
                    luts[i] = _fed_through(graph, node.src, packing, feeding)
            case Input() | Const() | Concat() | Table() | Clip():
                pass
            case _:
                assert_never(node)
    if family.fed_registers:  # the stream has a register for a frame that must wait
        for i in graph.outputs:
            luts[i] += _fed_through(graph, i, packing, feeding)
    for place, other in packing.partners.items():
        luts[place[0]] -= place > other
    return Cost(sum(luts), flip_flops, tuple(luts))


def _fed_through(graph: Graph, index: int, packing: Packing, feeding: set[tuple[int, int]]) -> int:
    """Return the bits of a node's register that no LUT or carry drives which feeds no other.

    `feeding` are those that feed a register, as node and cell or bit; it gets those of this one.
    """
    alone = 0
    for bit in field_bits(graph, Field(index, 0, graph.width(index))):
        bit = _origin(graph, bit)
        if isinstance(bit, int):
            continue
        place = (bit.src, bit.index)
        drives = isinstance(graph.nodes[bit.src], Sum | Compare)
        if bit.src in packing.logic:
            net = packing.logic[bit.src].net
            cell = net.cells[net.outs[bit.index]]
            place = (bit.src, net.outs[bit.index])
            drives = cell.is_lut or cell.inverts
        if not drives or place in feeding:
            alone += 1
        else:
            feeding.add(place)
    return alone


def _origin(graph: Graph, bit: AnyBit) -> AnyBit:
    """Return the bit that a bit is by wires alone."""
    while isinstance(bit, Bit):
        node = graph.nodes[bit.src]
        if isinstance(node, Concat):
            parts = [b for field in node.fields for b in field_bits(graph, field)]
            bit = parts[bit.index] if bit.index < len(parts) else 0
        elif isinstance(node, Sum) and bit.index < len(graph.wiring.chains[bit.src].low):
            bit = graph.wiring.chains[bit.src].low[bit.index]
        else:
            break
    return bit


def delays(graph: Graph, family: Family) -> list[float]:
    """Return the delay of every node from its operands to its output, ns."""
    melts = absorbed(graph, family)
    out: list[float] = []
    for i, node in enumerate(graph.nodes):
        d = 0.0
        match node:
            case Sum():
                d = family.chain_delay(graph.wiring.chains[i])
            case Table() | Clip() | Compare():
                logic = logic_of(graph, i, family, melts[i])
                if logic is not None:
                    d = family.t_lut * logic.net.depth * (logic.luts > 0)
                elif isinstance(node, Compare):
                    compared = wanted(node)[1]
                    d = family.compare_delay(family.compare_shape(compared), compared)
            case Input() | Const() | Concat() | Reg():
                pass
            case _:
                assert_never(node)
        out.append(d)
    return out
