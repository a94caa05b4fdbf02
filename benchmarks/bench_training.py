"""Training throughput, one model and sixteen, against the usual way of training one.

    python benchmarks/bench_training.py [--frames 100000] [--epochs 5] [--repeats 3] [--no-compiled]

All ways train the same networks on the same surrogate jets in batches of 1,024 with Adam, in turns;
the slow ones for fewer epochs (*usual* 2, on a quarter of the frames; *usual_one_thread* up to 3):

- *usual*: Brevitas as it comes: torch `DataLoader` over a `TensorDataset`, autograd, Adam, one
  model at a time; with as many threads as torch takes (in the first turn only), and
  (*usual_one_thread*) with one. All ratios are to the faster of the two: threads that wait for each
  other are slow where the machine is busy.
- *one*: `loop.train_many` of one model in one thread.
- *sixteen*: sixteen models of a study (seeds and widths differ) in two processes, each training
  stacks of `--width` models; samples of all models are counted.
- *compiled*: *one* and *sixteen* with `torch.compile`; the time that compiling takes is not in the
  rates but beside them (seconds until the first epoch has ended; without files of an earlier run in
  the first turn, with them in later ones).

Samples/s are training frames through forward, backward and optimiser step per second of wall time,
validation left out; *CPU* rates are per second of processor time of all processes, for machines
that are busy with other things. Writes ``benchmarks/results/training.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import joblib
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.record import machine, versions, write_result
from brevitas_models import datasets
from brevitas_models.train import recipe, rounds
from brevitas_models.train.loop import Job, train_many
from brevitas_models.train.recipe import Recipe
from brevitas_models.train.rules import Frames

PACKAGES = ("torch", "brevitas", "numpy")
NETWORKS = {
    "paper": {"weight_bits": 6, "act_bits": 6},
    "jets": {"weight_bits": 4, "act_bits": 4, "fold_batch_norm": True},
}
MODELS, PROCESSES = 16, 2


def settings(network: str, seed: int, epochs: int) -> Recipe:
    """Return what one model of the benchmark is trained with."""
    layers = {"layers": [16, 64, 32, 32, 5]}
    training_ = {"epochs": epochs, "batch_size": 1024, "seed": seed}
    values = {"name": network, "network": {**layers, **NETWORKS[network]}, "training": training_}
    return recipe.from_dict(values)


def jets(frames: int) -> Frames:
    """Return standardised surrogate jets to train on."""
    data = datasets.load("jets", source="surrogate")
    assert data.scaler is not None
    x = torch.from_numpy(data.scaler.transform(data.x_train))
    y = torch.from_numpy(data.y_train)
    again = torch.arange(frames) % len(x)
    return Frames(x[again], y[again])


class Clock:
    """Wall and processor time of whole epochs but the first, which pays for what is set up once."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []

    def mark(self, *_: object) -> None:
        """Note that an epoch has ended."""
        self.marks.append((time.perf_counter(), time.process_time()))

    def seconds(self) -> tuple[float, float]:
        """Return wall and processor time from the first mark to the last."""
        (wall, cpu), (end, cpu_end) = self.marks[0], self.marks[-1]
        return end - wall, cpu_end - cpu


def usual(network: str, frames: Frames, epochs: int, threads: int) -> tuple[float, float]:
    """Train one model the usual way: seconds of wall and processor time a counted epoch."""
    torch.set_num_threads(threads)
    chosen = settings(network, 0, epochs)
    model = rounds.initial_model(chosen)
    model.calibrate(frames.x)
    optimizer = torch.optim.Adam(model.parameters(), lr=chosen.training.learning_rate)
    data = TensorDataset(frames.x, frames.target)
    loader = DataLoader(data, batch_size=1024, shuffle=True, drop_last=True)
    clock = Clock()
    for _ in range(epochs):
        model.train()
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        clock.mark()
    wall, cpu = clock.seconds()
    return wall / (epochs - 1), cpu / (epochs - 1)


def scaled(seconds: tuple[float, float], factor: float) -> tuple[float, float]:
    """Return times for that many times as many frames."""
    return seconds[0] * factor, seconds[1] * factor


def stack(
    network: str, frames: Frames, epochs: int, seeds: list[int], compiled: bool
) -> tuple[float, float, float]:
    """Train models side by side; the first epoch's seconds come as well."""
    clock, jobs, started = Clock(), [], time.perf_counter()
    for seed in seeds:
        chosen = settings(network, seed, epochs)
        watch = clock.mark if seed == seeds[-1] else None
        model, judged = rounds.initial_model(chosen), first(frames)
        jobs.append(Job(model, frames, judged, chosen.training, on_epoch=watch))
    train_many(jobs, compiled=compiled)
    wall, cpu = clock.seconds()
    return wall / (epochs - 1), cpu / (epochs - 1), clock.marks[0][0] - started


