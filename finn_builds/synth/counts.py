"""What the cells of a mapped netlist come to in the units of a device family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from finn_builds.sparse.device import Kind
from finn_builds.synth.netlist import Cell, Netlist

#: Figures that every report has, in this order.
FIGURES = ("LUT", "FF", "CARRY", "DSP", "BRAM_18K", "URAM")
DETAILS = ("LUT_logic", "LUT_RAM", "LUT_SRL", "MUXF")
#: LUT sites of Xilinx slices, of which `synth.sites` counts two kinds: a carry cell's second
#: operand comes through the slice's bypass, or is fed by a LUT.
SITES = ("LUT_sites", "LUT_sites_fed")


def resources(
    netlist: Netlist, known: Mapping[str, Kind], whole: Netlist | None = None
) -> dict[str, int]:
    """Return what a netlist occupies, by what each kind of cell counts as.

    That is ``LUT`` (all LUT sites: logic, memory and shift registers, which follow as
    ``LUT_logic``, ``LUT_RAM`` and ``LUT_SRL``), ``FF``, ``CARRY`` (cells of carry chains),
    ``DSP``, ``BRAM_18K``, ``URAM`` and ``MUXF`` (wide multiplexers, which use no LUT). What place
    and route adds at the ends of carry chains and in front of flip-flops, on families where it
    does, counts as logic. `whole` is the netlist of which this is a part, where it is one.

    Raises RuntimeError for an unknown kind of cell: a figure would be too small without it.
    """
    kinds = Counter(cell.kind for cell in netlist.cells)
    sums = dict.fromkeys((*FIGURES, *DETAILS), 0)
    for kind, count in kinds.items():
        if kind not in known:
            raise RuntimeError(f"synthesis left {count} cells of the unknown kind {kind}")
        for figure, units in known[kind].units:
            sums[figure] += units * count
    through = fed_through(whole or netlist, known)
    sums["LUT_logic"] += _ends(netlist, known) + sum(c.name in through for c in netlist.cells)
    sums["LUT"] = sums["LUT_logic"] + sums["LUT_RAM"] + sums["LUT_SRL"]
    return sums


def fed_through(netlist: Netlist, known: Mapping[str, Kind]) -> dict[str, str]:
    """Return the flip-flops in front of which place and route puts a LUT, each with its kind.

    They are those that a LUT or a carry of their own place would have to feed, and whose D comes
    from elsewhere: from a port, a multiplexer, another flip-flop, or a LUT that feeds one already.
    """
    sources = {
        bit: cell.name
        for cell in netlist.cells
        if cell.kind in known and known[cell.kind].role in ("lut", "carry")
        for bits in cell.outputs.values()
        for bit in bits
        if isinstance(bit, int)
    }
    taken: set[str] = set()
    found = {}
    for cell in netlist.cells:
        if cell.kind not in known or not (fed := known[cell.kind].fed):
            continue
        (bit,) = cell.inputs.get("D", ("x",))
        source = sources.get(bit) if isinstance(bit, int) else None
        if source is None or source in taken:
            found[cell.name] = fed
        else:
            taken.add(source)
    return found


def _ends(netlist: Netlist, known: Mapping[str, Kind]) -> int:
    """Return the LUTs at the ends of carry chains: a cell in front, and one that makes it even."""
    chains = [cell for cell in netlist.cells if known[cell.kind].paired]
    carries = {cell.name: _carries(cell, known) for cell in chains}
    after = {bit: cell.name for cell in chains for bit in carries[cell.name][0]}
    found = 0
    followed = {after[bit] for _, out in carries.values() for bit in out if bit in after}
    for first in carries.keys() - followed:
        length, at = 1, first
        while (following := [after[bit] for bit in carries[at][1] if bit in after]) != []:
            length, at = length + 1, following[0]
        found += 1 + (length + 1) % 2
    return found


def _carries(cell: Cell, known: Mapping[str, Kind]) -> tuple[set[int], set[int]]:
    """Return the nets of a carry cell that bring a carry, and those that may hand one on."""
    into = {bit for pin in known[cell.kind].carry_pins for bit in cell.inputs.get(pin, ())}
    out = {bit for bits in cell.outputs.values() for bit in bits}
    return {b for b in into if isinstance(b, int)}, {b for b in out if isinstance(b, int)}
