"""The accelerator within the netlist that nextpnr writes after placement and routing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from finn_builds.route.design import ACCELERATOR
from finn_builds.sparse.device import Kind
from finn_builds.synth.counts import fed_through
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
#: The accelerator's own name of a port, where the net around it has lost its own.
_INSIDE = f"{ACCELERATOR}{{}}"
_DRIVEN = frozenset({"s_axis_0_tready", "m_axis_0_tdata", "m_axis_0_tvalid"})
#: What nextpnr calls the cells that make constants.
_CONSTANTS = ("$PACKER_", "$nextpnr_")
#: Pins that carry a clock, which the gate simulator does not need, or that only the fabric knows.
_NOT_READ = frozenset({"CLK", "CLK0"})


class NotWhole(Exception):
    """Part of the accelerator is not where it is looked for in the placed netlist."""


def port_names(mapped: Mapping[str, Any]) -> dict[str, list[list[str]]]:
    """Return, for each bit of the accelerator's ports, all names of its net before placement.

    nextpnr keeps one of them. `mapped` is the module of the device as Yosys wrote it.
    """
    names: dict[Bit, list[str]] = {}
    for name, net in mapped["netnames"].items():
        first, bits = int(net.get("offset", 0)), net["bits"]
        for k, bit in enumerate(bits):
            whole = len(bits) == 1 and not first
            names.setdefault(bit, []).append(name if whole else f"{name}[{first + k}]")
    found = {}
    for port, net in _PORTS.items():
        bits = _bits_of(mapped["netnames"], (net, _INSIDE.format(port)))
        found[port] = [names[bit] if isinstance(bit, int) else [] for bit in bits]
    return found


def _bits_of(nets: Mapping[str, Any], names: tuple[str, ...]) -> list[Bit]:
    """Return the bits of a net; some ways of mapping split one into nets of a bit each."""
    for name in names:
        if name in nets:
            bits: list[Bit] = nets[name]["bits"]
            return bits
        split = {
            int(found[1]): net["bits"][0]
            for other, net in nets.items()
            if (found := re.fullmatch(re.escape(name) + r"\[(\d+)\]", other))
        }
        if split:
            return [split.get(k, "0") for k in range(max(split) + 1)]
    raise NotWhole(f"the mapped device has no net {' or '.join(names)}")


def accelerator_of(placed: Mapping[str, Any], names: Mapping[str, list[list[str]]]) -> Netlist:
    """Return the accelerator's cells of a placed netlist, its streams as ports.

    Parameters
    ----------
    placed : mapping
        What nextpnr wrote: one flat module.
    names : mapping
        From `port_names`.

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
    ports = {port: tuple(_net(nets, names_of) for names_of in bits) for port, bits in names.items()}
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


def _net(nets: Mapping[str, list[Bit]], names: list[str]) -> Bit:
    """Return the net that has one of some names; one that was left out, as padding is, is 0."""
    return next((nets[name][0] for name in names if name in nets), "0")


def cells_used(
    netlist: Netlist, bucket: Callable[[str], str], known: Mapping[str, Kind]
) -> dict[str, int]:
    """Return the number of the accelerator's cells by the name under which the report has them.

    They include those that nextpnr has added at the ends of its carry chains, and the LUTs that
    feed the accelerator's flip-flops in their places, which may be the shell's.
    """
    constants = {
        bit
        for cell in netlist.cells
        if cell.name.startswith("$PACKER_")
        for bits in cell.outputs.values()
        for bit in bits
    }
    own: set[Bit] = set()
    for cell in netlist.cells:
        if cell.name.startswith(ACCELERATOR):
            own |= _nets_of(cell) - constants
    added = {
        _whole(cell.name)
        for cell in netlist.cells
        if cell.name.startswith("$nextpnr_") and _nets_of(cell) & own
    }
    kinds = Counter(
        bucket(cell.kind)
        for cell in netlist.cells
        if cell.name.startswith(ACCELERATOR) or _whole(cell.name) in added
    )
    kinds.update(bucket(kind) for kind in fed_through(netlist, known).values())
    return dict(sorted(kinds.items()))


def _nets_of(cell: Cell) -> set[Bit]:
    """Return the nets at a cell's pins, without its clock."""
    pins = [bits for pin, bits in cell.inputs.items() if pin not in _NOT_READ]
    return {bit for bits in (*pins, *cell.outputs.values()) for bit in bits if isinstance(bit, int)}


def _whole(name: str) -> str:
    """Return the name of a cell before nextpnr has split it into halves."""
    return name.rpartition("$")[0] if name.startswith("$nextpnr_") else name
