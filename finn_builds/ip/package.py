"""The files of the package, and what was found when they were checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finn_builds.emulator import FLAGS
from finn_builds.files import IP_FILE, read_record, write_record
from finn_builds.ip.benches import VECTORS, cpp_bench, vectors_text, verilog_bench, vhdl_bench
from finn_builds.ip.drawing import timing_svg
from finn_builds.ip.ports import PortRow, port_rows
from finn_builds.ip.readme import readme
from finn_builds.ip.scripts import RUN_FILE, constraints, run_script
from finn_builds.ip.vhdl import package_text, wrapper_text
from finn_builds.sparse.core_ports import CorePorts
from finn_builds.vivado.ipxact import COMPONENT_FILE, parallel_component_xml

__all__ = ["IpReport", "package_files", "vectors_text"]


@dataclass(frozen=True)
class IpReport:
    """The parallel core, compared and measured: ``report/ip.json``."""

    name: str
    part: str
    clock_ns: float
    ports: tuple[PortRow, ...]
    latency_cycles: int  # measured in simulation
    interval_cycles: int  # measured in simulation
    stage_ns: float  # estimated
    caveat: str  # of the delays of the family, empty where there is none
    frames: int  # of every comparison
    mismatches: dict[str, int]  # by what was compared
    simulator: str
    compiler: str
    resources: dict[str, int]  # counted by synthesis; empty where that was not run
    resources_kind: str  # tool and version, or why there are none
    critical_path_ns: float | None  # estimated on the netlist
    estimated: dict[str, int]

    @property
    def latency_ns(self) -> float:
        """At the clock asked for."""
        return self.latency_cycles * self.clock_ns

    def save(self, out: Path, step: str) -> None:
        """Write it."""
        write_record(out / IP_FILE, self)

    @classmethod
    def load(cls, out: Path, step: str) -> IpReport:
        """Read what `save` wrote."""
        return read_record(out / IP_FILE, cls)

    def summary(self) -> dict[str, Any]:
        """Return the figures for the summary of a build."""
        return {
            "latency_cycles": self.latency_cycles,
            "latency_ns": self.latency_ns,
            "interval_cycles": self.interval_cycles,
            "frames": self.frames,
            "mismatches": sum(self.mismatches.values()),
            "resources": {**(self.resources or self.estimated), "kind": self.resources_kind},
            "critical_path_ns": self.critical_path_ns,
        }

    def figures(self) -> dict[str, tuple[str, str]]:
        """Return the figures of the page: (value, how it was obtained) by what they are."""
        compared = ", ".join(self.mismatches)
        caveat = self.caveat and f"; {self.caveat}"
        found = {
            "latency": (f"{self.latency_cycles} clocks", f"measured, {self.simulator}"),
            "interval": (f"{self.interval_cycles} clock", f"measured, {self.simulator}"),
            "longest path": (
                f"{self.stage_ns:.2f} ns",
                f"estimated by the delay model, before synthesis{caveat}",
            ),
            "mismatches": (
                str(sum(self.mismatches.values())),
                f"{self.frames:,} frames each: {compared}",
            ),
        }
        for name, value in (self.resources or self.estimated).items():
            found[name] = (f"{value:,}", self.resources_kind)
        if self.critical_path_ns is not None:
            found["longest path of the netlist"] = (
                f"{self.critical_path_ns:.2f} ns",
                f"estimated on the netlist, before placement{caveat}",
            )
        return found


def component(core: CorePorts) -> str:
    """Return ``component.xml``."""
    vectors = {port.name: port.bits for port in (*core.inputs, *core.outputs)}
    ports = [(row.name, row.direction, vectors.get(row.name)) for row in port_rows(core)]
    return parallel_component_xml(core.name, ports, [f"{core.name}.v"])


def package_files(
    core: CorePorts,
    sources: Mapping[str, str],
    header: str,
    x: np.ndarray,
    y: np.ndarray,
    report: IpReport | None = None,
    names: str = "",
) -> dict[str, str]:
    """Return the files, text by name.

    Parameters
    ----------
    core : CorePorts
    sources : mapping
        The core's ``<name>.v`` and ``<name>_model.vhd``.
    header : str
        Of the emulator.
    x, y : ndarray of int, shape (frames, n_in) and (frames, n_out)
    report : IpReport, optional
        Without it there is no page, which states its figures.
    names : str
        For the page, from `readme.names_of`.
    """
    name, frames = core.name, len(x)
    files = {
        **sources,
        f"{name}_pkg.vhd": package_text(core),
        f"{name}.vhd": wrapper_text(core),
        f"{name}_tb.v": verilog_bench(core, frames),
        f"{name}_tb.vhd": vhdl_bench(core, frames),
        VECTORS: vectors_text(core, x, y),
        RUN_FILE: run_script(core, " ".join(FLAGS)),
        f"emulator/{name}.h": header,
        f"emulator/{name}_test.cpp": cpp_bench(core),
        COMPONENT_FILE: component(core),
        f"{name}_ooc.xdc": constraints(core),
        "timing.svg": timing_svg(core),
    }
    if report is not None:
        figures = report.figures()
        files["README.md"] = readme(core, report.part, frames, figures, names)
        plain: dict[str, Any] = {k: {"value": v, "how": how} for k, (v, how) in figures.items()}
        files["figures.json"] = json.dumps(plain, indent=2) + "\n"
    return files
