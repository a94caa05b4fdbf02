"""A boolean function of a few bits as LUTs of six or four inputs and the slice's own multiplexers.

Two decompositions compete. Shannon's: pick a variable, make both halves, and select. A slice has a
multiplexer after two LUTs (MUXF7, on ECP5 PFUMX) and after two of those (MUXF8, L6MUX21; ECP5 has
a third level), so seven and eight inputs cost two and four six-input LUTs. And Ashenhurst's and
Curtis': where the function sees some of its inputs only through two (or four) classes of their
values, one (or two) LUTs find the class, and a smaller function of the class and the other inputs
is left; thresholds are often such.

The emitter writes down exactly these cells, so that what is counted here is what is built.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from finn_builds.sparse.truth import cofactors, shrink_to

LUT_INPUTS = 6
# Levels of multiplexers in a slice after LUTs of that many inputs.
MUX_LEVELS = {6: 2, 4: 3}
# Up to this number of inputs every choice of bound inputs is tried, above it only neighbours.
ALL_SUBSETS = 8
# Up to this number of inputs beyond a LUT's every variable is tried as the one that selects.
ALL_CHOICES = 2
# Depth of a slice multiplexer in levels of a LUT with its net.
MUX_DEPTH = 0.4


@dataclass(frozen=True)
class Cell:
    """One LUT (`select` is None) or one slice multiplexer.

    Inputs are numbered: variables first, then the cells before this one. A LUT's truth table is
    `bits`, its first input the least significant of the address; with less than two inputs it is
    a wire or a constant. A multiplexer gives `inputs[select]`.
    """

    inputs: tuple[int, ...]
    bits: int = 0
    select: int | None = None

    @property
    def reads(self) -> tuple[int, ...]:
        """All that it looks at, what selects included."""
        return self.inputs if self.select is None else (*self.inputs, self.select)

    @property
    def is_lut(self) -> bool:
        """Whether it is a LUT: not a multiplexer, a wire, an inverter or a constant."""
        return self.select is None and len(self.inputs) > 1

    @property
    def inverts(self) -> bool:
        """Whether it is an inverter."""
        return len(self.inputs) == 1 and self.bits == 1

    @property
    def depth(self) -> float:
        """Its delay in levels of LUTs."""
        return MUX_DEPTH if self.select is not None else float(self.is_lut)


@dataclass(frozen=True)
class LutNet:
    """A function of `n_vars` variables; its value is the last cell's."""

    n_vars: int
    cells: tuple[Cell, ...]

    @property
    def luts(self) -> int:
        """Number of LUTs."""
        return sum(c.is_lut for c in self.cells)

    @property
    def depth(self) -> float:
        """Depth in levels of LUTs."""
        at = [0.0] * self.n_vars
        for c in self.cells:
            at.append(c.depth + max((at[i] for i in c.reads), default=0.0))
        return at[-1]

    def renamed(self, n_vars: int, names: tuple[int, ...]) -> LutNet:
        """Return the net as one of `n_vars` variables; `names` are those it has now."""
        at = {i: name for i, name in enumerate(names)}
        at.update({self.n_vars + k: n_vars + k for k in range(len(self.cells))})
        return LutNet(n_vars, tuple(moved(c, at) for c in self.cells))


def moved(cell: Cell, at: Mapping[int, int] | Sequence[int]) -> Cell:
    """Return a cell whose inputs have the numbers that `at` gives for those it has."""
    select = None if cell.select is None else at[cell.select]
    return Cell(tuple([at[i] for i in cell.inputs]), cell.bits, select)


def _joined(n_vars: int, nets: list[LutNet]) -> tuple[list[Cell], list[int]]:
    """Return the cells of nets over the same variables, and where each value is."""
    cells: list[Cell] = []
    outs = []
    for net in nets:
        at = {i: i for i in range(n_vars)}
        at.update({n_vars + k: n_vars + len(cells) + k for k in range(len(net.cells))})
        cells += [moved(c, at) for c in net.cells]
        outs.append(n_vars + len(cells) - 1)
    return cells, outs


def _others(n: int, var: int) -> tuple[int, ...]:
    return tuple(v for v in range(n) if v != var)


def _halves(bits: int, n: int, var: int, k: int) -> list[LutNet]:
    parts = cofactors(bits, var, n)
    return [_net(part, n - 1, k).renamed(n, _others(n, var)) for part in parts]


def _selected(n: int, var: int, halves: list[LutNet], k: int) -> LutNet:
    """Return two halves and what selects: a slice multiplexer where there is one, else a LUT."""
    cells, (zero, one) = _joined(n, halves)
    if all(_fits_in_front(h, n, k) for h in halves):
        return LutNet(n, (*cells, Cell((zero, one), select=var)))
    return LutNet(n, (*cells, Cell((var, zero, one), 0b11100100)))


def _fits_in_front(net: LutNet, n: int, k: int) -> bool:
    """Return whether the multiplexer of `n` inputs in all can take a half."""
    level, last = 0, net.cells[-1]
    while last.select is not None:
        level += 1
        last = net.cells[last.inputs[0] - net.n_vars]
    return level == n - k - 1 < MUX_LEVELS[k] and len(last.inputs) > 1


