"""The stitched design in the simulator: exactness, latency and interval.

Every figure written here is measured in cycle-accurate simulation; times in ns and frames per
second follow from the cycles and the clock that was asked for, which no synthesis has confirmed.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from finn_builds import tools
from finn_builds.config.build import BuildConfig
from finn_builds.files import STITCHED_DIR, WAVEFORM_FILE
from finn_builds.network import IntegerNetwork
from finn_builds.sim.accelerator import Accelerator, Run
from finn_builds.sim.compile import Trace
from finn_builds.stitch.blocks import Hardware
from finn_builds.stitch.design import Design
from finn_builds.stitch.sources import Stitched, stitched_sources
from finn_builds.style.styles import compile_block
from finn_builds.verify.exactness import check_equal, mismatching_frames
from finn_builds.verify.locate_rtl import RtlLocator
from finn_builds.verify.simulated import (
    OneFrame,
    Performance,
    Simulated,
    SimulatedRun,
    Verification,
    traffic_of,
)
from finn_builds.verify.streamlined import Streamlined

#: Chance per cycle that source and sink pause in the run with random stalls.
STALL = 0.3

#: Chance per cycle that the sink pauses in the run with long back-pressure, and its frames: long
#: enough to fill every queue of the design many times over.
LONG_STALL = 0.97
LONG_STALL_FRAMES = 200


def step_measure_rtlsim_performance(
    streamlined: Streamlined, hardware: Hardware, stitched: Stitched, cfg: BuildConfig
) -> Simulated:
    """Verify the stitched design: free-running, with random stalls and with long back-pressure.

    One frame alone is run too; it shows where the latency goes. Raises VerificationError on a
    broken stream rule, a hang, or one mismatch, which names the first tensor that differs and
    leaves ``report/mismatch.vcd``.
    """
    vectors = streamlined.vectors
    golden = streamlined.golden
    runs = _simulate(hardware, cfg, vectors.x, None if golden is None else golden.x)
    stalls = _stalls(cfg.verify_seed)
    locate = _locator(streamlined.network, hardware, cfg)
    if golden is not None:
        check_equal(
            golden.y,
            runs.pop("golden").y,
            "the stitched RTL (frames of --golden)",
            lambda frame: locate(golden.x, golden.y, frame, {}),
        )
    for name, run in runs.items():
        what, y = f"the stitched RTL ({name.replace('_', ' ')})", vectors.y[: len(run.y)]
        find = partial(locate, vectors.x[: len(run.y)], y, how=stalls.get(name, {}))
        check_equal(y, run.y, what, find)
    done = {
        name: SimulatedRun(
            len(run.y), len(mismatching_frames(vectors.y[: len(run.y)], run.y)), run.cycles
        )
        for name, run in runs.items()
    }
    verification = Verification(
        frames=len(vectors.x),
        mismatches=sum(run.mismatches for run in done.values()),
        reference="QONNX model executed by onnx and qonnx in double precision on integer inputs",
        simulator=f"Verilator {tools.versions()['verilator']}",
        inputs=vectors.source,
        runs=done,
        float32_disagreements=vectors.float32_disagreements,
        seed=cfg.verify_seed,
        golden=None if golden is None else golden.result,
    )
    free, alone = runs["free_running"], runs["one_frame"]
    return Simulated(verification, performance(free, alone, hardware.design, stitched.clock_ns))


def _simulate(
    hardware: Hardware, cfg: BuildConfig, x: np.ndarray, golden: np.ndarray | None
) -> dict[str, Run]:
    """Compile the stitched folder as it lies there and run the frames through it."""
    stitched = cfg.out / STITCHED_DIR
    limits = _limits(hardware)
    stalls = _stalls(cfg.verify_seed)
    trace_file = None if cfg.trace is None else cfg.out / f"trace.{cfg.trace}"
    # Compiling takes most of the time, the more the larger the design.
    cfg.progress(0, 20, "compiling the simulator")
    accelerator = Accelerator.compiled(
        hardware.design,
        [stitched / name for name in stitched_sources(stitched)],
        cfg.scratch,
        stitched,
        trace=cast("Trace | None", cfg.trace),  # one of the two once validated
        trace_file=trace_file,
    )
    try:
        cfg.progress(16, 20, "free-running")
        # Weights begin to flow after a reset, so a frame right after it takes some cycles longer
        # than any later one. An accelerator that waits for data is not in that state.
        accelerator.run(x[:1], **limits)
        alone = accelerator.run(x[:1], **limits, reset=False)
        free = accelerator.run(x, **limits, reset=False)
        cfg.progress(17, 20, "with random stalls")
        stalled = accelerator.run(x, **stalls["random_stalls"], **limits)
        cfg.progress(19, 20, "with long back-pressure")
        blocked = accelerator.run(x[:LONG_STALL_FRAMES], **stalls["long_back_pressure"], **limits)
        found = {}
        if golden is not None:
            found["golden"] = accelerator.run(golden, **limits)
    finally:
        accelerator.close()
    return {
        **found,
        "free_running": free,
        "random_stalls": stalled,
        "long_back_pressure": blocked,
        "one_frame": alone,
    }


def _limits(hardware: Hardware) -> dict[str, int]:
    """Return when a run counts as hung, and how long it goes on after the last frame, in cycles."""
    cycles = list(hardware.cycles().values())
    return {
        "idle_limit": 100 * (sum(cycles) + max(cycles) + 100),
        "drain": 2 * (sum(cycles) + 100),
    }


def _stalls(seed: int) -> dict[str, dict[str, float]]:
    """Return the stalls of the runs that have some."""
    return {
        "random_stalls": {"stall_in": STALL, "stall_out": STALL, "seed": seed + 1},
        "long_back_pressure": {"stall_out": LONG_STALL, "seed": seed + 2},
    }


def _locator(network: IntegerNetwork, hardware: Hardware, cfg: BuildConfig) -> RtlLocator:
    """Return what finds the first tensor that differs, in the stitched folder as it lies there."""

    def start(waveform: Path) -> Accelerator:
        folder = cfg.out / STITCHED_DIR
        sources = [folder / name for name in stitched_sources(folder)]
        cfg.progress(19, 20, "looking for the first tensor that differs")
        return Accelerator.compiled(
            hardware.design,
            sources,
            cfg.scratch / "locate",
            folder,
            trace="vcd",
            trace_file=waveform,
        )

    return RtlLocator(
        network,
        hardware.blocks,
        lambda block: compile_block(
            network,
            block,
            family=cfg.board_spec.family,
            clock_ns=cfg.clock_ns,
            latency=cfg.latency_cycles,
        ),
        start,
        cfg.out / WAVEFORM_FILE,
        _limits(hardware),
    )


def performance(run: Run, alone: Run, design: Design, clock_ns: float) -> Performance:
    """Return latency, interval and throughput of a run in which neither end ever paused.

    `alone` is one frame through the empty design: when its beats pass each stream.
    """
    return Performance(
        # To the last output: the simulation goes on for a while, to see that nothing follows.
        cycles=int(run.end.max()) + 1,
        frames=len(run.y),
        clock_ns=clock_ns,
        frame_bytes=(design.input.frame_bytes, design.output.frame_bytes),
        latency_cycles=int(run.latency[0]),
        latency_cycles_max=int(run.latency.max()),
        interval_cycles=run.interval(),
        links=traffic_of(run.links),
        one_frame=OneFrame(int(alone.latency[0]), traffic_of(alone.links)),
    )
