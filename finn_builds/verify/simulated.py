"""What the simulation of the stitched design found: exactness, latency, interval, traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finn_builds.files import (
    PERFORMANCE_FILE,
    VERIFICATION_FILE,
    read_json,
    read_record,
    write_json,
    write_record,
)
from finn_builds.verify.golden import GoldenResult


@dataclass(frozen=True)
class SimulatedRun:
    """One run of frames through the design."""

    frames: int
    mismatches: int
    cycles: int


@dataclass(frozen=True)
class Verification:
    """What the hardware was compared with, and with what outcome."""

    frames: int
    mismatches: int  # frames that differ, over all runs
    reference: str
    simulator: str
    inputs: str  # where the frames come from
    runs: dict[str, SimulatedRun]  # by what the run was
    float32_disagreements: int  # frames in which a float32 run of the model gives other integers
    seed: int
    golden: GoldenResult | None = None  # the user's expected integers, of network and RTL


@dataclass(frozen=True)
class Traffic:
    """What one stream did in a run, in beats and cycles."""

    transfers: int
    stalled_cycles: int
    starved_cycles: int
    first_cycle: int | None  # None where no beat passed
    last_cycle: int | None

    @property
    def span(self) -> tuple[int, int]:
        """The cycles of the first and the last beat."""
        assert self.first_cycle is not None and self.last_cycle is not None
        return self.first_cycle, self.last_cycle


@dataclass(frozen=True)
class OneFrame:
    """One frame through the empty design."""

    latency_cycles: int
    links: dict[str, Traffic]


@dataclass(frozen=True)
class Performance:
    """Latency and interval of a free run, in cycles; times follow from the clock asked for."""

    cycles: int  # from the first input to the last output
    frames: int
    clock_ns: float
    frame_bytes: tuple[int, int]  # at the input and at the output
    latency_cycles: int  # of the first frame
    latency_cycles_max: int  # the longest
    interval_cycles: float  # between frames, in the steady state
    links: dict[str, Traffic]  # by stream, the input first
    one_frame: OneFrame

    kind = "measured in cycle-accurate simulation; clock as asked for"

    @property
    def latency_ns(self) -> float:
        """Time from the first beat of a frame to the last one of its output."""
        return self.latency_cycles * self.clock_ns

    @property
    def fps(self) -> float:
        """Frames per second in the steady state."""
        return 1e9 / (self.clock_ns * self.interval_cycles)

    def finn_keys(self) -> dict[str, float | int]:
        """Return what FINN's ``rtlsim_performance.json`` holds."""
        seconds = self.cycles * self.clock_ns * 1e-9
        return {
            "cycles": self.cycles,
            "runtime[ms]": seconds * 1000,
            "throughput[images/s]": self.frames / seconds,
            "stable_throughput[images/s]": self.fps,
            "DRAM_in_bandwidth[MB/s]": self.frame_bytes[0] * self.fps / 1e6,
            "DRAM_out_bandwidth[MB/s]": self.frame_bytes[1] * self.fps / 1e6,
            "fclk[mhz]": 1000 / self.clock_ns,
            "N": self.frames,
        }


@dataclass(frozen=True)
class Simulated:
    """The outcome of the simulation."""

    verification: Verification
    performance: Performance

    def save(self, out: Path, step: str) -> None:
        """Write ``verification.json``, and ``rtlsim_performance.json`` with FINN's keys too."""
        write_record(out / VERIFICATION_FILE, self.verification)
        write_record(out / PERFORMANCE_FILE, self.performance)
        own: dict[str, Any] = read_json(out / PERFORMANCE_FILE)
        derived = {"latency_ns": self.performance.latency_ns, "kind": self.performance.kind}
        write_json(out / PERFORMANCE_FILE, {**self.performance.finn_keys(), **own, **derived})

    @classmethod
    def load(cls, out: Path, step: str) -> Simulated:
        """Read what `save` wrote."""
        return cls(
            read_record(out / VERIFICATION_FILE, Verification),
            read_record(out / PERFORMANCE_FILE, Performance),
        )


def traffic_of(links: Mapping[str, Any]) -> dict[str, Traffic]:
    """Return the simulator's statistics by stream."""
    return {
        name: Traffic(stats.transfers, stats.stalled, stats.starved, stats.first, stats.last)
        for name, stats in links.items()
    }
