"""A mapped netlist, simulated gate by gate for many independent streams at once.

What a synthesis tool leaves is checked against the model, not believed. Every net holds one bit of
each lane in one Python integer, so that a LUT over a thousand lanes takes a few operations on
numbers of a thousand bits, and nothing has to be compiled.

What cells compute is after the vendor's libraries guides (UG953 for 7-series, UG974 for
UltraScale) and Yosys' models of ECP5's cells (``share/lattice``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType

from finn_builds.synth.netlist import Bit, Cell, Netlist

_LUTS = frozenset({"LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6", "LUT6_2", "INV", "BUFG"})
#: Multiplexers: pins for select 0 and 1, select, output.
_MUXES: Mapping[str, tuple[str, str, str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("MUXF7", "MUXF8", "MUXF9"), ("I0", "I1", "S", "O")),
        "PFUMX": ("BLUT", "ALUT", "C0", "Z"),
        "L6MUX21": ("D0", "D1", "SD", "Z"),
    }
)
_CARRIES = frozenset({"CARRY4", "CARRY8", "CCU2C"})
_FLIP_FLOPS = frozenset({"FDRE", "FDSE", "TRELLIS_FF"})
#: Addressable shift registers and the words they hold.
_SHIFTERS: Mapping[str, int] = MappingProxyType({"SRL16E": 16, "SRLC32E": 32})

#: Settings of a TRELLIS_FF that are simulated, first what they are where nothing is said.
_MODES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "CEMUX": ("1", "CE", "INV"),
        "CLKMUX": ("CLK",),
        "LSRMUX": ("LSR", "INV"),
        "SRMODE": ("LSR_OVER_CE",),
    }
)

#: Kinds of cells that are simulated.
KINDS = _LUTS | _MUXES.keys() | _CARRIES | _FLIP_FLOPS | _SHIFTERS.keys()


class NotSimulated(Exception):
    """The netlist has cells that the simulator does not know."""


class GateSimulator:
    """The gates of a flat netlist, with a state for every lane.

    There is one clock, on whose rising edge every flip-flop works.

    Raises
    ------
    NotSimulated
        The netlist has other cells than `KINDS`, or flip-flops with inverted pins.
    RuntimeError
        The netlist has a combinational loop.
    """

    def __init__(self, netlist: Netlist, lanes: int) -> None:
        unknown = sorted({c.kind for c in netlist.cells} - KINDS)
        if unknown:
            raise NotSimulated(f"cells {', '.join(unknown)} are not simulated at gate level")
        self.ones = (1 << lanes) - 1
        self._values: dict[Bit, int] = {"0": 0, "1": self.ones, "x": 0, "z": 0}
        self._flip_flops = [_flip_flop(c) for c in netlist.cells if c.kind in _FLIP_FLOPS]
        for flop in self._flip_flops:
            self._values[flop.q] = self.ones if flop.initial else 0
        self._shifters = {
            c.name: _Shifter(c, self.ones) for c in netlist.cells if c.kind in _SHIFTERS
        }
        self._gates = [
            self._shifters[cell.name].read if cell.kind in _SHIFTERS else _gate(cell)
            for cell in _in_order(netlist)
        ]

    def settle(self, inputs: Mapping[Bit, int]) -> None:
        """Apply inputs, a lane a bit, and let everything between the flip-flops settle."""
        self._values.update(inputs)
        for gate in self._gates:
            gate(self._values, self.ones)

    def read(self, bit: Bit) -> int:
        """Return a net, a lane a bit; one that nothing drives is 0."""
        return self._values.get(bit, 0)

    def clock(self) -> None:
        """Let a rising edge of the clock pass."""
        new = [flop.next(self._values, self.ones) for flop in self._flip_flops]
        for shifter in self._shifters.values():
            shifter.clock(self._values)
        for flop, value in zip(self._flip_flops, new, strict=True):
            self._values[flop.q] = value


@dataclass(frozen=True)
class _FlipFlop:
    """A flip-flop with clock enable and a synchronous reset, or set if it `sets`."""

    d: Bit
    ce: Bit
    force: Bit
    q: Bit
    sets: bool
    initial: bool
    inverted: tuple[bool, bool] = (False, False)  # enable, reset

    def next(self, values: Mapping[Bit, int], ones: int) -> int:
        """Return the state after the next edge."""
        enable, force = (
            values.get(bit, 0) ^ (ones if inverted else 0)
            for bit, inverted in zip((self.ce, self.force), self.inverted, strict=True)
        )
        old = values[self.q]
        new = old ^ ((old ^ values.get(self.d, 0)) & enable)
        return new | force if self.sets else new & ~force


def _flip_flop(cell: Cell) -> _FlipFlop:
    """Return an FDRE or FDSE, or a TRELLIS_FF whose reset is synchronous and above its enable."""
    (q,) = cell.outputs["Q"]
    if cell.kind != "TRELLIS_FF":
        _refuse_inverted(cell)
        sets = cell.kind == "FDSE"
        d, enable, force = (cell.inputs[p][0] for p in ("D", "CE", "S" if sets else "R"))
        return _FlipFlop(d, enable, force, q, sets, bool(cell.number("INIT")))
    modes = {k: str(cell.parameters.get(k, known[0])).strip() for k, known in _MODES.items()}
    strange = [f"{name} {mode}" for name, mode in modes.items() if mode not in _MODES[name]]
    if strange:
        raise NotSimulated(f"cells TRELLIS_FF with {', '.join(strange)} are not simulated")
    # As Yosys models it, a flip-flop starts with what its reset gives.
    sets = str(cell.parameters.get("REGSET", "RESET")).strip() == "SET"
    ce = "1" if modes["CEMUX"] == "1" else cell.inputs["CE"][0]
    (d,), (force,) = cell.inputs["DI"], cell.inputs.get("LSR", ["0"])
    inverted = (modes["CEMUX"] == "INV", modes["LSRMUX"] == "INV")
    return _FlipFlop(d, ce, force, q, sets, sets, inverted)


class _Shifter:
    """SRL16E or SRLC32E: a shift register with enable, read at an address."""

    def __init__(self, cell: Cell, ones: int) -> None:
        _refuse_inverted(cell)
        size = _SHIFTERS[cell.kind]
        init = cell.number("INIT")
        self.words = [ones if (init >> k) & 1 else 0 for k in range(size)]
        (self.d,), (self.ce,) = cell.inputs["D"], cell.inputs["CE"]
        single = cell.kind == "SRL16E"
        self.address = (
            [cell.inputs[f"A{k}"][0] for k in range(4)] if single else list(cell.inputs["A"])
        )
        (self.q,) = cell.outputs["Q"]
        self.last = [*cell.outputs.get("Q31", ())]

    def read(self, values: dict[Bit, int], ones: int) -> None:
        """Put the addressed word on the output."""
        layer = self.words
        for bit in self.address:
            a = values.get(bit, 0)
            layer = [x ^ ((x ^ y) & a) for x, y in zip(layer[::2], layer[1::2], strict=True)]
        values[self.q] = layer[0]
        for bit in self.last:
            values[bit] = self.words[-1]

    def clock(self, values: Mapping[Bit, int]) -> None:
        """Shift where enabled."""
        enabled = values.get(self.ce, 0)
        moved = [values.get(self.d, 0), *self.words[:-1]]
        self.words = [w ^ ((w ^ m) & enabled) for w, m in zip(self.words, moved, strict=True)]


def _refuse_inverted(cell: Cell) -> None:
    inverted = [name for name in cell.parameters if name.startswith("IS_") and cell.number(name)]
    if inverted:
        raise NotSimulated(f"cells {cell.kind} with {', '.join(inverted)} are not simulated")


Gate = Callable[[dict[Bit, int], int], None]
Plan = tuple[tuple[int, int, int], ...]


def _gate(cell: Cell) -> Gate:
    if cell.kind == "CCU2C":
        return _two_positions(cell)
    if cell.kind in _CARRIES:
        return _carry(cell)
    if cell.kind in _MUXES:
        *pins, z = _MUXES[cell.kind]
        low, high, select = (cell.inputs[p][0] for p in pins)
        (out,) = cell.outputs[z]

        def multiplex(values: dict[Bit, int], ones: int) -> None:
            a = values.get(low, 0)
            values[out] = a ^ ((a ^ values.get(high, 0)) & values.get(select, 0))

        return multiplex
    return _lut(cell)


def _lut(cell: Cell) -> Gate:
    pins = sorted(cell.inputs)
    reads = [cell.inputs[p][0] for p in pins]
    if cell.kind == "LUT6_2":
        init = cell.number("INIT")
        tables = [("O6", init, 6), ("O5", init & 0xFFFFFFFF, 5)]
    elif cell.kind in ("INV", "BUFG"):
        tables = [("O", 0b01 if cell.kind == "INV" else 0b10, 1)]
    else:
        tables = [(next(iter(cell.outputs)), cell.number("INIT"), len(pins))]
    outputs = [
        (cell.outputs[pin][0], _plan(table, n)) for pin, table, n in tables if cell.outputs.get(pin)
    ]

    def look_up(values: dict[Bit, int], ones: int) -> None:
        inputs = [values.get(bit, 0) for bit in reads]
        for out, plan in outputs:
            values[out] = _follow(plan, inputs, ones)

    return look_up


def _follow(plan: Plan, inputs: Sequence[int], ones: int) -> int:
    known = [0, ones]
    for variable, low, high in plan:
        a = known[low]
        known.append(a ^ ((a ^ known[high]) & inputs[variable]))
    return known[-1]


def _two_positions(cell: Cell) -> Gate:
    """Return the gate of a CCU2C: LUT4 passes the carry on, or the LUT2 in its INIT gives one."""
    positions = []
    for k in "01":
        if str(cell.parameters.get(f"INJECT1_{k}", "YES")) != "NO":
            raise NotSimulated("cells CCU2C without a carry between their halves are not simulated")
        init = cell.number(f"INIT{k}")
        reads = [cell.inputs[f"{pin}{k}"][0] for pin in "ABCD"]
        out = [*cell.outputs.get(f"S{k}", ())]
        positions.append((reads, _plan(init, 4), _plan(init & 0xF, 2), out))
    start = cell.inputs["CIN"][0]
    end = [*cell.outputs.get("COUT", ())]

    def propagate(values: dict[Bit, int], ones: int) -> None:
        carry = values.get(start, 0)
        for reads, passes, gives, out in positions:
            inputs = [values.get(bit, 0) for bit in reads]
            through = _follow(passes, inputs, ones)
            for bit in out:
                values[bit] = through ^ carry
            own = _follow(gives, inputs, ones)
            carry = own ^ ((own ^ carry) & through)
        for bit in end:
            values[bit] = carry

    return propagate


@lru_cache(maxsize=1 << 14)
def _plan(table: int, n: int) -> Plan:
    """Return multiplexers (variable, low, high) that compute a function, the last its value.

    Operands 0 and 1 are the constants, further ones the multiplexers in their order: a reduced
    decision diagram.
    """
    steps: list[tuple[int, int, int]] = []
    known: dict[tuple[int, int, int], int] = {}

    def build(part: int, variables: int) -> int:
        if variables == 0:
            return part & 1
        half = 1 << (variables - 1)
        low = build(part & ((1 << half) - 1), variables - 1)
        high = build(part >> half, variables - 1)
        if low == high:
            return low
        step = (variables - 1, low, high)
        if step not in known:
            steps.append(step)
            known[step] = len(steps) + 1
        return known[step]

    last = build(table, n)
    if last != len(steps) + 1:  # a constant: choose it whatever the variable
        steps.append((0, last, last))
    return tuple(steps)


def _carry(cell: Cell) -> Gate:
    """Return the gate of a CARRY4 or CARRY8: sums O and carries CO along S and DI."""
    starts = [cell.inputs["CI"][0]]
    if cell.kind == "CARRY4":
        starts += cell.inputs.get("CYINIT", ())
    elif cell.parameters.get("CARRY_TYPE", "SINGLE_CY8") != "SINGLE_CY8":
        raise NotSimulated("cells CARRY8 in two halves are not simulated at gate level")
    s, di = cell.inputs["S"], cell.inputs["DI"]
    sums, carries = cell.outputs.get("O", ()), cell.outputs.get("CO", ())

    def propagate(values: dict[Bit, int], ones: int) -> None:
        carry = 0
        for bit in starts:
            carry |= values.get(bit, 0)
        for k, (select, data) in enumerate(zip(s, di, strict=True)):
            through, own = values.get(select, 0), values.get(data, 0)
            if k < len(sums):
                values[sums[k]] = through ^ carry
            carry = own ^ ((own ^ carry) & through)
            if k < len(carries):
                values[carries[k]] = carry

    return propagate


def _in_order(netlist: Netlist) -> Sequence[Cell]:
    """Return the combinational cells, each after those it reads."""
    cells = [c for c in netlist.cells if c.kind not in _FLIP_FLOPS]
    driver = {
        bit: index
        for index, cell in enumerate(cells)
        for bits in cell.outputs.values()
        for bit in bits
        if isinstance(bit, int)
    }
    order = TopologicalSorter(
        {
            index: {
                driver[b]
                for pin, bits in cell.inputs.items()
                if not (cell.kind in _SHIFTERS and pin in ("D", "CE"))  # read at the clock
                for b in bits
                if b in driver
            }
            for index, cell in enumerate(cells)
        }
    )
    try:
        return [cells[index] for index in order.static_order()]
    except CycleError as error:
        names = [cells[index].name for index in error.args[1][:4]]
        raise RuntimeError(f"the netlist has a loop through the cells {names}") from error
