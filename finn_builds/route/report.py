"""What place and route reached, as it is written down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from finn_builds.files import ROUTE_FILE, read_record, write_record
from finn_builds.route.design import ACCELERATOR
from finn_builds.route.nextpnr import PathStep
from finn_builds.synth.report import GateLevel

#: LUT sites of a 7-series device in use, and those that only pass a net on.
SITES, THROUGH = "LUT sites", "LUT sites, routed through"


@dataclass(frozen=True)
class Used:
    """Cells of one kind: used by the whole device's design, there, and of these the accelerator's.

    The accelerator's are None where they are not counted.
    """

    used: int
    available: int
    accelerator: int | None = None


@dataclass(frozen=True)
class Routed:
    """A design that nextpnr has placed and routed.

    Attributes
    ----------
    part : str
    tool, version : str
    timing : str
        Where the delays come from, and what they leave out.
    asked_mhz, made_mhz, routed_mhz : float
        The clock that was asked for, the nearest below that the device's PLL makes, and the fastest
        that the slowest path allows.
    planned_ns : float
        The clock period that sparse layers were pipelined for.
    estimated_ns : float or None
        The longest path as it was estimated after synthesis, of the accelerator alone.
    logic_ns, wire_ns : float
        What of the critical path is cells, and what is wires.
    path : tuple of PathStep
        The critical path.
    cells : dict of str to Used
        By the tool's kinds of cells.
    seed : int
        Of the placement that is kept.
    seeds : dict of str to float or str
        The clock in MHz of every seed, or why there is none.
    gate_level : GateLevel
        The placed netlist, compared with the QONNX model gate by gate.
    netlist : str
        SHA-256 of what was placed and routed, with the tool's version and the settings.
    around : str
        What is around the accelerator, in words.
    second_opinion : bool
        Whether this is not how the board's bitfile is made.
    """

    part: str
    tool: str
    version: str
    timing: str
    asked_mhz: float
    made_mhz: float
    routed_mhz: float
    planned_ns: float
    estimated_ns: float | None
    logic_ns: float
    wire_ns: float
    path: tuple[PathStep, ...]
    cells: dict[str, Used]
    seed: int
    seeds: dict[str, float | str]
    gate_level: GateLevel
    netlist: str
    around: str = "serial shell"
    second_opinion: bool = False

    @property
    def met(self) -> bool:
        """Whether the routed clock is as fast as the one that the device runs at."""
        return self.routed_mhz >= self.made_mhz * (1 - 1e-6)

    @property
    def inside(self) -> bool:
        """Whether the critical path is the accelerator's, and not its surroundings'."""
        return any(step.cell.startswith(ACCELERATOR) for step in self.path)

    def save(self, out: Path, step: str) -> None:
        """Write ``report/route.json``."""
        write_record(out / ROUTE_FILE, self)

    @classmethod
    def load(cls, out: Path, step: str) -> Routed:
        """Read what `save` wrote."""
        return read_record(out / ROUTE_FILE, cls)
