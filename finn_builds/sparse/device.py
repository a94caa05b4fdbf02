"""What cells of a device count and compute, and how a place and route is called, as plain data.

A kind of cell is described once, by its family. Counting, the timing estimate and the gate
simulator all read that description.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

#: Bit `index` of a pin.
Pin: TypeAlias = tuple[str, int]

#: The parameters of a cell as Yosys writes them: numbers are strings of bits. Under `CONNECTED`
#: are the names of its input pins at which there is a net.
Parameters: TypeAlias = Mapping[str, Any]


CONNECTED = "(connected)"


class NotSimulated(Exception):
    """The netlist has cells that the simulator does not know."""


def number(parameters: Parameters, name: str) -> int:
    """Return a parameter that is a string of bits as a number; 0 where it is not given."""
    text = str(parameters.get(name, ""))
    return int(text.replace("x", "0"), 2) if text else 0


def setting(parameters: Parameters, name: str, default: str) -> str:
    """Return a parameter that is text, or what it is where nothing is said."""
    return str(parameters.get(name, default)).strip()


@dataclass(frozen=True)
class Function:
    """A truth table over pins, the first in the lowest bit of the address."""

    table: int
    pins: tuple[Pin, ...]


@dataclass(frozen=True)
class Logic:
    """A cell whose outputs are functions of its inputs."""

    outputs: tuple[tuple[Pin, Function], ...]


@dataclass(frozen=True)
class Position:
    """One position of a carry chain: it passes the carry on where `through` is 1, else gives `own`.

    `sum` gets `through` exclusive-or the carry that comes in, or without it where not `summed`;
    `carry` the carry that goes on.
    """

    through: Function
    own: Function
    sum: Pin
    carry: Pin | None
    summed: bool = True


@dataclass(frozen=True)
class Carry:
    """Positions of a carry chain; the carry that comes in is the OR of `starts`."""

    starts: tuple[Pin, ...]
    positions: tuple[Position, ...]
    open_start: str = "0"  # what comes in where nothing is connected


@dataclass(frozen=True)
class FlipFlop:
    """A flip-flop with clock enable and a synchronous reset above it, or a set if it `sets`."""

    d: Pin
    q: Pin
    enable: Pin | None = None
    force: Pin | None = None
    sets: bool = False
    initial: bool = False
    enable_inverted: bool = False
    force_inverted: bool = False


@dataclass(frozen=True)
class Shifter:
    """A shift register with enable, read at an address."""

    size: int
    d: Pin
    enable: Pin
    address: tuple[Pin, ...]
    q: Pin
    last: str = ""  # pin of the last word
    init: int = 0


Model: TypeAlias = Logic | Carry | FlipFlop | Shifter

#: What a cell with these parameters computes; `NotSimulated` for settings that are not known.
Meaning: TypeAlias = Callable[[Parameters], Model]


@dataclass(frozen=True)
class Kind:
    """A kind of cell.

    Attributes
    ----------
    units : tuple of (str, int)
        Figures that it adds to, as `synth.counts` names them, with the amount.
    meaning : callable or None
        What it computes; None where that is not simulated.
    role : str
        For the timing estimate: ``lut``, ``mux`` (within a slice), ``carry``, ``clocked``,
        ``memory`` or ``shifter`` (LUTs that are written at the clock and read at once).
    carry_pins : tuple of str
        Of a carry cell: the pins at which a carry comes in.
    paired : bool
        Whether place and route puts a cell in front of each chain of such carry cells, and one
        after it where they are an odd number then.
    fed : str
        Of a flip-flop that only the LUT or carry of its own place can feed: the kind of that LUT.
        Where anything else drives it, place and route puts such a LUT between.
    open : str
        What a pin of a function reads where nothing is connected.
    """

    units: tuple[tuple[str, int], ...]
    meaning: Meaning | None = None
    role: str = "lut"
    carry_pins: tuple[str, ...] = ()
    open: str = "0"
    paired: bool = False
    fed: str = ""


@dataclass(frozen=True)
class Primitive:
    """Parameters and ports (name, width) of a device's cell."""

    parameters: tuple[str, ...]
    outputs: tuple[tuple[str, int], ...]
    inputs: tuple[tuple[str, int], ...]


def primitive(parameters: str, ports: str) -> Primitive:
    """Return a primitive from text such as ``"INIT", "output: O 1; input: I0 1, I1 1"``."""
    found: dict[str, tuple[tuple[str, int], ...]] = {}
    for group in ports.split("; "):
        direction, _, names = group.partition(": ")
        pairs = (port.split() for port in names.split(", "))
        found[direction] = tuple((name, int(width)) for name, width in pairs)
    return Primitive(tuple(parameters.split()), found["output"], found["input"])


def lut(*pins: str, out: str, init: str = "INIT") -> Meaning:
    """Return the meaning of a LUT, the first pin the lowest address bit."""
    read = tuple((pin, 0) for pin in pins)

    def meaning(parameters: Parameters) -> Logic:
        return Logic((((out, 0), Function(number(parameters, init), read)),))

    return meaning


def fixed(table: int, *pins: str, out: str) -> Meaning:
    """Return the meaning of a cell that computes one function, whatever its parameters."""
    model = Logic((((out, 0), Function(table, tuple((pin, 0) for pin in pins))),))
    return lambda _: model


def mux(low: str, high: str, select: str, out: str) -> Meaning:
    """Return the meaning of a multiplexer."""
    return fixed(0b11001010, low, high, select, out=out)
