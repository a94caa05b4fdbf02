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


def _require_int64(reach: NDArray[np.float64]) -> None:
    """Raise OverflowError unless numbers of these magnitudes leave room in int64."""
    most = float(reach.max(initial=0))
    if most >= 1 << 62:
        raise OverflowError(f"integers of up to {int(most).bit_length() + 1} bits")


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
        most = int(np.abs(x).max(initial=0)) * int(np.abs(self.weights).sum(axis=0).max(initial=0))
        if most < _EXACT_IN_DOUBLE:
            product = x.astype(np.float64) @ self.weights.astype(np.float64)
            return product.astype(np.int64) + self.bias
        return x @ self.weights + self.bias

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return int(self.weights.shape[0])

    @property
    def n_out(self) -> int:
        """Number of outputs."""
        return int(self.weights.shape[1])

    def range(self, low: IntArray, high: IntArray) -> Box:
        """Return the smallest and the largest value of each output, both reached.

        OverflowError if one is of more than 62 bits.
        """
        ends = np.maximum(np.abs(low.astype(np.float64)), np.abs(high.astype(np.float64)))
        _require_int64(ends @ np.abs(self.weights.astype(np.float64)) + np.abs(self.bias))
        positive, negative = np.maximum(self.weights, 0), np.minimum(self.weights, 0)
        return (
            low @ positive + high @ negative + self.bias,
            high @ positive + low @ negative + self.bias,
        )

    def __str__(self) -> str:
        n_in, n_out = self.n_in, self.n_out
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


#: Rounding modes of the QONNX Quant operator, by the names that operator gives them; HALF_EVEN is
#: called ROUND there, and HALF_UP and HALF_DOWN are symmetric about zero.
ROUNDINGS = ("FLOOR", "CEIL", "DOWN", "UP", "ROUND", "HALF_UP", "HALF_DOWN")


def rounded(v: IntArray, shift: IntArray, mode: str) -> IntArray:
    """Return ``v / 2^shift`` rounded to an integer in one of `ROUNDINGS`, exactly."""
    half = (np.int64(1) << shift) >> 1
    match mode:
        case "FLOOR":
            return v >> shift
        case "CEIL":
            return -(-v >> shift)
        case "ROUND":
            odd = (v >> shift) & 1
            # The half less one unit, and that unit where the quotient is odd.
            return np.where(shift == 0, v, (v + half - 1 + odd) >> shift)
        case "DOWN" | "UP" | "HALF_UP" | "HALF_DOWN":
            size = np.abs(v)
            added = {
                "DOWN": 0,
                "UP": 2 * half - (shift > 0),
                "HALF_UP": half,
                "HALF_DOWN": half - (shift > 0),
            }[mode]
            return np.sign(v) * ((size + added) >> shift)
        case _:
            raise ValueError(f"expected a rounding mode of {ROUNDINGS}, found {mode!r}")


@dataclass(frozen=True, eq=False)
class Affine:
    """``(factor * x + offset) / 2^shift`` rounded, and clipped to 0..top, for each element.

    Rounding modes other than FLOOR and CEIL look at the sign or the parity of what they round;
    these are counted from `zero`, the count that stands for the number 0.
    """

    factor: IntArray  # (n,), not negative
    offset: IntArray  # (n,)
    shift: IntArray  # (n,), not negative
    top: int
    rounding: str  # one of ROUNDINGS
    zero: int

    def __init__(
        self,
        factor: object,
        offset: object,
        shift: object,
        top: int,
        rounding: str = "FLOOR",
        zero: int = 0,
    ) -> None:
        object.__setattr__(self, "factor", frozen(factor))
        object.__setattr__(self, "offset", frozen(offset))
        object.__setattr__(self, "shift", frozen(shift))
        object.__setattr__(self, "top", int(top))
        object.__setattr__(self, "rounding", str(rounding))
        object.__setattr__(self, "zero", int(zero))

    def count(self, x: IntArray) -> IntArray:
        """Return the clipped values, of the shape of `x`."""
        v = x * self.factor + self.offset - (np.int64(self.zero) << self.shift)
        return np.clip(rounded(v, self.shift, self.rounding) + self.zero, 0, self.top)

    def thresholds(self, low: IntArray, high: IntArray) -> IntArray:
        """Return the smallest x of each level within what is attainable, as `Thresholds` does.

        Takes memory for every level of every element: for forms of few levels.
        """
        below = np.repeat(np.asarray(low)[:, None], self.top, axis=1)
        above = np.repeat(np.asarray(high)[:, None] + 1, self.top, axis=1)
        levels = np.arange(1, self.top + 1, dtype=np.int64)
        while (below < above).any():
            middle = (below + above) >> 1
            open_ = below < above
            hit = levels <= self.count(middle.T).T
            above = np.where(open_ & hit, middle, above)
            below = np.where(open_ & ~hit, middle + 1, below)
        return above

    def __str__(self) -> str:
        what = "shift" if (self.factor <= 1).all() else "multiply, shift"
        how = "" if self.rounding == "FLOOR" else f" ({self.rounding})"
        return f"{what}{how} and clip to 0..{self.top}"


