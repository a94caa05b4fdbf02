"""Logic depth of a mapped netlist, and an estimate of its critical path before placement.

The estimate uses the delay model with which sparse layers are pipelined
(``finn_builds/sparse/family.py``: data-sheet cell delays and one average net per LUT). DSP blocks
and memories follow Yosys' models of 7-series cells (``cells_sim.v``, which has them from Project
X-Ray's Artix-7 timings), scaled to the other families as their LUTs are. Only place and route
knows the wires.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from finn_builds.sparse.family import XC7, Family
from finn_builds.sparse.truth import depends_on
from finn_builds.synth.netlist import Bit, Cell, Netlist

SOURCE = (
    "estimate before placement: data-sheet delays of LUTs, carry chains and registers with one "
    "average net per LUT (the model that sparse layers are pipelined by); DSP and memory delays of "
    "Yosys' 7-series cell models, scaled to the family; no place and route has confirmed it"
)

# Yosys' cells_sim.v, ns: set-up of the pre-adder's register in a DSP, clock to output of an
# addressable shift register and of a block RAM without output register.
_DSP_SETUP = 1.20
_SRL_OUT = 1.47
_BRAM_OUT = 2.45

_CARRY = {"CARRY4": ("CI", "CYINIT"), "CARRY8": ("CI", "CI_TOP"), "CCU2C": ("CIN",)}
_CLOCKED = ("FD", "DSP48", "RAMB", "URAM", "TRELLIS_FF", "MULT18", "ALU54", "DP16", "PDPW16")
_MUX = ("MUXF", "PFUMX", "L6MUX")
_WRITE_PINS = ("D", "DI", "WE", "WCLK", "CLK", "CE", "WRE", "WCK", "WADDR")


@dataclass(frozen=True)
class Path:
    """The longest path between two registers or ports.

    Attributes
    ----------
    depth : int
        Most LUT, multiplexer and carry cells in a row, a CARRY4 or CARRY8 being one.
    ns : float
        Estimate of the longest delay, set-up included; not always of the deepest path.
    cells : tuple of str
        Names of the cells of the slowest path, from its start.
    """

    depth: int
    ns: float
    cells: tuple[str, ...]


def longest_path(netlist: Netlist, family: Family) -> Path:
    """Return depth and estimated delay of a flat netlist.

    Parameters
    ----------
    netlist : Netlist
    family : Family
        Delays; ports count as registers.

    Raises
    ------
    RuntimeError
        The netlist has a combinational loop.
    """
    scale = family.t_lut / XC7.t_lut
    driver: dict[int, tuple[int, str, int]] = {}
    for index, cell in enumerate(netlist.cells):
        if _clocked(cell):
            continue
        for pin, bits in cell.outputs.items():
            for place, bit in enumerate(bits):
                if isinstance(bit, int):
                    driver[bit] = (index, pin, place)
    carry_nets = {
        bit
        for cell in netlist.cells
        if cell.kind in _CARRY
        for pin, bits in cell.inputs.items()
        if pin not in _CARRY[cell.kind]
        for bit in bits
        if isinstance(bit, int)
    }
    start = _starts(netlist, family, scale)
    arcs = {bit: tuple(_arcs(netlist.cells[k], pin, at)) for bit, (k, pin, at) in driver.items()}
    order = TopologicalSorter(
        {bit: [b for _, b in reads if b in driver] for bit, reads in arcs.items()}
    )
    try:
        nets = list(order.static_order())
    except CycleError as error:
        names = [netlist.cells[driver[bit][0]].name for bit in error.args[1][:4]]
        raise RuntimeError(f"synthesis left a combinational loop through {names}") from error
    # Of each net: cells before it, the delay up to it, and up to the inputs of its LUT.
    depth: dict[int, int] = {}
    delay: dict[int, float] = {}
    entry: dict[int, float] = {}
    came: dict[int, int] = {}
    for net in nets:
        index, pin, place = driver[net]
        cell = netlist.cells[index]
        slowest, deepest = start.get(net, 0.0), 0
        for source_pin, bit in arcs[net]:
            if not isinstance(bit, int):
                continue
            arrival = delay.get(bit, start.get(bit, family.t_reg))
            if cell.kind in _CARRY:
                arrival = _into_carry(
                    cell, source_pin, pin, place, bit, arrival, entry, driver, netlist, family
                )
            if arrival > slowest:
                slowest = arrival
                if bit in driver:
                    came[net] = bit
            deepest = max(deepest, depth.get(bit, 0))
        depth[net] = deepest + 1
        if cell.kind in _CARRY:
            delay[net] = slowest
        elif cell.kind.startswith(_MUX):
            delay[net] = slowest + 0.3 * family.t_lut  # within the slice
        else:
            delay[net] = slowest + family.t_lut
            if net in carry_nets:
                entry[net] = slowest
    ends = _ends(netlist, scale)
    worst, at = max(
        ((delay.get(b, start.get(b, family.t_reg)) + setup, b) for b, setup in ends),
        default=(0.0, -1),
    )
    return Path(max(depth.values(), default=0), round(worst, 2), _trace(at, came, driver, netlist))


def _into_carry(
    cell: Cell,
    source_pin: str,
    pin: str,
    place: int,
    bit: int,
    arrival: float,
    entry: dict[int, float],
    driver: dict[int, tuple[int, str, int]],
    netlist: Netlist,
    family: Family,
) -> float:
    """Return when a carry cell's output settles after one of its inputs."""
    first = list(cell.inputs[source_pin]).index(bit)
    through = place + 1
    if source_pin not in _CARRY[cell.kind]:
        # The LUT in front lies in the same slice: the model counts it with the way in.
        arrival = entry.get(bit, arrival) + family.t_carry_in
        through = place - first + 1
    elif bit in driver and netlist.cells[driver[bit][0]].kind in _CARRY:
        arrival -= family.t_carry_out  # from chain to chain, without a net
    else:
        arrival += family.t_carry_in
    return arrival + max(1, through) * family.t_carry_bit + family.t_carry_out


