"""Elements between operations: unsigned nodes, and what they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from finn_builds.sparse.addtree import Operand
from finn_builds.sparse.graph import Builder
from finn_builds.sparse.nodes import Field, Table
from finn_builds.sparse.options import Site
from finn_builds.sparse.share import signed_digits
from finn_builds.sparse.tablenet import table_luts

# Address bits up to which a function of a table is tried as one table.
MAX_COMPOSED_BITS = 8


@dataclass(frozen=True)
class Value:
    """An element between layers: `scale * node + offset`."""

    node: int
    scale: int
    offset: int

    def of(self, u: int) -> int:
        """Return the element for a value of the node."""
        return self.scale * u + self.offset

    def ends(self, builder: Builder) -> tuple[int, int]:
        """Return the smallest and the largest value that the element may have."""
        low, high = sorted(self.of(u) for u in builder.ranges[self.node])
        return low, high

    def constant(self, builder: Builder) -> int | None:
        """Return the value of an element that has only one."""
        low, high = self.ends(builder)
        return low if low == high else None


def constant(builder: Builder, value: int) -> Value:
    """Return an element that never changes."""
    return Value(builder.const(0), 1, value)


def addressed(builder: Builder, node: int) -> list[int]:
    """Return the node's value at each address of a table over it.

    Addresses that the node never takes repeat its nearest value: they do not matter.
    """
    lo, hi = builder.ranges[node]
    return [min(max(a, lo), hi) for a in range(1 << builder.width(node))]


def tabled(builder: Builder, fields: list[Field], values: list[int], label: str) -> Value:
    """Return a function as a table of as few bits as its values need.

    One that falls where a table which is there already rises is that table, taken off.
    """
    low, high = min(values), max(values)
    step = gcd(*(v - low for v in values)) or 1
    mirrored = builder.known_table(fields, [(high - v) // step for v in values])
    if mirrored is not None:
        return Value(mirrored, -step, high)
    node = builder.table(fields, [(v - low) // step for v in values], label)
    return Value(node, step, low)


def of_operand(op: Operand, const: int) -> Value:
    """Return a sum and a constant as an element, for which no adder is spent."""
    scale = op.sign << op.shift
    return Value(op.form.node, scale, const - scale * op.form.offset)


def settled(builder: Builder, value: Value, low: int, high: int) -> Value:
    """Return an element that is known to lie in low..high, without bits that never change."""
    if low == high:
        return constant(builder, low)
    lo, hi = builder.ranges[value.node]
    most = max((low - value.offset) // value.scale, (high - value.offset) // value.scale)
    if lo < 0 or most >= hi or most.bit_length() == builder.width(value.node):
        return value
    kept = Field(value.node, 0, most.bit_length())
    return Value(builder.concat([kept], "", top=most), value.scale, value.offset)


def unsigned(builder: Builder, value: Value, label: str) -> Value:
    """Return an element whose node may be negative as one whose node is not.

    The sign bit of two's complement, inverted, makes it offset binary.
    """
    lo, _ = builder.ranges[value.node]
    if lo >= 0:
        return value
    top = builder.width(value.node) - 1
    sign = builder.table([Field(value.node, top, 1)], [1, 0], f"{label}_sign")
    parts = [Field(value.node, 0, top)] * (top > 0) + [Field(sign, 0, 1)]
    node = builder.concat(parts, f"{label}_biased")
    return Value(node, value.scale, value.offset - (value.scale << top))


def plain(site: Site, value: Value, base: int, step: int, label: str) -> int:
    """Return the node `(value - base) / step`, which is exact; the cheaper of table and adder."""
    builder = site.builder
    known = value.constant(builder)
    if known is not None:
        return builder.const((known - base) // step)
    scale, offset = value.scale // step, (value.offset - base) // step
    if scale == 1 and offset == 0:
        return value.node
    lo, hi = builder.ranges[value.node]
    width = builder.width(value.node)
    digits = signed_digits(scale)
    fields, values = [builder.whole(value.node)], None
    spent = len(digits) * (width + 1)  # by the adder, about
    if lo >= 0 and width <= site.family.lut_inputs + (len(digits) > 1):
        values = [scale * u + offset for u in addressed(builder, value.node)]
        spent = _luts(values, site)
    made = builder.nodes[value.node]
    if isinstance(made, Table) and len(made.values) <= 1 << MAX_COMPOSED_BITS:
        # A function of a table is a table of the same inputs.
        composed = [scale * min(max(v, lo), hi) + offset for v in made.values]
        if _luts(composed, site) <= spent:  # the table in between may have no other reader
            fields, values = list(made.fields), composed
    if values is not None:
        return builder.table(fields, values, label)
    sums = site.sums([value.node])
    total = sums.total([Operand(sums.sources[0], k, s, 0) for k, s in digits], label, offset)
    assert total is not None
    return total.form.node


def _luts(values: list[int], site: Site) -> int:
    bits = len(values).bit_length() - 1
    low, high = min(values), max(values)
    width = max(high.bit_length(), (~low).bit_length() + 1 if low < 0 else 0)
    return table_luts(values, bits, width, site.family.lut_inputs)
