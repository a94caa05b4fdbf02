"""How a simulation can fail: all of them are failed verifications (exit code 1)."""

from __future__ import annotations

from finn_builds.errors import VerificationError

__all__ = ["ProtocolError", "SimulationError", "SimulationHang"]


class SimulationError(VerificationError):
    """The design stopped the simulation, or broke a rule of stream designs."""


class ProtocolError(SimulationError):
    """The output stream broke a rule of AXI-stream, in a clock cycle counted from reset."""

    def __init__(self, message: str, cycle: int) -> None:
        super().__init__(message)
        self.cycle = cycle


class SimulationHang(SimulationError):
    """Neither input nor output moved for the allowed number of cycles.

    The simulator gave up in `cycle`, counted from reset; the stage that stopped lies between the
    streams `before` and `after`.
    """

    def __init__(self, message: str, cycle: int, before: str, after: str) -> None:
        super().__init__(message)
        self.cycle = cycle
        self.before = before
        self.after = after
