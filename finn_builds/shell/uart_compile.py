"""Compiles a serial shell with its accelerator to the program of a simulated open board."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from finn_builds import tools
from finn_builds.shell.uart import UART_TOP, UartSpec, uart_files, uart_sources
from finn_builds.sim.compile import CXX_FLAGS

_HARNESS = Path(__file__).with_name("uart_harness.cpp")

#: Clock cycles of a bit in the simulation: fewer than on a board, so that less is simulated.
_CLOCKS = 8
#: Clock cycles that it waits for a byte and for a run.
_MOST_CLOCKS = 200_000


def compile_uart(
    shell: dict[str, Any],
    accelerator_sources: Sequence[Path],
    build_dir: Path,
    compiling: Callable[[], None] | None = None,
) -> Path:
    """Return the program; one that was made from the same sources and tools is used again.

    `shell` is the description of a `UartSpec`. `compiling` is called before compiling starts.
    """
    tools.require("g++")
    build_dir = build_dir.resolve()
    build_dir.mkdir(parents=True, exist_ok=True)
    spec = UartSpec(**{f.name: shell[f.name] for f in fields(UartSpec)})
    fast = replace(spec, baud=round(spec.mhz * 1e6 / _CLOCKS))
    files = uart_files(fast, most_clocks=_MOST_CLOCKS)
    sources = [path.resolve() for path in (*accelerator_sources, *uart_sources())]
    versions = tools.versions()
    digest = hashlib.sha256(f"{spec} {versions['verilator']} {versions['g++']}".encode())
    for text in (*files.values(), *(path.read_text() for path in (*sources, _HARNESS))):
        digest.update(text.encode() + b"\0")
    program = build_dir / f"uart-{digest.hexdigest()[:16]}"
    if program.exists():
        return program
    if compiling is not None:
        compiling()
    work = build_dir / f"work.{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for name, text in files.items():
        (work / name).write_text(text)
    argv, env = tools.verilator_command()
    argv += ["--cc", "--no-timing", "--prefix", "Vuart", "--top-module", UART_TOP]
    argv += ["--Mdir", str(work), "--x-assign", "unique", "--x-initial", "unique"]
    argv += ["-Wno-fatal", "-Wno-lint", "-DFINN_SIMULATION"]
    argv += [*map(str, sources), *(str(work / name) for name in files)]
    tools.run(argv, cwd=build_dir, log=work / "verilator.log", env=env)
    include = tools.verilator_root() / "include"
    own = sorted(work.glob("Vuart*.cpp"))
    library = [include / f"{name}.cpp" for name in ("verilated", "verilated_threads")]
    unit = work / "unit.cpp"
    unit.write_text("".join(f'#include "{path}"\n' for path in (*own, *library, _HARNESS)))
    flags = [f"-I{folder}" for folder in (include, include / "vltstd", work)]
    flags += [f"-DPRUNESTREAM_BAUD={spec.baud}", f"-DPRUNESTREAM_CLOCKS={fast.clocks}"]
    fresh = work / program.name
    link = ["g++", *CXX_FLAGS, *flags, "-O1", "-o", str(fresh), str(unit), "-pthread"]
    tools.run(link, cwd=work, log=work / "compile.log")
    os.replace(fresh, program)
    shutil.rmtree(work)
    return program
