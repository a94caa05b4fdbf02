"""How a family is placed, routed and loaded with open tools: what its file has to say of that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pll:
    """A clock made from a board's: the instance in Verilog, and what comes out.

    Its input net is ``clk_in``, its outputs are ``clk`` and ``locked``.
    """

    text: str
    mhz: float


@dataclass(frozen=True)
class Call:
    """A function of a Python package that takes the arguments of a program."""

    module: str
    function: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class ProgramCall:
    """A program on the search path with its arguments."""

    program: str
    arguments: tuple[str, ...]


class Router(ABC):
    """A place and route of a family's devices.

    Attributes
    ----------
    timing : str
        Where its delays come from, and what they leave out.
    """

    timing: str

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name in reports."""

    @abstractmethod
    def synthesis(self, top: str) -> list[str]:
        """Return the Yosys commands for a whole device, with its pins."""

    @property
    def pads(self) -> Sequence[str]:
        """Yosys commands on the flat device that put buffers at its pins, if nextpnr does not."""
        return ()

    @abstractmethod
    def constraints(self, pins: Mapping[str, tuple[str, str]], mhz_in: float) -> str:
        """Return the text that binds ports to (pin, I/O standard); ``clk_in`` is the clock."""

    @abstractmethod
    def route(self, part: str, seed: int, mhz: float) -> Call | ProgramCall:
        """Return the call that places and routes ``netlist.json``.

        It reads ``pins.txt`` and writes ``routed.json`` (the placed netlist), ``report.json`` and,
        where the bitstream needs it, ``routed.txt``.
        """

    def bucket(self, kind: str) -> str:
        """Return under which name the report counts a kind of cell of the placed netlist."""
        return kind

    @property
    def netlist_fixes(self) -> Sequence[str]:
        """Pins of cells that have to be there, open, where nothing is connected: ``KIND.PIN``."""
        return ()

    def prepared(self, cell: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a cell of the mapped netlist, in Yosys' JSON, as it is best placed."""
        return cell


class BoardRouter(Router):
    """One from a wheel, for whole boards, with their clock and a bitstream.

    Attributes
    ----------
    distribution : str
        The wheel that has it.
    beside : tuple of str
        Packages that it calls beside that wheel.
    bitstream : str
        Suffix of the file that is loaded.
    """

    distribution: str
    beside: tuple[str, ...] = ()
    bitstream: str

    @property
    def name(self) -> str:
        """That of the wheel."""
        return self.distribution

    @abstractmethod
    def pins(self, part: str) -> Collection[str]:
        """Return the pins of a part that a design can use, as the installed data has them.

        Raises
        ------
        UserError
            The data does not have the part.
        """

    @abstractmethod
    def pll(self, part: str, mhz_in: float, mhz: float) -> Pll | None:
        """Return the clock that is nearest below, or None if there is none within a tenth."""

    @abstractmethod
    def pack(self, part: str) -> Call:
        """Return the call that makes ``bitstream`` from what `route` left."""


class ProgramRouter(Router):
    """A program that the user has built: a second opinion on an accelerator alone, no bitstream.

    It reads the chip database ``chipdb.bin`` beside the netlist.

    Attributes
    ----------
    program : str
        On the search path.
    source : str
        Where it comes from.
    path_in_log : bool
        Whether the critical path is in its log alone; ``report.json`` is not written then.
    """

    program: str
    source: str
    path_in_log: bool = False

    @property
    def name(self) -> str:
        """That of the program."""
        return self.program

    @abstractmethod
    def pack_only(self, part: str) -> ProgramCall:
        """Return the call that packs ``netlist.json`` and ends."""

    @abstractmethod
    def splits(self, log: str) -> bool:
        """Return whether the log of `pack_only` says that it has split LUTs of two outputs."""
