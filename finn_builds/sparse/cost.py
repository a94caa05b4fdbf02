"""LUTs, flip-flops and delay of every node of an operator graph for a family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from finn_builds.sparse.family import Bounds, CompareShape, Family
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.lutnet import LUT_INPUTS, lut_net, table_luts
from finn_builds.sparse.nodes import Clip, Compare, Concat, Const, Input, Reg, Sum, Table
from finn_builds.sparse.truth import bit_column


@dataclass(frozen=True)
class Cost:
    """What a graph costs: LUTs and flip-flops, and the LUTs of each node."""

    luts: int
    flip_flops: int
    per_node: tuple[int, ...]


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


def clip_luts(node: Clip, lo: int, hi: int, lut_inputs: int = LUT_INPUTS) -> int:
    """Return the LUTs of a clip of a number in [lo, hi]."""
    bits = node.top.bit_length()
    over = max(0, (max(hi, 0) >> node.shift).bit_length() - bits)
    controls = over + (lo < 0)
    if controls == 0:
        return 0
    if controls + 1 <= lut_inputs:
        return bits
    return bits + -(-(over - 1) // (lut_inputs - 1))


def absorbed(graph: Graph, family: Family) -> list[bool]:
    """Return, for each node, whether it is a table that melts into the LUTs of the adder after it.

    A six-input LUT of a plain two-operand adder has four inputs to spare: an operand that is a
    function of at most five bits is computed inside it.
    """
    users, chains = graph.users, graph.wiring.chains
    outputs = set(graph.outputs)
    melts = [False] * len(graph.nodes)
    if not family.absorbs:
        return melts
    for i, node in enumerate(graph.nodes):
        if not isinstance(node, Table) or len(users[i]) != 1 or i in outputs:
            continue
        if _address_bits(node) > family.absorbs:
            continue
        user = graph.nodes[users[i][0]]
        chain = chains.get(users[i][0])
        if chain is None or not isinstance(user, Sum) or not chain.plain:
            continue
        others = [t.src for t in user.terms if t.src != i]
        melts[i] = len(others) == 1 and not melts[others[0]]
    return melts


def estimate(graph: Graph, family: Family) -> Cost:
    """Return what a graph costs on a family."""
    chains, melts = graph.wiring.chains, absorbed(graph, family)
    k = family.lut_inputs
    luts: list[int] = []
    flip_flops = 0
    for i, node in enumerate(graph.nodes):
        own = 0
        match node:
            case Sum():
                own = family.chain_luts(chains[i])
            case Table():
                if not melts[i]:
                    own = table_luts(node.values, _address_bits(node), graph.width(i), k)
            case Compare():
                own = compare_shape(node, family).luts
            case Clip():
                own = clip_luts(node, *graph.ranges[node.src], k)
            case Reg():
                flip_flops += graph.width(i)
            case Input() | Const() | Concat():
                pass
            case _:
                assert_never(node)
        luts.append(own)
    return Cost(sum(luts), flip_flops, tuple(luts))


def delays(graph: Graph, family: Family) -> list[float]:
    """Return the delay of every node from its operands to its output, ns."""
    chains, melts = graph.wiring.chains, absorbed(graph, family)
    k = family.lut_inputs
    out: list[float] = []
    for i, node in enumerate(graph.nodes):
        d = 0.0
        match node:
            case Sum():
                d = family.chain_delay(chains[i])
            case Table():
                if not melts[i]:
                    columns = {bit_column(node.values, b) for b in range(graph.width(i))}
                    nets = [lut_net(c, _address_bits(node), k) for c in columns]
                    d = family.t_lut * max(net.depth for net in nets)
            case Compare():
                compared = wanted(node)[1]
                d = family.compare_delay(family.compare_shape(compared), compared)
            case Clip():
                luts = clip_luts(node, *graph.ranges[node.src], k)
                d = family.t_lut * -(-luts // max(1, node.top.bit_length()))
            case Input() | Const() | Concat() | Reg():
                pass
            case _:
                assert_never(node)
        out.append(d)
    return out


def _address_bits(node: Table) -> int:
    return sum(f.width for f in node.fields)
