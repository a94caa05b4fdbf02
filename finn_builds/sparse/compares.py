"""Comparisons with selected constants in Verilog."""

from __future__ import annotations

from collections.abc import Sequence

from finn_builds.sparse.bits import BitWriter
from finn_builds.sparse.cost import wanted
from finn_builds.sparse.lookups import lookup
from finn_builds.sparse.nodes import Compare, Field


def compare(writer: BitWriter, index: int, node: Compare) -> list[str]:
    """Return the lines of a comparison."""
    skip, compared = wanted(node)
    shape = writer.family.compare_shape(compared)
    src = Field(node.src.src, node.src.lsb + skip, node.src.width - skip)
    if shape.kind != "table":
        return writer.family.compare_lines(writer, index, shape, src, node.select, compared.bounds)
    address, flip, n_bits = writer.address((src, *node.select))
    values = [(compared.table >> (a ^ flip)) & 1 for a in range(1 << n_bits)]
    lines = lookup(writer.names[index], values, 1, address, writer.family)
    return [f"{writer.declare(index)};", *lines]


def bounds_table(
    writer: BitWriter, name: str, select: Sequence[Field], bounds: Sequence[int], width: int
) -> list[str]:
    """Return lines that define the net `name` with the selected bound."""
    address, flip, _ = writer.address(select)
    swapped = [bounds[a ^ flip] for a in range(len(bounds))]
    lines = lookup(name, swapped, width, address, writer.family)
    return [f"wire [{width - 1}:0] {name};", *lines]
