"""The stitched design in the simulator: exactness, latency, interval, and what the model is worth.

Every figure written here is measured in cycle-accurate simulation; times in ns and frames per
second follow from the cycles and the clock that was asked for, which no synthesis has confirmed.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from deploy.host_model import HostModel
from finn_builds import tools
from finn_builds.config.build import BuildConfig
from finn_builds.files import HOST_FILE, VECTORS_FILE, write_json
from finn_builds.flow.estimate import layer_cycles
from finn_builds.flow.ingest import labelled_data, reference_of
from finn_builds.flow.stitch import RUNTIME
from finn_builds.folded.finn_env import prepare_finn
from finn_builds.ingest.top1 import class_keys, output_affine
from finn_builds.sim.accelerator import Accelerator, Run
from finn_builds.sim.compile import Trace
from finn_builds.sim.result import LinkStats
from finn_builds.stitch.design import Design, design_of
from finn_builds.verify.exactness import check_equal, mismatching_frames
from finn_builds.verify.frames import verification_frames

#: Chance per cycle that source and sink pause in the run with random stalls.
STALL = 0.3

#: Chance per cycle that the sink pauses in the run with long back-pressure, and its frames: long
#: enough to fill every queue of the design many times over.
LONG_STALL = 0.97
LONG_STALL_FRAMES = 200


def step_measure_rtlsim_performance(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Verify the stitched design: free-running, with random stalls and with long back-pressure.

    One frame alone is run too; it shows where the latency goes.

    Writes ``report/verification.json`` and ``report/rtlsim_performance.json``, and the frames
    with their expected outputs as ``verification_frames.npz``, which also holds the raw features
    and labels of the first frames where there are data.

    Raises
    ------
    VerificationError
        On one mismatch, a broken stream rule or a hang.
    """
    prepare_finn(cfg.out / "ipgen")
    host = HostModel.from_json(cfg.out / HOST_FILE)
    frames = verification_frames(
        host, labelled_data(host, model, cfg), count=cfg.verify_frames, seed=cfg.verify_seed
    )
    reference = reference_of(model, cfg)
    integers = reference.run(frames.x)
    expected = top1_of(host, integers) if cfg.top1 else integers
    runs = _simulate(model, cfg, frames.x)
    report = {
        "frames": len(frames.x),
        "mismatches": sum(
            len(mismatching_frames(expected[: len(run.y)], run.y)) for run in runs.values()
        ),
        "reference": "QONNX model executed by qonnx in double precision on the integer inputs",
        "simulator": f"Verilator {tools.versions()['verilator']}",
        "inputs": frames.source,
        "runs": {
            name: {
                "frames": len(run.y),
                "mismatches": len(mismatching_frames(expected[: len(run.y)], run.y)),
                "cycles": run.cycles,
            }
            for name, run in runs.items()
        },
        "float32_disagreements": reference.float32_disagreements(frames.x),
        "seed": cfg.verify_seed,
    }
    write_json(cfg.out / "report" / "verification.json", report)
    for name, run in runs.items():
        check_equal(expected[: len(run.y)], run.y, f"the stitched RTL ({name.replace('_', ' ')})")
    free = runs["free_running"]
    write_json(
        cfg.out / "report" / "rtlsim_performance.json",
        performance(free, runs["one_frame"], design_of(model), cfg.clock_ns),
    )
    saved = {"x": frames.x, "y": expected.astype(np.int64)}
    if frames.features is not None and frames.labels is not None:
        saved |= {"features": frames.features, "labels": frames.labels}
    np.savez_compressed(cfg.out / VECTORS_FILE, allow_pickle=False, **saved)
    return model


def top1_of(host: HostModel, integers: np.ndarray) -> np.ndarray:
    """Return the class of each frame from the reference's integers, shape (frames, 1)."""
    scale, bias = output_affine(host)
    shift, offsets = class_keys(scale, bias)
    keys = (integers << shift) + np.asarray(offsets)
    return keys.argmax(axis=1)[:, None]


