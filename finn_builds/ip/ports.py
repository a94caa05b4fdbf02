"""The ports of a core, each with what it is for."""

from __future__ import annotations

from dataclasses import dataclass

from finn_builds.network.names import in_comment
from finn_builds.sparse.core_ports import CorePorts


@dataclass(frozen=True)
class PortRow:
    """A port in the words of the page; `bits` are of all its elements."""

    name: str
    direction: str  # "in" or "out"
    bits: int
    what: str


def port_rows(core: CorePorts) -> tuple[PortRow, ...]:
    """Return the ports in their order."""
    rows = [
        PortRow("clk", "in", 1, f"clock, {core.clock_ns:g} ns"),
        PortRow("rst", "in", 1, "synchronous, active high"),
    ]
    if core.with_ce:
        rows.append(PortRow("ce", "in", 1, "clock enable: while it is 0, everything stands still"))
    rows.append(PortRow("valid_in", "in", 1, "a frame is at the inputs"))
    for ports, direction in ((core.inputs, "in"), (core.outputs, "out")):
        for port in ports:
            what = f"{in_comment(port.tensor)}: {port.elements} x {port.datatype}"
            rows.append(PortRow(port.name, direction, port.bits, what))
    rows.append(PortRow("valid_out", "out", 1, "a result is at the outputs"))
    return tuple(rows)
