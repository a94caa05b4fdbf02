"""What the cells of a mapped netlist come to in the units of a device family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from finn_builds.sparse.device import Kind
from finn_builds.synth.netlist import Netlist

#: Figures that every report has, in this order.
FIGURES = ("LUT", "FF", "CARRY", "DSP", "BRAM_18K", "URAM")
DETAILS = ("LUT_logic", "LUT_RAM", "LUT_SRL", "MUXF")
#: LUT sites of Xilinx slices, of which `synth.sites` counts two kinds: a carry cell's second
#: operand comes through the slice's bypass, or is fed by a LUT.
SITES = ("LUT_sites", "LUT_sites_fed")


def resources(netlist: Netlist, known: Mapping[str, Kind]) -> dict[str, int]:
    """Return what a netlist occupies, by what each kind of cell counts as.

    That is ``LUT`` (all LUT sites: logic, memory and shift registers, which follow as
    ``LUT_logic``, ``LUT_RAM`` and ``LUT_SRL``), ``FF``, ``CARRY`` (cells of carry chains),
    ``DSP``, ``BRAM_18K``, ``URAM`` and ``MUXF`` (wide multiplexers, which use no LUT). What place
    and route puts in front of carry chains, on families where it does, counts as logic. Raises
    RuntimeError for an unknown kind of cell: a figure would be too small without it.
    """
    kinds = Counter(cell.kind for cell in netlist.cells)
    sums = dict.fromkeys((*FIGURES, *DETAILS), 0)
    for kind, count in kinds.items():
        if kind not in known:
            raise RuntimeError(f"synthesis left {count} cells of the unknown kind {kind}")
        for figure, units in known[kind].units:
            sums[figure] += units * count
    sums["LUT_logic"] += _heads(netlist, known)
    sums["LUT"] = sums["LUT_logic"] + sums["LUT_RAM"] + sums["LUT_SRL"]
    return sums


def _heads(netlist: Netlist, known: Mapping[str, Kind]) -> int:
    """Return the LUTs in front of carry chains: of the cells whose carry no such cell gives."""
    chains = [cell for cell in netlist.cells if known[cell.kind].head]
    given = {bit for cell in chains for bits in cell.outputs.values() for bit in bits}
    return sum(
        known[cell.kind].head
        for cell in chains
        if given.isdisjoint(b for p in known[cell.kind].carry_pins for b in cell.inputs.get(p, ()))
    )
