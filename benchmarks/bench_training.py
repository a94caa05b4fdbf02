"""Training throughput of the shipped jet tagger, against the usual way of training it.

    python benchmarks/bench_training.py [--frames 100000] [--epochs 3] [--repeats 3]

Both ways train the same Brevitas network (4 bit, BatchNorm folded, no teacher) for the same epochs
on the same surrogate jets with batches of 1,024 and Adam, in turns. The usual way is a torch
`DataLoader` over a `TensorDataset`, Adam as it comes, and as many threads as torch takes. Samples/s
are training frames through forward, backward and optimiser step per second of wall time. Writes
``benchmarks/results/training.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.record import machine, versions, write_result
from brevitas_models import datasets, experiment, recipe, training, zoo
from brevitas_models.recipe import Recipe
from brevitas_models.training import Frames

PACKAGES = ("torch", "brevitas", "numpy")


def jets(frames: int) -> tuple[Frames, Frames]:
    """Return standardised surrogate jets to train on, and a few to judge by."""
    data = datasets.load("jets", source="surrogate")
    assert data.scaler is not None
    x = torch.from_numpy(data.scaler.transform(data.x_train))
    y = torch.from_numpy(data.y_train)
    again = torch.arange(frames) % len(x)
    return Frames(x[again], y[again]), Frames(x[:1024], y[:1024])


def ours(settings: Recipe, frames: Frames, validation: Frames) -> float:
    """Return samples/s of the project's loop, from its own record of the epochs' times."""
    model = experiment.fresh_model(settings)
    history = training.train(model, frames, validation, settings.training, settings.pruning)
    # The first epoch pays for what torch sets up once.
    seconds = [record.seconds for record in history[1:]]
    return used(settings, frames) * len(seconds) / sum(seconds)


def usual(settings: Recipe, frames: Frames) -> float:
    """Return samples/s of a DataLoader loop over the same network, validation left out."""
    model = experiment.fresh_model(settings)
    model.calibrate(frames.x)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.training.learning_rate)
    loader = DataLoader(
        TensorDataset(frames.x, frames.target),
        batch_size=settings.training.batch_size,
        shuffle=True,
        drop_last=True,
    )
    seconds = 0.0
    for epoch in range(settings.training.epochs):
        start = time.perf_counter()
        model.train()
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        if epoch:
            seconds += time.perf_counter() - start
    return used(settings, frames) * (settings.training.epochs - 1) / seconds


def used(settings: Recipe, frames: Frames) -> int:
    """Return how many frames an epoch takes: the last, shorter batch is left out."""
    return len(frames) // settings.training.batch_size * settings.training.batch_size


def main() -> None:
    """Measure, write the result and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=3, help="the first is not counted")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    at = machine()
    settings = recipe.load(zoo.recipe_path("jets"))
    settings = settings.replace("training", epochs=options.epochs)
    frames, validation = jets(options.frames)
    rates: dict[str, list[float]] = {"prunestream": [], "dataloader": []}
    for _ in range(options.repeats):
        rates["prunestream"].append(ours(settings, frames, validation))
        rates["dataloader"].append(usual(settings, frames))
    medians = {way: statistics.median(runs) for way, runs in rates.items()}
    result = {
        "machine": at,
        "versions": versions(PACKAGES),
        "network": "16-64-32-32-5, 4 bit, batches of 1,024",
        "frames": options.frames,
        "epochs_counted": options.epochs - 1,
        "samples_per_s": {
            way: {"runs": runs, "median": medians[way]} for way, runs in rates.items()
        },
        "ratio": medians["prunestream"] / medians["dataloader"],
    }
    print(json.dumps(result, indent=2))
    print(f"written to {write_result('training', result)}")


if __name__ == "__main__":
    main()
