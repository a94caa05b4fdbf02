"""A mapped netlist, simulated gate by gate for many independent streams at once.

What a synthesis tool leaves is checked against the model, not believed. Every net holds one bit of
each lane in one Python integer, so that a LUT over a thousand lanes takes a few operations on
numbers of a thousand bits, and nothing has to be compiled.

What cells compute is what their family says (`Family.kinds`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from finn_builds.sparse.device import (
    CONNECTED,
    Carry,
    FlipFlop,
    Function,
    Kind,
    Logic,
    Model,
    NotSimulated,
    Pin,
    Shifter,
)
from finn_builds.synth.netlist import Bit, Cell, Netlist

__all__ = ["GateSimulator", "NotSimulated"]


class GateSimulator:
    """The gates of a flat netlist, with a state for every lane.

    There is one clock, on whose rising edge every flip-flop works.

    known : mapping of str to Kind
        What each kind of cell computes.

    Raises
    ------
    NotSimulated
        The netlist has cells of which that is not known.
    RuntimeError
        The netlist has a combinational loop.
    """

    def __init__(self, netlist: Netlist, lanes: int, known: Mapping[str, Kind]) -> None:
        kinds = {c.kind for c in netlist.cells}
        unknown = sorted(k for k in kinds if k not in known or known[k].meaning is None)
        if unknown:
            raise NotSimulated(f"cells {', '.join(unknown)} are not simulated at gate level")
        self.ones = (1 << lanes) - 1
        # What is undefined must not matter: it differs from lane to lane.
        undefined = int.from_bytes(b"\x5a" * (lanes // 8 + 1), "little") & self.ones
        self._values: dict[Bit, int] = {"0": 0, "1": self.ones, "x": undefined, "z": 0}
        self._flops: list[_FlipFlop] = []
        self._shifters: list[_Shifter] = []
        gates: list[_Ordered] = []
        for cell in netlist.cells:
            meaning = known[cell.kind].meaning
            assert meaning is not None
            model = meaning(
                {**cell.parameters, CONNECTED: {p for p, b in cell.inputs.items() if b}}
            )
            if isinstance(model, FlipFlop):
                self._flops.append(_FlipFlop(cell, model))
                self._values[self._flops[-1].q] = self.ones if model.initial else 0
            else:
                gates += self._gates_of(cell, model, known[cell.kind].open)
        self._gates = _in_order(gates)

    def _gates_of(self, cell: Cell, model: Model, unconnected: Bit) -> list[_Ordered]:
        """Return the gates of a cell, an output each: one may lead to an input of another."""
        match model:
            case Logic():
                return [
                    _look_up(cell, pin, function, unconnected)
                    for pin, function in model.outputs
                    if cell.outputs.get(pin[0])
                ]
            case Carry():
                return [_propagate(cell, model, unconnected)]
            case Shifter():
                shifter = _Shifter(cell, model, self.ones)
                self._shifters.append(shifter)
                driven = [shifter.q, *shifter.last]
                return [_Ordered(cell.name, shifter.read, list(shifter.address), driven)]
            case _:
                raise AssertionError(model)

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
        new = [flop.next(self._values, self.ones) for flop in self._flops]
        for shifter in self._shifters:
            shifter.clock(self._values)
        for flop, value in zip(self._flops, new, strict=True):
            self._values[flop.q] = value


def _bit(pins: Mapping[str, Sequence[Bit]], pin: Pin | None, default: Bit) -> Bit:
    """Return the net at a pin; `default` where there is no pin, or nothing connected to it."""
    if pin is None:
        return default
    bits = pins.get(pin[0], ())
    return bits[pin[1]] if pin[1] < len(bits) else default


class _FlipFlop:
    """A flip-flop on its nets."""

    def __init__(self, cell: Cell, model: FlipFlop) -> None:
        self.d = _bit(cell.inputs, model.d, "0")
        self.ce = _bit(cell.inputs, model.enable, "1")
        self.force = _bit(cell.inputs, model.force, "0")
        self.q = _bit(cell.outputs, model.q, "0")
        self.model = model

    def next(self, values: Mapping[Bit, int], ones: int) -> int:
        """Return the state after the next edge."""
        model = self.model
        enable = values.get(self.ce, 0) ^ (ones if model.enable_inverted else 0)
        force = values.get(self.force, 0) ^ (ones if model.force_inverted else 0)
        old = values[self.q]
        new = old ^ ((old ^ values.get(self.d, 0)) & enable)
        return new | force if model.sets else new & ~force


class _Shifter:
    """A shift register on its nets."""

    def __init__(self, cell: Cell, model: Shifter, ones: int) -> None:
        self.words = [ones if (model.init >> k) & 1 else 0 for k in range(model.size)]
        self.d = _bit(cell.inputs, model.d, "0")
        self.ce = _bit(cell.inputs, model.enable, "1")
        self.address = [_bit(cell.inputs, pin, "0") for pin in model.address]
        self.q = _bit(cell.outputs, model.q, "0")
        self.last = [*cell.outputs.get(model.last, ())]

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


Gate = Callable[[dict[Bit, int], int], None]
Plan = tuple[tuple[int, int, int], ...]


class _Ordered(NamedTuple):
    """A gate with the nets that it reads and drives."""

    name: str
    gate: Gate
    read: list[Bit]
    driven: list[Bit]


def _reading(cell: Cell, function: Function, unconnected: Bit) -> tuple[list[Bit], Plan]:
    """Return the nets of a function and the multiplexers that compute it."""
    nets = [_bit(cell.inputs, pin, unconnected) for pin in function.pins]
    return nets, _plan(function.table, len(nets))


def _look_up(cell: Cell, pin: Pin, function: Function, unconnected: Bit) -> _Ordered:
    out = _bit(cell.outputs, pin, "0")
    nets, plan = _reading(cell, function, unconnected)

    def look_up(values: dict[Bit, int], ones: int) -> None:
        values[out] = _follow(plan, [values.get(bit, 0) for bit in nets], ones)

    return _Ordered(cell.name, look_up, nets, [out])


def _propagate(cell: Cell, model: Carry, unconnected: Bit) -> _Ordered:
    """Return the gate of a carry cell: sums and carries along its positions."""
    starts = [_bit(cell.inputs, pin, model.open_start) for pin in model.starts]
    positions = [
        (
            _reading(cell, p.through, unconnected),
            _reading(cell, p.own, unconnected),
            [b for b in (_bit(cell.outputs, p.sum, ""),) if b != ""],
            [b for b in (_bit(cell.outputs, p.carry, ""),) if b != ""],
            p.summed,
        )
        for p in model.positions
    ]

    def propagate(values: dict[Bit, int], ones: int) -> None:
        carry = 0
        for bit in starts:
            carry |= values.get(bit, 0)
        for (nets, passes), (others, gives), sums, carries, summed in positions:
            through = _follow(passes, [values.get(bit, 0) for bit in nets], ones)
            for bit in sums:
                values[bit] = through ^ carry if summed else through
            own = _follow(gives, [values.get(bit, 0) for bit in others], ones)
            carry = own ^ ((own ^ carry) & through)
            for bit in carries:
                values[bit] = carry

    read = [b for (nets, _), (others, _), _, _, _ in positions for b in (*nets, *others)]
    driven = [b for _, _, sums, carries, _ in positions for b in (*sums, *carries)]
    return _Ordered(cell.name, propagate, [*starts, *read], driven)


def _follow(plan: Plan, inputs: Sequence[int], ones: int) -> int:
    known = [0, ones]
    for variable, low, high in plan:
        a = known[low]
        known.append(a ^ ((a ^ known[high]) & inputs[variable]))
    return known[-1]


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


def _in_order(gates: Sequence[_Ordered]) -> list[Gate]:
    """Return gates, each after those that drive what it reads."""
    driver = {
        bit: index for index, one in enumerate(gates) for bit in one.driven if isinstance(bit, int)
    }
    order = TopologicalSorter(
        {index: {driver[b] for b in one.read if b in driver} for index, one in enumerate(gates)}
    )
    try:
        return [gates[index].gate for index in order.static_order()]
    except CycleError as error:
        names = [gates[index].name for index in error.args[1][:4]]
        raise RuntimeError(f"the netlist has a loop through the cells {names}") from error
