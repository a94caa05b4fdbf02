"""The exact integer operations of a network.

An operation maps batches of integer vectors, int64 (frames, n), and knows the exact range of each
of its outputs for a box of inputs. Arrays are frozen: an operation never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from finn_builds.network.types import range_of

IntArray: TypeAlias = NDArray[np.int64]
Box: TypeAlias = tuple[IntArray, IntArray]

#: Sums below this are exact in float64, in which a matrix product takes BLAS.
_EXACT_IN_DOUBLE = 1 << 53


def frozen(values: object) -> IntArray:
    """Return an int64 copy of an array that can't be written to."""
    array = np.array(values, dtype=np.int64)
    array.flags.writeable = False
    return array


def full_box(datatype: str, size: int) -> Box:
    """Return the range of a vector whose elements take every value of a type."""
    low, high = range_of(datatype)
    return frozen(np.full(size, low)), frozen(np.full(size, high))


@dataclass(frozen=True, eq=False)
class Linear:
    """``x @ weights + bias``."""

    weights: IntArray  # (n_in, n_out)
    bias: IntArray  # (n_out,)

    def __init__(self, weights: object, bias: object = None) -> None:
        object.__setattr__(self, "weights", frozen(weights))
        zero = np.zeros(self.weights.shape[-1], dtype=np.int64)
        object.__setattr__(self, "bias", frozen(zero if bias is None else bias))

    def execute(self, x: IntArray) -> IntArray:
        """Return the sums, (frames, n_in) -> (frames, n_out)."""
        most = np.abs(x).max(initial=0) * np.abs(self.weights).sum(axis=0).max(initial=0)
        if most < _EXACT_IN_DOUBLE:
            product = x.astype(np.float64) @ self.weights.astype(np.float64)
            return product.astype(np.int64) + self.bias
        return x @ self.weights + self.bias

    def range(self, low: IntArray, high: IntArray) -> Box:
        """Return the smallest and the largest value of each output, both reached."""
        positive, negative = np.maximum(self.weights, 0), np.minimum(self.weights, 0)
        return (
            low @ positive + high @ negative + self.bias,
            high @ positive + low @ negative + self.bias,
        )

    def __str__(self) -> str:
        n_in, n_out = self.weights.shape
        used = np.count_nonzero(self.weights)
        bias = ", bias" if self.bias.any() else ""
        return f"Linear {n_in} -> {n_out}, {used:,} of {n_in * n_out:,} weights{bias}"


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Counts, for each element, the thresholds that it has reached."""

    rows: IntArray  # (n, steps), each row ascending

    def __init__(self, rows: object) -> None:
        object.__setattr__(self, "rows", frozen(rows))

    @property
    def top(self) -> int:
        """The largest count."""
        return int(self.rows.shape[1])

    def count(self, x: IntArray) -> IntArray:
        """Return the counts, of the shape of `x`."""
        counts = np.empty_like(x)
        for j, row in enumerate(self.rows):
            counts[:, j] = np.searchsorted(row, x[:, j], side="right")
        return counts

    def thresholds(self, low: IntArray, high: IntArray) -> IntArray:
        """Return the rows, clipped to what is attainable.

        A level that is always reached has ``low``, one that is never reached ``high + 1``.
        """
        return np.clip(self.rows, low[:, None], high[:, None] + 1)

    def __str__(self) -> str:
        return f"{self.top} thresholds"


@dataclass(frozen=True, eq=False)
class Affine:
    """``clip(floor((factor * x + offset) / 2^shift), 0, top)`` for each element."""

    factor: IntArray  # (n,), not negative
    offset: IntArray  # (n,)
    shift: IntArray  # (n,), not negative
    top: int

    def __init__(self, factor: object, offset: object, shift: object, top: int) -> None:
        object.__setattr__(self, "factor", frozen(factor))
        object.__setattr__(self, "offset", frozen(offset))
        object.__setattr__(self, "shift", frozen(shift))
        object.__setattr__(self, "top", int(top))

    def count(self, x: IntArray) -> IntArray:
        """Return the clipped values, of the shape of `x`."""
        return np.clip((x * self.factor + self.offset) >> self.shift, 0, self.top)

    def thresholds(self, low: IntArray, high: IntArray) -> IntArray:
        """Return the smallest x of each level within what is attainable, as `Thresholds` does."""
        levels = np.arange(1, self.top + 1, dtype=np.int64)[None, :]
        missing = (levels << self.shift[:, None]) - self.offset[:, None]
        factor = np.maximum(self.factor, 1)[:, None]
        rows = -(-missing // factor)
        constant = (self.factor == 0)[:, None]
        reached = np.where(missing <= 0, low[:, None], high[:, None] + 1)
        return np.clip(np.where(constant, reached, rows), low[:, None], high[:, None] + 1)

    def __str__(self) -> str:
        return f"shift and clip to 0..{self.top}"


def affine_form(rows: IntArray, low: IntArray, high: IntArray) -> Affine | None:
    """Return thresholds as an added constant, a shift and a clip; None where that is not exact.

    `rows` is (n, steps); the two forms agree on the whole attainable range, `low` to `high` (n,).
    """
    n, steps = rows.shape
    offset, shift = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    factor = np.ones(n, dtype=np.int64)
    for j in range(n):
        row, lo, hi = rows[j], int(low[j]), int(high[j])
        inside = np.flatnonzero((row > lo) & (row <= hi))
        if not len(inside):
            factor[j], offset[j] = 0, np.count_nonzero(row <= lo)
            continue
        k, first = int(inside[0]), int(row[inside[0]])
        step = int(row[inside[1]]) - first if len(inside) > 1 else 1 << (hi - lo).bit_length()
        if step <= 0 or step & (step - 1):
            return None
        shift[j] = step.bit_length() - 1
        offset[j] = ((k + 1) << int(shift[j])) - first
    form = Affine(factor, offset, shift, steps)
    same = np.array_equal(
        form.thresholds(low, high), np.clip(rows, low[:, None], high[:, None] + 1)
    )
    return form if same else None


@dataclass(frozen=True, eq=False)
class Requantise:
    """``bias + step * count(x)``: the codes of the next tensor."""

    form: Thresholds | Affine  # what counts; Affine where it is exact
    bias: int = 0  # the code of count 0
    step: int = 1  # distance of neighbouring codes, 2 for bipolar ones

    def execute(self, x: IntArray) -> IntArray:
        """Return the codes, of the shape of `x`."""
        return self.bias + self.step * self.form.count(x)

    def range(self, low: IntArray, high: IntArray) -> Box:
        """Return the codes at both ends of the input's range: counting is monotone."""
        ends = self.execute(np.stack([low, high]))
        return ends[0], ends[1]

    @property
    def levels(self) -> tuple[int, int]:
        """The smallest and the largest code that it can give, whatever the input's range."""
        return self.bias, self.bias + self.step * self.form.top

    def __str__(self) -> str:
        low, high = self.levels
        return f"Requantise to {low}..{high} by {self.form}"


@dataclass(frozen=True, eq=False)
class ArgMax:
    """Index of the largest ``(x << shift) + offset`` of a frame; the first of equal ones."""

    shift: int
    offsets: IntArray  # (n,): order the classes as the floating point after the accumulators does

    def __init__(self, shift: int, offsets: object) -> None:
        object.__setattr__(self, "shift", int(shift))
        object.__setattr__(self, "offsets", frozen(offsets))

    def execute(self, x: IntArray) -> IntArray:
        """Return the indices, (frames, n) -> (frames, 1)."""
        return ((x << self.shift) + self.offsets).argmax(axis=1)[:, None]

    def range(self, low: IntArray, high: IntArray) -> Box:
        """Return the range of the index."""
        return frozen([0]), frozen([len(self.offsets) - 1])

    def __str__(self) -> str:
        return f"ArgMax of {len(self.offsets)}"


Operation: TypeAlias = Linear | Requantise | ArgMax
