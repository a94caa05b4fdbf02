"""Comparisons with selected constants on chains of ECP5's CCU2C."""

from __future__ import annotations

from collections.abc import Sequence

from finn_builds.sparse.bits import AnyBit, BitWriter, flipped, hexadecimal
from finn_builds.sparse.cost import CompareShape
from finn_builds.sparse.lookups import lookup
from finn_builds.sparse.nodes import Field

# Inputs of a position.
INPUTS = 3


def compare_on_ccu2c(
    writer: BitWriter,
    index: int,
    shape: CompareShape,
    src: Field,
    select: Sequence[Field],
    bounds: Sequence[int],
) -> list[str]:
    """Return the lines of a comparison whose shape is a chain or one with bounds from tables.

    A position's "greater" sees two of its inputs, its "equal" all three. Two bits of the number
    lie in the first two where nothing is selected. Otherwise one bit does, and a bit that differs
    from its bound's says itself whether the number is greater.
    """
    name = writer.names[index]
    bits = writer.field_bits(src)
    bits += [0] * (shape.positions * shape.per - len(bits))
    chosen = [b for f in select for b in writer.field_bits(f)]
    lines = [f"{writer.declare(index)};"]
    if shape.kind == "bounds":
        address, flip, _ = writer.address(select)
        swapped = [bounds[a ^ flip] for a in range(len(bounds))]
        lines.append(f"wire [{shape.positions - 1}:0] {name}_r;")
        lines += lookup(f"{name}_r", swapped, shape.positions, address, writer.family)
    inputs: list[str] = []
    inits = 0
    for at in range(shape.positions):
        own = bits[at * shape.per : (at + 1) * shape.per]
        if shape.kind == "bounds":
            group: list[AnyBit] = [*own, 0, 0]
            inputs.append(f"1'h0, {name}_r[{at}], {writer.pack(own, raw=True)}")
            wanted = [(a >> 1) & 1 for a in range(1 << INPUTS)]
        else:
            group = [*own, *chosen]
            group += [0] * (INPUTS - len(group))
            inputs.append(writer.pack(group, raw=True))
            flip = flipped(group)
            part = (1 << shape.per) - 1
            wanted = [
                (bounds[((a ^ flip) >> shape.per) % len(bounds)] >> (at * shape.per)) & part
                for a in range(1 << INPUTS)
            ]
        inits |= _init(wanted, shape.per, flipped(group)) << (16 * at)
    return [
        *lines,
        f"ps_compare3 #(.N({shape.positions}), .INIT({hexadecimal(inits, 16 * shape.positions)}))",
        f"    {name}_chain (.x({{{', '.join(reversed(inputs))}}}), .y({name}));",
    ]


def _init(wanted: Sequence[int], per: int, flip: int) -> int:
    """Return the INIT of a position: "equal" in its upper half, "greater" in its lowest quarter.

    `wanted` are the bound's bits for every value of the three inputs, of which the lowest `per` are
    bits of the number and those in `flip` are inverted on the wire.
    """
    init = 0
    for a, bound in enumerate(wanted):
        seen = (a ^ flip) & ((1 << per) - 1)
        init |= int(seen == bound) << (8 + a)
        if a < 4:  # greater: of one bit, that it is set; it counts only where they differ
            init |= int(seen > bound if per == 2 else seen) << a
    return init
