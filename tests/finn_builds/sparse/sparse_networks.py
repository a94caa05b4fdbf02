"""Random integer networks and the packing of their frames, for the tests of the sparse style."""

from __future__ import annotations

import itertools

import numpy as np

from finn_builds.network import (
    IntegerNetwork,
    Linear,
    Lookup,
    Operation,
    Requantise,
    Tensor,
    chain,
)
from finn_builds.network.ops import Thresholds, affine_form
from finn_builds.network.types import BIPOLAR, datatype_for, step_of


def layers(source: Tensor, *parameters: tuple) -> IntegerNetwork:
    """Return layers one after another, each (weights, rows of thresholds or None, bias, step)."""
    ops: list[tuple[str, Operation]] = []
    for k, (weights, rows, *codes) in enumerate(parameters):
        ops.append((f"a{k}", Linear(weights)))
        if rows is not None:
            ops.append((f"q{k}", Requantise(Thresholds(rows), *codes)))
    return chain(source, ops)


def elements(low: int, high: int, size: int) -> Tensor:
    """Return an input of that many elements, each within the same range."""
    ends = np.full(size, low), np.full(size, high)
    return Tensor("x", datatype_for(low, high), *ends)


def random_network(rng: np.random.Generator, most: int = 9) -> IntegerNetwork:
    """Return 1 to 3 layers of any sparsity, width, bias, form of thresholds and output codes."""
    sizes = [int(n) for n in rng.integers(1, most + 1, rng.integers(2, 5))]
    source = _input(rng, sizes[0])
    ops: list[tuple[str, Operation]] = []
    low, high = source.low, source.high
    for k, (n, m) in enumerate(itertools.pairwise(sizes)):
        bits = int(rng.integers(1, 9))
        w = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (n, m))
        w[rng.random((n, m)) < rng.choice((0.0, 0.3, 0.7, 0.95, 1.0))] = 0
        linear = Linear(w, rng.integers(-20, 21, m) if rng.random() < 0.5 else None)
        ops.append((f"a{k}", linear))
        if k == len(sizes) - 2 and rng.random() < 0.5:
            break
        low, high = linear.range(low, high)
        counted = _requantise(rng, low, high)
        ops.append((f"q{k}", counted))
        low, high = counted.range(low, high)
    return chain(source, ops)


def random_edges(seed: int, alike: bool = False) -> IntegerNetwork:
    """Return a network of table edges, some of its operands with weights.

    With `alike` many tables of an input differ by a factor and a constant.
    """
    rng = np.random.default_rng(seed)
    bits, n, m = (int(v) for v in (rng.integers(3, 8), rng.integers(1, 5), rng.integers(1, 4)))
    source = Tensor.of_type("x", f"INT{bits}", n)
    pairs = list(itertools.product(range(n), range(m)))
    steps = rng.integers(-2, 3, (len(pairs), 1 << bits))
    tables = np.cumsum(steps, axis=1) * (rng.random((len(pairs), 1)) < 0.8)
    for k, (_, j) in enumerate(pairs):
        if alike and j and rng.random() < 0.7:  # as the table before of this input
            tables[k] = rng.choice((-2, -1, -1, 1, 1)) * tables[k - 1] + rng.integers(-9, 10)
    lookup = Lookup([i for i, _ in pairs], [source.low[0]] * len(pairs), tables, n)
    weights = np.zeros((len(pairs), m), dtype=np.int64)
    for k, (_, j) in enumerate(pairs):
        weights[k, j] = rng.choice((-3, -2, -1, 1, 1, 1, 2, 5))
        if rng.random() < 0.1:
            weights[k, int(rng.integers(m))] = 1  # read by two neurons
    linear = Linear(weights, rng.integers(-30, 30, m))
    ops: list[tuple[str, Operation]] = [("t", lookup), ("s", linear)]
    if rng.random() < 0.8:
        low, high = linear.range(*lookup.range(source.low, source.high))
        top = 1 << int(rng.integers(1, 6))
        step = 1 << int(rng.integers(0, 4))
        first = rng.integers(low, high + 2)
        ops.append(("q", Requantise(Thresholds(first[:, None] + step * np.arange(1, top)))))
    return chain(source, ops)


def clipped_edges() -> IntegerNetwork:
    """Return a neuron of five table edges whose levels are a clip of the sum."""
    tables = np.random.default_rng(3).integers(-40, 41, (5, 32))
    lookup = Lookup([0, 1, 2, 3, 4], [-16] * 5, tables, 5)
    ops: list[tuple[str, Operation]] = [
        ("t", lookup),
        ("s", Linear(np.ones((5, 1), dtype=np.int64))),
        ("q", Requantise(Thresholds([-16 + np.arange(1, 32)]))),
    ]
    return chain(Tensor.of_type("x", "INT5", 5), ops)


def _input(rng: np.random.Generator, size: int) -> Tensor:
    bits = int(rng.integers(1, 9))
    match rng.integers(5):
        case 0:
            return Tensor.of_type("x", f"INT{bits + 1}", size)
        case 1:
            return Tensor.of_type("x", f"UINT{bits}", size)
        case 2:
            return Tensor.of_type("x", BIPOLAR, size)
        case 3:
            low = int(rng.integers(-40, 40))
            return elements(low, low + int(rng.integers(0, 60)), size)
        case _:
            low = rng.integers(-9, 9, size)
            high = low + rng.integers(0, 12, size)
            return Tensor("x", datatype_for(int(low.min()), int(high.max())), low, high)


def _requantise(rng: np.random.Generator, low: np.ndarray, high: np.ndarray) -> Requantise:
    """Return thresholds about a range, as an added constant, shift and clip where that is exact."""
    bipolar = rng.random() < 0.2
    steps = 1 if bipolar else int(rng.choice((1, 2, 3, 5, 7, 15, 31)))
    rows = []
    for lo, hi in zip(low.tolist(), high.tolist(), strict=True):
        span = hi - lo + 4
        if rng.random() < 0.5:
            step = 1 << int(rng.integers(0, max(1, (span // steps).bit_length() + 1)))
            rows.append(lo + int(rng.integers(-2, span)) // 2 + step * np.arange(steps))
        else:
            rows.append(np.sort(rng.integers(lo - 3, hi + 4, steps)))
    codes = (-1, 2) if bipolar else (int(rng.integers(-9, 10)), int(rng.choice((1, 1, 2, 3))))
    return Requantise(affine_form(np.array(rows), low, high) or Thresholds(rows), *codes)


def random_frames(rng: np.random.Generator, network: IntegerNetwork, n: int) -> np.ndarray:
    """Return random frames, the extreme ones among them."""
    source = network.input
    step = step_of(source.datatype)
    x = source.low + step * rng.integers(
        0, (source.high - source.low) // step + 1, (n, source.size)
    )
    x[0], x[1] = source.low, source.high
    return x


def on_stream(values: np.ndarray, datatype: str) -> np.ndarray:
    """Return elements as a stream carries them: bipolar ones as bits."""
    return (values + 1) // 2 if datatype == BIPOLAR else values


def pack(frames: np.ndarray, width: int) -> np.ndarray:
    """Return frames as stream beats, (n, elements) -> uint8 (n, bytes)."""
    size = -(-frames.shape[1] * width // 8)
    beats = []
    for frame in frames:
        word = sum((int(v) & ((1 << width) - 1)) << (width * k) for k, v in enumerate(frame))
        beats.append(np.frombuffer(word.to_bytes(size, "little"), dtype=np.uint8))
    return np.stack(beats)
