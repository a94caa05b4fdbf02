"""How a `Sum` lies on a carry chain: which bits meet at which position, and what each costs.

The cost model and the emitter share this description, so that an estimate is of what is emitted.

A node's wires may carry some bits inverted (`Wires.inverted`): inverting is free in whatever LUT
reads the bit, so inputs in offset binary and complemented low bits that pass an adder by are
left as they are. `Wires.zero` are bits known to be 0, the gaps between terms that do not overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from finn_builds.sparse.nodes import (
    Clip,
    Compare,
    Concat,
    Const,
    Field,
    Input,
    Node,
    Reg,
    Sum,
    Table,
    width_of,
)

#: The inclusive range of each node.
Ranges: TypeAlias = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Bit:
    """Bit `index` of node `src`, as it lies on the wire; `inv` if its complement is meant."""

    src: int
    index: int
    inv: bool


@dataclass(frozen=True)
class Wires:
    """What is known of a node's wires."""

    inverted: int = 0
    zero: int = 0


@dataclass(frozen=True)
class Chain:
    """A `Sum` bit by bit.

    Parameters
    ----------
    low : tuple of Bit or int
        Bits below the chain: a wire or a constant.
    columns : tuple of tuples of Bit
        The operand bits that meet at each position of the chain, at most three.
    const : int
        Constant operand of the chain, bit i at position i; only with at most two terms.
    carry_in : int
        0, 1 or 2: units added at the lowest position for nothing.
    lut : tuple of bool
        Whether a position takes a LUT.
    save : tuple of bool
        Whether a position hands a saved carry up: the chain itself adds two values a position,
        so a third is compressed away by the position's LUT.
    plain : bool
        Whether an ordinary two-operand adder does.
    """

    low: tuple[Bit | int, ...]
    columns: tuple[tuple[Bit, ...], ...]
    const: int
    carry_in: int
    lut: tuple[bool, ...]
    save: tuple[bool, ...]
    plain: bool

    @property
    def pairs(self) -> bool:
        """Whether no more than two bits, one of the constant included, meet at any position."""
        return all(
            len(column) + ((self.const >> at) & 1) <= 2 for at, column in enumerate(self.columns)
        )

    @property
    def luts(self) -> int:
        """Number of LUTs on a chain of six-input ones."""
        return sum(self.lut)


def _column_bits(
    node: Sum, ranges: Ranges, wires: list[Wires], width: int, gaps: bool
) -> tuple[list[list[Bit]], int]:
    """Return the operand bits of every position and the constant, gaps folded in if asked."""
    columns: list[list[Bit]] = [[] for _ in range(width)]
    const = node.const
    for t in node.terms:
        known = wires[t.src]
        for b in range(width_of(*ranges[t.src])):
            if gaps and (known.zero >> b) & 1:
                const += (1 << (b + t.shift)) if t.inv else 0
            elif b + t.shift < width:
                inv = bool((known.inverted >> b) & 1) != t.inv
                columns[b + t.shift].append(Bit(t.src, b, inv))
    return columns, const & ((1 << width) - 1)


def _plan(node: Sum, ranges: Ranges, wires: list[Wires], width: int) -> Chain:
    """Return the carry chain of a sum of `width` bits."""
    columns, const = _column_bits(node, ranges, wires, width, gaps=True)
    if len(node.terms) == 3 and const not in (0, node.const):
        columns, const = _column_bits(node, ranges, wires, width, gaps=False)

    start = 0
    while start < width and len(columns[start]) + ((const >> start) & 1) < 2:
        start += 1
    low: list[Bit | int] = []
    for i in range(start):
        low.append(columns[i][0] if columns[i] else (const >> i) & 1)
    body, const = columns[start:], const >> start

    carry_in = 0
    three = any(len(c) == 3 for c in body)
    if three:
        if const not in (0, 1, 2):
            raise ValueError(f"a chain of three terms cannot add {const << start}: {node}")
        carry_in, const = const, 0
    elif const == 1 and body:
        carry_in, const = 1, 0

    plain = not three and const == 0 and carry_in == 0
    # A plain adder feeds one operand straight into the chain, which cannot invert it.
    plain = plain and not any(len(c) == 2 and c[0].inv and c[1].inv for c in body)
    lut: list[bool] = []
    save: list[bool] = []
    for i, column in enumerate(body):
        k = (const >> i) & 1
        saved = i > 0 and save[-1]
        signals = len(column) + saved
        values = signals + k + (i == 0 and carry_in == 2)
        own = len(column) + k
        save.append(own >= 3 or (own == 2 and values >= 3))
        # One signal is a wire unless it must be inverted, and one with a constant is inverted.
        inverted = (bool(column) and column[0].inv) != (values - signals == 1)
        lut.append(signals >= 2 or (signals == 1 and inverted))
    return Chain(
        tuple(low), tuple(map(tuple, body)), const, carry_in, tuple(lut), tuple(save), plain
    )


@dataclass(frozen=True)
class Wiring:
    """What is known of every node's wires, and the chain of every `Sum`."""

    wires: list[Wires]
    chains: dict[int, Chain]


def wiring_of(nodes: Sequence[Node], ranges: Ranges) -> Wiring:
    """Return how nodes, each after its operands, lie on wires and chains."""
    wires: list[Wires] = []
    chains: dict[int, Chain] = {}
    for i, node in enumerate(nodes):
        match node:
            case Input():
                known = Wires(inverted=node.bias)
            case Sum():
                chains[i] = _plan(node, ranges, wires, width_of(*ranges[i]))
                known = _below(chains[i])
            case Concat():
                known = _side_by_side([(wires[f.src], f) for f in node.fields])
            case Reg():
                known = wires[node.src]
            case Const() | Table() | Compare() | Clip():
                known = Wires()
            case _:
                assert_never(node)
        wires.append(known)
    return Wiring(wires, chains)


def _below(chain: Chain) -> Wires:
    """Return what is known of the wires below a chain."""
    inverted = zero = 0
    for at, bit in enumerate(chain.low):
        if isinstance(bit, Bit):
            inverted |= int(bit.inv) << at
        elif bit == 0:
            zero |= 1 << at
    return Wires(inverted, zero)


def _side_by_side(parts: Sequence[tuple[Wires, Field]]) -> Wires:
    inverted = at = 0
    for wires, field in parts:
        inverted |= ((wires.inverted >> field.lsb) & ((1 << field.width) - 1)) << at
        at += field.width
    return Wires(inverted)
