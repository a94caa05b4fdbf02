"""Several boolean functions of the same bits as LUTs: what a table, a clip, a comparison is.

Functions may share what they look at. Where all of them see some of the bits only through a few
classes of their values, LUTs that find the class serve them all, and smaller functions of the class
and the other bits are left: all bits of a clipped number ask in the same way whether it is below,
within or above. (`lutnet` does the same for one function.)

A LUT of six inputs has a second output: it makes two functions that read five bits at most, both
together.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from finn_builds.network.ops import IntArray
from finn_builds.sparse.lutnet import LUT_INPUTS, Cell, lut_net, moved
from finn_builds.sparse.truth import bit_column, shrink_to

#: Inputs that two functions in one LUT may read together, by the inputs of a LUT.
DUAL_INPUTS = {6: 5, 4: 0}
# Most bits that give the class: with more of them the remaining functions are as large as before.
MAX_CLASS_BITS = 3
# Inputs up to which every choice of bound ones is tried; of more, neighbours.
ALL_BOUND = 7
# Inputs up to which functions are looked at for classes.
MAX_SHARED_BITS = 10


def pairs(
    cells: Sequence[tuple[int, frozenset[Hashable]]], lut_inputs: int
) -> list[tuple[int, int]]:
    """Return pairs of cells that share a LUT; no cell is in two.

    Of each cell its level is given and what it reads. Cells of one level alone are put together, so
    that no net leads back to where it comes from; and only those with an input in common: others
    belong to different places.
    """
    most = DUAL_INPUTS[lut_inputs]
    alone: dict[tuple[int, frozenset[Hashable]], int] = {}
    found: list[tuple[int, int]] = []
    for k, cell in enumerate(cells):
        if not 1 < len(cell[1]) <= most:
            continue
        other = alone.pop(cell, None)
        if other is None:
            alone[cell] = k
        else:
            found.append((other, k))
    near: dict[tuple[int, Hashable], list[int]] = {}
    for (level, reads), k in alone.items():
        for net in reads:
            near.setdefault((level, net), []).append(k)
    taken: set[int] = set()
    # Those that read most have the least choice.
    for k in sorted(alone.values(), key=lambda k: (-len(cells[k][1]), k)):
        if k in taken:
            continue
        level, reads = cells[k]
        taken.add(k)
        fits = {
            other
            for net in reads
            for other in near[level, net]
            if other not in taken and len(reads | cells[other][1]) <= most
        }
        if fits:
            best = max(fits, key=lambda other: (len(cells[other][1]), -other))
            taken.add(best)
            found.append((min(k, best), max(k, best)))
    return found


@dataclass(frozen=True)
class TableNet:
    """Functions of `n_vars` variables: function k is the value of cell ``outs[k]``.

    Inputs of cells are numbered as those of a `LutNet`: variables first, then cells.
    """

    n_vars: int
    cells: tuple[Cell, ...]
    outs: tuple[int, ...]

    @cached_property
    def levels(self) -> list[int]:
        """The most LUTs and multiplexers on a way to each cell's value, its own included."""
        at = [0] * self.n_vars
        for c in self.cells:
            at.append(max((at[i] for i in c.reads), default=0) + (len(c.reads) > 1))
        return at[self.n_vars :]

    @cached_property
    def depth(self) -> float:
        """Depth in levels of LUTs."""
        at = [0.0] * self.n_vars
        for c in self.cells:
            at.append(c.depth + max((at[i] for i in c.reads), default=0.0))
        return max((at[self.n_vars + k] for k in self.outs), default=0.0)

    @cached_property
    def whole(self) -> list[bool]:
        """Whether each cell has its LUT to itself, for a slice multiplexer takes the output."""
        into = {i - self.n_vars for c in self.cells if c.select is not None for i in c.inputs}
        return [k in into for k in range(len(self.cells))]

    @cached_property
    def single_luts(self) -> int:
        """LUTs if none is shared; a function that only inverts a bit takes one."""
        luts = sum(c.is_lut for c in self.cells)
        return luts + sum(self.cells[k].inverts for k in set(self.outs))

    def luts(self, lut_inputs: int) -> int:
        """Return the LUTs, those that two functions share counted once."""
        if not DUAL_INPUTS[lut_inputs]:
            return self.single_luts
        alike: list[tuple[int, frozenset[Hashable]]] = [
            (level, frozenset(c.inputs))
            for level, c, whole in zip(self.levels, self.cells, self.whole, strict=True)
            if c.is_lut and not whole
        ]
        return self.single_luts - len(pairs(alike, lut_inputs))


