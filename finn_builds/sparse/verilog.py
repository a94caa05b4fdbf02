"""Verilog expressions for bits of nodes, and the text of every kind of node."""

from __future__ import annotations

from collections.abc import Sequence

from finn_builds.sparse.chain import Bit, Chain, Wires
from finn_builds.sparse.cost import DUAL_INPUTS, compare_shape
from finn_builds.sparse.family import Family
from finn_builds.sparse.ir import Clip, Compare, Concat, Const, Field, Graph, Reg, Sum, Table
from finn_builds.sparse.truth import bit_column

# A bit to write down: a bit of a node's value, or a constant.
AnyBit = Bit | int


def hexadecimal(value: int, width: int) -> str:
    """Return a sized literal of a value modulo 2^width."""
    return f"{width}'h{value & ((1 << width) - 1):x}"


class NodeWriter:
    """Writes a graph's nodes as Verilog items of the module that holds them.

    Parameters
    ----------
    graph : Graph
    wires : list of Wires
    chains : dict of int to Chain
    names : list of str
        The net of each node.
    family : Family
    """

    def __init__(
        self,
        graph: Graph,
        wires: list[Wires],
        chains: dict[int, Chain],
        names: list[str],
        family: Family,
    ) -> None:
        self.graph, self.wires, self.chains = graph, wires, chains
        self.names, self.family = names, family

    # --- expressions -----------------------------------------------------------------------

    def field_bits(self, field: Field) -> list[AnyBit]:
        """Return the bits of a field as they lie on the wires (`inv` where they are inverted)."""
        node = self.graph.nodes[field.src]
        if isinstance(node, Const):
            return [(node.value >> (field.lsb + i)) & 1 for i in range(field.width)]
        inverted = self.wires[field.src].inverted
        return [
            Bit(field.src, field.lsb + i, bool((inverted >> (field.lsb + i)) & 1))
            for i in range(field.width)
        ]

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

    # --- nodes -----------------------------------------------------------------------------

    def declare(self, index: int, kind: str = "wire") -> str:
        """Return the declaration of a node's net."""
        width = self.graph.width(index)
        return f"{kind} {f'[{width - 1}:0] ' if width > 1 else ''}{self.names[index]}"

    def write(self, index: int) -> list[str]:
        """Return the lines of a node; inputs and constants have none."""
        node = self.graph.nodes[index]
        if isinstance(node, Sum):
            return self._sum(index, self.chains[index])
        if isinstance(node, Table):
            return self._table(index, node)
        if isinstance(node, Compare):
            return self._compare(index, node)
        if isinstance(node, Concat):
            bits = [b for f in node.fields for b in self.field_bits(f)]
            return [f"{self.declare(index)} = {self.pack(bits, raw=True)};"]
        if isinstance(node, Clip):
            return self._clip(index, node)
        if isinstance(node, Reg):
            source = self.names[node.src]
            return [
                f"{self.declare(index, 'reg')};",
                f"always @(posedge clk) if (ce) {self.names[index]} <= {source};",
            ]
        return []

    def _sum(self, index: int, chain: Chain) -> list[str]:
        name, length = self.names[index], len(chain.columns)
        if not length:
            return [f"{self.declare(index)} = {self.pack(chain.low, raw=True)};"]
        lines = [f"wire [{length - 1}:0] {name}_o;"]
        if chain.plain:
            lines += self._plain_chain(index, chain)
        else:
            lines += self._three_chain(name, chain)
        parts = f"{name}_o"
        if chain.low:
            parts = f"{{{name}_o, {self.pack(chain.low, raw=True)}}}"
        return [*lines, f"{self.declare(index)} = {parts};"]

    def _plain_chain(self, index: int, chain: Chain) -> list[str]:
        # The first operand goes straight into the chain, so it is the one that is not inverted;
        # a table goes second, where it melts into the LUTs.
        first: list[AnyBit] = []
        second: list[AnyBit] = []
        for column in chain.columns:
            ranked = sorted(
                column, key=lambda b: (b.inv, isinstance(self.graph.nodes[b.src], Table), b.src)
            )
            pair: list[AnyBit] = [*ranked, *[0] * (2 - len(ranked))]
            first.append(pair[0])
            second.append(pair[1])
        return [f"assign {self.names[index]}_o = {self.pack(first)} + {self.pack(second)};"]

    def _three_chain(self, name: str, chain: Chain) -> list[str]:
        length = len(chain.columns)
        operands: list[list[AnyBit]] = [[], [], []]
        masks = [0, 0, chain.const]
        for at, column in enumerate(chain.columns):
            for k in range(3):
                if k < len(column):
                    operands[k].append(column[k])
                    masks[k] |= int(column[k].inv) << at
                else:
                    operands[k].append(0)
        a, b, c = (self.pack(o, raw=True) for o in operands)
        na, nb, nc = (hexadecimal(m, length) for m in masks)
        if not self.family.primitives:
            total = f"({a} ^ {na}) + ({b} ^ {nb})"
            if masks[2] or any(operands[2]):
                total += f" + ({c} ^ {nc})"
            if chain.carry_in:
                total += f" + {hexadecimal(chain.carry_in, length)}"
            return [f"assign {name}_o = {total};"]
        lut = sum(int(used) << k for k, used in enumerate(chain.lut))
        return [
            f"ps_add3 #(.W({length}), .NA({na}), .NB({nb}), .NC({nc}), "
            f".LUT({hexadecimal(lut, length)}), .ONES({chain.carry_in}))",
            f"    {name}_chain (.a({a}), .b({b}), .c({c}), .y({name}_o));",
        ]

    def _address(self, fields: Sequence[Field]) -> tuple[str, int, int]:
        """Return the address expression of fields, what inverts it, and its width."""
        bits = [b for f in fields for b in self.field_bits(f)]
        flip = sum(1 << k for k, b in enumerate(bits) if isinstance(b, Bit) and b.inv)
        return self.pack(bits, raw=True), flip, len(bits)

    def _lookup(self, name: str, values: Sequence[int], width: int, address: str) -> list[str]:
        """Return lines that define `name` bit by bit from a table of integers."""
        size = len(values)
        lines = [f"wire [{size.bit_length() - 2}:0] {name}_a = {address};"]
        for k in range(width):
            content = hexadecimal(bit_column(values, k), size)
            lines.append(f"localparam [{size - 1}:0] {name}_t{k} = {content};")
            target = f"{name}[{k}]" if width > 1 else name
            lines.append(f"assign {target} = {name}_t{k}[{name}_a];")
        return lines

    def _table(self, index: int, node: Table) -> list[str]:
        address, flip, _ = self._address(node.fields)
        values = [node.values[a ^ flip] for a in range(len(node.values))]
        width = self.graph.width(index)
        return [f"{self.declare(index)};", *self._lookup(self.names[index], values, width, address)]

    def _compare(self, index: int, node: Compare) -> list[str]:
        name = self.names[index]
        skip, per, luts = compare_shape(node)
        src = Field(node.src.src, node.src.lsb + skip, node.src.width - skip)
        bounds = [b >> skip for b in node.bounds]
        select, select_flip, n_select = self._address(node.select) if node.select else ("", 0, 0)
        if luts == 1:
            address, flip, n_bits = self._address((src, *node.select))
            values = [
                int(((a ^ flip) & ((1 << src.width) - 1)) >= bounds[(a ^ flip) >> src.width])
                for a in range(1 << n_bits)
            ]
            return [f"{self.declare(index)};", *self._lookup(name, values, 1, address)]
        if not self.family.primitives or n_select >= DUAL_INPUTS:
            width = src.width + 1
            number = self.pack([*self.field_bits(src), 0])
            if not node.select:
                return [f"{self.declare(index)} = {number} >= {hexadecimal(bounds[0], width)};"]
            swapped = [bounds[a ^ select_flip] for a in range(len(bounds))]
            return [
                f"wire [{width - 1}:0] {name}_r;",
                *self._lookup(f"{name}_r", swapped, width, select),
                f"{self.declare(index)} = {number} >= {name}_r;",
            ]
        bits = self.field_bits(src)
        chosen = [b for f in node.select for b in self.field_bits(f)]
        inputs: list[AnyBit] = []
        inits = 0
        for position in range(luts):
            own = bits[position * per : (position + 1) * per]
            group: list[AnyBit] = [*own, *[0] * (per - len(own)), *chosen]
            group += [0] * (DUAL_INPUTS - len(group))
            inits |= _compare_init(group, bounds, position, per, src.width) << (64 * position)
            inputs += group
        return [
            f"{self.declare(index)};",
            f"ps_compare #(.N({luts}), .INIT({hexadecimal(inits, 64 * luts)}))",
            f"    {name}_chain (.x({self.pack(inputs, raw=True)}), .y({name}));",
        ]

    def _clip(self, index: int, node: Clip) -> list[str]:
        bits = self.node_bits(node.src)
        count = node.top.bit_length()
        lo, _ = self.graph.ranges[node.src]
        sign = [bits.pop()] if lo < 0 else []
        body = bits[node.shift : node.shift + count]
        body += [0] * (self.graph.width(index) - len(body))
        over = bits[node.shift + count :]
        width = self.graph.width(index)
        value = self.pack(body[:width])
        if over:
            value = f"({{{width}{{|{self.pack(over)}}}}} | {value})"
        if sign:
            value = f"{{{width}{{~{self.pack(sign)}}}}} & {value}"
        return [f"{self.declare(index)} = {value};"]


def _compare_init(
    group: Sequence[AnyBit], bounds: Sequence[int], position: int, per: int, width: int
) -> int:
    """Return the 64-bit INIT of one position of a comparison chain."""
    flip = sum(1 << k for k, b in enumerate(group) if isinstance(b, Bit) and b.inv)
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
