"""Runs nextpnr with one or several seeds, and reads what it reports."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finn_builds import tools
from finn_builds.config.open_route import installed_version
from finn_builds.errors import UserError
from finn_builds.sparse.routing import BoardRouter, Call, ProgramCall, Router

PLACED, REPORT, PINS, BITSTREAM = "routed.json", "report.json", "pins.txt", "bitstream"
LOG = "nextpnr.log"
CHIPDB = "chipdb.bin"

_VERSION_SECONDS = 60.0


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


def command(call: Call | ProgramCall, folder: Path, log: str, limit: float | None) -> tools.Command:
    """Return the call of a program, or of a Python package's in a process of its own."""
    if isinstance(call, ProgramCall):
        return tools.Command([call.program, *call.arguments], folder, folder / log, limit)
    text = (
        f"import sys, {call.module} as m; sys.argv[0] = {call.module!r}; "
        f"sys.exit(m.{call.function}(*([sys.argv[1:]] if {call.function != 'main'} else [])))"
    )
    argv = [sys.executable, "-c", text, *call.arguments]
    return tools.Command(argv, folder, folder / log, limit)


def version(router: Router) -> str:
    """Return the version of a wheel or program; UserError where a wheel is not installed."""
    if not isinstance(router, BoardRouter):
        said = tools.run([router.name, "--version"], cwd=Path.cwd(), timeout=_VERSION_SECONDS)
        found = re.search(r"\(Version (.+?)\)", said.stdout)
        return found[1] if found else "of unknown version"
    return installed_version(router)


def work_folder(
    folder: Path, netlist: Mapping[str, Any], pins: str, chipdb: Path | None = None
) -> Path:
    """Make a folder afresh with what a run of nextpnr reads, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "netlist.json").write_text(json.dumps(netlist))
    (folder / PINS).write_text(pins)
    if chipdb is not None:
        (folder / CHIPDB).symlink_to(chipdb.resolve())
    return folder


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
    chipdb: Path | None = None,
) -> Iterator[tuple[int, Timing | str]]:
    """Place and route a netlist once for each seed, in folders ``seed_<n>``.

    Yields
    ------
    int, Timing or str
        As each seed ends: the seed, and what it reached, or why there is nothing.

    Raises
    ------
    UserError
        What nextpnr wrote is cut off.
    """
    commands = []
    for seed in seeds:
        work = work_folder(folder / f"seed_{seed}", netlist, pins, chipdb)
        commands.append(command(router.route(part, seed, mhz), work, LOG, limit))
    with closing(tools.outcomes(commands)) as outcomes:
        for index, result in outcomes:
            if isinstance(result, tools.ToolFailed):
                yield seeds[index], f"{reason(result, limit)}. {advice(result)}"
            else:
                _check_whole(commands[index].cwd)
                yield seeds[index], timing_in(commands[index].cwd)


def _check_whole(folder: Path) -> None:
    """Raise a `UserError` if a file of a run that ended well is cut off."""
    for name in (PLACED, REPORT):
        path = folder / name
        if not path.is_file():
            continue  # not every program writes a report
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64))
            if not file.read().rstrip().endswith(b"}"):
                raise UserError(
                    f"nextpnr ended without an error, and what it wrote ({name}) is cut off. It "
                    "does so where the disk is full: make room, and build again"
                )


def timing_in(folder: Path) -> Timing:
    """Read what a run in a folder reached: from its report, or its log where there is none."""
    if (folder / REPORT).is_file():
        return timing_of(json.loads((folder / REPORT).read_text()))
    return timing_of_log((folder / LOG).read_text())


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


_LINE = r"^(?:Info|Warning|ERROR): *"
_FMAX = re.compile(
    _LINE + r"Max frequency for clock +'(.+)': ([\d.]+) MHz \(\w+ at ([\d.]+) MHz", re.M
)
_PATH = re.compile(_LINE + r"Critical path report for clock '(.+)' \(\w+ -> \w+\):$", re.M)
_STEP = re.compile(_LINE + r"(-?[\d.]+) +-?[\d.]+ +(Source|Setup|Net) (.+?)(?: budget .*)?$")
_SINK = re.compile(_LINE + r"Sink (.+)\.[^.]+$")
_USED = re.compile(_LINE + r"\s*(\w+): *(\d+)/ *(\d+) +\d+%", re.M)


def timing_of_log(text: str) -> Timing:
    """Read the log of nextpnr-xilinx, which has no report: times on a path are tenths of a ns.

    Clocks and paths are reported after placement and after routing: the last of each count. Of
    several clocks it is the one with the least to spare.
    """
    clocks = {name: (float(mhz), float(asked)) for name, mhz, asked in _FMAX.findall(text)}
    if not clocks:
        raise RuntimeError("nextpnr reports no clock")
    clock = min(clocks, key=lambda name: clocks[name][0] / clocks[name][1])
    starts = [found.end() for found in _PATH.finditer(text) if found[1] == clock]
    path = _steps_of_log(text[starts[-1] :]) if starts else ()
    cells = {kind: (int(used), int(there)) for kind, used, there in _USED.findall(text)}
    return Timing(clocks[clock][0], path, cells)


def _steps_of_log(text: str) -> tuple[PathStep, ...]:
    """Return the path at the beginning of a text, up to the line with its sum."""
    steps: list[PathStep] = []
    waiting: tuple[str, float] | None = None  # a net whose sink is on the next line
    for line in text.strip().splitlines():
        if " ns logic, " in line:
            break
        if (sink := _SINK.match(line)) and waiting is not None:
            steps.append(PathStep("routing", sink[1], *waiting))
            waiting = None
        elif found := _STEP.match(line):
            ns, what, name = float(found[1]), found[2], found[3]
            if what == "Net":
                waiting = (name, ns)
                continue
            kind = "setup" if what == "Setup" else "logic" if steps else "clk-to-q"
            steps.append(PathStep(kind, name.rpartition(".")[0], None, ns))
    return tuple(steps)


def reason(failure: tools.ToolFailed, limit: float) -> str:
    """Return why a run reached nothing."""
    if isinstance(failure, tools.ToolTimeout):
        return f"nextpnr did not end within {limit:g} s and was stopped"
    if failure.returncode is not None and failure.returncode < 0:
        return f"nextpnr was ended by {signal.Signals(-failure.returncode).name}"
    errors = [line for line in failure.output.splitlines() if line.startswith("ERROR")]
    return f"nextpnr stopped: {errors[0] if errors else str(failure)}"


def advice(failure: tools.ToolFailed) -> str:
    """Return what helps where a run reached nothing."""
    if isinstance(failure, tools.ToolTimeout):
        return "Build on a less busy machine, or choose a smaller model"
    if failure.returncode is not None and failure.returncode < 0:
        return (
            "A user does that, or a system that is short of memory: build again, with fewer --seeds"
        )
    return "Choose a larger board or a smaller model, or check the pins in a new board's file"
