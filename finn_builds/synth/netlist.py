"""A mapped netlist as plain data: cells between nets, and chains of netlists joined to one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: A net of one bit: a number, or a constant "0", "1", "x" or "z".
Bit = int | str

#: Ports of a stream at a node's input and output: (data, valid, ready).
_SOURCE = ("s_axis_0_tdata", "s_axis_0_tvalid", "s_axis_0_tready")
_SINK = ("m_axis_0_tdata", "m_axis_0_tvalid", "m_axis_0_tready")
_SHARED = ("ap_clk", "ap_rst_n")

_LAYER = re.compile(r"(?:^|[.\\ ])l(\d+)_")


@dataclass(frozen=True)
class Cell:
    """One cell of a device, its name with the path, and its nets by pin.

    Parameters are as in Yosys' JSON: numbers are strings of bits.
    """

    name: str
    kind: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Sequence[Bit]]
    outputs: Mapping[str, Sequence[Bit]]
    source: str = ""  # files and lines that it comes from, ``FILE:LINE.COLUMN`` each

    def number(self, parameter: str) -> int:
        """Return a parameter that is a string of bits as a number; 0 where it is not given."""
        text = str(self.parameters.get(parameter, ""))
        return int(text.replace("x", "0"), 2) if text else 0


@dataclass(frozen=True)
class Netlist:
    """A flat mapped module: cells, nets of each port, names that the sources give to a net.

    `nets` are the bits, the lowest first, of what the sources name; a joined netlist has none.
    """

    cells: tuple[Cell, ...]
    ports: Mapping[str, tuple[Bit, ...]] = field(default_factory=dict)
    names: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    nets: Mapping[str, tuple[Bit, ...]] = field(default_factory=dict)


def from_json(module: Mapping[str, Any]) -> Netlist:
    """Read one module of what Yosys' ``write_json`` wrote."""
    cells = []
    for name, cell in module["cells"].items():
        if cell["type"] == "$scopeinfo":  # where a flattened instance was: no hardware
            continue
        pins: dict[str, dict[str, Sequence[Bit]]] = {"input": {}, "output": {}}
        for pin, direction in cell["port_directions"].items():
            if direction in pins:
                pins[direction][pin] = cell["connections"].get(pin, ())
        source = cell.get("attributes", {}).get("src", "")
        ends = pins["input"], pins["output"]
        cells.append(Cell(name, cell["type"], cell["parameters"], *ends, source))
    nets = {
        name: tuple(net["bits"])
        for name, net in module["netnames"].items()
        if not net.get("hide_name")
    }
    names: dict[int, tuple[str, ...]] = {}
    for name, bits in nets.items():
        for bit in bits:
            if isinstance(bit, int):
                names[bit] = (*names.get(bit, ()), name)
    ports = {name: tuple(port["bits"]) for name, port in module["ports"].items()}
    return Netlist(tuple(cells), ports, names, nets)


