"""Truth tables: what a function of a few bits costs in 6-input LUTs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache


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
    half = [bits & _low_half(var, n_vars), (bits >> (1 << var)) & _low_half(var, n_vars)]
    out = []
    for h in half:
        size = 1 << var
        word, at = 0, 0
        for start in range(0, 1 << n_vars, 2 << var):
            word |= ((h >> start) & ((1 << size) - 1)) << at
            at += size
        out.append(word)
    return out[0], out[1]


def depends_on(bits: int, var: int, n_vars: int) -> bool:
    """Return whether a truth table depends on a variable."""
    low = _low_half(var, n_vars)
    return (bits & low) != ((bits >> (1 << var)) & low)


def shrink(bits: int, n_vars: int) -> tuple[int, int]:
    """Return the table without the variables it does not depend on, and how many are left."""
    var = n_vars - 1
    while var >= 0:
        if not depends_on(bits, var, n_vars):
            bits = cofactors(bits, var, n_vars)[0]
            n_vars -= 1
        var -= 1
    return bits, n_vars


@lru_cache(maxsize=1 << 16)
def lut_count(bits: int, n_vars: int) -> int:
    """Return the 6-input LUTs of one boolean function, an upper estimate.

    Shannon expansion over the best variable at each level; the multiplexers behind two or four
    LUTs are the slice's own and free.
    """
    bits, n_vars = shrink(bits, n_vars)
    if n_vars <= 1:
        return 0
    if n_vars <= 6:
        return 1
    best = 1 << n_vars
    # Beyond ten variables only the top one is tried: such tables are never competitive.
    for var in range(n_vars) if n_vars <= 10 else (n_vars - 1,):
        zero, one = cofactors(bits, var, n_vars)
        parts = [lut_count(zero, n_vars - 1), lut_count(one, n_vars - 1)]
        wide = parts[0] + parts[1] > 4 or min(parts) == 0
        best = min(best, parts[0] + parts[1] + wide)
    return best


def bit_column(values: Sequence[int], bit: int) -> int:
    """Return output bit `bit` of a table of integers as a packed truth table."""
    word = "".join("1" if (v >> bit) & 1 else "0" for v in reversed(values))
    return int(word, 2)


def table_luts(values: Sequence[int], n_vars: int, width: int) -> int:
    """Return the LUTs of a table of integers of `width` bits."""
    columns = {bit_column(values, b) for b in range(width)}
    return sum(lut_count(c, n_vars) for c in columns)
