"""Runs Vivado on a project folder and collects bitfile, handoff, timing and utilisation."""

from __future__ import annotations

import re
import shutil
from collections import Counter
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
    ``clock``, ``board_files`` as the description of the overlay has them; ``tool``.
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
        return {"bitfile": said, "board files": self.report["board_files"]["note"]}

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

    Raises UserError if the script stopped and said why: a run failed, the clock or the device is
    not to be had. Raises ToolFailed, with the end of Vivado's log, if it ended otherwise.
    """
    shutil.copytree(project, scratch / project.name)
    shutil.copytree(out / "stitched_ip", scratch / "stitched_ip")
    work = scratch / project.name
    command = ["vivado", "-mode", "batch", "-nojournal", "-log", "vivado.log"]
    try:
        done = tools.run([*command, "-source", BUILD_SCRIPT], cwd=work, log=out / LOG)
    except tools.ToolFailed as error:
        why = re.search(rf"^{STOPPED}(.*)$", error.output, re.MULTILINE)
        if why is None:
            raise
        raise UserError(f"Vivado made no bitfile: {why[1]}; all it said is in {LOG}") from error
    return collect(work / RESULT, out, done.stdout)


def collect(result: Path, out: Path, output: str) -> Placed:
    """Copy what the script has made in `result` into the build folder and return the figures.

    The banner in the `output` tells which Vivado it was where the script could not find out.
    """
    placed = reports.hierarchy((result / UTILISATION).read_text(encoding="utf-8"))
    timing = reports.timing((result / TIMING).read_text(encoding="utf-8"))
    facts = read_json(result / FACTS)
    figures: dict[str, Any] = {
        **_short_names(placed),
        "timing": timing,
        "clock": facts["clock"],
        "board_files": facts["board_files"],
        "tool": {
            "name": "Vivado",
            "version": facts["vivado"] or reports.tool_version(output),
            "stage": "placed and routed",
        },
    }
    (out / BITFILE_DIR).mkdir()
    for name in (BIT if timing["met"] else LATE_BIT, HWH, FACTS):
        shutil.copyfile(result / name, out / BITFILE_DIR / name)
    shutil.copyfile(result / TIMING, out / FINN_TIMING)
    (out / REPORT_DIR).mkdir()
    for name in REPORTS:
        shutil.copyfile(result / name, out / REPORT_DIR / name)
    return Placed(figures)


def _short_names(placed: dict[str, dict]) -> dict[str, dict]:
    """Return instances by their own name where it is the only one of that name, else by path."""
    names = Counter(path.rpartition("/")[2] for path in placed)
    return {
        path if names[path.rpartition("/")[2]] > 1 else path.rpartition("/")[2]: counts
        for path, counts in placed.items()
    }