def chain(netlists: Sequence[Netlist]) -> Netlist:
    """Join the netlists of a chain of streaming nodes, each one's output to the next one's input.

    Bits that only pad one of the two streams to whole bytes stay open.
    """
    if len(netlists) == 1:
        return netlists[0]
    shared: dict[str, int] = {name: index for index, name in enumerate(_SHARED)}
    offset = len(shared)
    alias: list[dict[Bit, Bit]] = []
    for netlist in netlists:
        used = _bits(netlist)
        renamed: dict[Bit, Bit] = {bit: offset + k for k, bit in enumerate(sorted(used))}
        offset += len(used)
        for name, number in shared.items():
            for bit in netlist.ports.get(name, ()):
                renamed[bit] = number
        alias.append(renamed)
    joined: dict[int, Bit] = {}
    for k in range(len(netlists) - 1):
        left, right = netlists[k].ports, netlists[k + 1].ports
        for driver, reader in ((_SINK[0], _SOURCE[0]), (_SINK[1], _SOURCE[1])):
            for a, b in zip(left[driver], right[reader], strict=False):
                joined[int(alias[k + 1][b])] = alias[k].get(a, a)
        for a, b in zip(right[_SOURCE[2]], left[_SINK[2]], strict=True):
            joined[int(alias[k][b])] = alias[k + 1].get(a, a)

    def net(k: int, bit: Bit) -> Bit:
        found = alias[k].get(bit, bit)
        for _ in range(2 * len(netlists)):  # a wire may pass through several nodes
            if not isinstance(found, int) or found not in joined:
                break
            found = joined[found]
        return found

    cells: list[Cell] = []
    names: dict[int, tuple[str, ...]] = {}
    for k, netlist in enumerate(netlists):
        for cell in netlist.cells:
            inputs = {p: [net(k, b) for b in bits] for p, bits in cell.inputs.items()}
            outputs = {p: [net(k, b) for b in bits] for p, bits in cell.outputs.items()}
            cells.append(Cell(f"{k}/{cell.name}", cell.kind, cell.parameters, inputs, outputs))
        for bit, given in netlist.names.items():
            target = net(k, bit)
            if isinstance(target, int):
                names[target] = (*names.get(target, ()), *given)
    first, last = netlists[0].ports, netlists[-1].ports
    ports: dict[str, tuple[Bit, ...]] = {name: (number,) for name, number in shared.items()}
    ports |= {name: tuple(net(0, b) for b in first[name]) for name in _SOURCE}
    ports |= {name: tuple(net(len(netlists) - 1, b) for b in last[name]) for name in _SINK}
    return Netlist(tuple(cells), ports, names)


def _bits(netlist: Netlist) -> set[int]:
    found = {bit for bits in netlist.ports.values() for bit in bits if isinstance(bit, int)}
    for cell in netlist.cells:
        for bits in (*cell.inputs.values(), *cell.outputs.values()):
            found.update(bit for bit in bits if isinstance(bit, int))
    return found | set(netlist.names)


def by_layer(netlist: Netlist) -> dict[int | None, Netlist]:
    """Split a pipeline of sparse layers by layer; None holds what belongs to no layer.

    A cell belongs to the layer that its name or its output's name begins with (``l<k>_``); one
    without such a name belongs to the earliest layer that reads it, through other cells without
    a name. Where mapping merged logic of two layers into one cell, the earlier one gets it.
    """
    layers = {bit: found for bit, given in netlist.names.items() if (found := _named(given))}
    owner: dict[int, int] = {}
    readers: dict[int, list[int]] = {}
    for index, cell in enumerate(netlist.cells):
        outputs = [b for bits in cell.outputs.values() for b in bits if isinstance(b, int)]
        own = _named((cell.name,))
        found = own or {layer for b in outputs for layer in layers.get(b, ())}
        if found:
            owner[index] = min(found)
        for bits in cell.inputs.values():
            for bit in bits:
                if isinstance(bit, int):
                    readers.setdefault(bit, []).append(index)
    open_cells = [k for k in range(len(netlist.cells)) if k not in owner]
    while open_cells:
        found_now: dict[int, int] = {}
        for index in open_cells:
            reading = [
                owner[r]
                for bits in netlist.cells[index].outputs.values()
                for bit in bits
                if isinstance(bit, int)
                for r in readers.get(bit, ())
                if r in owner
            ]
            if reading:
                found_now[index] = min(reading)
        if not found_now:
            break
        owner.update(found_now)
        open_cells = [k for k in open_cells if k not in found_now]
    parts: dict[int | None, list[Cell]] = {}
    for index, cell in enumerate(netlist.cells):
        parts.setdefault(owner.get(index), []).append(cell)
    return {layer: Netlist(tuple(cells)) for layer, cells in parts.items()}


def _named(names: Sequence[str]) -> set[int]:
    return {int(m[1]) for name in names for m in _LAYER.finditer(name)}
