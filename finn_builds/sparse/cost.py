"""LUTs, flip-flops and delay of every node of an operator graph for a family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from finn_builds.sparse.chain import Chain
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.lutnet import LUT_INPUTS, lut_count, lut_net, table_luts
from finn_builds.sparse.nodes import Clip, Compare, Concat, Const, Input, Reg, Sum, Table
from finn_builds.sparse.truth import bit_column

# Inputs of a LUT that also gives a second output.
DUAL_INPUTS = 5
# On ECP5: inputs of a LUT, the largest number of inputs that select a bound within the positions
# of a chain, and of inputs of a comparison for which a table is tried.
CCU2C_LUT = 4
CCU2C_SELECT = 2
CCU2C_TABLE = 8


@dataclass(frozen=True)
class Cost:
    """What a graph costs: LUTs and flip-flops, and the LUTs of each node."""

    luts: int
    flip_flops: int
    per_node: tuple[int, ...]


@dataclass(frozen=True)
class CompareShape:
    """How a comparison with a selected bound is made."""

    # ``table``: a function of all its bits. ``chain``: the bits that select go to every position of
    # a carry chain. ``six`` (six-input LUTs): so do five of them, beside one bit of the number.
    # ``bounds``: the bound comes from tables.
    kind: str
    skip: int  # low bits in which no bound differs from 0; they do not matter
    per: int  # bits of the number at a position of the chain
    positions: int  # of the chain; 0 for a table
    luts: int


def compare_table(bounds: Sequence[int], bits: int) -> int:
    """Return `number >= bounds[select]` as a truth table, the number in the low address bits."""
    size = 1 << bits
    word = 0
    for at, bound in enumerate(bounds):
        missed = min(bound, size)
        word |= ((1 << size) - (1 << missed)) << (at * size)
    return word


def compare_shape(node: Compare, family: Family) -> CompareShape:
    """Return the cheapest form of a comparison on a family."""
    skip = 0
    while skip < node.src.width and all(b % (2 << skip) == 0 for b in node.bounds):
        skip += 1
    select = sum(f.width for f in node.select)
    bits = node.src.width - skip
    bounds = [b >> skip for b in node.bounds]
    columns = [bit_column(bounds, k) for k in range(max(bounds).bit_length())]
    if not family.wide:
        return _compare_on_ccu2c(bounds, columns, skip, bits, select)
    if bits + select <= LUT_INPUTS:
        return CompareShape("table", skip, bits, 0, 1)
    if select < DUAL_INPUTS:
        per = DUAL_INPUTS - select
        n = -(-bits // per)
        return CompareShape("chain", skip, per, n, n)
    if select == DUAL_INPUTS:
        # All six inputs for "equal"; where not, the bit itself decides. A position more says no
        # for bounds that are never reached.
        n = bits + any(b >> bits for b in bounds)
        return CompareShape("six", skip, 1, n, n)
    # A LUT compares two bits with their bounds.
    n = -(-max(bits, len(columns)) // 2)
    return CompareShape("bounds", skip, 2, n, n + sum(lut_count(c, select) for c in columns))


def _compare_on_ccu2c(
    bounds: Sequence[int], columns: Sequence[int], skip: int, bits: int, select: int
) -> CompareShape:
    """Return the cheaper of a table and a chain whose positions give "equal" and "greater".

    "Greater" is a function of two inputs of a position, "equal" of three. The verdict leaves the
    chain through a position of its own, and two positions take the two LUTs of a cell.
    """
    if select == 0:
        kind, per, n, tables = "chain", 2, -(-bits // 2), 0
    elif select <= CCU2C_SELECT:
        kind, per, n, tables = "chain", 1, bits + any(b >> bits for b in bounds), 0
    else:
        kind, per, n = "bounds", 1, max(bits, len(columns))
        tables = sum(lut_count(c, select, CCU2C_LUT) for c in set(columns))
    luts = 2 * -(-(n + 1) // 2) + tables
    if bits + select <= CCU2C_TABLE:
        table = lut_count(compare_table(bounds, bits), bits + select, CCU2C_LUT)
        if table <= luts:
            return CompareShape("table", skip, bits, 0, table)
    return CompareShape(kind, skip, per, n, luts)


def chain_luts(chain: Chain, family: Family) -> int:
    """Return the LUTs of a sum; a CCU2C takes two for two positions of two operands."""
    if family.wide:
        return chain.luts
    cells = -(-len(chain.columns) // 2)
    return 2 * cells * (1 if chain.pairs else 2)


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
    if not family.wide:
        return melts
    for i, node in enumerate(graph.nodes):
        if not isinstance(node, Table) or len(users[i]) != 1 or i in outputs:
            continue
        if _address_bits(node) > DUAL_INPUTS:
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
                own = chain_luts(chains[i], family)
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
                d = _sum_delay(chains[i], family)
            case Table():
                if not melts[i]:
                    columns = {bit_column(node.values, b) for b in range(graph.width(i))}
                    nets = [lut_net(c, _address_bits(node), k) for c in columns]
                    d = family.t_lut * max(net.depth for net in nets)
            case Compare():
                d = _compare_delay(node, family)
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


def _sum_delay(chain: Chain, family: Family) -> float:
    if not chain_luts(chain, family):
        return 0.0
    d = family.adder(len(chain.columns))
    if family.wide and any(chain.save):
        return d + family.t_lut  # the saved carry passes through a LUT first
    # One chain for the operands, one for the constant, where a position of ECP5 has to add three.
    return d if family.wide or chain.pairs else 2 * d


def _compare_delay(node: Compare, family: Family) -> float:
    shape = compare_shape(node, family)
    select = sum(f.width for f in node.select)
    if family.wide:
        # Tables of bounds count as positions too: late rather than early.
        d = family.t_lut if shape.kind == "table" else family.adder(shape.luts)
        return d + family.t_lut * (select >= DUAL_INPUTS)
    if shape.kind == "table":
        bits = node.src.width - shape.skip
        table = compare_table([b >> shape.skip for b in node.bounds], bits)
        return family.t_lut * lut_net(table, bits + select, family.lut_inputs).depth
    late = family.t_lut * (shape.kind == "bounds")
    return late + family.adder(shape.positions)
