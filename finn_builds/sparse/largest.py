"""The largest of some elements, and which it is: comparisons and selections, two at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from finn_builds.sparse.nodes import Field, Term
from finn_builds.sparse.options import Site
from finn_builds.sparse.tablenet import table_luts
from finn_builds.sparse.values import Value, constant, plain

# Bits of a number that is compared with another two bits a LUT: their table has 2^bits entries.
MAX_COMPARED_BITS = 10
# Address bits of a pair that is tried as one table.
MAX_PAIR_BITS = 8


@dataclass(frozen=True)
class _Common:
    """Elements as nodes of one meaning, `scale * node + offset`."""

    nodes: list[int]
    scale: int
    offset: int


def largest(site: Site, values: Sequence[Value], label: str) -> Value:
    """Return the largest of some elements."""
    builder = site.builder
    least = max(value.ends(builder)[0] for value in values)
    deciding = list(
        dict.fromkeys(v for v in values if v.ends(builder)[1] > least or len(values) == 1)
    )
    if not deciding:
        return constant(builder, least)
    if max(v.ends(builder)[0] for v in deciding) < least:
        deciding.append(constant(builder, least))
    common = _common(site, deciding, label)
    nodes, up = common.nodes, common.scale > 0
    level = 0
    while len(nodes) > 1:
        pairs = [nodes[k : k + 2] for k in range(0, len(nodes), 2)]
        nodes = [
            _pick(site, pair[0], pair[1], up, f"{label}_m{level}_{k}") if pair[1:] else pair[0]
            for k, pair in enumerate(pairs)
        ]
        level += 1
    return Value(nodes[0], common.scale, common.offset)


def index_of_largest(site: Site, values: Sequence[Value], label: str) -> Value:
    """Return the number of the largest of some elements, the first of equal ones."""
    builder = site.builder
    common = _common(site, list(values), label)
    up = common.scale > 0
    left = [(node, builder.const(k)) for k, node in enumerate(common.nodes)]
    level = 0
    while len(left) > 1:
        winners = []
        for k in range(0, len(left), 2):
            if k + 1 == len(left):
                winners.append(left[k])
                continue
            (a, i), (b, j) = left[k], left[k + 1]
            name = f"{label}_m{level}_{k}"
            # The first wins where both are equal.
            first = _reached(site, a, b, name) if up else _reached(site, b, a, name)
            key = _selected(site, first, a, b, name) if len(left) > 2 else a
            winners.append((key, _selected(site, first, i, j, f"{name}_index")))
        left = winners
        level += 1
    return Value(left[0][1], 1, 0)


def _common(site: Site, values: list[Value], label: str) -> _Common:
    """Return elements as nodes that compare as the elements do, or all the other way round."""
    builder = site.builder
    forms = {(v.scale, v.offset) for v in values}
    if len(forms) == 1:
        scale, offset = forms.pop()
        return _Common([v.node for v in values], scale, offset)
    known = [v.constant(builder) for v in values]
    points = [
        p
        for v, k in zip(values, known, strict=True)
        for p in ((k,) if k is not None else (v.offset, v.offset + v.scale))
    ]
    step = gcd(*(p - points[0] for p in points)) or 1
    least = min(v.ends(builder)[0] for v in values)
    varying = [v for v, k in zip(values, known, strict=True) if k is None]
    offsets = [v.offset for v in varying if v.scale == step]
    # An offset that elements have already costs them nothing.
    fitting = [o for o in offsets if o <= least]
    base = max(set(fitting), key=fitting.count) if fitting else least
    nodes = [plain(site, v, base, step, f"{label}_e{k}") for k, v in enumerate(values)]
    return _Common(nodes, step, base)


def _reached(site: Site, a: int, b: int, label: str) -> int:
    """Return the bit `a >= b` of two nodes."""
    builder = site.builder
    (a_lo, a_hi), (b_lo, b_hi) = builder.ranges[a], builder.ranges[b]
    if a_lo == a_hi:
        return _inverted(site, builder.compare(builder.whole(b), (), (a_lo + 1,), label), label)
    if b_lo == b_hi:
        return builder.compare(builder.whole(a), (), (b_lo,), label)
    wide = builder.width(b)
    if site.family.wide and wide <= MAX_COMPARED_BITS:
        return builder.compare(builder.whole(a), [builder.whole(b)], range(1 << wide), label)
    top = max(builder.width(a), wide)
    # a - b in offset binary: its top bit.
    const = (1 << top) - ((1 << wide) - 1)
    total = builder.sum([Term(a), Term(b, inv=True)], const, f"{label}_less")
    if (1 << top) > builder.ranges[total][1]:
        return builder.const(0)
    return builder.concat([Field(total, top, 1)], label)


def _inverted(site: Site, bit: int, label: str) -> int:
    builder = site.builder
    lo, hi = builder.ranges[bit]
    if lo == hi:
        return builder.const(1 - lo)
    return builder.table([Field(bit, 0, 1)], [1, 0], f"{label}_not")


def _selected(site: Site, when: int, a: int, b: int, label: str) -> int:
    """Return node `a` where the bit `when` is 1, else `b`."""
    builder = site.builder
    lo, hi = builder.ranges[when]
    if lo == hi:
        return a if lo else b
    if a == b:
        return a
    top = max(builder.ranges[a][1], builder.ranges[b][1])
    fields = []
    for k in range(top.bit_length()):
        reads = [Field(when, 0, 1)]
        bits: list[int | None] = []
        for node in (b, a):
            n_lo, n_hi = builder.ranges[node]
            if n_lo == n_hi or k >= builder.width(node):
                bits.append((n_lo >> k) & 1 if n_lo == n_hi else 0)
            else:
                bits.append(None)
                reads.append(Field(node, k, 1))
        table = []
        for address in range(1 << len(reads)):
            chosen = bits[address & 1]
            # The bits of b and a that are read follow the one that decides, in this order.
            at = 1 + (len(reads) == 3 and address & 1)
            table.append((address >> at) & 1 if chosen is None else chosen)
        fields.append(Field(builder.table(reads, table, f"{label}_s{k}"), 0, 1))
    return builder.concat(fields, label, top=top)


def _pick(site: Site, a: int, b: int, up: bool, label: str) -> int:
    """Return the larger of two nodes, the smaller if not `up`."""
    builder = site.builder
    widths = [builder.width(node) for node in (a, b)]
    choose = max if up else min
    if sum(widths) <= MAX_PAIR_BITS and 0 not in widths:
        ends = [builder.ranges[node] for node in (a, b)]
        own = [
            [min(max(u, lo), hi) for u in range(1 << w)]
            for w, (lo, hi) in zip(widths, ends, strict=True)
        ]
        values = [choose(u, v) for v in own[1] for u in own[0]]
        luts = table_luts(values, sum(widths), max(values).bit_length(), site.family.lut_inputs)
        if luts <= max(widths) + -(-max(widths) // 2):
            return builder.table([builder.whole(a), builder.whole(b)], values, label)
    reached = _reached(site, a, b, f"{label}_ge")
    return _selected(site, reached, a, b, label) if up else _selected(site, reached, b, a, label)
