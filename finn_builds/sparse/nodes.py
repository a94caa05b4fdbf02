"""The nodes of an operator graph: one node is one hardware operator on unsigned bits.

Every node but an output is a non-negative integer in plain binary. Signed numbers get there for
free: an input is read as offset binary (its sign bit flipped), and `-u` is written as the
complement `2^w - 1 - u` of a `w`-bit node; the code that builds the graph keeps track of the
constant. So no operator ever sign-extends. Only a `Sum` or `Table` that is an output or feeds a
`Clip` may be negative, and is then two's complement.

Nodes refer to nodes by index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never


@dataclass(frozen=True)
class Input:
    """Element `index` of the input frame plus `bias`: `2^(width-1)` if it is signed, else 0.

    An element is what the stream carries: of a bipolar stream a bit, 0 for -1.
    """

    index: int
    width: int
    bias: int
    lo: int
    hi: int


@dataclass(frozen=True)
class Const:
    """A constant, of no hardware."""

    value: int


@dataclass(frozen=True)
class Term:
    """An operand of a `Sum`: `src << shift`, complemented within `src`'s width if `inv`."""

    src: int
    shift: int = 0
    inv: bool = False


@dataclass(frozen=True)
class Sum:
    """One adder on a carry chain: its two or three terms plus a constant.

    `family.max_terms` says what one chain adds: a constant takes the place of a term, except for
    one or two units of the lowest position that the carry inputs of the chain bring for nothing.
    """

    terms: tuple[Term, ...]
    const: int = 0


@dataclass(frozen=True)
class Field:
    """Bits `lsb .. lsb+width-1` of a node."""

    src: int
    lsb: int
    width: int


@dataclass(frozen=True)
class Table:
    """A truth table; the address is its fields, the first in the least significant bits."""

    fields: tuple[Field, ...]
    values: tuple[int, ...]


@dataclass(frozen=True)
class Compare:
    """One bit: `src >= bounds[s]`, `s` the selecting fields, the first least significant."""

    src: Field
    select: tuple[Field, ...]
    bounds: tuple[int, ...]


@dataclass(frozen=True)
class Concat:
    """Wires: the fields side by side, the first in the least significant bits."""

    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Clip:
    """`min(max((src >> shift) - base, 0), top)`: `base` is a multiple of 2^k = `top + 1`."""

    src: int
    shift: int
    top: int
    base: int = 0


@dataclass(frozen=True)
class Reg:
    """One clock of delay."""

    src: int


Node: TypeAlias = Input | Const | Sum | Table | Compare | Concat | Clip | Reg


def width_of(lo: int, hi: int) -> int:
    """Return the bits that hold [lo, hi]: unsigned, or two's complement if lo is negative."""
    if lo >= 0:
        return hi.bit_length()
    # ~v is -v - 1: two's complement holds as much below zero as above it.
    return max((~lo).bit_length(), (hi if hi >= 0 else ~hi).bit_length()) + 1


def operands(node: Node) -> tuple[int, ...]:
    """Return the nodes that a node reads, in order, repeats included."""
    match node:
        case Input() | Const():
            return ()
        case Sum():
            return tuple([t.src for t in node.terms])
        case Table() | Concat():
            return tuple([f.src for f in node.fields])
        case Compare():
            return (node.src.src, *[f.src for f in node.select])
        case Clip() | Reg():
            return (node.src,)
        case _:
            assert_never(node)


def renumber(node: Node, at: Mapping[int, int]) -> Node:
    """Return a node with its operands replaced."""

    def moved(fields: tuple[Field, ...]) -> tuple[Field, ...]:
        return tuple([Field(at[f.src], f.lsb, f.width) for f in fields])

    match node:
        case Input() | Const():
            return node
        case Sum():
            return Sum(tuple([Term(at[t.src], t.shift, t.inv) for t in node.terms]), node.const)
        case Table():
            return Table(moved(node.fields), node.values)
        case Concat():
            return Concat(moved(node.fields))
        case Compare():
            return Compare(moved((node.src,))[0], moved(node.select), node.bounds)
        case Clip():
            return Clip(at[node.src], node.shift, node.top, node.base)
        case Reg():
            return Reg(at[node.src])
        case _:
            assert_never(node)
