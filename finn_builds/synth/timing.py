"""Logic depth of a mapped netlist, and an estimate of its critical path before placement.

The estimate uses the delay model with which sparse layers are pipelined
(``finn_builds/sparse/families/``: data-sheet cell delays and one average net per LUT). DSP blocks
and memories follow Yosys' models of 7-series cells (``cells_sim.v``, which has them from Project
X-Ray's Artix-7 timings), scaled to the other families as their LUTs are. Only place and route
knows the wires.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from finn_builds.sparse.device import Kind, Logic
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.sparse.family import Family
from finn_builds.sparse.truth import depends_on
from finn_builds.synth.counts import resources
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

_WRITE_PINS = ("D", "DI", "WE", "WCLK", "CLK", "CE", "WRE", "WCK", "WADDR")


@dataclass(frozen=True)
class Path:
    """The longest path between two registers or ports."""

    depth: int  # most LUT, multiplexer and carry cells in a row, a CARRY4 or CARRY8 being one
    ns: float  # estimate of the longest delay, set-up included; not always of the deepest path
    cells: tuple[str, ...]  # names of the cells of the slowest path, from its start


class _Driver(NamedTuple):
    """What drives a net: one bit of a cell's output pin."""

    cell: Cell
    pin: str
    place: int
    arcs: tuple[tuple[str, int], ...]
    """The input pins, with their nets, on which the bit depends at once; no constants."""


def longest_path(netlist: Netlist, family: Family) -> Path:
    """Return depth and estimated delay of a flat netlist.

    Raises RuntimeError if the netlist has a combinational loop.
    """
    drivers = _drivers(netlist, family.kinds)
    scale = family.t_lut / XC7.t_lut
    if family.t_spread:
        family = family.of_size(resources(netlist, family.kinds)["LUT"])
    arrivals = _Arrivals(netlist, family, scale, drivers)
    for net in _in_order(drivers):
        arrivals.settle(net)
    worst, at = max(
        ((arrivals.at(bit) + setup, bit) for bit, setup in _ends(netlist, family.kinds, scale)),
        default=(0.0, -1),
    )
    return Path(max(arrivals.depth.values(), default=0), round(worst, 2), arrivals.cells_to(at))


def _drivers(netlist: Netlist, known: Mapping[str, Kind]) -> dict[int, _Driver]:
    """Return the driver of every net after a combinational cell."""
    return {
        bit: _Driver(
            cell,
            pin,
            place,
            tuple((p, b) for p, b in _arcs(cell, known, pin, place) if isinstance(b, int)),
        )
        for cell in netlist.cells
        if known[cell.kind].role != "clocked"
        for pin, bits in cell.outputs.items()
        for place, bit in enumerate(bits)
        if isinstance(bit, int)
    }


def _in_order(drivers: Mapping[int, _Driver]) -> list[int]:
    """Return the driven nets, each after those it depends on."""
    order = TopologicalSorter(
        {net: [b for _, b in driver.arcs if b in drivers] for net, driver in drivers.items()}
    )
    try:
        return list(order.static_order())
    except CycleError as error:
        names = [drivers[bit].cell.name for bit in error.args[1][:4]]
        raise RuntimeError(f"synthesis left a combinational loop through {names}") from error


