"""Truth tables of boolean functions as integers: bit `a` is the value at address `a`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from finn_builds.network.ops import IntArray


@lru_cache(maxsize=64)
def _low_half(var: int, n_vars: int) -> int:
    """Return the mask of the addresses of a 2^n_vars table where `var` is 0."""
    block = (1 << (1 << var)) - 1
    mask = 0
    for start in range(0, 1 << n_vars, 2 << var):
        mask |= block << start
    return mask


def cofactors(bits: int, var: int, n_vars: int) -> tuple[int, int]:
    """Return the halves of a truth table at var = 0 and 1, each as a table of one var less."""
    size = 1 << var
    halves = [0, 0]
    for block in range(1 << (n_vars - var)):
        word = (bits >> (block * size)) & ((1 << size) - 1)
        halves[block & 1] |= word << ((block >> 1) * size)
    return halves[0], halves[1]


def depends_on(bits: int, var: int, n_vars: int) -> bool:
    """Return whether a truth table depends on a variable."""
    low = _low_half(var, n_vars)
    return (bits & low) != ((bits >> (1 << var)) & low)


def shrink_to(bits: int, n_vars: int) -> tuple[int, tuple[int, ...]]:
    """Return the table without the variables it does not depend on, and those that are left."""
    kept = list(range(n_vars))
    for var in reversed(range(n_vars)):
        if not depends_on(bits, var, len(kept)):
            bits = cofactors(bits, var, len(kept))[0]
            del kept[var]
    return bits, tuple(kept)


def bit_column(values: Sequence[int], bit: int) -> int:
    """Return output bit `bit` of a table of integers as a packed truth table."""
    word = "".join("1" if (v >> bit) & 1 else "0" for v in reversed(values))
    return int(word, 2)


def filled(values: IntArray, reached: NDArray[np.bool_]) -> IntArray:
    """Return a table (2^n,) of non-negative integers with values where none is `reached`.

    Each bit of the values depends on as few bits of the address as can be left out one by one, the
    highest first.
    """
    if reached.all():
        return values
    n, width = len(values).bit_length() - 1, int(values[reached].max()).bit_length()
    columns = [_filled((values >> k) & 1, reached, n) << k for k in range(width)]
    return np.sum(columns, axis=0, dtype=np.int64) if columns else np.zeros_like(values)


def _filled(bits: IntArray, reached: NDArray[np.bool_], n: int) -> IntArray:
    # Axis k of the array is variable n-1-k.
    shape = (2,) * n
    value, known = bits.reshape(shape), reached.reshape(shape)
    for axis in range(n):
        other, also = np.flip(value, axis), np.flip(known, axis)
        if not (known & also & (value != other)).any():
            value, known = np.where(known, value, other), known | also
    # What is left does as its neighbours do.
    for axis in reversed(range(n)):
        other, also = np.flip(value, axis), np.flip(known, axis)
        value, known = np.where(known, value, other), known | also
    return value.reshape(-1)