def study(
    network: str, frames: Frames, epochs: int, width: int, compiled: bool
) -> tuple[float, float, float]:
    """Train `MODELS` models in `PROCESSES` processes, each stack after stack."""
    parts = [list(range(start, MODELS, PROCESSES)) for start in range(PROCESSES)]
    few = Frames(frames.x[:2048], frames.target[:2048])

    def all_parts(seeds: list[list[int]], given: Frames, count: int) -> list[tuple[float, float]]:
        tasks = (joblib.delayed(_part)(network, given, count, s, width, compiled) for s in seeds)
        found: list[tuple[float, float]] = joblib.Parallel(n_jobs=PROCESSES)(tasks)
        return found

    # Once on few frames: processes, and what is set up or compiled once, do not count.
    started = time.perf_counter()
    all_parts([part[:width] for part in parts], few, 2)
    warm = time.perf_counter() - started
    spent = all_parts(parts, frames, epochs)
    # The processes work side by side: the slower one says how long an epoch of all takes.
    return max(wall for wall, _ in spent), sum(cpu for _, cpu in spent), warm


def _part(
    network: str, frames: Frames, epochs: int, seeds: list[int], width: int, compiled: bool
) -> tuple[float, float]:
    """Train some models in stacks; return wall and processor time of a counted epoch of all."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    stacks = [seeds[at : at + width] for at in range(0, len(seeds), width)]
    spent = [stack(network, frames, epochs, chosen, compiled) for chosen in stacks]
    return sum(item[0] for item in spent), sum(item[1] for item in spent)


def first(frames: Frames) -> Frames:
    """Return a few frames to judge by: validation is to take no time here."""
    return Frames(frames.x[:256], frames.target[:256])


def main() -> None:
    """Measure, write the result and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=5, help="the first is not counted")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--width", type=int, default=2, help="models of a stack")
    parser.add_argument(
        "--compiled",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether to measure torch.compile too",
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    at, frames, epochs = machine(), jets(options.frames), options.epochs
    used, cores = len(frames) // 1024 * 1024, len(os.sched_getaffinity(0))
    slow = min(epochs, 3)
    # Two threads are very slow on a busy machine: a quarter of the frames tells their rate.
    count = max(used // 4 // 1024, 1) * 1024
    few, parts = Frames(frames.x[:count], frames.target[:count]), used / count
    networks: dict[str, Any] = {}
    for network in NETWORKS:
        ways: dict[str, tuple[int, Callable[[], tuple[float, ...]]]] = {
            "usual": (1, lambda: scaled(usual(network, few, 2, cores), parts)),  # noqa: B023
            "usual_one_thread": (1, lambda: usual(network, frames, slow, 1)),  # noqa: B023
            "one": (1, lambda: stack(network, frames, epochs, [0], False)),  # noqa: B023
            "sixteen": (
                MODELS,
                lambda: study(network, frames, epochs, options.width, False),  # noqa: B023
            ),
        }
        if options.compiled:
            ways["one_compiled"] = (
                1,
                lambda: stack(network, frames, epochs, [0], True),  # noqa: B023
            )
            ways["sixteen_compiled"] = (
                MODELS,
                lambda: study(network, frames, epochs, options.width, True),  # noqa: B023
            )
        runs: dict[str, list[tuple[float, ...]]] = {way: [] for way in ways}
        for turn in range(options.repeats):
            for way, (_, measure) in ways.items():
                # Two threads take minutes on a busy machine.
                if turn == 0 or way != "usual":
                    runs[way].append(measure())
                    print(network, way, [round(part, 3) for part in runs[way][-1]], flush=True)
        networks[network] = summary(ways, runs, used)
    result = {
        "machine": at,
        "versions": versions(PACKAGES),
        "networks": "16-64-32-32-5, batches of 1,024; paper: 6 bit, BatchNorm; jets: 4 bit, "
        "BatchNorm folded into the weights",
        "frames": options.frames,
        "epochs": epochs,
        "processes_of_sixteen": PROCESSES,
        "models_of_a_stack": options.width,
        "results": networks,
    }
    print(json.dumps(result, indent=2))
    print(f"written to {write_result('training', result)}")


def summary(ways: dict[str, Any], runs: dict[str, list[tuple[float, ...]]], used: int) -> Any:
    """Return samples/s of each way and how many times that of the usual way they are."""
    rates: dict[str, Any] = {}
    for way, found in runs.items():
        samples = ways[way][0] * used
        wall = [samples / item[0] for item in found]
        cpu = [samples / item[1] for item in found]
        rates[way] = {
            "samples_per_s": round(statistics.median(wall)),
            "runs": [round(rate) for rate in wall],
            "samples_per_cpu_s": round(statistics.median(cpu)),
        }
        if "compiled" in way:
            rates[way]["first_seconds"] = [round(item[2], 1) for item in found]
    for way in rates:
        # Ways are measured in turns: those of one turn have had the same machine.
        turns = zip(runs["usual_one_thread"], runs[way], strict=False)
        ratios = [min(one[0], runs["usual"][0][0]) / item[0] for one, item in turns]
        rates[way]["times_usual"] = round(ways[way][0] * statistics.median(ratios), 1)
        best = max(rates[usual_]["samples_per_cpu_s"] for usual_ in ("usual", "usual_one_thread"))
        per_cpu = rates[way]["samples_per_cpu_s"] / best
        rates[way]["times_usual_per_cpu_s"] = round(per_cpu, 1)
    return rates


if __name__ == "__main__":
    main()