def _four_way(bits: int, n: int) -> LutNet:
    """Return a function as four quarters and one LUT, selected by its last two variables."""
    quarters = []
    for half in cofactors(bits, n - 1, n):
        for quarter in cofactors(half, n - 2, n - 1):
            quarters.append(_net(quarter, n - 2, LUT_INPUTS).renamed(n, tuple(range(n - 2))))
    cells, outs = _joined(n, quarters)
    table = sum(((a >> (2 + (a & 3))) & 1) << a for a in range(64))
    return LutNet(n, (*cells, Cell((n - 2, n - 1, *outs), table)))


def _tree(bits: int, n: int, k: int) -> LutNet:
    """Return a function as LUTs of its first k variables and all of a slice's multiplexers."""
    words = [(bits >> (at << k)) & ((1 << (1 << k)) - 1) for at in range(1 << (n - k))]
    cells = [Cell(tuple(range(k)), word) for word in words]
    first = n
    for var in range(k, n):
        pairs = range(first, n + len(cells), 2)
        first = n + len(cells)
        cells += [Cell((low, low + 1), select=var) for low in pairs]
    return LutNet(n, tuple(cells))


def _bound_sets(n: int, k: int) -> Iterator[tuple[int, ...]]:
    for size in range(3, min(k, n - 1) + 1):
        if n <= ALL_SUBSETS:
            yield from itertools.combinations(range(n), size)
        else:
            yield from (tuple(range(k, k + size)) for k in range(n - size + 1))


def _classes(
    table: np.ndarray, n: int, bound: tuple[int, ...], most: int
) -> tuple[list[int], np.ndarray] | None:
    """Return the class of every value of the bound variables, and each class's function.

    None where there are more than `most` classes.
    """
    free = tuple(v for v in range(n) if v not in bound)
    # Axis k of the array is variable n-1-k.
    axes = [n - 1 - v for v in (*reversed(bound), *reversed(free))]
    rows = table.reshape((2,) * n).transpose(axes).reshape(1 << len(bound), -1)
    seen: dict[bytes, int] = {}
    found = []
    firsts = []
    for k, row in enumerate(np.packbits(rows, axis=1)):
        key = row.tobytes()
        if key not in seen:
            if len(seen) == most:
                return None
            seen[key] = len(seen)
            firsts.append(k)
        found.append(seen[key])
    return found, rows[firsts]


def _composed(bits: int, n: int, best: int, lut_inputs: int) -> LutNet | None:
    """Return a decomposition by classes of less than `best` LUTs, the cheapest found."""
    text = np.frombuffer(bits.to_bytes(max(1, (1 << n) // 8), "little"), dtype=np.uint8)
    table = np.unpackbits(text, bitorder="little")
    net = None
    for bound in _bound_sets(n, lut_inputs):
        # More class bits than this can't win: what is left takes a LUT at least.
        free = n - len(bound)
        bits_of_class = [
            k for k in range(1, len(bound)) if k + max(1, free + k - lut_inputs + 1) < best
        ]
        if not bits_of_class:
            continue
        classes = _classes(table, n, bound, 1 << bits_of_class[-1])
        if classes is None:
            continue
        codes, functions = classes
        k = (len(functions) - 1).bit_length()
        left = free + k
        padded = [functions[min(c, len(functions) - 1)] for c in range(1 << k)]
        word = np.concatenate(padded)
        inner = int.from_bytes(np.packbits(word, bitorder="little").tobytes(), "little")
        rest = _net(inner, left, lut_inputs)
        if k + rest.luts >= best:
            continue
        best = k + rest.luts
        others = tuple(v for v in range(n) if v not in bound)
        finders = [
            Cell(bound, sum(((c >> j) & 1) << a for a, c in enumerate(codes))) for j in range(k)
        ]
        names = {i: v for i, v in enumerate((*others, *range(n, n + k)))}
        names.update({left + j: n + k + j for j in range(len(rest.cells))})
        net = LutNet(n, (*finders, *(moved(c, names) for c in rest.cells)))
    return net


# What is asked for again and again must not be pushed out by the parts that it comes apart in.
@lru_cache(maxsize=1 << 14)
def lut_net(bits: int, n_vars: int, lut_inputs: int = LUT_INPUTS) -> LutNet:
    """Return a truth table (address 0 in bit 0, variable 0 the least significant) as LUTs."""
    return _net(bits, n_vars, lut_inputs)


@lru_cache(maxsize=1 << 17)
def _net(bits: int, n_vars: int, k: int) -> LutNet:
    reduced, kept = shrink_to(bits, n_vars)
    n = len(kept)
    if n < n_vars:
        return _net(reduced, n, k).renamed(n_vars, kept)
    if n <= k:
        return LutNet(n, (Cell(tuple(range(n)), bits),))
    # One variable more takes two LUTs whichever is picked; for many, all would take too long.
    choices = range(n) if 1 < n - k <= ALL_CHOICES else (n - 1,)
    shannon = [_selected(n, v, _halves(bits, n, v, k), k) for v in choices]
    if k == LUT_INPUTS and n > LUT_INPUTS + 2:
        shannon.append(_four_way(bits, n))
    best = min(shannon, key=lambda net: (net.luts, net.depth))
    if best.luts > 1 << (n - k) and n - k <= MUX_LEVELS[k]:
        best = _tree(bits, n, k)  # halves of fewer inputs fitted no multiplexer
    if n > k + 1 and n <= 10:
        best = _composed(bits, n, best.luts, k) or best
    return best


def lut_count(bits: int, n_vars: int, lut_inputs: int = LUT_INPUTS) -> int:
    """Return the LUTs of one function."""
    return lut_net(bits, n_vars, lut_inputs).luts
