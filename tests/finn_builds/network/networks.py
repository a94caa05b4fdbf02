"""Random integer networks."""

from __future__ import annotations

import itertools

import numpy as np

from finn_builds.network import (
    ArgMax,
    IntegerNetwork,
    Linear,
    Requantise,
    Tensor,
    Thresholds,
    chain,
)


def random_network(
    sizes: tuple[int, ...],
    seed: int,
    *,
    datatype: str = "INT4",
    weight_bits: int = 3,
    steps: int = 3,
    density: float = 0.6,
    head: bool = False,
) -> IntegerNetwork:
    """Return a chain of random layers, the last one without thresholds."""
    rng = np.random.default_rng(seed)
    ops: list[tuple[str, object]] = []
    for k, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        most = 1 << (weight_bits - 1)
        weights = rng.integers(-most, most, (n_in, n_out)) * (rng.random((n_in, n_out)) < density)
        ops.append((f"acc{k}", Linear(weights, rng.integers(-5, 6, n_out))))
        if k < len(sizes) - 2:
            rows = np.sort(rng.integers(-20, 21, (n_out, steps)), axis=1)
            ops.append((f"act{k}", Requantise(Thresholds(rows), int(rng.integers(-2, 1)))))
    network = chain(Tensor.of_type("x", datatype, sizes[0]), ops)
    if head:
        network = network.with_head(ArgMax(1, rng.integers(-3, 4, sizes[-1])))
    return network


def random_inputs(network: IntegerNetwork, count: int, seed: int = 0) -> np.ndarray:
    """Return legal frames, both corners first."""
    rng = np.random.default_rng(seed)
    source = network.input
    step = 2 if source.datatype == "BIPOLAR" else 1
    span = (source.high - source.low) // step
    x = source.low + step * rng.integers(0, span + 1, (count, source.size))
    x[0], x[1] = source.low, source.high
    return x