class _Arrivals:
    """When each net settles, and after how many cells; nets are settled in their order."""

    def __init__(
        self, netlist: Netlist, family: Family, scale: float, drivers: Mapping[int, _Driver]
    ) -> None:
        self.family, self.drivers = family, drivers
        self.start = _starts(netlist, family, scale)
        # Nets between a LUT and the carry chain in the same slice.
        self.into_chains = {
            bit
            for cell in netlist.cells
            if family.kinds[cell.kind].role == "carry"
            for pin, bits in cell.inputs.items()
            if pin not in family.kinds[cell.kind].carry_pins
            for bit in bits
            if isinstance(bit, int)
        }
        # Of each net: cells before it, the delay up to it, the delay up to the inputs of its LUT
        # where a chain follows, and the net before it on the slowest path.
        self.depth: dict[int, int] = {}
        self.delay: dict[int, float] = {}
        self.entry: dict[int, float] = {}
        self.came: dict[int, int] = {}

    def at(self, bit: int) -> float:
        """Return the delay up to a net, ns."""
        return self.delay.get(bit, self.start.get(bit, self.family.t_reg))

    def settle(self, net: int) -> None:
        """Work out a net whose driver's inputs are known."""
        driver, family = self.drivers[net], self.family
        role = family.kinds[driver.cell.kind].role
        slowest, deepest = self.start.get(net, 0.0), 0
        for pin, bit in driver.arcs:
            arrival = self._through_chain(driver, pin, bit) if role == "carry" else self.at(bit)
            if arrival > slowest:
                slowest = arrival
                if bit in self.drivers:
                    self.came[net] = bit
            deepest = max(deepest, self.depth.get(bit, 0))
        self.depth[net] = deepest + 1
        if role == "carry":
            self.delay[net] = slowest
        elif role == "mux":
            self.delay[net] = slowest + 0.3 * family.t_lut  # within the slice
        else:
            self.delay[net] = slowest + family.t_lut
            if net in self.into_chains:
                self.entry[net] = slowest

    def _through_chain(self, driver: _Driver, source_pin: str, bit: int) -> float:
        """Return when a carry cell's output settles after one of its inputs."""
        cell, family = driver.cell, self.family
        arrival, through = self.at(bit), driver.place + 1
        kinds = family.kinds
        if source_pin not in kinds[cell.kind].carry_pins:
            # The LUT in front lies in the same slice: the model counts it with the way in.
            arrival = self.entry.get(bit, arrival) + family.t_carry_in
            through -= list(cell.inputs[source_pin]).index(bit)
        elif bit in self.drivers and kinds[self.drivers[bit].cell.kind].role == "carry":
            arrival -= family.t_carry_out  # from chain to chain, without a net
        else:
            arrival += family.t_carry_in
        return arrival + max(1, through) * family.t_carry_bit + family.t_carry_out

    def cells_to(self, net: int) -> tuple[str, ...]:
        """Return the names of the cells on the slowest path to a net, from its start."""
        path = []
        while net in self.drivers:
            path.append(self.drivers[net].cell.name)
            if net not in self.came:
                break
            net = self.came[net]
        return tuple(reversed(path))


def _starts(netlist: Netlist, family: Family, scale: float) -> dict[int, float]:
    """Return the delay at which nets after memories begin; registers begin with ``t_reg``."""
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


def _ends(netlist: Netlist, known: Mapping[str, Kind], scale: float) -> Iterator[tuple[int, float]]:
    """Yield the nets at which paths end, with the set-up that ``t_reg`` does not hold."""
    for cell in netlist.cells:
        if known[cell.kind].role in ("clocked", "memory", "shifter"):
            for pin, bits in cell.inputs.items():
                wide = cell.kind.startswith("DSP48") and pin in ("A", "D")
                setup = _DSP_SETUP * scale if wide else 0.0
                yield from ((bit, setup) for bit in bits if isinstance(bit, int))
    for bits in netlist.ports.values():
        yield from ((bit, 0.0) for bit in bits if isinstance(bit, int))


def _arcs(cell: Cell, known: Mapping[str, Kind], pin: str, place: int) -> Iterator[tuple[str, Bit]]:
    """Yield the pins, with their nets, on which one bit of an output depends at once."""
    kind = known[cell.kind]
    if kind.role == "lut" and len(cell.outputs) > 1 and kind.meaning is not None:
        # Not all that a LUT of two outputs sees matters to both, and a saved carry does not depend
        # on the carry before it.
        model = kind.meaning(cell.parameters)
        assert isinstance(model, Logic)
        for function in (f for (name, _), f in model.outputs if name == pin):
            n = min(5, len(function.pins))
            table = function.table >> 32 if len(function.pins) > 5 else function.table
            for k, (name, at) in enumerate(function.pins[:n]):
                if depends_on(table, k, n):
                    yield name, cell.inputs[name][at]
        return
    memory = kind.role in ("memory", "shifter")
    for name, bits in cell.inputs.items():
        if memory:
            if name.startswith(_WRITE_PINS) and not name.startswith("DPRA"):
                continue  # written at the clock; only the address reaches the output at once
            if kind.role == "memory" and name == "ADDRD" and not pin.endswith("D"):
                continue
        in_chain = kind.role == "carry" and name not in kind.carry_pins and len(bits) > 1
        for k, bit in enumerate(bits):
            if not in_chain or k <= place - (name == "DI" and pin == "O"):
                yield name, bit
