"""How a simulation can fail: all of them are failed verifications (exit code 1)."""

from __future__ import annotations

from finn_builds.errors import VerificationError

__all__ = ["ProtocolError", "SimulationError", "SimulationHang"]


class SimulationError(VerificationError):
    """The design stopped the simulation, or broke a rule of stream designs."""


class ProtocolError(SimulationError):
    """The output stream broke a rule of AXI-stream.

    Attributes
    ----------
    cycle
        Clock cycle since reset in which it did.
    """

    def __init__(self, message: str, cycle: int) -> None:
        super().__init__(message)
        self.cycle = cycle


class SimulationHang(SimulationError):
    """Neither input nor output moved for the allowed number of cycles.

    Attributes
    ----------
    cycle
        Clock cycle since reset at which the simulator gave up.
    before, after
        Streams before and after the stage that stopped.
    """

    def __init__(self, message: str, cycle: int, before: str, after: str) -> None:
        super().__init__(message)
        self.cycle = cycle
        self.before = before
        self.after = after