def _clocked(cell: Cell) -> bool:
    return cell.kind.startswith(_CLOCKED)


def _starts(netlist: Netlist, family: Family, scale: float) -> dict[int, float]:
    """Return the delay at which nets behind memories begin; registers begin with ``t_reg``."""
    found: dict[int, float] = {}
    for cell in netlist.cells:
        if cell.kind.startswith(("RAMB", "DP16", "PDPW16", "URAM")):
            late = _BRAM_OUT * scale + family.t_reg / 2
        elif cell.kind.startswith("SRL"):
            late = _SRL_OUT * scale - family.t_lut + family.t_reg / 2
        else:
            continue
        for bits in cell.outputs.values():
            found.update((bit, late) for bit in bits if isinstance(bit, int))
    return found


def _ends(netlist: Netlist, scale: float) -> Iterator[tuple[int, float]]:
    """Yield the nets at which paths end, with the set-up that ``t_reg`` does not hold."""
    for cell in netlist.cells:
        if _clocked(cell) or cell.kind.startswith(("SRL", "RAM", "TRELLIS_DPR")):
            for pin, bits in cell.inputs.items():
                wide = cell.kind.startswith("DSP48") and pin in ("A", "D")
                setup = _DSP_SETUP * scale if wide else 0.0
                yield from ((bit, setup) for bit in bits if isinstance(bit, int))
    for bits in netlist.ports.values():
        yield from ((bit, 0.0) for bit in bits if isinstance(bit, int))


def _arcs(cell: Cell, pin: str, place: int) -> Iterator[tuple[str, Bit]]:
    """Yield the pins, with their nets, on which one bit of an output depends at once."""
    if cell.kind == "LUT6_2":
        # Both halves see all pins, but the saved carry of an adder does not depend on the last.
        init = int(str(cell.parameters["INIT"]).replace("x", "0"), 2)
        half = init & 0xFFFFFFFF if pin == "O5" else init >> 32
        for k in range(5):
            if depends_on(half, k, 5):
                yield f"I{k}", cell.inputs[f"I{k}"][0]
        return
    for name, bits in cell.inputs.items():
        if cell.kind.startswith(("SRL", "RAM", "TRELLIS_DPR")):
            if name.startswith(_WRITE_PINS) and not name.startswith("DPRA"):
                continue  # written at the clock; only the address reaches the output at once
            if cell.kind.startswith("RAM") and name == "ADDRD" and not pin.endswith("D"):
                continue
        in_chain = cell.kind in _CARRY and name not in _CARRY[cell.kind] and len(bits) > 1
        for k, bit in enumerate(bits):
            if not in_chain or k <= place - (name == "DI" and pin == "O"):
                yield name, bit


def _trace(
    net: int, came: dict[int, int], driver: dict[int, tuple[int, str, int]], netlist: Netlist
) -> tuple[str, ...]:
    path = []
    while net in driver:
        path.append(netlist.cells[driver[net][0]].name)
        if net not in came:
            break
        net = came[net]
    return tuple(reversed(path))
