"""The frames a build is verified and measured with, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deploy.host_model import HostModel
from finn_builds.network.types import step_of
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


def input_box(host: HostModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the smallest and the largest input integers and the steps between legal ones, (n,)."""
    sizes = [part.n for part in host.inputs]
    steps = [step_of(part.datatype) for part in host.inputs]
    low, high = ([getattr(part, end) for part in host.inputs] for end in ("low", "high"))
    box = [np.repeat(np.array(values, dtype=np.int64), sizes) for values in (low, high, steps)]
    return box[0], box[1], box[2]


def random_frames(host: HostModel, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return frames of independent uniform integers, shape (count, n_in)."""
    low, high, step = input_box(host)
    return low + step * rng.integers(0, (high - low) // step + 1, size=(count, host.n_in))


def corner_frames(host: HostModel) -> np.ndarray:
    """Return frames of extreme values: all low, all high, alternating, and one of each alone."""
    low, high, _ = input_box(host)
    n_in = host.n_in
    alternating = np.where(np.arange(n_in) % 2, low, high)
    one_high = np.where(np.eye(n_in, dtype=bool), high, low)
    ends = low + high
    blocks = [low[None], high[None], alternating[None], (ends - alternating)[None]]
    return np.concatenate([*blocks, one_high, ends - one_high]).astype(np.int64)
