"""A tensor of a model, for one frame, as functions of single integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd, lcm
from typing import Any

import numpy as np

from finn_builds.ingest.elementwise import QUANTIZERS
from finn_builds.ingest.steps import Step

#: Operations that are a factor and an addend, exactly.
_EXACT = ("Add", "Sub", "Mul", "Div")


@dataclass(frozen=True, eq=False)
class Symbol:
    """Each element of a tensor as steps applied to one element of some vector.

    The vectors are those of the integer network, or, as long as the model has not quantised
    anything, its own inputs: then the symbol is `raw`.
    """

    shape: tuple[int, ...]  # as in the model, batch of 1 first
    vectors: np.ndarray  # (n,): number of the vector that each element comes from
    index: np.ndarray  # (n,): place in that vector
    steps: tuple[Step, ...] = ()
    raw: bool = False

    @classmethod
    def whole(cls, shape: tuple[int, ...], vector: int, *, raw: bool = False) -> Symbol:
        """Return a vector as a tensor of a shape, element by element."""
        n = int(np.prod(shape))
        return cls(shape, np.full(n, vector), np.arange(n), (), raw)

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.index)

    def then(self, *steps: Step) -> Symbol:
        """Return the symbol with more steps."""
        return replace(self, steps=(*self.steps, *steps))

    def fixed(self, shape: tuple[int, ...], values: Any, name: str) -> Symbol:
        """Return a constant, one number or one for each element, as a symbol beside this one."""
        n = int(np.prod(shape))
        steps = (Step("Mul", name, (np.float32(0),)), Step("Add", name, (values,)))
        origin = np.repeat(self.vectors[:1], n), np.repeat(self.index[:1], n)
        return Symbol(shape, *origin, steps, self.raw)

    def broadcast(self, shape: tuple[int, ...]) -> Symbol:
        """Return the symbol repeated to a shape."""
        if self.shape == shape:
            return self
        places = np.arange(self.size).reshape(self.shape)
        return self.selected(np.broadcast_to(places, shape), shape)

    def selected(self, index: np.ndarray, shape: Sequence[int]) -> Symbol:
        """Return some of the elements, in a shape of their own."""
        at = np.asarray(index).reshape(-1)
        steps = self.steps
        if len(at) != self.size or (at != np.arange(self.size)).any():
            steps = tuple(step.selected(at, self.size) for step in steps)
        return Symbol(tuple(shape), self.vectors[at], self.index[at], steps, self.raw)

    def same_elements(self, other: Symbol) -> bool:
        """Return whether both are functions of the same elements, one by one."""
        return (
            self.raw == other.raw
            and np.array_equal(self.vectors, other.vectors)
            and np.array_equal(self.index, other.index)
        )

    @property
    def last_quantizer(self) -> int | None:
        """Index of the last step that gives integers, or None."""
        found = [i for i, step in enumerate(self.steps) if step.op in QUANTIZERS]
        return found[-1] if found else None


def side_by_side(symbols: Sequence[Symbol]) -> Symbol:
    """Return symbols as one vector of shape (1, n), one after another."""
    sizes = [symbol.size for symbol in symbols]
    steps: tuple[Step, ...]
    if len({symbol.steps for symbol in symbols}) == 1 and not symbols[0].steps:
        steps = ()
    else:
        # Where an element of the whole lies in its own part; anything elsewhere.
        which = np.repeat(np.arange(len(symbols)), sizes)
        own = np.concatenate([np.arange(size) for size in sizes])
        branches = tuple(
            tuple(step.selected(np.minimum(own, size - 1), size) for step in symbol.steps)
            for symbol, size in zip(symbols, sizes, strict=True)
        )
        steps = (Step("Switch", "concatenation", (which,), branches=branches),)
    return Symbol(
        (1, sum(sizes)),
        np.concatenate([symbol.vectors for symbol in symbols]),
        np.concatenate([symbol.index for symbol in symbols]),
        steps,
        symbols[0].raw,
    )


@dataclass(frozen=True, eq=False)
class Line:
    """``scale * integer + offset`` for each element, exact: arrays of Fraction."""

    scale: np.ndarray  # (n,)
    offset: np.ndarray


def line_of(steps: Sequence[Step], n: int, *, rounded: bool = False) -> Line | None:
    """Return steps as exact factors and addends, or None where they are not.

    With `rounded` a BatchNormalization counts, with its factor as double precision has it.
    """
    scale, offset = np.full(n, Fraction(1)), np.full(n, Fraction(0))
    for step in steps:
        if step.op == "Mark":
            continue
        if step.op == "Line":
            scale, offset = (
                scale * step.constants[0],
                offset * step.constants[0] + step.constants[1],
            )
            continue
        if step.op == "Switch":
            found = [line_of(branch, n, rounded=rounded) for branch in step.branches]
            parts = [part for part in found if part is not None]
            if len(parts) != len(found):
                return None
            which = np.asarray(step.constants[0])
            own_scale = np.array([parts[k].scale[i] for i, k in enumerate(which)], dtype=object)
            own_offset = np.array([parts[k].offset[i] for i, k in enumerate(which)], dtype=object)
            scale, offset = scale * own_scale, offset * own_scale + own_offset
            continue
        if step.op == "BatchNormalization" and rounded:
            gamma, beta, mean, var = (np.asarray(c, dtype=np.float64) for c in step.constants)
            std = np.sqrt(var + np.float64(np.float32(step.attrs["epsilon"])))
            factor = fractions(gamma) / fractions(std)
            scale, offset = scale * factor, (offset - fractions(mean)) * factor + fractions(beta)
            continue
        if step.op not in _EXACT or (step.op == "Div" and step.position == 1):
            return None
        value = fractions(step.constants[0])
        if step.op == "Add":
            offset = offset + value
        elif step.op == "Sub" and step.position == 0:
            offset = offset - value
        elif step.op == "Sub":
            scale, offset = -scale, value - offset
        else:
            factor = value if step.op == "Mul" else Fraction(1) / value
            scale, offset = scale * factor, offset * factor
    return Line(scale, offset)


def known_line(steps: Sequence[Step], n: int) -> Line:
    """Return `line_of` steps that are known to be exact."""
    line = line_of(steps, n)
    assert line is not None
    return line


def fractions(values: Any) -> Any:
    """Return floating point numbers as exact fractions, in the shape of the argument."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0:
        return Fraction(float(array))
    unique, inverse = np.unique(array, return_inverse=True)
    exact = np.array([Fraction(float(v)) for v in unique], dtype=object)
    return exact[inverse.reshape(array.shape)]


def common_unit(values: Sequence[Fraction]) -> Fraction:
    """Return the largest fraction that all values are multiples of; 1 where all are zero."""
    nonzero = [abs(v) for v in values if v]
    if not nonzero:
        return Fraction(1)
    below = lcm(*(v.denominator for v in nonzero))
    return Fraction(gcd(*(v.numerator * (below // v.denominator) for v in nonzero)), below)


def uniform(values: np.ndarray) -> bool:
    """Return whether all fractions of an array are equal."""
    return all(v == values[0] for v in values[1:])
