"""LUTs, flip-flops and delay of every node of an operator graph for a family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.logic import absorbed, compare_shape, logic_of, pack, wanted
from finn_builds.sparse.nodes import Clip, Compare, Concat, Const, Input, Reg, Sum, Table


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
            case Input() | Const() | Concat() | Table() | Clip():
                pass
            case _:
                assert_never(node)
    for place, other in packing.partners.items():
        luts[place[0]] -= place > other
    return Cost(sum(luts), flip_flops, tuple(luts))


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