def _simulate(model: ModelWrapper, cfg: BuildConfig, x: np.ndarray) -> dict[str, Run]:
    """Compile the stitched folder as it lies there and run the frames through it."""
    design = design_of(model)
    stitched = cfg.out / "stitched_ip"
    names = (stitched / "all_verilog_srcs.txt").read_text().split()
    cycles = layer_cycles(model)
    idle = 100 * (sum(cycles.values()) + max(cycles.values()) + 100)
    drain = 2 * (sum(cycles.values()) + 100)
    trace_file = None if cfg.trace is None else cfg.out / f"trace.{cfg.trace}"
    runtime = cfg.out / RUNTIME
    # Compiling takes most of the time, the more the larger the design.
    cfg.progress(0, 20, "compiling the simulator")
    accelerator = Accelerator(
        design,
        [stitched / name for name in names],
        cfg.scratch,
        stitched,
        trace=cast("Trace | None", cfg.trace),  # one of the two once validated
        trace_file=trace_file,
        runtime_dir=runtime if runtime.is_dir() and cfg.trace is None else None,
    )
    try:
        cfg.progress(16, 20, "free-running")
        # Weights begin to flow after a reset, so a frame right behind it takes some cycles longer
        # than any later one. An accelerator that waits for data is not in that state.
        accelerator.run(x[:1], idle_limit=idle, drain=drain)
        alone = accelerator.run(x[:1], idle_limit=idle, drain=drain, reset=False)
        free = accelerator.run(x, idle_limit=idle, drain=drain, reset=False)
        cfg.progress(17, 20, "with random stalls")
        stalled = accelerator.run(
            x,
            stall_in=STALL,
            stall_out=STALL,
            seed=cfg.verify_seed + 1,
            idle_limit=idle,
            drain=drain,
        )
        cfg.progress(19, 20, "with long back-pressure")
        blocked = accelerator.run(
            x[:LONG_STALL_FRAMES],
            stall_out=LONG_STALL,
            seed=cfg.verify_seed + 2,
            idle_limit=idle,
            drain=drain,
        )
    finally:
        accelerator.close()
    return {
        "free_running": free,
        "random_stalls": stalled,
        "long_back_pressure": blocked,
        "one_frame": alone,
    }


def performance(run: Run, alone: Run, design: Design, clock_ns: float) -> dict[str, object]:
    """Return latency, interval and throughput of a free run, under FINN's names and ours.

    Parameters
    ----------
    run : Run
        All frames, neither source nor sink ever pausing.
    alone : Run
        One frame through the empty design: when its beats pass each stream.
    design : Design
        What was run.
    clock_ns : float
        Clock period in ns.
    """
    frames = len(run.y)
    interval = run.interval()
    seconds = run.cycles * clock_ns * 1e-9
    fps = 1e9 / (clock_ns * interval)
    latency = run.latency
    return {
        "cycles": run.cycles,
        "runtime[ms]": seconds * 1000,
        "throughput[images/s]": frames / seconds,
        "stable_throughput[images/s]": fps,
        "DRAM_in_bandwidth[MB/s]": design.input.frame_bytes * fps / 1e6,
        "DRAM_out_bandwidth[MB/s]": design.output.frame_bytes * fps / 1e6,
        "fclk[mhz]": 1000 / clock_ns,
        "N": frames,
        "latency_cycles": int(latency[0]),
        "latency_cycles_max": int(latency.max()),
        "latency_ns": float(latency[0] * clock_ns),
        "interval_cycles": interval,
        "links": {name: _link(stats) for name, stats in run.links.items()},
        "one_frame": {
            "latency_cycles": int(alone.latency[0]),
            "links": {name: _link(stats) for name, stats in alone.links.items()},
        },
        "kind": "measured in cycle-accurate simulation; clock as asked for",
    }


def _link(stats: LinkStats) -> dict[str, object]:
    return {
        "transfers": stats.transfers,
        "stalled_cycles": stats.stalled,
        "starved_cycles": stats.starved,
        "first_cycle": stats.first,
        "last_cycle": stats.last,
    }
