"""Out-of-context synthesis of a stitched design with Vivado, where it is installed.

Written from Vivado's documentation of its commands and reports (UG835, UG906) and tested against
reports in that layout; it has never been run with Vivado itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from finn_builds import tools
from finn_builds.stitch.design import TOP, Design
from finn_builds.stitch.sources import source_names
from finn_builds.synth.report import Figures, Synthesised, Tool
from finn_builds.vivado import reports

SCRIPT = "out_of_context.tcl"
OPTIONS = "synth_design -mode out_of_context -flatten_hierarchy rebuilt"

#: The clock, which `synth_design` has to know before it begins: it maps for speed what is late.
CONSTRAINTS = "clock.xdc"

#: Reports of the script.
UTILISATION, HIERARCHY, TIMING = "utilization.rpt", "hierarchy.rpt", "timing.rpt"

_LEVELS = re.compile(r"^\s*Logic Levels:\s+(\d+)", re.MULTILINE)


def script(sources: Sequence[str], part: str) -> str:
    """Return the Tcl that synthesises the design alone and writes three reports.

    The sources are in compile order, relative to the working directory, in which the memory
    contents lie too.
    """
    return "\n".join(
        [
            *(f"read_verilog{' -sv' if name.endswith('.sv') else ''} {name}" for name in sources),
            f"read_xdc -mode out_of_context {CONSTRAINTS}",
            f"{OPTIONS} -top {TOP} -part {part}",
            f"report_utilization -file {UTILISATION}",
            f"report_utilization -hierarchical -file {HIERARCHY}",
            f"report_timing_summary -file {TIMING}",
            "",
        ]
    )


def constraints(clock_ns: float) -> str:
    """Return the constraint of the clock, with a period of `clock_ns` ns."""
    return f"create_clock -name ap_clk -period {clock_ns:g} [get_ports ap_clk]\n"


def synthesise(
    design: Design,
    stitched: Mapping[str, str],
    part: str,
    clock_ns: float,
    work_dir: Path,
    *,
    log: Path,
) -> Synthesised:
    """Run Vivado and return the figures of the design and its nodes; `log` gets all it says.

    Raises
    ------
    ToolFailed
        Vivado stopped with an error.
    ReportError
        A report is not as Vivado writes it.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    own = {
        SCRIPT: script(source_names(stitched), part),
        CONSTRAINTS: constraints(clock_ns),
    }
    for name, text in {**stitched, **own}.items():
        (work_dir / name).write_text(text, encoding="utf-8")
    tools.run(
        ["vivado", "-mode", "batch", "-nojournal", "-log", "vivado.log", "-source", SCRIPT],
        cwd=work_dir,
        log=log,
    )
    return figures(
        design,
        {
            name: (work_dir / name).read_text(encoding="utf-8")
            for name in (UTILISATION, HIERARCHY, TIMING)
        },
        clock_ns,
    )


def figures(design: Design, written: Mapping[str, str], clock_ns: float) -> Synthesised:
    """Return what Vivado's reports say.

    Raises ReportError if a report is not as Vivado writes it, or lacks a node.
    """
    instances = reports.hierarchy(written[HIERARCHY])
    slack = reports.timing(written[TIMING])["WNS"]
    levels = [int(found) for found in _LEVELS.findall(written[TIMING])]
    top = Figures(
        _counts(reports.utilisation(written[UTILISATION])),
        logic_depth=max(levels, default=None),
        critical_path_ns=None if slack is None else round(clock_ns - float(slack), 3),
    )
    blocks = {}
    for stage in design.stages:
        names = (stage.name, f"{stage.name}_weights", f"{stage.name}_inst")
        parts = [instances[name] for name in names if name in instances]
        if not parts:
            raise reports.ReportError(f"the report by hierarchy has no instance {stage.name}")
        blocks[stage.name] = Figures(
            _counts({key: sum(part.get(key, 0) for part in parts) for key in parts[0]})
        )
    tool = Tool(
        name="Vivado",
        version=reports.tool_version(written[UTILISATION]),
        options=[OPTIONS],
        stage="synthesised out of context, not placed",
        critical_path="Vivado's estimate after synthesis, before placement",
    )
    return Synthesised(top, blocks, tool)


def _counts(found: Mapping[str, int | float]) -> dict[str, int | float]:
    """Return FINN's names: block RAM in halves, LUT with its two other uses separate."""
    ram, srl = found.get("LUTRAM", 0), found.get("SRL", 0)
    counts = {
        "LUT": found["LUT"],
        "FF": found["FF"],
        "CARRY": found.get("CARRY"),
        "DSP": found["DSP"],
        "BRAM_18K": 2 * found["BRAM_36K"] + found["BRAM_18K"],
        "URAM": found.get("URAM", 0),
        "LUT_logic": found["LUT"] - ram - srl,
        "LUT_RAM": ram,
        "LUT_SRL": srl,
    }
    return {name: value for name, value in counts.items() if value is not None}
