"""The Verilog of every kind of node."""

from __future__ import annotations

from finn_builds.sparse.bits import AnyBit, BitWriter, hexadecimal
from finn_builds.sparse.chain import Chain
from finn_builds.sparse.compares import compare
from finn_builds.sparse.ir import Clip, Compare, Concat, Reg, Sum, Table
from finn_builds.sparse.lookups import lookup


class NodeWriter(BitWriter):
    """Writes a graph's nodes as Verilog items of the module that holds them."""

    def write(self, index: int) -> list[str]:
        """Return the lines of a node; inputs and constants have none."""
        node = self.graph.nodes[index]
        if isinstance(node, Sum):
            return self._sum(index, self.chains[index])
        if isinstance(node, Table):
            return self._table(index, node)
        if isinstance(node, Compare):
            return compare(self, index, node)
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
            if ranked and ranked[0].inv:
                pair.reverse()  # alone in its column
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

    def _table(self, index: int, node: Table) -> list[str]:
        address, flip, _ = self.address(node.fields)
        values = [node.values[a ^ flip] for a in range(len(node.values))]
        width = self.graph.width(index)
        return [
            f"{self.declare(index)};",
            *lookup(self.names[index], values, width, address, self.family),
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
