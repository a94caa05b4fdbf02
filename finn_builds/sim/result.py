"""What a simulation run gives back, and the description of a run that got stuck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finn_builds.sim.errors import SimulationHang

__all__ = ["LinkState", "LinkStats", "SimResult", "hang"]


@dataclass(frozen=True)
class LinkStats:
    """What one internal stream did in a run."""

    transfers: int  # beats that were handed over (TVALID and TREADY)
    stalled: int  # cycles in which data waited for the receiver (TVALID without TREADY)
    starved: int  # cycles in which the receiver waited for data (TREADY without TVALID)
    retracted: int  # times that TVALID fell before TREADY, which AXI-stream forbids
    # Cycle of the first and of the last transfer, counted from reset; None if there was none
    first: int | None
    last: int | None


@dataclass(frozen=True)
class LinkState:
    """The handshake of one stream in the last cycle looked at."""

    name: str
    valid: bool
    ready: bool
    transfers: int
    last: int | None


@dataclass(frozen=True)
class SimResult:
    """Outcome of one run."""

    # Output beats (n_beats_out, out_bytes), uint8, TDATA's least significant byte first
    outputs: npt.NDArray[np.uint8]
    # Cycle in which each input beat was accepted and each output beat taken, counted from reset
    in_cycles: npt.NDArray[np.uint64]
    out_cycles: npt.NDArray[np.uint64]
    start_cycle: int  # cycle at which the run began: 0 after a reset
    cycles: int  # clock cycles that the run took
    # The internal streams, in the order in which they were named at compilation
    links: Mapping[str, LinkStats]
    log: str  # what the design printed during the run ($display, warnings)


def hang(
    states: Sequence[LinkState], cycle: int, idle: int, n_beats_in: int, n_beats_out: int
) -> SimulationHang:
    """Return the error for a run in which no beat has moved at either port for `idle` cycles.

    `states` are those of every stream in the order that the data take, from input to output.
    """
    i, why = _stopped(states)
    before, after = states[i], states[i + 1]
    if states[-1].transfers == n_beats_out and states[-1].valid:
        head = (
            "the design has more output than was asked for and does not take the rest of its "
            "input: expected fewer output beats for this input"
        )
    else:
        head = f"the stage between '{before.name}' and '{after.name}' has stopped: {why}"
    width = max(len(s.name) for s in states)
    rows = [
        f"  {s.name:<{width}}  valid={int(s.valid)} ready={int(s.ready)}  "
        + f"{s.transfers} beats, "
        + ("none ever" if s.last is None else f"the last in cycle {s.last}")
        for s in states
    ]
    text = (
        f"nothing moved for {idle} cycles (now cycle {cycle}), after {states[0].transfers} of "
        f"{n_beats_in} input beats and {states[-1].transfers} of {n_beats_out} output beats: "
        f"{head}\n" + "\n".join(rows)
    )
    return SimulationHang(text, cycle, before.name, after.name)


def _stopped(states: Sequence[LinkState]) -> tuple[int, str]:
    """Return the index of the stream before the stage that stopped, and what it does wrong."""
    pairs = range(len(states) - 1)
    for i in pairs:
        if states[i].valid and not states[i].ready and not states[i + 1].valid:
            return i, "data wait before it, but it takes none and gives none"
    for i in pairs:
        if states[i].transfers and not states[i + 1].transfers:
            return i, "it took data and never gave any"
    last = [-1 if s.last is None else s.last for s in states[:-1]]
    i = max(range(len(last)), key=last.__getitem__)
    return i, "it was the last to take data and still owes its result"