def affine_form(rows: IntArray, low: IntArray, high: IntArray) -> Affine | None:
    """Return thresholds as an added constant, a shift and a clip; None where that is not exact.

    `rows` is (n, steps); the two forms agree on the whole attainable range, `low` to `high` (n,).
    Steps of one power of two are rounding down; steps that alternate around one are rounding half
    to even.
    """
    wanted = np.clip(rows, low[:, None], high[:, None] + 1)
    for rounding, zeros in (("FLOOR", (0,)), ("ROUND", (0, 1))):
        for zero in zeros:
            form = _affine(rows, low, high, rounding, zero)
            if form is not None and np.array_equal(form.thresholds(low, high), wanted):
                return form
    return None


def _affine(
    rows: IntArray, low: IntArray, high: IntArray, rounding: str, zero: int
) -> Affine | None:
    """Return the form that the first few attainable steps of each element would be of."""
    n, steps = rows.shape
    offset, shift = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    factor = np.ones(n, dtype=np.int64)
    even = rounding == "ROUND"
    for j in range(n):
        row, lo, hi = rows[j], int(low[j]), int(high[j])
        inside = np.flatnonzero((row > lo) & (row <= hi))
        if not len(inside):
            factor[j], offset[j] = 0, np.count_nonzero(row <= lo)
            continue
        k, first = int(inside[0]), int(row[inside[0]])
        step = int(row[inside[1]]) - first if len(inside) > 1 else 1 << (hi - lo).bit_length()
        alternating = even and len(inside) > 2 and row[inside[2]] - row[inside[1]] != step
        if alternating:
            step = int(row[inside[2]]) - first
            step, odd = step // 2, step % 2
            if odd:
                return None
        if step <= 0 or step & (step - 1):
            return None
        shift[j] = step.bit_length() - 1
        if not even:
            offset[j] = ((k + 1) << int(shift[j])) - first
        elif alternating:
            # The tie in front of level k + 1 is at (k + 1/2) 2^shift; it rounds up to even ones.
            up = (k + 1 - zero) % 2 == 0
            tie = ((2 * k + 1) << int(shift[j])) >> 1
            offset[j] = tie - first if up else tie + 1 - first
        else:
            # Steps without ties, as rounding half to even of twice the number and an odd one.
            factor[j], shift[j] = 2, shift[j] + 1
            offset[j] = ((2 * k + 1) << int(shift[j]) >> 1) + 1 - 2 * first
    return Affine(factor, offset, shift, steps, rounding, zero)


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
    def n_in(self) -> int:
        """Number of elements."""
        return len(self.form.rows if isinstance(self.form, Thresholds) else self.form.factor)

    @property
    def n_out(self) -> int:
        """Number of elements."""
        return self.n_in

    def part(self, begin: int, end: int) -> Requantise:
        """Return the requantisation of neighbouring elements alone."""
        if isinstance(self.form, Thresholds):
            return Requantise(Thresholds(self.form.rows[begin:end]), self.bias, self.step)
        form = Affine(
            self.form.factor[begin:end],
            self.form.offset[begin:end],
            self.form.shift[begin:end],
            self.form.top,
            self.form.rounding,
            self.form.zero,
        )
        return Requantise(form, self.bias, self.step)

    @property
    def levels(self) -> tuple[int, int]:
        """The smallest and the largest code that it can give, whatever the input's range."""
        return self.bias, self.bias + self.step * self.form.top

    def __str__(self) -> str:
        low, high = self.levels
        return f"Requantise to {low}..{high} by {self.form}"


