"""Compiles a shell with its accelerator to a shared object for `deploy.virtual.simulator`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deploy.virtual.simulator import VirtualBoardError
from finn_builds import sim, tools
from finn_builds.errors import UserError
from finn_builds.shell.spec import ShellSpec
from finn_builds.shell.top import TOP, shell_files, shell_sources
from finn_builds.shell.uart_compile import compile_uart
from finn_builds.shell.verilated import made_by, made_once, verilate
from finn_builds.sim.compile import CXX_FLAGS

__all__ = ["compile_for_virtual_board", "compile_shell"]

_HARNESS = Path(__file__).with_name("harness.cpp")
_RUN_DIR = Path(sim.__file__).with_name("run_dir.h")
_FLAGS = (*CXX_FLAGS, "-DVL_USER_WARN")  # warnings come to the harness


def compile_shell(
    spec: ShellSpec,
    accelerator_sources: Sequence[Path],
    build_dir: Path,
    *,
    runtime_sizes: bool = False,
    compiling: Callable[[], None] | None = None,
) -> Path:
    """Compile a shell with its accelerator into one shared object.

    Parameters
    ----------
    accelerator_sources
        Packages first. Files of the shell itself can be among them.
    build_dir
        Folder for everything that is generated. A library that was made there from the same
        sources and tools, whose digest is in its name, is used again.
    runtime_sizes
        See `finn_builds.shell.top.shell_files`.
    compiling
        Called before compiling starts; not called if a library is used again.
    """
    build_dir = build_dir.resolve()
    files = shell_files(spec, runtime_sizes=runtime_sizes)
    own = {path.name: path for path in shell_sources()}
    sources = [
        *(path.resolve() for path in accelerator_sources if path.name not in own),
        *own.values(),
    ]
    key = hashlib.sha256(repr((made_by(), _FLAGS)).encode()).hexdigest()[:16]
    verilator_object = build_dir / f"verilator-{key}.o"

    def make(library: Path, work: Path) -> None:
        verilate(work, "Vshell", TOP, sources, files, "--make", "json")
        _compile_units(spec, work, verilator_object, runtime_sizes)
        objects = [*map(str, work.glob("*.o")), str(verilator_object)]
        link = ["g++", *CXX_FLAGS, "-shared", "-o", str(library), *objects, "-pthread"]
        tools.run(link, cwd=work, log=work / "link.log")

    texts = (path.read_text(encoding="utf-8") for path in (*sources, _HARNESS, _RUN_DIR))
    decides = (repr((spec, runtime_sizes)), *files.values(), *texts)
    return made_once(build_dir, "shell-{}.so", decides, make, compiling)


def compile_for_virtual_board(
    shell: dict[str, Any],
    accelerator_sources: Sequence[Path],
    build_dir: Path,
    compiling: Callable[[], None],
) -> Path:
    """Compile the shell of a deployment package: the entry point of `deploy.virtual.simulate`.

    `shell` are attributes of a `ShellSpec`, or the description of a `UartSpec`. A missing program
    is a `VirtualBoardError`.
    """
    try:
        if "baud" in shell:
            return compile_uart(shell, accelerator_sources, build_dir, compiling)
        return compile_shell(
            ShellSpec(**shell), accelerator_sources, build_dir, compiling=compiling
        )
    except UserError as error:
        raise VirtualBoardError(str(error)) from error


def _compile_units(
    spec: ShellSpec, work: Path, verilator_object: Path, runtime_sizes: bool
) -> None:
    """Compile the verilated model and the harness, and Verilator's own code once per folder."""
    made = tools.verilator_json(work / "Vshell.json")["sources"]
    once = [p for kind in ("classes_slow", "support_slow") for p in made.get(kind, [])]
    often = [p for kind in ("classes_fast", "support_fast") for p in made.get(kind, [])]
    include = tools.verilator_root() / "include"
    folders = (include, include / "vltstd", work, _RUN_DIR.parent)
    flags = [*_FLAGS, *(part for folder in folders for part in ("-I", str(folder)))]
    flags.append(f"-DPRUNESTREAM_WORD_BYTES={spec.word_bytes}")
    if runtime_sizes:
        flags.append("-DPRUNESTREAM_RUNTIME_SIZES")
    units = {"slow": (once, "-O0"), "fast": ([*often, _HARNESS], "-O1")}
    if not verilator_object.exists():
        units["verilator"] = (made["global"], "-O1")
    commands = []
    for name, (paths, level) in units.items():
        unit = work / f"{name}_unit.cpp"
        unit.write_text("".join(f'#include "{path}"\n' for path in paths), encoding="utf-8")
        compile_unit = ["g++", *flags, level, "-c", str(unit), "-o", str(unit.with_suffix(".o"))]
        commands.append(tools.Command(compile_unit, work, unit.with_suffix(".log")))
    tools.run_all(commands)
    if "verilator" in units:
        os.replace(work / "verilator_unit.o", verilator_object)
