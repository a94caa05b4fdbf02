"""Comparisons with selected constants in Verilog, on carry chains."""

from __future__ import annotations

from collections.abc import Sequence

from finn_builds.sparse.bits import AnyBit, BitWriter, flipped, hexadecimal
from finn_builds.sparse.chain import Bit
from finn_builds.sparse.compares_ccu2c import compare_on_ccu2c
from finn_builds.sparse.cost import DUAL_INPUTS, compare_shape, compare_table
from finn_builds.sparse.lookups import lookup
from finn_builds.sparse.nodes import Compare, Field


def compare(writer: BitWriter, index: int, node: Compare) -> list[str]:
    """Return the lines of a comparison."""
    name = writer.names[index]
    shape = compare_shape(node, writer.family)
    skip, per, n = shape.skip, shape.per, shape.positions
    src = Field(node.src.src, node.src.lsb + skip, node.src.width - skip)
    bounds = [b >> skip for b in node.bounds]
    select, select_flip, _ = writer.address(node.select) if node.select else ("", 0, 0)
    if shape.kind == "table":
        address, flip, n_bits = writer.address((src, *node.select))
        table = compare_table(bounds, src.width)
        values = [(table >> (a ^ flip)) & 1 for a in range(1 << n_bits)]
        return [f"{writer.declare(index)};", *lookup(name, values, 1, address, writer.family)]
    if not writer.family.wide:
        return compare_on_ccu2c(writer, index, shape, src, node.select, bounds)
    if shape.kind == "six":
        return _compare_six(writer, index, src, node.select, bounds)
    if shape.kind == "bounds":
        return _compare_two(writer, index, src, (select, select_flip), bounds)
    bits = writer.field_bits(src)
    chosen = [b for f in node.select for b in writer.field_bits(f)]
    inputs: list[AnyBit] = []
    inits = 0
    for position in range(n):
        own = bits[position * per : (position + 1) * per]
        group: list[AnyBit] = [*own, *[0] * (per - len(own)), *chosen]
        group += [0] * (DUAL_INPUTS - len(group))
        inits |= _compare_init(group, bounds, position, per, src.width) << (64 * position)
        inputs += group
    return [
        f"{writer.declare(index)};",
        f"ps_compare #(.N({n}), .INIT({hexadecimal(inits, 64 * n)}))",
        f"    {name}_chain (.x({writer.pack(inputs, raw=True)}), .y({name}));",
    ]


def _compare_six(
    writer: BitWriter, index: int, src: Field, select: Sequence[Field], bounds: Sequence[int]
) -> list[str]:
    """Return a comparison whose LUTs see one bit of the number and five that select."""
    name = writer.names[index]
    bits = writer.field_bits(src)
    chosen = [b for f in select for b in writer.field_bits(f)]
    flip = flipped(chosen)
    if any(b >> src.width for b in bounds):
        bits.append(0)  # a position above that says no for bounds that are never reached
    inits = 0
    inputs: list[AnyBit] = []
    for position, bit in enumerate(bits):
        own = int(isinstance(bit, Bit) and bit.inv)
        for address in range(64):
            bound = bounds[(address >> 1) ^ flip]
            equal = ((address & 1) ^ own) == ((bound >> position) & 1)
            if position == src.width:
                equal = not bound >> src.width
            inits |= int(equal) << (64 * position + address)
        inputs += [bit, *chosen]
    n = len(bits)
    return [
        f"{writer.declare(index)};",
        f"ps_compare6 #(.N({n}), .INIT({hexadecimal(inits, 64 * n)})) {name}_chain (",
        f"    .x({writer.pack(inputs, raw=True)}), .v({writer.pack(bits)}), .y({name}));",
    ]


def _compare_two(
    writer: BitWriter, index: int, src: Field, select: tuple[str, int], bounds: Sequence[int]
) -> list[str]:
    """Return a comparison of two bits of the number a LUT with a bound from tables."""
    name = writer.names[index]
    address, flip = select
    width = max(src.width, max(bounds).bit_length())
    swapped = [bounds[a ^ flip] for a in range(len(bounds))]
    bits = [*writer.field_bits(src), *[0] * (width + width % 2 - src.width)]
    n = len(bits) // 2
    bound = [f"{name}_r[{k}]" for k in range(2 * n)]
    init = sum(
        (int(a & 3 > (a >> 2) & 3) << a) | (int(a & 3 == (a >> 2) & 3) << (32 + a))
        for a in range(16)
    )
    inits = sum(init << (64 * k) for k in range(n))
    inputs = [
        f"1'b0, {bound[2 * k + 1]}, {bound[2 * k]}, {writer.pack(bits[2 * k : 2 * k + 2])}"
        for k in reversed(range(n))
    ]
    return [
        f"wire [{2 * n - 1}:0] {name}_r;",
        *lookup(f"{name}_r", swapped, 2 * n, address, writer.family),
        f"{writer.declare(index)};",
        f"ps_compare #(.N({n}), .INIT({hexadecimal(inits, 64 * n)}))",
        f"    {name}_chain (.x({{{', '.join(inputs)}}}), .y({name}));",
    ]


def _compare_init(
    group: Sequence[AnyBit], bounds: Sequence[int], position: int, per: int, width: int
) -> int:
    """Return the 64-bit INIT of one position of a comparison chain."""
    flip = flipped(group)
    init = 0
    for address in range(1 << DUAL_INPUTS):
        seen = address ^ flip
        part = seen & ((1 << per) - 1)
        bound = bounds[(seen >> per) % len(bounds)]
        if bound >> width:
            continue  # never reached: neither equal nor greater
        piece = (bound >> (position * per)) & ((1 << per) - 1)
        init |= int(part > piece) << address
        init |= int(part == piece) << (32 + address)
    return init
