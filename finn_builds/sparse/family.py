"""What a device family has to say of itself: cells, delays, counting, synthesis, place and route.

A family is one file in ``families/``. Everything else (cost model, emitter, synthesis script,
counting, timing estimate, gate simulator, place and route) asks the object that it makes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from finn_builds.sparse.device import Kind, Primitive
from finn_builds.sparse.routing import BoardRouter, ProgramRouter

if TYPE_CHECKING:
    from finn_builds.sparse.bits import BitWriter
    from finn_builds.sparse.cells import CellText
    from finn_builds.sparse.chain import Chain
    from finn_builds.sparse.nodes import Field


_DELAYS = ("t_lut", "t_carry_in", "t_carry_bit", "t_carry_out", "t_reg", "t_spread")
#: Those that have a net in them.
_NETS = ("t_lut", "t_carry_out", "t_reg")


@dataclass(frozen=True)
class Bounds:
    """A comparison `number >= bounds[select]`, low bits that do not matter left out.

    Attributes
    ----------
    bounds : tuple of int
        By the value of the bits that select.
    columns : tuple of int
        The bits of the bounds, each as a truth table over the bits that select.
    bits : int
        Of the number.
    select : int
        Bits that select.
    """

    bounds: tuple[int, ...]
    columns: tuple[int, ...]
    bits: int
    select: int

    @property
    def table(self) -> int:
        """The comparison as a truth table, the number in the low address bits."""
        size = 1 << self.bits
        word = 0
        for at, bound in enumerate(self.bounds):
            missed = min(bound, size)
            word |= ((1 << size) - (1 << missed)) << (at * size)
        return word

    @property
    def unreachable(self) -> bool:
        """Whether a bound is beyond what the number can be."""
        return any(b >> self.bits for b in self.bounds)


@dataclass(frozen=True)
class CompareShape:
    """How a comparison with a selected bound is made.

    Attributes
    ----------
    kind : str
        ``table``: a function of all its bits. ``chain``: the bits that select go to every position
        of a carry chain. ``six`` (six-input LUTs): so do five of them, beside one bit of the
        number. ``bounds``: the bound comes from tables.
    per : int
        Bits of the number at a position of the chain.
    positions : int
        Of the chain; 0 for a table.
    """

    kind: str
    per: int
    positions: int
    luts: int


@dataclass(frozen=True)
class Family(ABC):
    """A device family.

    Delays are nanoseconds of the slowest speed grade that the supported boards carry: cell delays
    as the vendor's data sheet gives them, plus one average net per LUT. They rank pipelines and
    give an estimate; they are not timing closure.

    Parameters
    ----------
    max_terms : int
        Terms one carry chain adds: 3 where a LUT has six inputs and two outputs.
    lut_inputs : int
        Inputs of a LUT. Six-input LUTs have a second output, so a chain of them adds three terms
        and takes in small tables.
    t_lut : float
        A LUT and the net that it drives.
    t_carry_in, t_carry_bit, t_carry_out : float
        From an operand into the chain (LUT included), per position, from the chain to a net.
    t_reg : float
        Clock to output, its net, and set-up.
    grades : tuple of (int, float)
        Delays of speed grades, as shares of those of grade 1.
    caveat : str
        What a reader of the delays has to know of them, empty where that is nothing.
    t_spread : float
        What a net takes longer for every doubling of a design above `compact` LUTs.
    fed_registers : bool
        Whether a flip-flop that the LUT or carry of its own place does not drive takes a LUT.
    """

    name: str
    max_terms: int
    lut_inputs: int
    t_lut: float
    t_carry_in: float
    t_carry_bit: float
    t_carry_out: float
    t_reg: float
    grades: tuple[tuple[int, float], ...] = ()
    caveat: str = ""
    t_spread: float = 0.0
    compact: int = 1
    fed_registers: bool = False

    def of_grade(self, grade: int) -> Family:
        """Return the family with the delays of a speed grade; KeyError if it is not known."""
        share = dict(self.grades)[grade]
        return replace(self, **{delay: getattr(self, delay) * share for delay in _DELAYS})

    def of_size(self, luts: float) -> Family:
        """Return the family with the delays of a design of `luts` LUTs; large ones spread out."""
        more = self.t_spread * math.log2(max(1.0, luts / self.compact))
        return replace(self, **{delay: getattr(self, delay) + more for delay in _NETS})

    @property
    def wide(self) -> bool:
        """Whether its LUTs have six inputs and a second output."""
        return self.lut_inputs == 6

    def adder(self, positions: int) -> float:
        """Return the delay of a carry chain of that many positions, ns."""
        return self.t_carry_in + self.t_carry_bit * positions + self.t_carry_out

    # What a sparse layer is made of.

    @property
    def absorbs(self) -> int:
        """Inputs up to which an operand of a plain adder that is a table melts into its LUTs."""
        return 0

    @abstractmethod
    def chain_luts(self, chain: Chain) -> int:
        """Return the LUTs of a sum."""

    @abstractmethod
    def chain_delay(self, chain: Chain) -> float:
        """Return the delay of a sum, ns; 0 where it is wires."""

    @abstractmethod
    def compare_shape(self, wanted: Bounds) -> CompareShape:
        """Return the cheapest form of a comparison."""

    @abstractmethod
    def compare_delay(self, shape: CompareShape, wanted: Bounds) -> float:
        """Return the delay of a comparison, ns."""

    @abstractmethod
    def compare_lines(
        self,
        writer: BitWriter,
        index: int,
        shape: CompareShape,
        src: Field,
        select: Sequence[Field],
        bounds: Sequence[int],
    ) -> list[str]:
        """Return the Verilog of a comparison that is not a table."""

    @property
    @abstractmethod
    def cells(self) -> tuple[CellText, ...]:
        """The modules ``ps_*`` that emitted Verilog instantiates."""

    # What synthesis needs.

    @property
    @abstractmethod
    def primitives(self) -> Mapping[str, Primitive]:
        """The device's cells that sources instantiate, for a frontend that wants declarations."""

    @property
    @abstractmethod
    def defines(self) -> tuple[str, ...]:
        """Macros that are set when sources are read for synthesis."""

    @abstractmethod
    def synthesis(self, top: str, select_file: str, *, sparse: bool = False) -> list[str]:
        """Return the Yosys commands from a design that has been read to a mapped netlist.

        `select_file` has a mapping of wide selectors, for families with shift registers in LUTs.
        With `sparse` there are only sparse nodes, in which much need not be looked for.
        """

    @property
    @abstractmethod
    def options(self) -> list[str]:
        """What decides the figures of synthesis, for the report."""

    @property
    @abstractmethod
    def kinds(self) -> Mapping[str, Kind]:
        """What each kind of cell in a mapped netlist counts as, and what it computes."""

    # Place and route.

    @property
    def router(self) -> BoardRouter | None:
        """The open place and route for the family's boards, where there is one."""
        return None

    @property
    def second_opinions(self) -> tuple[ProgramRouter, ...]:
        """Programs that place and route the family, where there is no `router`; the first wins."""
        return ()
