"""Inputs mixed from given ones, for a teacher to label."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brevitas_models.datasets import Scaler
from brevitas_models.datasets.spaces import Space
from brevitas_models.errors import UserError

Floats = NDArray[np.float32]

# More base points than this are not searched for neighbours; see `mix_neighbours`.
_LARGEST_POOL = 20_000

# Variance that noise has at least in every direction.
_LEAST = 1e-5
# How far beyond the given inputs mixed ones may lie, as a part of the range of each feature.
_BEYOND = 0.02


def mix_in_space(
    centres: Floats,
    pool: Floats,
    samples: int,
    *,
    space: Space,
    scaler: Scaler,
    rng: np.random.Generator,
    **ways: Any,
) -> Floats:
    """Mix in the free coordinates of a space, standardised among themselves.

    Other parameters, and what is returned, as of `mix_neighbours`. Features are kept within the
    range of `pool` and a little beyond.
    """
    known = space.free(scaler.inverse(pool))
    mean, deviation = known.mean(0), np.maximum(known.std(0), 1e-12)
    inner, outer = (
        ((space.free(scaler.inverse(x)) - mean) / deviation).astype(np.float32)
        for x in (centres, pool)
    )
    mixed = mix_neighbours(inner, outer, samples, rng=rng, **ways)
    x = scaler.transform(space.raw(mixed * deviation + mean))
    low, high = pool.min(0), pool.max(0)
    more = _BEYOND * (high - low)
    found: Floats = np.clip(x, low - more, high + more).astype(np.float32)
    return found


def mix_neighbours(
    centres: Floats,
    pool: Floats,
    samples: int,
    *,
    rng: np.random.Generator,
    neighbours: int = 12,
    along: tuple[float, float] = (0.0, 1.2),
    across: tuple[float, float] = (-0.2, 1.0),
    noise: float = 0.08,
    local: bool = False,
) -> Floats:
    """Draw new inputs around given ones, for a teacher to label.

    A new input starts at a centre x_i and moves towards two of its nearest neighbours x_j and x_k::

        x = x_i + a (x_j - x_i) + b (x_k - x_i) + noise * n

    with a and b uniform in `along` and `across` and n standard normal. So it stays near the
    surface that the given inputs lie on, fills the gaps between them and reaches a little beyond
    (a > 1, b < 0). No label is used or made. This is mixup (Zhang et al., arXiv 1710.09412) of
    inputs alone, kept local as in SMOTE (Chawla et al., arXiv 1106.1813).

    Parameters
    ----------
    centres : array (n, n_features)
        Standardised features to start from, each used about equally often.
    pool : array (m, n_features)
        Standardised features among which neighbours are sought; may be `centres` itself. Of more
        than 20,000 a random part is taken, since enough of them lie close anyway.
    neighbours : int
        How many of the nearest count as neighbours; a point is not its own neighbour.
    noise : float
        Standard deviation of the noise, in standardised units, alike for all features.
    local : bool
        Give the noise the covariance of what a point differs by from its nearest neighbour, times
        half the square of `noise`: less across the surface that the inputs lie on than along it.

    Returns
    -------
    array (samples, n_features)

    Raises
    ------
    UserError
        If `pool` has no more than `neighbours` points.
    """
    from sklearn.neighbors import NearestNeighbors

    if len(pool) <= neighbours:
        raise UserError(
            f"distillation.neighbours: mixing among {neighbours} neighbours needs more than "
            f"{neighbours} frames, found {len(pool)}; ask for fewer neighbours or give more data"
        )
    if len(pool) > _LARGEST_POOL:
        pool = pool[rng.choice(len(pool), _LARGEST_POOL, replace=False)]
    if len(centres) > samples:
        centres = centres[rng.choice(len(centres), samples, replace=False)]
    search = NearestNeighbors(n_neighbors=neighbours + 1).fit(pool)
    distances, nearest = search.kneighbors(centres)
    # A centre that lies in the pool finds itself first; any other drops its farthest neighbour.
    found_itself = distances[:, 0] == 0
    nearest = np.where(found_itself[:, None], nearest[:, 1:], nearest[:, :-1])

    start = rng.permutation(samples) % len(centres)
    pick = rng.integers(neighbours, size=(2, samples))
    one, other = pool[nearest[start, pick[0]]], pool[nearest[start, pick[1]]]
    centre = centres[start]
    a = rng.uniform(*along, size=(samples, 1))
    b = rng.uniform(*across, size=(samples, 1))
    spread = noise * rng.standard_normal(centre.shape)
    if local:
        apart = np.atleast_2d(np.cov((centres - pool[nearest[:, 0]]).T)) / 2
        spread = spread @ np.linalg.cholesky(apart + _LEAST * np.eye(len(apart))).T
    return (centre + a * (one - centre) + b * (other - centre) + spread).astype(np.float32)
