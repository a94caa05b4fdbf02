"""Timing closure: for which clock to plan again where the routed one misses what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

#: Plans that are tried.
TURNS = 3


class Turn(NamedTuple):
    """One build: its clock period in ns as planned, its path as estimated, and the routed clock."""

    planned_ns: float
    routed_mhz: float
    estimated_ns: float | None = None  # of the mapped netlist; None where nothing estimated it


def next_plan(turns: Sequence[Turn], wanted_mhz: float) -> float | None:
    """Return the clock period to plan for next in ns, or None where the last build stands.

    The estimated path is to become as much shorter as the routed clock is too slow: it is often
    below what was planned for, and a plan between the two would give the same netlist. After
    `TURNS` misses the plan of the fastest of them is built again.
    """
    last = turns[-1]
    if last.routed_mhz >= wanted_mhz * (1 - 1e-6):
        return None
    path = min(last.planned_ns, last.estimated_ns or last.planned_ns)
    shorter = round(path * last.routed_mhz / wanted_mhz, 2)
    if len(turns) < TURNS and shorter < last.planned_ns:
        return shorter
    best = max(turns, key=lambda turn: turn.routed_mhz)
    return best.planned_ns if best.routed_mhz > last.routed_mhz else None
