"""Declarations of the device primitives that a design instantiates, for Yosys' slang frontend.

That frontend asks for each instantiated module with its parameters. The cells stay black boxes and
reach the netlist as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from finn_builds.sparse.device import Primitive


def declarations(primitives: Mapping[str, Primitive]) -> str:
    """Return one Verilog file that declares a family's primitives, without contents."""
    return "".join(_declaration(name, found) for name, found in primitives.items())


def _declaration(name: str, found: Primitive) -> str:
    listed = [
        f"{direction} [{width - 1}:0] {port}"
        for direction, ports in (("output", found.outputs), ("input", found.inputs))
        for port, width in ports
    ]
    given = ", ".join(f"parameter {p} = 0" for p in found.parameters)
    head = f"module {name} #({given}) (" if given else f"module {name} ("
    return f"{head}\n  " + ",\n  ".join(listed) + "\n);\nendmodule\n"
