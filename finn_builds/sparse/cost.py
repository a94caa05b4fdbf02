"""LUTs, flip-flops and delay of every node of an operator graph for a family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finn_builds.sparse.chain import Chain, wires_of
from finn_builds.sparse.family import Family
from finn_builds.sparse.ir import Clip, Compare, Graph, Reg, Sum, Table
from finn_builds.sparse.lutnet import LUT_INPUTS, lut_count, lut_net, table_luts
from finn_builds.sparse.truth import bit_column

# Inputs of a LUT that also gives a second output.
DUAL_INPUTS = 5
# On ECP5: inputs of a LUT, most inputs that select a bound within the positions of a chain, and
# most inputs of a comparison of which a table is tried.
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
    """How a comparison with a selected bound is made.

    Attributes
    ----------
    kind : str
        ``table``: a function of all its bits. ``chain``: the bits that select go to every position
        of a carry chain. ``six`` (six-input LUTs): so do five of them, beside one bit of the
        number. ``bounds``: the bound comes from tables.
    skip : int
        Low bits in which no bound differs from 0; they do not matter.
    per : int
        Bits of the number at a position of the chain.
    positions : int
        Of the chain; 0 for a table.
    luts : int
    """

    kind: str
    skip: int
    per: int
    positions: int
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


def absorbed(graph: Graph, chains: dict[int, Chain], family: Family) -> list[bool]:
    """Return, for each node, whether it is a table that melts into the LUTs of the adder behind.

    A six-input LUT of a plain two-operand adder has four inputs to spare: an operand that is a
    function of at most five bits is computed inside it.
    """
    users = graph.users()
    outputs = set(graph.outputs)
    melts = [False] * len(graph.nodes)
    if not family.wide:
        return melts
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
    melts = absorbed(graph, chains, family)
    k = family.lut_inputs
    luts = [0] * len(graph.nodes)
    flip_flops = 0
    for i, node in enumerate(graph.nodes):
        if isinstance(node, Reg):
            flip_flops += graph.width(i)
        elif isinstance(node, Sum):
            luts[i] = chain_luts(chains[i], family)
        elif isinstance(node, Table) and not melts[i]:
            bits = sum(f.width for f in node.fields)
            luts[i] = table_luts(node.values, bits, graph.width(i), k)
        elif isinstance(node, Compare):
            luts[i] = compare_shape(node, family).luts
        elif isinstance(node, Clip):
            luts[i] = clip_luts(node, *graph.ranges[node.src], k)
    return Cost(sum(luts), flip_flops, tuple(luts))


def delays(graph: Graph, family: Family) -> list[float]:
    """Return the delay of every node from its operands to its output, ns."""
    _, chains = wires_of(graph)
    melts = absorbed(graph, chains, family)
    k = family.lut_inputs
    out: list[float] = []
    for i, node in enumerate(graph.nodes):
        d = 0.0
        if isinstance(node, Sum) and chain_luts(chains[i], family):
            chain = chains[i]
            d = family.adder(len(chain.columns))
            if family.wide and any(chain.save):
                d += family.t_lut  # the saved carry passes through a LUT first
            elif not family.wide and not chain.pairs:
                d *= 2  # one chain for the operands, one for the constant
        elif isinstance(node, Table) and not melts[i]:
            bits = sum(f.width for f in node.fields)
            columns = {bit_column(node.values, b) for b in range(graph.width(i))}
            d = family.t_lut * max(lut_net(c, bits, k).depth for c in columns)
        elif isinstance(node, Compare):
            d = _compare_delay(node, family)
        elif isinstance(node, Clip):
            luts = clip_luts(node, *graph.ranges[node.src], k)
            d = family.t_lut * -(-luts // max(1, node.top.bit_length()))
        out.append(d)
    return out


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