class Cells:
    """Cells on their way into a net; equal ones are one."""

    def __init__(self, n_vars: int) -> None:
        self.n_vars = n_vars
        self.cells: list[Cell] = []
        self._known: dict[Cell, int] = {}

    def add(self, cell: Cell) -> int:
        """Return the number of a cell among variables and cells."""
        found = self._known.get(cell)
        if found is None:
            found = self._known[cell] = self.n_vars + len(self.cells)
            self.cells.append(cell)
        return found

    def copy(self) -> Cells:
        """Return the same cells, to go on with them."""
        new = Cells(self.n_vars)
        new.cells, new._known = list(self.cells), dict(self._known)
        return new

    def take(self, cells: Sequence[Cell], n_vars: int, names: Sequence[int]) -> list[int]:
        """Add the cells of another net, whose variables are `names` here; return their numbers."""
        at = list(names)
        for c in cells:
            select = None if c.select is None else at[c.select]
            at.append(self.add(Cell(tuple(at[i] for i in c.inputs), c.bits, select)))
        return at[n_vars:]

    def net(self, outs: Sequence[int]) -> TableNet:
        """Return the net whose functions are the cells of these numbers.

        A slice multiplexer is wired to its own LUTs: one that anything else reads too is made
        again for it.
        """
        n = self.n_vars
        readers = Counter(i for cell in self.cells for i in cell.reads)
        readers.update(outs)
        cells: list[Cell] = []
        at = list(range(n))
        taken: set[int] = set()

        def placed(cell: Cell) -> int:
            cells.append(cell)
            return n + len(cells) - 1

        def own(number: int) -> int:
            if number < n:
                return number
            readers[number] -= 1
            if not readers[number] and number not in taken:
                taken.add(number)
                return at[number]
            cell = self.cells[number - n]
            if cell.select is None:
                return placed(moved(cell, at))
            # What the copy reads is read once more.
            readers.update(cell.inputs)
            inputs = tuple([own(i) for i in cell.inputs])
            return placed(Cell(inputs, cell.bits, at[cell.select]))

        for cell in self.cells:
            if cell.select is None:
                at.append(placed(moved(cell, at)))
            else:
                inputs = tuple([own(i) for i in cell.inputs])
                at.append(placed(Cell(inputs, cell.bits, at[cell.select])))
        return TableNet(n, tuple(cells), tuple([at[k] - n for k in outs]))


def apart_net(columns: Sequence[int], n_vars: int, lut_inputs: int = LUT_INPUTS) -> TableNet:
    """Return functions as LUTs, each for itself."""
    cells = Cells(n_vars)
    outs = []
    for column in columns:
        net = lut_net(column, n_vars, lut_inputs)
        outs.append(cells.take(net.cells, n_vars, range(n_vars))[-1])
    return cells.net(outs)


@lru_cache(maxsize=1 << 14)
def table_net(columns: tuple[int, ...], n_vars: int, lut_inputs: int = LUT_INPUTS) -> TableNet:
    """Return functions, each a truth table (address 0 in bit 0), as LUTs."""
    apart = apart_net(columns, n_vars, lut_inputs)
    if lut_inputs < LUT_INPUTS or not lut_inputs < n_vars <= MAX_SHARED_BITS:
        return apart
    return _by_classes(columns, n_vars, lut_inputs, apart) or apart


def net_of(values: Sequence[int], n_vars: int, width: int, lut_inputs: int) -> TableNet:
    """Return a table of integers of `width` bits as LUTs, a function a bit."""
    return table_net(tuple([bit_column(values, b) for b in range(width)]), n_vars, lut_inputs)


def table_luts(values: Sequence[int], n_vars: int, width: int, lut_inputs: int = LUT_INPUTS) -> int:
    """Return the LUTs of a table of integers of `width` bits, inverters included."""
    return net_of(values, n_vars, width, lut_inputs).luts(lut_inputs)


def paired_luts(net: TableNet, lut_inputs: int) -> float:
    """Return the LUTs of a net, a half for each function that two can share one of."""
    most = DUAL_INPUTS[lut_inputs]
    small = sum(
        c.is_lut and not whole and len(c.inputs) <= most
        for c, whole in zip(net.cells, net.whole, strict=True)
    )
    return net.single_luts - small / 2


