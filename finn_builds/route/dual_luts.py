"""LUTs of two outputs, split for a place and route that takes a LUT6_2 for a LUT6."""

from __future__ import annotations

from typing import Any

_DUAL = "LUT6_2"
_INPUTS = tuple(f"I{k}" for k in range(6))


def split_dual_luts(netlist: dict[str, Any]) -> dict[str, Any]:
    """Return a netlist with two LUTs in the place of each LUT6_2, one for each output.

    O5 is the lower half of INIT, of I0 to I4 (UG953). So is O6 where I5 is 0, and the upper half
    where it is 1; otherwise it needs all six inputs. Outputs that nothing reads are left out.
    """
    modules = {}
    for name, module in netlist["modules"].items():
        cells: dict[str, Any] = {}
        for key, cell in module["cells"].items():
            if cell["type"] != _DUAL:
                cells[key] = cell
                continue
            for output in ("O5", "O6"):
                if cell["connections"].get(output):
                    cells[f"{key}${output}"] = _half(cell, output)
        modules[name] = {**module, "cells": cells}
    return {**netlist, "modules": modules}


def _half(cell: dict[str, Any], output: str) -> dict[str, Any]:
    init = int(cell["parameters"]["INIT"].replace("x", "0"), 2)
    last = (cell["connections"].get("I5") or ["0"])[0]
    # An open input reads 0, as nextpnr takes it.
    inputs = 5 if output == "O5" or last in ("0", "1", "x") else 6
    if output == "O6" and last == "1":
        init >>= 32
    size = 1 << inputs
    pins = {pin: cell["connections"].get(pin, ["0"]) for pin in _INPUTS[:inputs]}
    return {
        "hide_name": cell.get("hide_name", 0),
        "type": f"LUT{inputs}",
        "parameters": {"INIT": f"{init & ((1 << size) - 1):0{size}b}"},
        "attributes": dict(cell.get("attributes", {})),
        "port_directions": {**dict.fromkeys(pins, "input"), "O": "output"},
        "connections": {**pins, "O": cell["connections"][output]},
    }
