"""Cycle-accurate simulation: Verilator compiles, ctypes drives whole batches."""

from finn_builds.sim.compile import SimDesign, compile_design, compile_designs
from finn_builds.sim.errors import ProtocolError, SimulationError, SimulationHang
from finn_builds.sim.result import LinkStats, SimResult
from finn_builds.sim.simulator import Simulator

__all__ = [
    "LinkStats",
    "ProtocolError",
    "SimDesign",
    "SimResult",
    "SimulationError",
    "SimulationHang",
    "Simulator",
    "compile_design",
    "compile_designs",
]
