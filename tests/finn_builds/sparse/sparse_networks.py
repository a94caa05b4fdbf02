"""Random integer networks and the packing of their frames, for the tests of the sparse style."""

from __future__ import annotations

import itertools

import numpy as np

from finn_builds.sparse.network import SparseLayer, SparseNetwork


def random_network(rng: np.random.Generator, name: str = "net", most: int = 9) -> SparseNetwork:
    """Return a network of 1 to 3 layers: any sparsity, width, thresholds and output mapping."""
    sizes = [int(n) for n in rng.integers(1, most + 1, rng.integers(2, 5))]
    lo, hi = _input_range(rng)
    layers = []
    for k, (n, m) in enumerate(itertools.pairwise(sizes)):
        bits = int(rng.integers(1, 9))
        w = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (n, m))
        w[rng.random((n, m)) < rng.choice((0.0, 0.3, 0.7, 0.95, 1.0))] = 0
        if k == len(sizes) - 2 and rng.random() < 0.5:
            layers.append(SparseLayer(w, None, 0, 1, lo, hi))
            break
        thresholds = _thresholds(rng, SparseLayer(w, None, 0, 1, lo, hi))
        bias, step = int(rng.integers(-9, 10)), int(rng.choice((1, 1, 2, 3, -1)))
        layers.append(SparseLayer(w, thresholds, bias, step, lo, hi))
        lo, hi = layers[-1].output_range()
    return SparseNetwork(tuple(layers), name)


def _input_range(rng: np.random.Generator) -> tuple[int, int]:
    bits = int(rng.integers(1, 9))
    kind = rng.integers(4)
    if kind == 0:
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if kind == 1:
        return 0, (1 << bits) - 1
    if kind == 2:
        return -1, 1
    lo = int(rng.integers(-40, 40))
    return lo, lo + int(rng.integers(0, 60))


def _thresholds(rng: np.random.Generator, layer: SparseLayer) -> np.ndarray:
    steps = int(rng.choice((1, 2, 3, 5, 7, 15, 31)))
    rows = []
    for j in range(layer.n_out):
        lo, hi = layer.accumulator_range(j)
        span = hi - lo + 4
        if rng.random() < 0.5:
            step = 1 << int(rng.integers(0, max(1, (span // steps).bit_length() + 1)))
            rows.append(lo + int(rng.integers(-2, span)) // 2 + step * np.arange(steps))
        else:
            rows.append(np.sort(rng.integers(lo - 3, hi + 4, steps)))
    return np.array(rows, dtype=np.int64)


def random_frames(rng: np.random.Generator, network: SparseNetwork, n: int) -> np.ndarray:
    """Return random frames, the extreme ones among them."""
    first = network.layers[0]
    x = rng.integers(first.in_lo, first.in_hi + 1, (n, network.n_in))
    x[0], x[1] = first.in_lo, first.in_hi
    return x


def pack(frames: np.ndarray, width: int) -> np.ndarray:
    """Return frames as stream beats, (n, elements) -> uint8 (n, bytes)."""
    size = -(-frames.shape[1] * width // 8)
    beats = []
    for frame in frames:
        word = sum((int(v) & ((1 << width) - 1)) << (width * k) for k, v in enumerate(frame))
        beats.append(np.frombuffer(word.to_bytes(size, "little"), dtype=np.uint8))
    return np.stack(beats)
