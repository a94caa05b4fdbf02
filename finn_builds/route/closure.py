"""Timing closure: what to build next where the routed clock misses what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

#: Builds that are tried.
TURNS = 3

#: Seeds move the clock by some 2 %: below this share of the clock wanted, more seeds do not help.
NEAR = 0.95

#: Seeds that are added at a time.
MORE_SEEDS = 2


class Turn(NamedTuple):
    """One build: its clock period in ns as planned, its path as estimated, and the routed clock."""

    planned_ns: float
    routed_mhz: float
    estimated_ns: float | None = None  # of the mapped netlist; None where nothing estimated it
    seeds: int = 1  # that were tried
    plan_helps: bool = True  # the slowest path is the accelerator's, whose plan is not fixed


def next_turn(turns: Sequence[Turn], wanted_mhz: float) -> tuple[float, int] | None:
    """Return clock period to plan for in ns and seeds of the next build, None if the last stands.

    Where a plan helps, the estimated path is to become as much shorter as the routed clock is too
    slow: it is often below what was planned for, and a plan between the two would give the same
    netlist. Elsewhere more seeds are tried, if they can make up for the miss. After `TURNS` misses
    the fastest of them is built again.
    """
    last = turns[-1]
    if last.routed_mhz >= wanted_mhz * (1 - 1e-6):
        return None
    if len(turns) < TURNS and last.plan_helps:
        path = min(last.planned_ns, last.estimated_ns or last.planned_ns)
        shorter = round(path * last.routed_mhz / wanted_mhz, 2)
        if shorter < last.planned_ns:
            return shorter, last.seeds
    elif len(turns) < TURNS and last.routed_mhz >= wanted_mhz * NEAR:
        return last.planned_ns, last.seeds + MORE_SEEDS
    best = max(turns, key=lambda turn: turn.routed_mhz)
    return (best.planned_ns, best.seeds) if best.routed_mhz > last.routed_mhz else None