def _by_classes(
    columns: tuple[int, ...], n: int, lut_inputs: int, apart: TableNet
) -> TableNet | None:
    """Return a net in which functions too wide for a LUT share classes; None if none is cheaper."""
    wide = [c for c in dict.fromkeys(columns) if len(shrink_to(c, n)[1]) > lut_inputs]
    if len(wide) < 2:
        return None
    table = np.zeros(1 << n, dtype=np.int64)
    for k, column in enumerate(wide):
        table |= _unpacked(column, n) << k
    best, cost, at = None, (apart.luts(lut_inputs), apart.depth), None
    for bound in _bound_sets(n, lut_inputs):
        most = min(MAX_CLASS_BITS, len(bound) - 1, lut_inputs + 1 - (n - len(bound)))
        split = None if most < 1 else _classes(table, n, bound, 1 << most)
        if split is None:
            continue
        net = _composed(columns, wide, n, bound, split, (), lut_inputs)
        own = net.luts(lut_inputs), net.depth
        if own < cost:
            best, cost, at = net, own, (bound, split)
    if at is not None:
        for order in _orders(len(at[1][1])):
            net = _composed(columns, wide, n, *at, order, lut_inputs)
            own = net.luts(lut_inputs), net.depth
            if own < cost:
                best, cost = net, own
    return best


def _unpacked(bits: int, n: int) -> IntArray:
    """Return the value at each address, (2^n,)."""
    text = np.frombuffer(bits.to_bytes(max(1, (1 << n) // 8), "little"), dtype=np.uint8)
    return np.unpackbits(text, bitorder="little")[: 1 << n].astype(np.int64)


def _bound_sets(n: int, lut_inputs: int) -> Iterator[tuple[int, ...]]:
    """Return sets of variables of which LUTs may find the class: all, or neighbours of many."""
    for size in range(2, min(lut_inputs, n - 1) + 1):
        if n <= ALL_BOUND:
            yield from itertools.combinations(range(n), size)
        else:
            yield from (tuple(range(k, k + size)) for k in range(n - size + 1))


def _classes(
    table: IntArray, n: int, bound: tuple[int, ...], most: int
) -> tuple[list[int], list[IntArray]] | None:
    """Return the class of every value of the bound variables, and each class's values.

    None where there are more than `most` classes.
    """
    free = [v for v in range(n) if v not in bound]
    # Axis k of the array is variable n-1-k.
    axes = [n - 1 - v for v in (*reversed(bound), *reversed(free))]
    rows = np.ascontiguousarray(table.reshape((2,) * n).transpose(axes)).reshape(
        1 << len(bound), -1
    )
    seen: dict[bytes, int] = {}
    classes, firsts = [], []
    for row in rows:
        key = row.tobytes()
        if key not in seen:
            if len(seen) == most:
                return None
            seen[key] = len(seen)
            firsts.append(row)
        classes.append(seen[key])
    return classes, firsts


def _orders(n: int) -> tuple[tuple[int, ...], ...]:
    """Return codes of `n` classes that are not the numbers with bits inverted or swapped."""
    return ((0, 1, 3, 2)[:n], (0, 3, 1, 2)[:n]) if n in (3, 4) else ()


def _composed(
    columns: tuple[int, ...],
    wide: list[int],
    n: int,
    bound: tuple[int, ...],
    split: tuple[list[int], list[IntArray]],
    codes: tuple[int, ...],
    lut_inputs: int,
) -> TableNet:
    """Return functions as LUTs that find the class, and functions of it and of the free bits."""
    classes, rows = split
    codes = codes or tuple(range(len(rows)))
    bits = (len(rows) - 1).bit_length()
    cells = Cells(n)
    found = [
        cells.add(Cell(bound, sum(((codes[c] >> j) & 1) << a for a, c in enumerate(classes))))
        for j in range(bits)
    ]
    # A code that no class has may have any values: those of the class before it.
    by_code = {code: row for code, row in zip(codes, rows, strict=True)}
    padded = [by_code.get(code, rows[-1]) for code in range(1 << bits)]
    values = np.concatenate(padded).tolist()
    others = [v for v in range(n) if v not in bound]
    rest = net_of(values, len(others) + bits, len(wide), lut_inputs)
    copied = cells.take(rest.cells, rest.n_vars, [*others, *found])
    at = {column: copied[k] for column, k in zip(wide, rest.outs, strict=True)}
    for column in columns:
        if column not in at:
            net = lut_net(column, n, lut_inputs)
            at[column] = cells.take(net.cells, n, range(n))[-1]
    return cells.net([at[c] for c in columns])
