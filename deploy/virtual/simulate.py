"""From a deployment package to a virtual board with its accelerator. For the host only.

Compiling the shell needs the tools of a build, and ``deploy`` does not import them. The project
registers its compiler under the entry point group ``prunestream.simulator`` (``setup.cfg``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.virtual.conditions import Conditions
from deploy.virtual.simulator import VirtualBoardError

if TYPE_CHECKING:
    from deploy.virtual.board import VirtualBoard

__all__ = ["ENTRY_POINTS", "ShellCompiler", "compiled", "simulate_package"]

ENTRY_POINTS = "prunestream.simulator"

#: Takes the description's ``shell``, the accelerator's sources, the folder for what is generated,
#: and a function to call before anything is compiled. Returns the library for `ShellSimulator`;
#: raises `VirtualBoardError` where the user can fix what is wrong.
ShellCompiler = Callable[[dict, list[Path], Path, Callable[[], None]], Path]


def simulate_package(
    folder: Path,
    description: dict,
    conditions: str = "",
    *,
    compile_shell: ShellCompiler | None = None,
) -> VirtualBoard:
    """Return a board with the accelerator of a deployment package, compiled if need be.

    `conditions` are as for `Conditions.parse`; `compile_shell` is by default the one installed.
    Raises `VirtualBoardError` if the accelerator's sources or the compiler are missing.
    """
    # Needs pynq, which an open board's host does without.
    from deploy.virtual.board import VirtualBoard

    wanted = Conditions.parse(conditions)
    library, sources = compiled(folder, description, compile_shell)
    return VirtualBoard(library, ps_type=description["ps_type"], conditions=wanted, run_dir=sources)


def compiled(
    folder: Path, description: dict, compile_shell: ShellCompiler | None = None
) -> tuple[Path, Path]:
    """Return the simulation of a deployment package and the folder in which it has to run.

    Raises `VirtualBoardError` as `simulate_package`.
    """
    sources = (folder / description["stitched_ip"]).resolve()
    listing = sources / "all_verilog_srcs.txt"
    if not listing.is_file():
        raise VirtualBoardError(
            f"there is no {listing}: --virtual simulates the accelerator's own sources, so run it "
            "in the deploy folder of a build, or in its unzipped package"
        )
    names = listing.read_text(encoding="utf-8").split()
    library = (compile_shell or _installed_compiler())(
        description["shell"],
        [sources / name for name in names],
        folder.parent / "virtual_board",
        _say_that_it_takes_time,
    )
    return library, sources


def _installed_compiler() -> ShellCompiler:
    for found in entry_points(group=ENTRY_POINTS):
        return found.load()
    raise VirtualBoardError(
        f"the simulated board needs the project, and {sys.executable} does not have it installed: "
        "run `make setup` in the checkout and use its .venv/bin/python"
    )


def _say_that_it_takes_time() -> None:
    print("compiling the simulated board, once: up to a minute", file=sys.stderr)
