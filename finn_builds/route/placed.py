"""The accelerator within the netlist that nextpnr writes after placement and routing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from finn_builds.route.design import ACCELERATOR
from finn_builds.synth.netlist import Bit, Cell, Netlist

#: Ports of the accelerator, by the nets of the module around it.
_PORTS = {
    "s_axis_0_tdata": "design.s_tdata",
    "s_axis_0_tvalid": "design.s_tvalid",
    "s_axis_0_tready": "design.s_tready",
    "m_axis_0_tdata": "design.m_tdata",
    "m_axis_0_tvalid": "design.m_tvalid",
    "m_axis_0_tready": "design.m_tready",
    "ap_rst_n": "design.accelerator_rst_n",
}
_DRIVEN = frozenset({"s_axis_0_tready", "m_axis_0_tdata", "m_axis_0_tvalid"})
#: What nextpnr calls the cells that make constants.
_CONSTANTS = ("$PACKER_", "$nextpnr_")
#: Pins that carry a clock, which the gate simulator does not need, or that only the fabric knows.
_NOT_READ = frozenset({"CLK", "CLK0"})


class NotWhole(Exception):
    """Part of the accelerator is not where it is looked for in the placed netlist."""


def accelerator_of(placed: Mapping[str, Any], widths: Mapping[str, int]) -> Netlist:
    """Return the accelerator's cells of a placed netlist, its streams as ports.

    Parameters
    ----------
    placed : mapping
        What nextpnr wrote: one flat module.
    widths : mapping of str to int
        Bits of ``s_axis_0_tdata`` and ``m_axis_0_tdata``.

    Raises
    ------
    NotWhole
        A cell reads a net that nothing in the accelerator drives and that is not a port.
    """
    (module,) = placed["modules"].values()
    nets = {name: net["bits"] for name, net in module["netnames"].items()}
    cells = []
    for name, cell in module["cells"].items():
        if not name.startswith((ACCELERATOR, *_CONSTANTS)):
            continue
        pins: dict[str, dict[str, list[Bit]]] = {"input": {}, "output": {}}
        for pin, direction in cell["port_directions"].items():
            bits = cell["connections"].get(pin, [])
            if bits and direction in pins:
                pins[direction][pin] = bits
        cells.append(Cell(name, cell["type"], cell["parameters"], pins["input"], pins["output"]))
    ports = {name: _port(nets, net, widths.get(name, 1)) for name, net in _PORTS.items()}
    driven = {b for cell in cells for bits in cell.outputs.values() for b in bits}
    given = {b for name, bits in ports.items() if name not in _DRIVEN for b in bits}
    for cell in cells:
        if not cell.name.startswith(ACCELERATOR):
            continue
        for pin, bits in cell.inputs.items():
            if pin not in _NOT_READ and any(
                isinstance(b, int) and b not in driven and b not in given for b in bits
            ):
                raise NotWhole(f"nothing in the accelerator drives {pin} of {cell.name}")
    return Netlist(tuple(cells), ports)


def _port(nets: Mapping[str, list[Bit]], name: str, width: int) -> tuple[Bit, ...]:
    """Return the nets of a port; bits that were left out, as padding is, are 0."""
    if name in nets and len(nets[name]) == width:
        return tuple(nets[name])
    return tuple((nets.get(f"{name}[{k}]") or ["0"])[0] for k in range(width))


def cells_used(netlist: Netlist) -> dict[str, int]:
    """Return the number of the accelerator's cells of each kind."""
    kinds = Counter(c.kind for c in netlist.cells if c.name.startswith(ACCELERATOR))
    return dict(sorted(kinds.items()))


def layer_free(name: str) -> str:
    """Return the name of a cell or net as the sources have it."""
    short = name.removeprefix(ACCELERATOR)
    return re.sub(r"\$(CCU2_COMB\d|nextpnr\S*)", "", short)
