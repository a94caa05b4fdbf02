"""LUTs, flip-flops and delay of every node of an operator graph for a family."""

from __future__ import annotations

from dataclasses import dataclass

from finn_builds.sparse.chain import Chain, wires_of
from finn_builds.sparse.family import Family
from finn_builds.sparse.ir import Clip, Compare, Graph, Reg, Sum, Table
from finn_builds.sparse.lutnet import LUT_INPUTS, lut_count, lut_net, narrow_lut_count, table_luts
from finn_builds.sparse.truth import bit_column

# Inputs of a LUT that also gives a second output.
DUAL_INPUTS = 5


@dataclass(frozen=True)
class Cost:
    """What a graph costs: LUTs and flip-flops, and the LUTs of each node."""

    luts: int
    flip_flops: int
    per_node: tuple[int, ...]


def compare_shape(node: Compare) -> tuple[int, int, int]:
    """Return the skipped low bits of a comparison, the bits per LUT, and the LUTs.

    The selecting bits go to every LUT of the chain, which leaves the rest of its inputs for bits
    of the compared number. Low bits in which no bound differs from 0 do not matter.
    """
    skip = 0
    while skip < node.src.width and all(b % (2 << skip) == 0 for b in node.bounds):
        skip += 1
    select = sum(f.width for f in node.select)
    bits = node.src.width - skip
    if bits + select <= LUT_INPUTS:
        return skip, bits, 1
    if select < DUAL_INPUTS:
        per = DUAL_INPUTS - select
        return skip, per, -(-bits // per)
    if select == DUAL_INPUTS:
        # All six inputs for "equal"; where not, the bit itself decides. A position more says no
        # for bounds that are never reached.
        return skip, 1, bits + any(b >> node.src.width for b in node.bounds)
    # The bound itself comes from tables, and a LUT compares two bits of it.
    columns = [
        bit_column([b >> skip for b in node.bounds], k)
        for k in range(max(node.bounds).bit_length())
    ]
    wide = max(bits, len(columns))
    return skip, 2, -(-wide // 2) + sum(lut_count(c, select) for c in columns)


def _bits_over(node: Clip, hi: int) -> int:
    """Return the bits above those that a clip keeps, of a number up to hi."""
    return max(0, (max(hi, 0) >> node.shift).bit_length() - node.top.bit_length())


def clip_luts(node: Clip, lo: int, hi: int) -> int:
    """Return the LUTs of a clip of a number in [lo, hi]."""
    bits = node.top.bit_length()
    over = _bits_over(node, hi)
    controls = over + (lo < 0)
    if controls == 0:
        return 0
    if controls + 1 <= LUT_INPUTS:
        return bits
    return bits + -(-(over - 1) // (LUT_INPUTS - 1))


def absorbed(graph: Graph, chains: dict[int, Chain]) -> list[bool]:
    """Return, for each node, whether it is a table that melts into the LUTs of the adder behind.

    A LUT of a plain two-operand adder has four inputs to spare: an operand that is a function of
    at most five bits is computed inside it.
    """
    users = graph.users()
    outputs = set(graph.outputs)
    melts = [False] * len(graph.nodes)
    for i, node in enumerate(graph.nodes):
        if not isinstance(node, Table) or len(users[i]) != 1 or i in outputs:
            continue
        if sum(f.width for f in node.fields) > DUAL_INPUTS:
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
    _, chains = wires_of(graph)
    melts = absorbed(graph, chains)
    luts = [0] * len(graph.nodes)
    flip_flops = 0
    for i, node in enumerate(graph.nodes):
        if isinstance(node, Reg):
            flip_flops += graph.width(i)
        elif not family.primitives:
            luts[i] = _narrow_luts(graph, chains, i)
        elif isinstance(node, Sum):
            luts[i] = chains[i].luts
        elif isinstance(node, Table) and not melts[i]:
            luts[i] = table_luts(node.values, sum(f.width for f in node.fields), graph.width(i))
        elif isinstance(node, Compare):
            luts[i] = compare_shape(node)[2]
        elif isinstance(node, Clip):
            luts[i] = clip_luts(node, *graph.ranges[node.src])
    return Cost(sum(luts), flip_flops, tuple(luts))


def _narrow_luts(graph: Graph, chains: dict[int, Chain], index: int) -> int:
    """Return the 4-input LUTs of a node; a carry cell takes two, for two positions."""
    node = graph.nodes[index]
    if isinstance(node, Sum):
        chain = chains[index]
        chained = 2 * -(-len(chain.columns) // 2)
        return chained * (2 if chain.const else 1) if chain.luts else 0
    if isinstance(node, Table):
        bits = sum(f.width for f in node.fields)
        columns = {bit_column(node.values, b) for b in range(graph.width(index))}
        return sum(narrow_lut_count(c, bits) for c in columns)
    if isinstance(node, Compare):
        skip, _, luts = compare_shape(node)
        select = sum(f.width for f in node.select)
        bits = node.src.width - skip
        if luts == 1:
            return (1, 1, 1, 1, 1, 2, 3)[bits + select]  # by the inputs of its function
        top = max(node.bounds).bit_length()
        bounds = {bit_column([b >> skip for b in node.bounds], k) for k in range(top - skip)}
        return 2 * -(-(bits + 1) // 2) + sum(narrow_lut_count(c, select) for c in bounds)
    if isinstance(node, Clip):
        lo, hi = graph.ranges[node.src]
        wide, over = clip_luts(node, lo, hi), _bits_over(node, hi)
        return wide + (over > 2) + (over > 5) if wide else 0
    return 0


def delays(graph: Graph, family: Family) -> list[float]:
    """Return the delay of every node from its operands to its output, ns."""
    _, chains = wires_of(graph)
    melts = absorbed(graph, chains)
    out: list[float] = []
    for i, node in enumerate(graph.nodes):
        d = 0.0
        if isinstance(node, Sum) and chains[i].luts:
            chain = chains[i]
            d = family.adder(len(chain.columns))
            if any(chain.save):
                d += family.t_lut  # the saved carry passes through a LUT first
        elif isinstance(node, Table) and not melts[i]:
            bits = sum(f.width for f in node.fields)
            columns = {bit_column(node.values, k) for k in range(graph.width(i))}
            d = family.t_lut * max(lut_net(c, bits).depth for c in columns)
        elif isinstance(node, Compare):
            luts = compare_shape(node)[2]
            d = family.t_lut if luts == 1 else family.adder(luts)
            if sum(f.width for f in node.select) >= DUAL_INPUTS:
                d += family.t_lut
        elif isinstance(node, Clip):
            luts = clip_luts(node, *graph.ranges[node.src])
            d = family.t_lut * -(-luts // max(1, node.top.bit_length()))
        out.append(d)
    return out
