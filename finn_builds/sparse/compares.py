"""Comparisons with selected constants in Verilog."""

from __future__ import annotations

from collections.abc import Sequence

from finn_builds.sparse.bits import BitWriter, flipped
from finn_builds.sparse.logic import wanted
from finn_builds.sparse.lookups import cell_lines
from finn_builds.sparse.nodes import Compare, Field
from finn_builds.sparse.tablenet import apart_net
from finn_builds.sparse.truth import bit_column


def compare(writer: BitWriter, index: int, node: Compare) -> list[str]:
    """Return the lines of a comparison on a chain."""
    skip, compared = wanted(node)
    shape = writer.family.compare_shape(compared)
    src = Field(node.src.src, node.src.lsb + skip, node.src.width - skip)
    return writer.family.compare_lines(writer, index, shape, src, node.select, compared.bounds)


def bounds_table(
    writer: BitWriter, name: str, select: Sequence[Field], bounds: Sequence[int], width: int
) -> list[str]:
    """Return lines that define the net `name` with the selected bound."""
    bits = [b for f in select for b in writer.field_bits(f)]
    flip = flipped(bits)
    k = writer.family.lut_inputs
    columns = [bit_column([bounds[a ^ flip] for a in range(len(bounds))], b) for b in range(width)]
    net = apart_net(columns, len(bits), k)
    reads = [writer.pack([b], raw=True) for b in bits]
    return [f"wire [{width - 1}:0] {name};", *cell_lines(name, net, reads, width, k)]
