"""What families with four-input LUTs have in common: chains of two terms, tables, PLLs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from finn_builds.sparse.cells import CellText
from finn_builds.sparse.chain import Chain
from finn_builds.sparse.family import Bounds, CompareShape, Family
from finn_builds.sparse.lutnet import lut_count, lut_net

# Inputs of a comparison up to which a table is tried.
_TABLE = 8

_ADD_HEAD = """\
module ps_add #(
    parameter W = 1,
    parameter [W-1:0] NA = 0,
    parameter [W-1:0] NB = 0,
    parameter ONES = 0
) (
    input wire [W-1:0] a,
    input wire [W-1:0] b,
    output wire [W-1:0] y
);
"""

_ADD_BEHAVIOUR = """\
  localparam [W:0] EXTRA = ONES;
  assign y = (a ^ NA) + (b ^ NB) + EXTRA[W-1:0];
"""


def adder_cell(comment: str, primitives: str) -> CellText:
    """Return ``ps_add``, a sum of two terms, with the device's body and a comment on it."""
    title = "Two-operand adder on one carry chain."
    head = f"// y = (a ^ NA) + (b ^ NB) + ONES modulo 2^W, ONES = 0 or 1. {comment}{_ADD_HEAD}"
    return CellText("ps_add", title, head, _ADD_BEHAVIOUR, primitives, "YOSYS")


@dataclass(frozen=True)
class FourInput(Family):
    """A family of four-input LUTs whose carry chains add two terms.

    Parameters
    ----------
    commands : tuple of str
        Of Yosys, from a design that has been read to a mapped netlist of module ``{top}``.
    no_chain : int
        Positions up to which a sum needs no carry chain; a longer one takes a position more.
    """

    commands: tuple[str, ...] = ()
    no_chain: int = 0

    def chain_luts(self, chain: Chain) -> int:
        """Return the LUTs of a sum: where a position has to add three, of two chains."""
        width = len(chain.columns)
        return (width + (width > self.no_chain)) * (1 if chain.pairs else 2)

    def chain_delay(self, chain: Chain) -> float:
        """Return the delay of a sum; where a position has to add three, of two chains."""
        width = len(chain.columns)
        if not width:
            return 0.0
        once = self.t_lut if width <= self.no_chain else self.adder(width)
        return once * (1 if chain.pairs else 2)

    def compare_shape(self, wanted: Bounds) -> CompareShape:
        """Return the cheaper of a table and a chain."""
        chain = self.compare_chain(wanted)
        inputs = wanted.bits + wanted.select
        if inputs <= _TABLE:
            table = lut_count(wanted.table, inputs, self.lut_inputs)
            if table <= chain.luts:
                return CompareShape("table", wanted.bits, 0, table)
        return chain

    @abstractmethod
    def compare_chain(self, wanted: Bounds) -> CompareShape:
        """Return a comparison on a carry chain."""

    def bound_luts(self, wanted: Bounds) -> int:
        """Return the LUTs of the tables that give a bound."""
        return sum(lut_count(c, wanted.select, self.lut_inputs) for c in set(wanted.columns))

    def compare_delay(self, shape: CompareShape, wanted: Bounds) -> float:
        """Return the delay of a table, or of a chain after the tables of its bounds."""
        if shape.kind == "table":
            net = lut_net(wanted.table, wanted.bits + wanted.select, self.lut_inputs)
            return self.t_lut * net.depth
        depth = 0.0
        if shape.kind == "bounds":
            nets = (lut_net(c, wanted.select, self.lut_inputs) for c in wanted.columns)
            depth = max((net.depth for net in nets), default=0.0)
        return self.t_lut * depth + self.adder(shape.positions)

    @property
    def defines(self) -> tuple[str, ...]:
        """Other vendors' DSP blocks are not there: FINN's units have a behavioural form."""
        return ("YOSYS",)

    def synthesis(self, top: str, select_file: str, *, sparse: bool = False) -> list[str]:
        """Return the family's commands."""
        return [command.format(top=top) for command in self.commands]

    @property
    def options(self) -> list[str]:
        """The commands."""
        return [command.format(top="<node>") for command in self.commands]


def nearest_clock(
    mhz_in: float,
    mhz: float,
    divides: Iterable[int],
    times: Iterable[int],
    after: Callable[[float], int | None],
) -> tuple[float, int, int, int] | None:
    """Return the fastest clock of a PLL that is not above `mhz`, or None below nine tenths of it.

    `divides` and `times` are what the PLL divides and multiplies its input by, `after` says by
    what its oscillator's clock is divided to give a clock, or None where that can't be. Returned
    are the clock, and the three.
    """
    best: tuple[float, int, int, int] | None = None
    times = tuple(times)
    for divide in divides:
        for factor in times:
            out = mhz_in * factor / divide
            if not 0.9 * mhz <= out <= mhz * (1 + 1e-4):
                continue
            if (best is None or out > best[0] + 1e-9) and (last := after(out)):
                best = (out, divide, factor, last)
    return best
