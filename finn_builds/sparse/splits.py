"""Functions of one code as sums of tables that cost less than one table.

A table over 6 bits of a code takes a LUT for each bit of its values, one over 7 bits two and a
multiplexer, one over 5 bits half a LUT. So a function may be cheaper as
``(high(code >> k) << m) + low(code)``, both operands of the chain that sums the neuron: the second
one is small where the function is smooth. These are the bipartite tables of Das Sarma and Matula
("Faithful bipartite ROM reciprocal tables", 1995), but exact. Often the second one has few shapes
within the blocks of 2^k codes. Then one table says the shape, and another is addressed by it
(Khataei and Bazargan, "CompressedLUT", 2024).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Builder
from finn_builds.sparse.nodes import Field
from finn_builds.sparse.tablenet import net_of, paired_luts

# Low bits of a code that a table over the high ones does not see.
MAX_LOW_BITS = 3
# Low bits that the values of that table do not have.
MAX_UNIT_BITS = 3
# Bits that say the shape within a block.
MAX_SHAPE_BITS = 4
# Heights of a block above its high part that are looked at, the lowest ones: those of values of up
# to 9 bits are all.
MAX_HEIGHTS = 256


@dataclass(frozen=True)
class Split:
    """A function of a code of `bits` bits as ``(high[code >> low_bits] << unit) + low``.

    `low` is a table over the shape of the block and the low bits of the code (those the least
    significant), `shapes` says the shape of each block; where `shapes` is empty, it is a table over
    the code. A function that is not split has `low_bits` 0 and no `low`. All values are at least 0.
    """

    bits: int
    low_bits: int
    unit: int
    high: tuple[int, ...]
    shapes: tuple[int, ...]
    low: tuple[int, ...]

    def values(self) -> list[int]:
        """Return the function."""
        own = []
        for code in range(1 << self.bits):
            block, at = code >> self.low_bits, code & ((1 << self.low_bits) - 1)
            value = self.high[block] << self.unit
            if self.low:
                shape = self.shapes[block] if self.shapes else block
                value += self.low[(shape << self.low_bits) + at]
            own.append(value)
        return own

    def parts(self) -> list[tuple[tuple[int, ...], int]]:
        """Return the values of each operand, and its shift."""
        return [(self.high, self.unit), *([(self.low, 0)] if self.low else [])]

    def moved(self, high: int, low: int) -> Split:
        """Return the same with constants added to the operands."""
        return Split(
            self.bits,
            self.low_bits,
            self.unit,
            tuple(v + high for v in self.high),
            self.shapes,
            tuple(v + low for v in self.low),
        )

    def luts(self, family: Family) -> float:
        """Return the LUTs of its tables: a half for a function that may share one."""
        tables = [(self.high, self.bits - self.low_bits)]
        if self.low:
            tables.append((self.low, _address(self.low)))
        if self.shapes:
            tables.append((self.shapes, self.bits - self.low_bits))
        k = family.lut_inputs
        return sum(
            paired_luts(net_of(values, bits, max(values).bit_length(), k), k)
            for values, bits in tables
        )

    def build(self, builder: Builder, code: Field, label: str) -> list[tuple[int, int]]:
        """Return the nodes of its operands, and their shifts."""
        above = Field(code.src, code.lsb + self.low_bits, code.width - self.low_bits)
        high = builder.table([above], self.high, label)
        if not self.low:
            return [(high, self.unit)]
        fields = [code]
        if self.shapes:
            fields = [Field(code.src, code.lsb, self.low_bits)]
            bits = _address(self.low) - self.low_bits
            if bits:
                shape = builder.table([above], self.shapes, f"{label}_shape")
                fields.append(Field(shape, 0, bits))
        return [(high, self.unit), (builder.table(fields, self.low, f"{label}_low"), 0)]


def _address(values: Sequence[int]) -> int:
    return len(values).bit_length() - 1


def whole(values: Sequence[int], bits: int) -> Split:
    """Return a function that is not split."""
    return Split(bits, 0, 0, tuple(values), (), ())


def splits(values: Sequence[int], bits: int) -> Iterator[Split]:
    """Return ways to write a function of a code, the whole one first; its values are at least 0."""
    yield whole(values, bits)
    for low_bits in range(1, min(MAX_LOW_BITS, bits - 2) + 1):
        blocks = np.array(values).reshape(-1, 1 << low_bits)
        least, most = blocks.min(1), blocks.max(1)
        for unit in range(MAX_UNIT_BITS + 1):
            base = (least >> unit) << unit
            spread = int((most - base).max())
            if spread == 0 or spread > max(values) // 2:
                continue
            yield from _split(blocks, bits, low_bits, unit, spread.bit_length())


def _split(blocks: np.ndarray, bits: int, low_bits: int, unit: int, width: int) -> Iterator[Split]:
    """Return splits with low parts of `width` bits: over all of the code, and by shapes."""
    base = (blocks.min(1) >> unit) << unit
    low = blocks - base[:, None]
    yield Split(bits, low_bits, unit, _tuple(base >> unit), (), _tuple(low.ravel()))
    # A block may be any number of units above the high part that leaves its low part in range.
    fits: dict[tuple[int, ...], set[int]] = {}
    for k, block in enumerate(blocks):
        first = int(base[k])
        last = max(0, int(block.max()) - ((1 << width) - 1))
        for start in range(first, last - 1, -(1 << unit))[:MAX_HEIGHTS]:
            fits.setdefault(_tuple(block - start), set()).add(k)
    shapes: list[tuple[int, ...]] = []
    of_block = [0] * len(blocks)
    left = set(range(len(blocks)))
    while left:
        shape = max(fits, key=lambda s: (len(fits[s] & left), -sum(s), s))
        for k in fits[shape] & left:
            of_block[k] = len(shapes)
        left -= fits[shape]
        shapes.append(shape)
        if len(shapes) > 1 << min(MAX_SHAPE_BITS, bits - low_bits - 1):
            return
    starts = [int(blocks[k][0]) - shapes[s][0] for k, s in enumerate(of_block)]
    size = 1 << (len(shapes) - 1).bit_length()
    padded = [*shapes, *[shapes[-1]] * (size - len(shapes))]
    yield Split(
        bits,
        low_bits,
        unit,
        tuple(v >> unit for v in starts),
        tuple(of_block),
        tuple(v for shape in padded for v in shape),
    )


def _tuple(values: np.ndarray) -> tuple[int, ...]:
    return tuple(int(v) for v in values)
