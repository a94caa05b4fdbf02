"""Random integer networks, and what must hold of any network."""

from __future__ import annotations

import itertools

import numpy as np

from finn_builds.network import (
    Affine,
    ArgMax,
    IntegerNetwork,
    Linear,
    Requantise,
    Tensor,
    Thresholds,
    chain,
)
from finn_builds.network.types import range_of, step_of


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
    step = step_of(source.datatype)
    span = (source.high - source.low) // step
    x = source.low + step * rng.integers(0, span + 1, (count, source.size))
    x[0], x[1] = source.low, source.high
    return x


def naive(network: IntegerNetwork, x: np.ndarray) -> list[int]:
    """Execute one frame in Python's integers."""
    values = [int(v) for v in x]
    for node in network.nodes:
        match node.op:
            case Linear(weights=weights, bias=bias):
                columns = weights.T.tolist()
                values = [
                    int(b) + sum(v * w for v, w in zip(values, column, strict=True))
                    for b, column in zip(bias, columns, strict=True)
                ]
            case Requantise(form=form, bias=bias, step=step):
                values = [bias + step * _count(form, j, v) for j, v in enumerate(values)]
            case ArgMax(shift=shift, offsets=offsets):
                keys = [(v << shift) + int(o) for v, o in zip(values, offsets, strict=True)]
                values = [keys.index(max(keys))]
    return values


def _count(form: Thresholds | Affine, j: int, value: int) -> int:
    if isinstance(form, Thresholds):
        return sum(value >= int(t) for t in form.rows[j])
    scaled = int(form.factor[j]) * value + int(form.offset[j])
    return min(max(scaled // 2 ** int(form.shift[j]), 0), form.top)


def check_ranges(network: IntegerNetwork, x: np.ndarray) -> None:
    """Assert that inputs, and every value they lead to, lie in the ranges of their elements."""
    values = network.values({network.input.name: x})
    for tensor in (network.input, *(node.output for node in network.nodes)):
        found = values[tensor.name]
        least, most = range_of(tensor.datatype)
        assert (found >= tensor.low).all() and (found <= tensor.high).all(), tensor
        assert least <= tensor.low.min() and tensor.high.max() <= most, tensor
        assert ((found - least) % step_of(tensor.datatype) == 0).all(), tensor
