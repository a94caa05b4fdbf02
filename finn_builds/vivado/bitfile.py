"""Runs Vivado on a project folder and collects bitfile, handoff, timing and utilisation."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finn_builds import tools
from finn_builds.files import read_json, write_json
from finn_builds.vivado import reports
from finn_builds.vivado.block_design import BUILD_SCRIPT, RESULT

__all__ = ["BIT", "BITFILE_DIR", "LOG", "RESOURCES", "TIMING", "Placed", "make_bitfile"]

BITFILE_DIR = "bitfile"
BIT = "finn-accel.bit"
HWH = "finn-accel.hwh"
LOG = "report/vivado.log"
RESOURCES = "report/post_synth_resources.json"
TIMING = "report/post_route_timing.rpt"


@dataclass(frozen=True)
class Placed:
    """What Vivado found after placement and routing.

    `report` has ``(top)`` and every instance, with FINN's names of resources; ``timing`` in ns;
    ``tool``.
    """

    report: dict[str, Any]

    @property
    def timing_met(self) -> bool:
        """Whether the design keeps its timing."""
        return bool(self.report["timing"]["met"])

    def save(self, out: Path, step: str) -> None:
        """Write ``report/post_synth_resources.json``."""
        write_json(out / RESOURCES, self.report)

    @classmethod
    def load(cls, out: Path, step: str) -> Placed:
        """Read what `save` wrote."""
        return cls(read_json(out / RESOURCES))


def make_bitfile(out: Path, project: Path, scratch: Path) -> Placed:
    """Run Vivado on the folder `project` in `scratch`, where it needs some hundred MB.

    Writes ``bitfile/finn-accel.bit`` and ``.hwh``, ``report/post_route_timing.rpt`` and Vivado's
    log.
    """
    version = reports.tool_version(
        tools.run(["vivado", "-version"], cwd=scratch, timeout=300).stdout
    )
    shutil.copytree(project, scratch / project.name)
    shutil.copytree(out / "stitched_ip", scratch / "stitched_ip")
    work = scratch / project.name
    tools.run(
        ["vivado", "-mode", "batch", "-nojournal", "-log", "vivado.log", "-source", BUILD_SCRIPT],
        cwd=work,
        log=out / LOG,
    )
    return collect(work / RESULT, out, version)


def collect(result: Path, out: Path, version: str) -> Placed:
    """Copy what the script has made in `result` into the build folder and return the figures."""
    placed = reports.hierarchy((result / "utilization.rpt").read_text(encoding="utf-8"))
    timing = (result / "timing.rpt").read_text(encoding="utf-8")
    figures: dict[str, Any] = {
        **_short_names(placed),
        "timing": reports.timing(timing),
        "tool": {"name": "Vivado", "version": version, "stage": "placed and routed"},
    }
    (out / BITFILE_DIR).mkdir()
    shutil.copyfile(result / BIT, out / BITFILE_DIR / BIT)
    shutil.copyfile(result / HWH, out / BITFILE_DIR / HWH)
    (out / TIMING).write_text(timing, encoding="utf-8")
    return Placed(figures)


def _short_names(placed: dict[str, dict]) -> dict[str, dict]:
    """Return instances by their own name where it is the only one of that name, else by path."""
    names = Counter(path.rpartition("/")[2] for path in placed)
    return {
        path if names[path.rpartition("/")[2]] > 1 else path.rpartition("/")[2]: counts
        for path, counts in placed.items()
    }
