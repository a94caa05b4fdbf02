"""The networks of `bench_sparse.py`: random ones, layers of growing size, and the jet tagger."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finn_builds.network import (
    IntegerNetwork,
    Linear,
    Operation,
    Requantise,
    Tensor,
    Thresholds,
    chain,
)

SIZES = (16, 64, 32, 32, 5)
INPUT_BITS = 8
BOARD = "Pynq-Z1"
#: Inputs and neurons of the layers that show what size costs.
GROWTH = (16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Case:
    """One network of the benchmark.

    Attributes
    ----------
    sizes : tuple of int
        Inputs, then neurons of each layer; empty for the jet tagger.
    bits : int
        Of weights and activations.
    pruned : float
        Share of the weights that are 0.
    free : bool
        Thresholds anywhere, rather than uniform and a power of two apart.
    taps : int
        Of a convolution over one dimension, written as a matrix; 0 for a layer that is none.
    """

    sizes: tuple[int, ...]
    bits: int = 0
    pruned: float = 0.0
    free: bool = False
    taps: int = 0

    @property
    def key(self) -> str:
        """Return the row's name."""
        if not self.sizes:
            return "jets_weights"
        if self.taps:
            return f"conv{self.taps}_{self.bits}b"
        if len(self.sizes) == 2 and self.pruned:
            return f"size_{self.sizes[0]}"
        if len(self.sizes) == 2:
            return f"dense{self.sizes[0]}x{self.sizes[1]}_{self.bits}b"
        wide = "" if self.sizes == SIZES else f"{'-'.join(str(n) for n in self.sizes)}_"
        return f"{wide}{self.bits}b_{round(100 * self.pruned)}_{'free' if self.free else 'po2'}"

    @property
    def effort(self) -> float:
        """Return about how long the row takes beside others, in no unit."""
        weights = sum(n * m for n, m in zip(self.sizes, self.sizes[1:], strict=False))
        return weights * (1 - self.pruned) * self.bits * (4 if self.free else 1)


JETS = Case(())
#: Rows of the table of cost against size, beside those of `GROWTH`, and what they are.
ALONE = {
    "conv256_8b": "256-tap Conv1d, 271 -> 16, 8 bits",
    "dense64x64_10b": "64 x 64, 10 bits, dense",
}
LARGE = Case((784, 128, 128, 10), 2, 0.95, False)
#: Layers that are wider than those of networks that are folded.
CONVOLUTION = Case((271, 16), 8, taps=256)
WIDE = Case((64, 64), 10)


def is_growth(key: str) -> bool:
    """Return whether a row shows what size costs: only this project's figures are measured."""
    return key.startswith("size_") or key in ALONE


def cases() -> list[Case]:
    """Return all rows, the quickest first."""
    rows = [
        Case(SIZES, bits, pruned, free)
        for pruned in (0.95, 0.9, 0.8, 0.5, 0.0)
        for bits in (2, 4, 6)
        for free in (False, True)
    ]
    growth = [Case((n, n), 4, 0.9, False) for n in GROWTH]
    return [JETS, *rows, Case((64, 64), 4, 0.0, False), LARGE, *growth, CONVOLUTION, WIDE]


def folds_as(case: Case) -> Case:
    """Return the first row with the same folded design: folding does not see zeros."""
    if case.sizes != SIZES:
        return case
    same = (case.sizes, case.bits, case.free)
    return next(c for c in cases() if (c.sizes, c.bits, c.free) == same)


def random_network(case: Case, seed: int) -> IntegerNetwork:
    """Return a random network whose activations are spread over their range.

    Weights are uniform over the non-zero integers of `bits` bits, then a random share is
    removed from each layer. Thresholds are placed around what random frames make of the
    accumulators: uniform ones 2^k apart over about two standard deviations, free ones at
    jittered quantiles. The last layer has none.
    """
    rng = np.random.default_rng(seed)
    hidden = len(case.sizes) > 2
    source = Tensor.of_type("x", f"INT{INPUT_BITS if hidden else case.bits}", case.sizes[0])
    low, high = source.bounds
    x = rng.integers(low, high + 1, (4000, case.sizes[0]))
    q = max(1, (1 << (case.bits - 1)) - 1)
    steps = (1 << case.bits) - 1
    ops: list[tuple[str, Operation]] = []
    for k, (n, m) in enumerate(zip(case.sizes, case.sizes[1:], strict=False)):
        w = rng.integers(1, q + 1, (n, m)) * rng.choice((-1, 1), (n, m))
        w[rng.random((n, m)) < case.pruned] = 0
        if case.taps:
            # Every output sees the same taps, one place further on.
            place = np.arange(n)[:, None] - np.arange(m)
            kernel = w[: case.taps, 0]
            inside = (place >= 0) & (place < case.taps)
            w = np.where(inside, kernel[np.clip(place, 0, case.taps - 1)], 0)
        x = x @ w
        ops.append((f"a{k}", Linear(w)))
        if k < len(case.sizes) - 2:
            counted = Requantise(Thresholds(_thresholds(rng, x, steps, case.free)))
            ops.append((f"h{k}", counted))
            x = counted.execute(x)
    return chain(source, ops)


def _thresholds(
    rng: np.random.Generator, acc: NDArray[np.int64], steps: int, free: bool
) -> NDArray[np.int64]:
    rows = []
    for column in acc.T:
        mean, spread = column.mean(), column.std()
        if free:
            at = (np.arange(steps) + rng.uniform(0.2, 0.8, steps)) / steps
            rows.append(np.sort(np.ceil(np.quantile(column, at))))
        else:
            step = 1 << max(0, round(np.log2(max(1.0, 2 * spread / (steps + 1)))))
            first = int(mean + rng.uniform(-1, 0.5) * spread)
            rows.append(first + step * np.arange(steps))
    return np.array(rows, dtype=np.int64)