@dataclass(frozen=True, eq=False)
class Lookup:
    """A table of the codes of one input for each output: any function of one quantised value.

    An input may have any number of outputs, each with a table of its own: a *table edge* is one
    output, and the `Linear` after it sums the edges of a neuron.
    """

    source: IntArray  # (n_out,): the input element that each output is a function of
    first: IntArray  # (n_out,): the code of the first entry
    tables: IntArray  # (n_out, codes): its values for first, first + 1, ...
    n_in: int

    def __init__(self, source: object, first: object, tables: object, n_in: int) -> None:
        object.__setattr__(self, "source", frozen(source))
        object.__setattr__(self, "first", frozen(first))
        object.__setattr__(self, "tables", frozen(tables))
        object.__setattr__(self, "n_in", int(n_in))

    @property
    def n_out(self) -> int:
        """Number of outputs."""
        return len(self.source)

    @property
    def is_edges(self) -> bool:
        """Whether an input has several tables, as in a layer of table edges."""
        return len(np.unique(self.source)) < self.n_out

    def execute(self, x: IntArray) -> IntArray:
        """Return the entries, (frames, n_in) -> (frames, n_out)."""
        at = x[:, self.source] - self.first
        return self.tables[np.arange(self.n_out)[None, :], at]

    def range(self, low: IntArray, high: IntArray) -> Box:
        """Return the smallest and the largest entry between the ends of each input's range."""
        at = np.arange(self.tables.shape[1])[None, :] + self.first[:, None]
        reached = (at >= low[self.source][:, None]) & (at <= high[self.source][:, None])
        most, least = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        return (
            np.where(reached, self.tables, most).min(axis=1),
            np.where(reached, self.tables, least).max(axis=1),
        )

    def __str__(self) -> str:
        return f"Lookup {self.n_in} -> {self.n_out} in tables of {self.tables.shape[1]}"


@dataclass(frozen=True, eq=False)
class Product:
    """Element times element, a square where both are the same."""

    left: IntArray  # (n_out,): an input element
    right: IntArray  # (n_out,)
    n_in: int

    def __init__(self, left: object, right: object, n_in: int) -> None:
        object.__setattr__(self, "left", frozen(left))
        object.__setattr__(self, "right", frozen(right))
        object.__setattr__(self, "n_in", int(n_in))

    @property
    def n_out(self) -> int:
        """Number of outputs."""
        return len(self.left)

    def execute(self, x: IntArray) -> IntArray:
        """Return the products, (frames, n_in) -> (frames, n_out)."""
        return x[:, self.left] * x[:, self.right]

    def range(self, low: IntArray, high: IntArray) -> Box:
        """Return the range of each product; a square is never negative.

        OverflowError if one is of more than 62 bits.
        """
        ends = np.maximum(np.abs(low.astype(np.float64)), np.abs(high.astype(np.float64)))
        _require_int64(ends[self.left] * ends[self.right])
        a_low, a_high, b_low, b_high = (
            end[at] for at in (self.left, self.right) for end in (low, high)
        )
        corners = np.stack([a_low * b_low, a_low * b_high, a_high * b_low, a_high * b_high])
        square = self.left == self.right
        through_zero = square & (a_low <= 0) & (a_high >= 0)
        least = np.where(square, np.minimum(corners[0], corners[3]), corners.min(axis=0))
        return np.where(through_zero, 0, least), corners.max(axis=0)

    def __str__(self) -> str:
        squares = int((self.left == self.right).sum())
        return f"Product {self.n_in} -> {self.n_out}, {squares} of them squares"


@dataclass(frozen=True, eq=False)
class Max:
    """The largest element of each group."""

    groups: IntArray  # (n_out, size): input elements; a shorter group repeats one of its own
    n_in: int

    def __init__(self, groups: object, n_in: int) -> None:
        object.__setattr__(self, "groups", frozen(groups))
        object.__setattr__(self, "n_in", int(n_in))

    @property
    def n_out(self) -> int:
        """Number of groups."""
        return len(self.groups)

    def execute(self, x: IntArray) -> IntArray:
        """Return the largest of each group, (frames, n_in) -> (frames, n_out)."""
        return np.asarray(x[:, self.groups].max(axis=2))

    def range(self, low: IntArray, high: IntArray) -> Box:
        """Return the range of each maximum."""
        return low[self.groups].max(axis=1), high[self.groups].max(axis=1)

    def __str__(self) -> str:
        return f"Max {self.n_in} -> {self.n_out} over {self.groups.shape[1]}"


@dataclass(frozen=True, eq=False)
class ArgMax:
    """Index of the largest ``(x << shift) + offset`` of a frame; the first of equal ones."""

    shift: int
    offsets: IntArray  # (n,): order the classes as the floating point after the accumulators does

    def __init__(self, shift: int, offsets: object) -> None:
        object.__setattr__(self, "shift", int(shift))
        object.__setattr__(self, "offsets", frozen(offsets))

    @property
    def n_in(self) -> int:
        """Number of classes."""
        return len(self.offsets)

    @property
    def n_out(self) -> int:
        """One index."""
        return 1

    def execute(self, x: IntArray) -> IntArray:
        """Return the indices, (frames, n) -> (frames, 1)."""
        return ((x << self.shift) + self.offsets).argmax(axis=1)[:, None]

    def range(self, low: IntArray, high: IntArray) -> Box:
        """Return the range of the index."""
        return frozen([0]), frozen([len(self.offsets) - 1])

    def __str__(self) -> str:
        return f"ArgMax of {len(self.offsets)}"


Operation: TypeAlias = Linear | Requantise | Lookup | Product | Max | ArgMax
