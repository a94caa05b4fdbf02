"""Pipeline registers: as few stages as the clock allows, then as few register bits as they allow.

Every node gets a stage; a node's value crosses as many registers as its latest user is stages
later. The number of stages comes from scheduling each node as soon as possible. The register
bits are then minimised exactly: "these two nodes cannot share a stage because the path between
them is longer than a clock" is a difference constraint, and so are all others (Leiserson and
Saxe, "Retiming synchronous circuitry", 1991), so the linear program has an integer optimum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

from finn_builds.errors import UserError
from finn_builds.sparse.cost import delays, estimate
from finn_builds.sparse.cut import cut
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Builder, Graph
from finn_builds.sparse.logic import absorbed
from finn_builds.sparse.nodes import Const, Input, Reg, operands, renumber

# Slack for sums of delays that should be equal.
EPSILON = 1e-9
# Path constraints beyond which the linear program is not tried: stages stay as soon as possible.
MAX_CONSTRAINTS = 600_000
# Stage of the first operators: inputs are in stage 0, and a register lies between.
FIRST = 1


@dataclass(frozen=True)
class Pipeline:
    """A graph with its registers, as many between an input and every output as its latency.

    `stage_ns` is the estimated longest register-to-register delay.
    """

    graph: Graph
    latency: int
    stage_ns: float


def _as_soon_as_possible(
    graph: Graph, delay: list[float], budget: float
) -> tuple[list[int], float]:
    """Return each node's earliest stage, and the longest delay within a stage."""
    stages: list[int] = []
    arrival: list[float] = []
    longest = 0.0
    for i, node in enumerate(graph.nodes):
        stage, at = (0, 0.0) if isinstance(node, Input | Const) else (FIRST, 0.0)
        for src in operands(node):
            if isinstance(graph.nodes[src], Const):
                continue
            if stages[src] > stage:
                stage, at = stages[src], arrival[src]
            elif stages[src] == stage:
                at = max(at, arrival[src])
        if at > 0 and at + delay[i] > budget + EPSILON:
            stage, at = stage + 1, 0.0
        stages.append(stage)
        arrival.append(at + delay[i])
        longest = max(longest, at + delay[i])
    return stages, longest


def _together(graph: Graph, family: Family) -> list[tuple[int, int]]:
    """Return (table, adder) pairs that must share a stage because one melts into the other."""
    return [(i, graph.users[i][0]) for i, m in enumerate(absorbed(graph, family)) if m]


