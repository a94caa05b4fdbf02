"""Verilog expressions for bits of nodes."""

from __future__ import annotations

from collections.abc import Sequence

from finn_builds.sparse.chain import Bit
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.nodes import Const, Field

# A bit to write down: a bit of a node's value, or a constant.
AnyBit = Bit | int


def hexadecimal(value: int, width: int) -> str:
    """Return a sized literal of a value modulo 2^width."""
    return f"{width}'h{value & ((1 << width) - 1):x}"


def flipped(bits: Sequence[AnyBit]) -> int:
    """Return the places of an address at which the wires are inverted."""
    return sum(1 << k for k, b in enumerate(bits) if isinstance(b, Bit) and b.inv)


def field_bits(graph: Graph, field: Field) -> list[AnyBit]:
    """Return the bits of a field as they lie on the wires (`inv` where they are inverted)."""
    node = graph.nodes[field.src]
    if isinstance(node, Const):
        return [(node.value >> (field.lsb + i)) & 1 for i in range(field.width)]
    inverted = graph.wiring.wires[field.src].inverted
    return [
        Bit(field.src, field.lsb + i, bool((inverted >> (field.lsb + i)) & 1))
        for i in range(field.width)
    ]


class BitWriter:
    """Writes bits of a graph's nodes as expressions; `names` are the nets of the nodes."""

    def __init__(self, graph: Graph, names: list[str], family: Family) -> None:
        self.graph, self.names, self.family = graph, names, family

    def field_bits(self, field: Field) -> list[AnyBit]:
        """Return the bits of a field as they lie on the wires (`inv` where they are inverted)."""
        return field_bits(self.graph, field)

    def node_bits(self, node: int) -> list[AnyBit]:
        """Return all bits of a node's value, lowest first."""
        return self.field_bits(Field(node, 0, self.graph.width(node)))

    def pack(self, bits: Sequence[AnyBit], raw: bool = False) -> str:
        """Return bits (lowest first) as one expression; `raw` leaves inverted bits inverted."""
        parts: list[str] = []
        i = 0
        while i < len(bits):
            bit = bits[i]
            j = i + 1
            if isinstance(bit, int):
                while j < len(bits) and isinstance(bits[j], int):
                    j += 1
                value = sum(int(b) << k for k, b in enumerate(bits[i:j]) if isinstance(b, int))
                parts.append(hexadecimal(value, j - i))
            else:
                inv = bit.inv and not raw
                while j < len(bits):
                    nxt = bits[j]
                    if not isinstance(nxt, Bit) or nxt.src != bit.src:
                        break
                    if nxt.index != bit.index + j - i or (nxt.inv and not raw) != inv:
                        break
                    j += 1
                parts.append(("~" if inv else "") + self._slice(bit.src, bit.index, j - i))
            i = j
        return parts[0] if len(parts) == 1 else "{" + ", ".join(reversed(parts)) + "}"

    def _slice(self, node: int, lsb: int, width: int) -> str:
        name, full = self.names[node], self.graph.width(node)
        if full == 1 or (lsb == 0 and width == full):
            return name
        return f"{name}[{lsb}]" if width == 1 else f"{name}[{lsb + width - 1}:{lsb}]"

    def address(self, fields: Sequence[Field]) -> tuple[str, int, int]:
        """Return the address expression of fields, what inverts it, and its width."""
        bits = [b for f in fields for b in self.field_bits(f)]
        return self.pack(bits, raw=True), flipped(bits), len(bits)

    def declare(self, index: int, kind: str = "wire") -> str:
        """Return the declaration of a node's net."""
        width = self.graph.width(index)
        return f"{kind} {f'[{width - 1}:0] ' if width > 1 else ''}{self.names[index]}"
