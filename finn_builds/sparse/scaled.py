"""Levels by multiplication: a sum times a constant, shifted, rounded and clipped.

The factor is its signed digits on a chain, on which the offset and the half that rounding adds take
the place of a constant. What the other rounding modes ask for is one bit more: half to even clears
the lowest bit of a tie, and modes that look at the sign add it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from finn_builds.network.ops import Affine, IntArray, rounded
from finn_builds.sparse.addtree import Operand, SumBuilder
from finn_builds.sparse.graph import Builder
from finn_builds.sparse.logic import clip_luts, compare_shape
from finn_builds.sparse.nodes import Clip, Compare, Field, Table, Term
from finn_builds.sparse.options import Site
from finn_builds.sparse.share import signed_digits
from finn_builds.sparse.tablenet import table_luts
from finn_builds.sparse.values import Value, constant

# Inputs of a table that looks at the low bits of a number all at once.
MAX_TIE_BITS = 6


@dataclass(frozen=True)
class Scaled:
    """``clip((factor * sum + offset) / 2^shift rounded, low, high)``; 0 is the number 0."""

    factor: int
    offset: int
    shift: int
    rounding: str
    low: int
    high: int

    @classmethod
    def of(cls, form: Affine, j: int, factor: int, const: int) -> Scaled:
        """Return element `j` of a form for a sum that counts `factor * sum + const`."""
        own, shift, zero = int(form.factor[j]), int(form.shift[j]), form.zero
        offset = int(form.offset[j]) + own * const - (zero << shift)
        return cls(own * factor, offset, shift, form.rounding, -zero, form.top - zero)

    def count(self, sums: IntArray) -> IntArray:
        """Return the clipped values of sums."""
        v = sums * self.factor + self.offset
        shift = np.asarray(self.shift, dtype=np.int64)
        return np.clip(rounded(v, shift, self.rounding), self.low, self.high)

    def simplified(self, lo: int, hi: int) -> Scaled:
        """Return the same for sums in lo..hi, rounded down where that is possible."""
        least, most = self.factor * lo + self.offset, self.factor * hi + self.offset
        half, full = (1 << self.shift) >> 1, (1 << self.shift) - 1
        up = {"FLOOR": 0, "CEIL": full}
        if self.shift == 0:
            up[self.rounding] = 0
        elif least >= 0:
            up |= {"DOWN": 0, "UP": full, "HALF_UP": half, "HALF_DOWN": half - 1}
        elif most <= 0:
            up |= {"DOWN": full, "UP": 0, "HALF_UP": half - 1, "HALF_DOWN": half}
        if self.rounding not in up:
            return self
        return replace(self, offset=self.offset + up[self.rounding], rounding="FLOOR")


def multiplied(site: Site, sums: SumBuilder, ops: list[Operand], form: Scaled, label: str) -> Value:
    """Return the levels of a sum of operands, `column @ sources` of their builder."""
    builder = site.builder
    column = sum((o.sign * (o.form.coef << o.shift) for o in ops), start=0 * ops[0].form.coef)
    lo, hi = sums.range_of(column, 0)
    form = form.simplified(lo, hi)
    least, most = (
        int(v) for v in replace(form, low=-(1 << 62), high=1 << 62).count(np.array([lo, hi]))
    )
    if most <= form.low or least >= form.high or least == most:
        return constant(builder, min(max(least, form.low), form.high))
    clip = _Clip.of(form, least, most)
    if form.factor & (form.factor - 1) and len(ops) > 1:
        part = sums.total(ops, f"{label}_acc")
        assert part is not None
        ops = [part]
    ops = [
        Operand(op.form, op.shift + k, op.sign * s, op.level)
        for op in ops
        for k, s in signed_digits(form.factor)
    ]
    match form.rounding:
        case "FLOOR":
            total = sums.total(ops, f"{label}_moved", form.offset + (clip.base << form.shift))
            assert total is not None
            node = builder.clip(total.form.node, form.shift, clip.full, label)
        case "ROUND":
            half = (1 << form.shift) >> 1
            const = form.offset + (clip.base << form.shift) + half
            total = sums.total(ops, f"{label}_moved", const)
            assert total is not None
            node = _half_even(builder, total.form.node, form.shift, clip, label)
        case _:
            moved = _by_sign(site, sums, ops, form, clip, label)
            node = builder.clip(moved, form.shift, clip.full, label)
    node = at_least(builder, node, clip.low, label)
    node = at_most(builder, node, clip.high, label)
    return Value(node, 1, -clip.base)


def levels_luts(site: Site, first: int) -> int:
    """Return the LUTs of what `multiplied` built beside sums, the nodes from number `first`."""
    builder, family, luts = site.builder, site.family, 0
    for index in range(first, len(builder.nodes)):
        node = builder.nodes[index]
        match node:
            case Clip():
                luts += clip_luts(node, *builder.ranges[node.src], family.lut_inputs)
            case Compare():
                luts += compare_shape(node, family).luts
            case Table():
                bits = len(node.values).bit_length() - 1
                luts += table_luts(node.values, bits, builder.width(index), family.lut_inputs)
            case _:
                pass
    return luts


@dataclass(frozen=True)
class _Clip:
    """Where the levels lie when `base` is added: low..high of 0..full, one less than a power of 2.

    `low` is 0 and `high` is `full` where nothing has to be done for them. Before they are clipped,
    levels lie in `least` to `most`.
    """

    base: int
    full: int
    low: int
    high: int
    least: int
    most: int

    @classmethod
    def of(cls, form: Scaled, least: int, most: int) -> _Clip:
        low, high = max(form.low, least), min(form.high, most)
        base = -low
        full = (1 << (high + base).bit_length()) - 1
        if least >= low and most > high:
            base = full - high  # no level is below, so there is room for what is missing above
        if form.rounding == "ROUND" and base % 2:
            base += 1 if base - 1 < -low else -1  # for the lowest bit to say what is even
            full = (1 << (high + base).bit_length()) - 1
        return cls(
            base,
            full,
            low + base if least < low else 0,
            high + base if most > high else full,
            least + base,
            most + base,
        )


def _half_even(builder: Builder, node: int, shift: int, clip: _Clip, label: str) -> int:
    """Return a number, the half already added, shifted and clipped, ties to even ones.

    A tie has no bit below the shift; then the lowest bit above it is cleared. A level above the
    clip is all ones, whatever its lowest bit.
    """
    width, bits = builder.width(node), clip.full.bit_length()
    signed = builder.ranges[node][0] < 0
    over = Field(node, shift + bits, width - signed - shift - bits)
    fields = [_any(builder, Field(node, 0, shift), f"{label}_rest", MAX_TIE_BITS - 3)]
    fields.append(Field(node, shift, 1))
    if over.width > 0:
        fields.append(_any(builder, over, f"{label}_over", 1))
    if signed:
        fields.append(Field(node, width - 1, 1))
    low_bits = fields[0].width
    values = []
    for address in range(1 << sum(f.width for f in fields)):
        rest, above = address & ((1 << low_bits) - 1), address >> low_bits
        own, above = above & 1, above >> 1
        negative = signed and bool(above >> (len(fields) - 3))
        beyond = over.width > 0 and bool(above & 1)
        values.append(int(not negative and (beyond or (bool(own) and rest > 0))))
    lowest = builder.table(fields, values, f"{label}_even")
    if bits == 1:
        return lowest
    rest_node = builder.clip(node, shift + 1, clip.full >> 1, f"{label}_high")
    upper = [] if builder.width(rest_node) == 0 else [builder.whole(rest_node)]
    return builder.concat([Field(lowest, 0, 1), *upper], label)


def _any(builder: Builder, field: Field, label: str, most: int) -> Field:
    """Return what is not 0 if a field is not: itself where it has few bits, else one bit."""
    if field.width <= most:
        return field
    return Field(builder.compare(field, (), (1,), label), 0, 1)


def _by_sign(
    site: Site, sums: SumBuilder, ops: list[Operand], form: Scaled, clip: _Clip, label: str
) -> int:
    """Return the sum to be rounded down for a mode that looks at the sign of the number."""
    builder, shift = site.builder, form.shift
    column = sum((o.sign * (o.form.coef << o.shift) for o in ops), start=0 * ops[0].form.coef)
    lo, hi = sums.range_of(column, form.offset)
    # In offset binary the top bit says that the number is not negative.
    top = max((~lo).bit_length(), hi.bit_length())
    total = sums.total(ops, f"{label}_signed", form.offset + (1 << top))
    assert total is not None
    node = total.form.node
    sign = Field(node, top, 1)
    const = (clip.base << shift) - (1 << top)
    if form.rounding in ("DOWN", "UP"):
        # All ones below the shift for one sign: rounds up.
        added = builder.concat([sign] * shift, f"{label}_up")
        term = Term(added, 0, form.rounding == "DOWN")
    else:
        added = builder.concat([sign], f"{label}_up")
        term = Term(added, 0, form.rounding == "HALF_DOWN")
        const += (1 << shift >> 1) - 1
    within = clip.least << shift, ((clip.most + 1) << shift) - 1
    return builder.sum([Term(node), term], const, f"{label}_moved", within)


def at_most(builder: Builder, node: int, top: int, label: str) -> int:
    """Return the smaller of an unsigned number and a constant.

    Where the number is above, bits above the highest place at which the constant is 0 are the same.
    """
    width = builder.width(node)
    full = (1 << width) - 1
    if builder.ranges[node][1] <= top:
        return node
    above = builder.compare(builder.whole(node), (), (top + 1,), f"{label}_above")
    return _instead(builder, node, above, 1, top, (full - top).bit_length(), top, label)


def at_least(builder: Builder, node: int, low: int, label: str) -> int:
    """Return the larger of an unsigned number and a constant."""
    if builder.ranges[node][0] >= low:
        return node
    reached = builder.compare(builder.whole(node), (), (low,), f"{label}_reached")
    top = builder.ranges[node][1]
    return _instead(builder, node, reached, 0, low, low.bit_length(), top, label)


def _instead(
    builder: Builder, node: int, when: int, at: int, value: int, count: int, top: int, label: str
) -> int:
    """Return a number whose `count` low bits are a constant's where the bit `when` is `at`."""
    fields = []
    for k in range(count):
        own = (value >> k) & 1
        # The address: the number's bit, and above it the bit that decides.
        values = [own if a >> 1 == at else a & 1 for a in range(4)]
        bit = builder.table([Field(node, k, 1), Field(when, 0, 1)], values, f"{label}_bit{k}")
        fields.append(Field(bit, 0, 1))
    width = builder.width(node)
    if count < width:
        fields.append(Field(node, count, width - count))
    return builder.concat(fields, f"{label}_clipped", top=top)
