"""The frames a build is verified and measured with, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deploy.host_model import HostModel
from finn_builds.verify.data import GivenData


@dataclass(frozen=True)
class Frames:
    """Integer inputs of the accelerator."""

    x: np.ndarray  # int64 (n, n_in)
    source: str  # where they come from
    features: np.ndarray | None = None  # raw, of the first frames; None where the frames are random
    labels: np.ndarray | None = None  # classes of the same frames


def verification_frames(
    host: HostModel, data: GivenData | None, *, count: int, seed: int
) -> Frames:
    """Return ``count`` integer frames: of the data, or random over the whole range with corners.

    Where the data have fewer frames than asked for, random ones over the whole range fill up.
    """
    rng = np.random.default_rng(seed)
    if data is None:
        corners = corner_frames(host)[:count]
        x = np.concatenate([corners, random_frames(host, count - len(corners), rng)])
        return Frames(x, f"{len(corners):,} corners and {count - len(corners):,} random frames")
    if len(data.x) >= count:
        rows = rng.permutation(len(data.x))[:count]
        raw, labels = data.x[rows], None if data.y is None else data.y[rows]
        return Frames(host.before(raw), f"{count:,} frames of {data.source}", raw, labels)
    missing = count - len(data.x)
    x = np.concatenate([host.before(data.x), random_frames(host, missing, rng)])
    source = f"{len(data.x):,} frames of {data.source} and {missing:,} random frames"
    return Frames(x, source, data.x, data.y)


def input_levels(host: HostModel) -> tuple[int, int, int]:
    """Return the smallest and largest input integer and the step between the legal ones."""
    codes = host.to_dict()["codes"]
    step = 2 if host.input_datatype == "BIPOLAR" else 1
    return int(codes["min"]), int(codes["max"]), step


def random_frames(host: HostModel, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return frames of independent uniform integers, shape (count, n_in)."""
    low, high, step = input_levels(host)
    return low + step * rng.integers(0, (high - low) // step + 1, size=(count, host.n_in))


def corner_frames(host: HostModel) -> np.ndarray:
    """Return frames of extreme values: all low, all high, alternating, and one of each alone."""
    low, high, _ = input_levels(host)
    n_in = host.n_in
    alternating = np.where(np.arange(n_in) % 2, low, high)
    one_high = np.full((n_in, n_in), low)
    np.fill_diagonal(one_high, high)
    one_low = low + high - one_high
    blocks = [
        np.full((1, n_in), low),
        np.full((1, n_in), high),
        alternating[None],
        (low + high - alternating)[None],
        one_high,
        one_low,
    ]
    return np.concatenate(blocks).astype(np.int64)
