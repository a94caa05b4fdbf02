"""From a stitched design to the netlist of a whole device: a shell around it, mapped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finn_builds import tools
from finn_builds.shell.uart import BOARD_TOP, SHELL, UART_TOP
from finn_builds.sparse.family import Family
from finn_builds.sparse.routing import Router
from finn_builds.stitch.design import TOP
from finn_builds.stitch.sources import source_names
from finn_builds.synth.netlist import Bit
from finn_builds.synth.primitives import declarations
from finn_builds.synth.script import READ
from finn_builds.synth.sources import readable

NETLIST = "netlist.json"
SCRIPT = "device.ys"
_PRIMITIVES = "device_primitives.v"

#: What the names of the accelerator's cells and nets begin with in the netlist of a device.
ACCELERATOR = "design.accelerator."


def device_files(
    stitched: Mapping[str, str], shell: Mapping[str, str], family: Family, router: Router
) -> dict[str, str]:
    """Return what Yosys reads, text by file name: accelerator, shell, board, primitives, script.

    `stitched` is the stitched folder and `shell` the shell with the board's top, both with sources
    in compile order.
    """
    plain = (f"{UART_TOP}.v", f"{BOARD_TOP}.v")
    files = {_PRIMITIVES: declarations(family.primitives)}
    files |= {name: readable(name, text) for name, text in stitched.items()}
    files |= {name: text for name, text in shell.items() if name not in plain}
    defines = " ".join(f"-D {macro}" for macro in ("FINN_SIMULATION", *family.defines))
    # The accelerator is mapped for itself, so that its ports are there after placement too.
    script = [
        f"{READ} {defines} --top {TOP} --top {SHELL} {' '.join(source_names(files))}",
        f"read_verilog {' '.join(plain)}",
        f"setattr -mod -set keep_hierarchy 1 {TOP}",
        *router.synthesis(BOARD_TOP),
        f"setattr -mod -unset keep_hierarchy {TOP}",
        "flatten",
        "delete t:$scopeinfo",  # notes, which not every version of nextpnr passes over
        *router.pads,
        "opt_clean",
        f"write_json {NETLIST}",
    ]
    files |= {name: shell[name] for name in plain}
    return {**files, SCRIPT: "\n".join(script) + "\n"}


def map_device(
    files: Mapping[str, str], router: Router, folder: Path, limit: float
) -> dict[str, Any]:
    """Run Yosys in `folder` and return the netlist as nextpnr takes it.

    Raises
    ------
    ToolFailed
        Yosys refused a source: a fault of this project; or it took longer than `limit` seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    argv = [*tools.yosys_command(), "-q", "-l", "yosys.log", "-s", SCRIPT]
    tools.run(argv, cwd=folder, log=folder / "output.log", timeout=limit)
    netlist: dict[str, Any] = json.loads((folder / NETLIST).read_text())
    return as_placed(netlist, router)


def as_placed(netlist: dict[str, Any], router: Router) -> dict[str, Any]:
    """Return a mapped netlist for which nextpnr spends no cells and nets that it needs not."""
    netlist = with_open_pins(netlist, router.netlist_fixes)
    for module in netlist["modules"].values():
        module["cells"] = {name: router.prepared(cell) for name, cell in module["cells"].items()}
    return netlist


def with_open_pins(netlist: dict[str, Any], pins: Sequence[str]) -> dict[str, Any]:
    """Return a netlist in which pins, given as ``KIND.PIN``, are there and open.

    That is where nothing is connected, an undefined constant, an input's net that nothing drives,
    or an output's net that nothing reads.
    """
    wanted: dict[str, list[str]] = {}
    for name in pins:
        kind, _, pin = name.partition(".")
        wanted.setdefault(kind, []).append(pin)
    modules = {}
    for name, module in netlist["modules"].items():
        driven, read = _driven_and_read(module)
        cells = {}
        for key, cell in module["cells"].items():
            opened = {}
            directions = cell.get("port_directions", {})
            for pin in wanted.get(cell["type"], ()):
                (bit,) = cell["connections"].get(pin) or ("x",)
                used = read if directions.get(pin) == "output" else driven
                if bit == "x" or (isinstance(bit, int) and bit not in used):
                    opened[pin] = ["x"]
            cells[key] = cell
            if opened:
                cells[key] = {
                    **cell,
                    "connections": {**cell["connections"], **opened},
                    "port_directions": {**dict.fromkeys(opened, "input"), **directions},
                }
        modules[name] = {**module, "cells": cells}
    return {**netlist, "modules": modules}


def _driven_and_read(module: Mapping[str, Any]) -> tuple[set[Bit], set[Bit]]:
    """Return the bits that something drives, and those that something reads."""
    driven: set[Bit] = set()
    read: set[Bit] = set()
    for cell in module["cells"].values():
        directions = cell.get("port_directions", {})
        for pin, bits in cell["connections"].items():
            (driven if directions.get(pin) == "output" else read).update(bits)
    for port in module["ports"].values():
        (read if port["direction"] == "output" else driven).update(port["bits"])
    return driven, read
