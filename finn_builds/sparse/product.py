"""Element times element, and squares: one table, or tables of pairs of digits summed on chains.

A number is taken apart into digits of a few bits; what is above the lowest ones also takes on the
sign. The product of two digits is a table, and the sum of all of them is the product. In a square
the products of two different digits come twice, so half of them do, shifted by one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

from finn_builds.sparse.addtree import Operand
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.family import Family
from finn_builds.sparse.nodes import Field
from finn_builds.sparse.options import Options, Site
from finn_builds.sparse.share import signed_digits
from finn_builds.sparse.values import Value, addressed, constant, of_operand, plain, tabled

# Address bits of a product that is tried as one table.
MAX_PRODUCT_BITS = 8
# Bits of a pair's digits: of products, and of squares the digits that are squared in one table and
# those that these are taken apart into.
DIGITS = ((3, 3), (2, 4), (4, 2), (2, 3), (3, 2), (2, 2), (4, 4))
SQUARE_DIGITS = ((6, 3), (3, 3), (5, 3), (4, 2), (4, 4), (2, 2), (7, 3))

# How a product is made: whether the factors are rebased to two's complement, the bits of digits,
# None for one table.
Shape: TypeAlias = tuple[bool, bool, tuple[int, int] | None]
# Some bits of a node, and the value that each of their addresses stands for.
Digit: TypeAlias = tuple[Field, list[int]]


def product(site: Site, a: Value, b: Value, low: int, high: int, label: str) -> Value:
    """Return the product of two elements, known to lie in low..high."""
    builder = site.builder
    for one, other in ((a, b), (b, a)):
        known = one.constant(builder)
        if known == 0:
            return constant(builder, 0)
        if known is not None:
            return Value(other.node, other.scale * known, other.offset * known)
    same = a.node == b.node
    ranges = builder.ranges[a.node], builder.ranges[b.node]
    forms = (a.scale, a.offset), (b.scale, b.offset)
    shape = _cheapest(ranges, forms, same, (low, high), site.family, site.options)
    return _product(site, a, b, shape, (low, high), label)


@lru_cache(maxsize=1 << 12)
def _cheapest(
    ranges: tuple[tuple[int, int], tuple[int, int]],
    forms: tuple[tuple[int, int], tuple[int, int]],
    same: bool,
    within: tuple[int, int],
    family: Family,
    options: Options,
) -> Shape:
    """Return the shape of a product that takes the fewest LUTs."""
    best: tuple[int, Shape] | None = None
    for shape in _shapes(ranges, forms, same):
        site, inputs = Site.empty(family, options).scratch(list(ranges[:1] if same else ranges))
        a, b = Value(inputs[0], *forms[0]), Value(inputs[-1], *forms[1])
        made = _product(site, a, b, shape, within, "")
        luts = estimate(site.builder.finish([made.node]), family).luts
        if best is None or luts < best[0]:
            best = luts, shape
    assert best is not None
    return best[1]


def _shapes(
    ranges: tuple[tuple[int, int], tuple[int, int]],
    forms: tuple[tuple[int, int], tuple[int, int]],
    same: bool,
) -> list[Shape]:
    widths = [hi.bit_length() for _, hi in ranges]
    square = same and forms[0] == forms[1]
    shapes: list[Shape] = []
    if widths[0] + (0 if same else widths[1]) <= MAX_PRODUCT_BITS:
        shapes.append((False, False, None))
    for digits in SQUARE_DIGITS if square else DIGITS:
        for first in (False, True):
            for second in (first,) if square else (False, True):
                shapes.append((first, second, digits))
    return shapes


def _product(
    site: Site, a: Value, b: Value, shape: Shape, within: tuple[int, int], label: str
) -> Value:
    builder = site.builder
    first, second, digits = shape
    if digits is None:
        if a.node == b.node:
            own = addressed(builder, a.node)
            values = [a.of(u) * b.of(u) for u in own]
            return tabled(builder, [builder.whole(a.node)], values, label)
        values = [
            a.of(u) * b.of(v)
            for v in addressed(builder, b.node)
            for u in addressed(builder, a.node)
        ]
        fields = [builder.whole(a.node), builder.whole(b.node)]
        return tabled(builder, fields, values, label)
    square = a == b
    a = _rebased(site, a, f"{label}_a") if first else a
    b = a if square else _rebased(site, b, f"{label}_b") if second else b
    if square:
        parts = _square_parts(site, a, *digits, label)
    else:
        parts = _parts(site, _digits(site, a, digits[0]), _digits(site, b, digits[1]), 1, label)
    const = sum(part.offset for part in parts)
    known = [part for part in parts if builder.ranges[part.node][1] > 0]
    sums = site.sums([part.node for part in known])
    ops = [
        Operand(form, k, s, 0)
        for part, form in zip(known, sums.sources, strict=True)
        for k, s in signed_digits(part.scale)
    ]
    total = sums.total(ops, label, None, (within[0] - const, within[1] - const))
    return constant(builder, const) if total is None else of_operand(total, const)


def _rebased(site: Site, value: Value, label: str) -> Value:
    """Return an element in offset binary, so that the highest digit alone takes on the sign."""
    low, high = value.ends(site.builder)
    step = abs(value.scale)
    if low >= 0 and low < step:
        base = low
    else:
        bits = max((-low - 1) // step if low < 0 else 0, max(high, 0) // step).bit_length()
        base = value.offset % step - (step << bits)
    return Value(plain(site, value, base, step, label), step, base)


def _digits(site: Site, value: Value, bits: int, linear: bool = False) -> list[Digit]:
    """Return an element as digits of that many bits, the highest with the offset.

    Addresses that the highest digit never has repeat the nearest value, as they do not matter,
    unless it has to stay `linear`.
    """
    builder = site.builder
    lo, hi = builder.ranges[value.node]
    width = builder.width(value.node)
    found: list[Digit] = []
    for lsb in range(0, width, bits):
        field = Field(value.node, lsb, min(bits, width - lsb))
        last = lsb + bits >= width
        values = []
        for address in range(1 << field.width):
            nearest = min(max(address, lo >> lsb), hi >> lsb)
            own = nearest if last and not linear else address
            values.append(value.scale * (own << lsb) + value.offset * last)
        found.append((field, values))
    return found


def _parts(
    site: Site, first: list[Digit], second: list[Digit], times: int, label: str
) -> list[Value]:
    """Return the products of all pairs of digits, each `times`."""
    found = []
    for i, (field, own) in enumerate(first):
        for j, (other, values) in enumerate(second):
            table = [times * u * v for v in values for u in own]
            found.append(tabled(site.builder, [field, other], table, f"{label}_d{i}_{j}"))
    return found


def _square_parts(site: Site, value: Value, whole: int, bits: int, label: str) -> list[Value]:
    """Return the squares of digits of `whole` bits, and the products of each two of them."""
    large = _digits(site, value, whole, linear=True)
    found = []
    for i, (field, own) in enumerate(_digits(site, value, whole)):
        found.append(tabled(site.builder, [field], [v * v for v in own], f"{label}_q{i}"))
        small = _split(*large[i], bits)
        for j, (other, others) in enumerate(large[:i]):
            below = _split(other, others, bits)
            found += _parts(site, below, small, 2, f"{label}_p{j}_{i}")
    return found


def _split(field: Field, values: list[int], bits: int) -> list[Digit]:
    """Return a digit, linear in its address, as smaller ones."""
    found: list[Digit] = []
    for lsb in range(0, field.width, bits):
        width = min(bits, field.width - lsb)
        last = lsb + bits >= field.width
        # The offset of the whole goes to the highest one.
        base = 0 if last else values[0]
        own = [values[address << lsb] - base for address in range(1 << width)]
        found.append((Field(field.src, field.lsb + lsb, width), own))
    return found
