"""Runs Vivado on a project folder and collects bitfile, handoff, timing and utilisation."""

from __future__ import annotations

import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finn_builds import tools
from finn_builds.errors import UserError
from finn_builds.files import read_json, write_json
from finn_builds.vivado import reports
from finn_builds.vivado.script import (
    BIT,
    BUILD_SCRIPT,
    FACTS,
    HWH,
    LATE_BIT,
    REPORTS,
    RESULT,
    STOPPED,
    TIMING,
    UTILISATION,
)

__all__ = ["BITFILE_DIR", "LOG", "REPORT_DIR", "RESOURCES", "Placed", "make_bitfile"]

BITFILE_DIR = "bitfile"
LOG = "report/vivado.log"
RESOURCES = "report/post_synth_resources.json"

#: FINN's name of the timing report; the others keep Vivado's in a folder of their own.
FINN_TIMING = "report/post_route_timing.rpt"
REPORT_DIR = "report/vivado"


@dataclass(frozen=True)
class Placed:
    """What Vivado found after placement and routing.

    `report` has ``(top)`` and every instance, with FINN's names of resources; ``timing`` in ns;
    ``clock``, ``board_files`` as the description of the overlay has them; ``tool``; ``unread``,
    reports that are not as they are known, with what is missing in them.
    """

    report: dict[str, Any]

    @property
    def timing_met(self) -> bool:
        """Whether the design keeps its timing."""
        return bool(self.report["timing"]["met"])

    @property
    def facts(self) -> dict[str, Any]:
        """What the driver has to know of the bitfile: clock, board files, version of Vivado."""
        return {
            "clock": self.report["clock"],
            "board_files": self.report["board_files"],
            "vivado": self.report["tool"]["version"],
        }

    @property
    def words(self) -> dict[str, str]:
        """What a reader has to know: the bitfile with its clock and slack, and the board files."""
        timing, clock = self.report["timing"], self.report["clock"]
        if self.timing_met:
            said = (
                f"{BITFILE_DIR}/{BIT} at {clock['actual_mhz']:.3f} MHz "
                f"({clock['asked_mhz']:.3f} MHz asked for, constrained to {clock['period_ns']} ns)"
                f", slack {timing['WNS']} ns (Vivado {self.report['tool']['version']})"
            )
        else:
            slacks = (timing[key] for key in reports.WORST_SLACKS)
            worst = min((slack for slack in slacks if slack is not None), default="none")
            said = (
                f"misses its timing (slack {worst} ns) and is not in the package: build again with "
                f"a longer --clock-ns; {REPORT_DIR}/worst_paths.rpt says where it is lost"
            )
        words = {"bitfile": said, "board files": self.report["board_files"]["note"]}
        if unread := self.report.get("unread"):
            words["not read"] = "; ".join(f"{name}: {why}" for name, why in unread.items())
        return words

    def save(self, out: Path, step: str) -> None:
        """Write ``report/post_synth_resources.json``."""
        write_json(out / RESOURCES, self.report)

    @classmethod
    def load(cls, out: Path, step: str) -> Placed:
        """Read what `save` wrote."""
        return cls(read_json(out / RESOURCES))


def make_bitfile(out: Path, project: Path, scratch: Path) -> Placed:
    """Run Vivado on the folder `project` in `scratch`, where it needs some hundred MB.

    Writes ``bitfile/``, ``report/post_route_timing.rpt``, ``report/vivado/`` and Vivado's log.

    Raises UserError with the reason if Vivado ended before there was one: a run failed, the clock
    or the device is not available, Vivado did not start or was killed.
    """
    shutil.copytree(project, scratch / project.name)
    shutil.copytree(out / "stitched_ip", scratch / "stitched_ip")
    work = scratch / project.name
    command = ["vivado", "-mode", "batch", "-nojournal", "-log", "vivado.log"]
    try:
        done = tools.run([*command, "-source", BUILD_SCRIPT], cwd=work, log=out / LOG)
    except tools.ToolFailed as error:
        raise UserError(
            f"Vivado made no bitfile: {_reason(error)}; all it said is in {out / LOG}"
        ) from error
    return collect(work / RESULT, out, done.stdout)


def _reason(error: tools.ToolFailed) -> str:
    """Return the line that says why Vivado ended: the script's, else Vivado's last error."""
    for pattern in (rf"^{STOPPED}(.*)$", r"^(ERROR: .*)$", r"^(.*)\n    while executing$"):
        if found := re.findall(pattern, error.output, re.MULTILINE):
            return str(found[-1]).strip()
    lines = [line.strip() for line in error.output.splitlines() if line.strip()]
    said = f", and said last: {lines[-1]}" if lines else " without a word"
    if error.returncode is not None and error.returncode < 0:
        name = signal.Signals(-error.returncode).name
        why = ", as a system does that is short of memory" if name == "SIGKILL" else ""
        return f"it was ended by {name}{why}{said}"
    return f"it ended with exit status {error.returncode}{said}"


def collect(result: Path, out: Path, output: str) -> Placed:
    """Copy what the script has made in `result` into the build folder and return the figures.

    The banner in the `output` tells which Vivado it was where the script could not find out.
    """
    missing = [name for name in (UTILISATION, TIMING, FACTS, HWH) if not (result / name).is_file()]
    if missing:
        raise UserError(
            f"Vivado ended as if all were well, but made no {', '.join(missing)}; all it said is "
            f"in {out / LOG}"
        )
    facts = read_json(result / FACTS)
    unread: dict[str, str] = {}
    placed = _figures(result / UTILISATION, reports.hierarchy, unread)
    read = _figures(result / TIMING, reports.timing, unread)
    slacks = {key: facts["timing"].get(key.lower()) for key in reports.WORST_SLACKS}
    met = bool(facts["timing"]["met"] and read.get("met", True))
    made = BIT if facts["timing"]["met"] else LATE_BIT
    figures: dict[str, Any] = {
        **_short_names(placed),
        "timing": {**slacks, **read, "met": met},
        "clock": facts["clock"],
        "board_files": facts["board_files"],
        "tool": {
            "name": "Vivado",
            "version": facts["vivado"] or reports.tool_version(output),
            "stage": "placed and routed",
        },
        **({"unread": unread} if unread else {}),
    }
    (out / BITFILE_DIR).mkdir()
    shutil.copyfile(result / made, out / BITFILE_DIR / (BIT if met else LATE_BIT))
    for name in (HWH, FACTS):
        shutil.copyfile(result / name, out / BITFILE_DIR / name)
    shutil.copyfile(result / TIMING, out / FINN_TIMING)
    (out / REPORT_DIR).mkdir()
    for name in REPORTS:
        if (result / name).is_file():
            shutil.copyfile(result / name, out / REPORT_DIR / name)
    return Placed(figures)


def _figures(
    report: Path, read: Callable[[str], dict[str, Any]], unread: dict[str, str]
) -> dict[str, Any]:
    """Return what a report says; if its layout is not known, nothing, and `unread` gets the reason.

    A bitfile takes an hour: it is not lost because a new Vivado writes its tables differently.
    """
    try:
        return read(report.read_text(encoding="utf-8", errors="replace"))
    except reports.ReportError as error:
        unread[report.name] = str(error)
        return {}


def _short_names(placed: dict[str, dict]) -> dict[str, dict]:
    """Return instances by their own name where it is the only one of that name, else by path."""
    names = Counter(path.rpartition("/")[2] for path in placed)
    return {
        path if names[path.rpartition("/")[2]] > 1 else path.rpartition("/")[2]: counts
        for path, counts in placed.items()
    }