def _joined(
    stages: list[int], pairs: list[tuple[int, int]], apart: list[tuple[int, int]]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the stages with each table in its adder's, and the pairs for which there is time.

    A table of which some bits do not melt takes its own time before the adder; where the stage has
    none for both, a register lies between them, and nothing melts.
    """
    far: dict[int, list[int]] = {}
    for earlier, later in apart:
        far.setdefault(earlier, []).append(later)
    joined = [
        (table, adder)
        for table, adder in pairs
        if all(stages[later] > stages[adder] for later in far.get(table, ()))
    ]
    moved = list(stages)
    for table, adder in joined:
        moved[table] = stages[adder]
    return moved, joined


def _too_far(graph: Graph, delay: list[float], budget: float) -> list[tuple[int, int]]:
    """Return pairs of nodes with a path between them, ends included, longer than the budget.

    Only the first such node on each path: the further ones follow.
    """
    users = graph.users
    pairs: list[tuple[int, int]] = []
    for start in range(len(graph.nodes)):
        if isinstance(graph.nodes[start], Input | Const):
            continue
        reach = {start: delay[start]}
        order = [start]
        seen_far: set[int] = set()
        # Nodes are in topological order, so the smallest index is final when it is taken.
        while order:
            order.sort(reverse=True)
            node = order.pop()
            for user in users[node]:
                length = reach[node] + delay[user]
                if length > budget + EPSILON:
                    seen_far.add(user)
                    continue
                if user not in reach:
                    order.append(user)
                    reach[user] = length
                else:
                    reach[user] = max(reach[user], length)
        pairs += [(start, user) for user in sorted(seen_far)]
    return pairs


def _fewest_bits(
    graph: Graph,
    earliest: list[int],
    last: int,
    apart: list[tuple[int, int]],
    together: list[tuple[int, int]],
) -> list[int]:
    """Return the stages that need the fewest register bits, all nodes within `last`.

    Variables: the stage of each node, and after them the last stage in which it is read.
    """
    n = len(graph.nodes)
    rows: list[int] = []
    cols: list[int] = []
    vals: list[float] = []
    rhs: list[float] = []

    def require(later: int, earlier: int, by: int) -> None:
        # later - earlier >= by
        row = len(rhs)
        rows.extend((row, row))
        cols.extend((earlier, later))
        vals.extend((1.0, -1.0))
        rhs.append(-float(by))

    for i, node in enumerate(graph.nodes):
        require(n + i, i, 0)
        for src in set(operands(node)):
            if isinstance(graph.nodes[src], Const):
                continue
            require(i, src, 0)
            require(n + src, i, 0)
    for earlier, later in apart:
        require(later, earlier, 1)
    for table, adder in together:
        require(table, adder, 0)
    outputs = set(graph.outputs)
    constant = [isinstance(node, Const) for node in graph.nodes]
    bounds = [
        (0, 0) if isinstance(node, Input | Const) else (earliest[i], last)
        for i, node in enumerate(graph.nodes)
    ]
    bounds += [(last if i in outputs and not constant[i] else 0, last) for i in range(n)]
    weight = np.array([0.0 if constant[i] else float(graph.width(i)) for i in range(n)])
    matrix = coo_matrix((vals, (rows, cols)), shape=(len(rhs), 2 * n)).tocsr()
    found = linprog(
        np.concatenate([-weight, weight]),
        A_ub=matrix,
        b_ub=np.array(rhs),
        bounds=bounds,
        method="highs-ds",
    )
    if not found.success:
        raise AssertionError(f"the register program has no solution: {found.message}")
    return [round(v) for v in found.x[:n]]


def _with_registers(graph: Graph, stages: list[int], last: int) -> Graph:
    """Return the graph with the registers that its stages ask for."""
    builder = Builder(graph.n_in)
    at: dict[int, int] = {}

    def delayed(node: int, clocks: int) -> int:
        new = at[node]
        for _ in range(clocks):
            new = builder.reg(new)
        return new

    for i, node in enumerate(graph.nodes):
        moved = (
            renumber(node, {s: delayed(s, stages[i] - stages[s]) for s in set(operands(node))})
            if not isinstance(node, Input | Const)
            else node
        )
        at[i] = builder.copy(moved, graph, i)
    return builder.finish([delayed(o, last - stages[o]) for o in graph.outputs])


@dataclass(frozen=True)
class _Soonest:
    """Every node in its earliest stage, and the delay of each, ns.

    The outputs are in stage `last`, with `at_outputs` registers behind them; no path within a
    stage is longer than `budget`, ns. `after_ns` is that of `pipeline`, 0 where a register takes
    the outputs.
    """

    graph: Graph
    stages: list[int]
    last: int
    budget: float
    delay: list[float]
    at_outputs: int
    after_ns: float


def _soonest(
    graph: Graph,
    family: Family,
    clock_ns: float | None,
    latency: int | None,
    register_outputs: bool,
    after_ns: float,
) -> _Soonest:
    if (clock_ns is None) == (latency is None):
        raise UserError(
            "sparse pipeline: expected either a clock period or a latency, found "
            f"{clock_ns} ns and {latency} cycles; give one of the two"
        )
    delay = _with_after(graph, delays(graph, family), after_ns)
    at_outputs = int(register_outputs)
    slowest = max(delay, default=0.0)
    if clock_ns is not None:
        budget = clock_ns - family.t_reg
        if after_ns and budget < slowest:
            return _soonest(graph, family, clock_ns, None, True, 0.0)
        if budget < slowest:
            graph = cut(graph, family, budget)
            delay = _with_after(graph, delays(graph, family), after_ns)
            slowest = max(delay, default=0.0)
        if budget < slowest:
            raise UserError(
                f"sparse pipeline: expected a clock of at least {slowest + family.t_reg:.2f} ns "
                f"on {family.name} for the widest operator, found {clock_ns} ns; ask for a "
                "slower clock"
            )
    else:
        assert latency is not None
        least = FIRST + at_outputs
        if latency < least:
            raise UserError(
                f"sparse pipeline: expected a latency of at least {least} cycles for the registers "
                f"at its ends, found {latency}; ask for more"
            )
        budget = _least_budget(graph, delay, latency - at_outputs)
    stages, _ = _as_soon_as_possible(graph, delay, budget)
    last = max((stages[o] for o in graph.outputs), default=FIRST)
    if latency is not None:
        last = max(last, latency - at_outputs)
    return _Soonest(graph, stages, max(last, FIRST), budget, delay, at_outputs, after_ns)


def clocks(
    graph: Graph,
    family: Family,
    clock_ns: float | None = None,
    latency: int | None = None,
    register_outputs: bool = True,
    after_ns: float = 0.0,
) -> int:
    """Return the latency that `pipeline` gives, without placing the registers."""
    family = _sized(family, graph)
    found = _soonest(graph, family, clock_ns, latency, register_outputs, after_ns)
    return found.last + found.at_outputs


def pipeline(
    graph: Graph,
    family: Family,
    clock_ns: float | None = None,
    latency: int | None = None,
    register_outputs: bool = True,
    after_ns: float = 0.0,
) -> Pipeline:
    """Return a graph with pipeline registers for a clock or for a latency.

    Parameters
    ----------
    graph : Graph
        Without registers.
    clock_ns : float, optional
        Clock period to meet by the family's delay model.
    latency : int, optional
        Registers from input to output, those at the ends included; the stages are then made as
        short as that allows. Exactly one of the two must be given.
    register_outputs : bool
        Whether there is a register after the last operator; in front of the first there is one.
    after_ns : float
        Delay of what lies between an output and the register that takes it. Where the clock leaves
        no room for both, there is a register between them.

    Raises
    ------
    UserError
        If neither or both are given, or no pipeline can be that fast or that short.
    """
    family = _sized(family, graph)
    soon = _soonest(graph, family, clock_ns, latency, register_outputs, after_ns)
    graph = soon.graph
    apart = _too_far(graph, soon.delay, soon.budget)
    stages, together = _joined(soon.stages, _together(graph, family), apart)
    if len(apart) <= MAX_CONSTRAINTS:
        stages = _fewest_bits(graph, stages, soon.last, apart, together)
    total = soon.last + soon.at_outputs
    piped = _with_registers(graph, stages, total)
    longest = _longest(piped, _with_after(piped, delays(piped, family), soon.after_ns))
    return Pipeline(piped, total, longest + family.t_reg)


def _sized(family: Family, graph: Graph) -> Family:
    """Return the family with the delays of a design as large as the graph."""
    return family.of_size(estimate(graph, family).luts) if family.t_spread else family


def _with_after(graph: Graph, delay: list[float], after_ns: float) -> list[float]:
    """Return the delays, what lies after the outputs added to those of their operators."""
    outputs = set(graph.outputs)
    late = [
        i in outputs and not isinstance(node, Input | Const | Reg)
        for i, node in enumerate(graph.nodes)
    ]
    return [d + after_ns * is_late for d, is_late in zip(delay, late, strict=True)]


def _longest(graph: Graph, delay: list[float]) -> float:
    """Return the longest delay from a register or input to a register or output."""
    arrival: list[float] = []
    for i, node in enumerate(graph.nodes):
        at = (
            0.0 if isinstance(node, Reg) else max((arrival[s] for s in operands(node)), default=0.0)
        )
        arrival.append(at + delay[i])
    return max(arrival, default=0.0)


def _least_budget(graph: Graph, delay: list[float], last: int) -> float:
    """Return the shortest stage delay with which the outputs are reached by stage `last`."""
    low = max(delay, default=0.0)
    high = max(low, _as_soon_as_possible(graph, delay, float("inf"))[1])
    for _ in range(40):
        middle = (low + high) / 2
        stages, longest = _as_soon_as_possible(graph, delay, middle)
        if max((stages[o] for o in graph.outputs), default=FIRST) <= last:
            high = max(low, min(middle, longest))
        else:
            low = middle
        if high - low < 1e-3:
            break
    return high
