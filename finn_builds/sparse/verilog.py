"""The Verilog of every kind of node."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import assert_never

from finn_builds.sparse.bits import AnyBit, BitWriter, hexadecimal
from finn_builds.sparse.chain import Bit, Chain
from finn_builds.sparse.compares import compare
from finn_builds.sparse.logic import Logic, Packing, Place, origin, pack, ranked
from finn_builds.sparse.lookups import cell_lines, cell_net, shared_lut
from finn_builds.sparse.nodes import Clip, Compare, Concat, Const, Input, Reg, Sum, Table


class NodeWriter(BitWriter):
    """Writes a graph's nodes as Verilog items of the module that holds them."""

    @cached_property
    def packing(self) -> Packing:
        """The nodes that are made of LUTs, and which of their functions share one."""
        return pack(self.graph, self.family)

    def write(self, index: int) -> list[str]:
        """Return the lines of a node; inputs and constants have none."""
        node = self.graph.nodes[index]
        if index in self.packing.logic:
            return self._logic(index, self.packing.logic[index])
        match node:
            case Input() | Const():
                return []
            case Sum():
                return self._sum(index, self.graph.wiring.chains[index])
            case Compare():
                return compare(self, index, node)
            case Concat():
                bits = [b for f in node.fields for b in self.field_bits(f)]
                return [f"{self.declare(index)} = {self.pack(bits, raw=True)};"]
            case Table() | Clip():
                raise AssertionError(node)
            case Reg():
                return self._register(index, node)
            case _:
                assert_never(node)

    def _register(self, index: int, node: Reg) -> list[str]:
        # The output of a shift register made of a LUT comes later than a flip-flop's.
        chained = isinstance(self.graph.nodes[node.src], Reg)
        attribute = '(* shreg_extract = "no" *) ' if chained else ""
        name, source = self.names[index], self.names[node.src]
        return [
            f"{attribute}{self.declare(index, 'reg')};",
            f"always @(posedge clk) if (ce) {name} <= {source};",
        ]

    def _sum(self, index: int, chain: Chain) -> list[str]:
        name, length = self.names[index], len(chain.columns)
        if not length:
            return [f"{self.declare(index)} = {self.pack(chain.low, raw=True)};"]
        lines = [f"wire [{length - 1}:0] {name}_o;"]
        lines += (
            self._chain(name, chain) if self.family.max_terms == 3 else self._pairs(name, chain)
        )
        parts = f"{name}_o"
        if chain.low:
            parts = f"{{{name}_o, {self.pack(chain.low, raw=True)}}}"
        return [*lines, f"{self.declare(index)} = {parts};"]

    def _pairs(self, name: str, chain: Chain) -> list[str]:
        """Return a sum on chains of two operands, a constant that meets both on one of its own."""
        length = len(chain.columns)
        columns: list[list[AnyBit]] = [list(c) for c in chain.columns]
        if chain.pairs:
            for at, column in enumerate(columns):
                column += [(chain.const >> at) & 1] * (len(column) < 2)
            return [self._pair(f"{name}_o", columns, chain.carry_in, f"{name}_chain")]
        const = hexadecimal(chain.const, length)
        return [
            f"wire [{length - 1}:0] {name}_p;",
            self._pair(f"{name}_p", columns, chain.carry_in, f"{name}_first"),
            f"ps_add #(.W({length}), .NB({const}))",
            f"    {name}_chain (.a({name}_p), .b({hexadecimal(0, length)}), .y({name}_o));",
        ]

    def _pair(self, out: str, columns: Sequence[list[AnyBit]], ones: int, cell: str) -> str:
        """Return the instance that adds two bits a position, inverted ones and constants by it."""
        length = len(columns)
        (a, b), masks = self._operands(columns, 2)
        settings = [f".W({length})"]
        settings += [
            f".{n}({hexadecimal(m, length)})" for n, m in zip(("NA", "NB"), masks, strict=True) if m
        ]
        settings += [".ONES(1)"] * ones
        return f"ps_add #({', '.join(settings)})\n    {cell} (.a({a}), .b({b}), .y({out}));"

    def _operands(self, columns: Sequence[list[AnyBit]], count: int) -> tuple[list[str], list[int]]:
        """Return operands with a bit of each column, and the masks that invert them."""
        operands: list[list[AnyBit]] = [[] for _ in range(count)]
        masks = [0] * count
        for at, column in enumerate(columns):
            for k in range(count):
                bit = column[k] if k < len(column) else 0
                masks[k] |= int(bit.inv if isinstance(bit, Bit) else bit) << at
                operands[k].append(bit if isinstance(bit, Bit) else 0)
        return [self.pack(o, raw=True) for o in operands], masks

    def _chain(self, name: str, chain: Chain) -> list[str]:
        length = len(chain.columns)
        columns: list[list[AnyBit]] = []
        save = pair = 0
        for at, column in enumerate(chain.columns):
            const = (chain.const >> at) & 1
            bits: list[AnyBit] = (
                list(column) if chain.save[at] else list(ranked(column, self.graph.nodes))
            )
            if chain.save[at]:
                bits += [const] * const
            elif const or (len(column) == 1 and column[0].inv):
                bits.insert(0, const)  # so that what goes into the chain is a constant
            elif len(column) == 2 and all(b.inv for b in column):
                pair |= 1 << at
            save |= int(chain.save[at]) << at
            columns.append(bits)
        (a, b, c), masks = self._operands(columns, 3)
        settings = {
            "W": str(length),
            **{n: hexadecimal(m, length) for n, m in zip(("NA", "NB", "NC"), masks, strict=True)},
            "SAVE": hexadecimal(save, length),
            "PAIR": hexadecimal(pair, length),
            "ONES": str(chain.carry_in),
        }
        named = ", ".join(f".{n}({v})" for n, v in settings.items() if int(v.split("'h")[-1], 16))
        return [
            f"ps_add #({named})",
            f"    {name}_chain (.a({a}), .b({b}), .c({c}), .y({name}_o));",
        ]

    def _logic(self, index: int, logic: Logic) -> list[str]:
        """Return a node that is made of LUTs."""
        partners = self.packing.partners
        elsewhere: dict[int, str | None] = {}
        for k in range(len(logic.net.cells)):
            other = partners.get((index, k))
            if other is not None:
                # Where the later of the two stands, all that they read is declared.
                elsewhere[k] = None if other > (index, k) else self._shared(other, (index, k))
        lines = cell_lines(
            self.names[index],
            logic.net,
            [self.pack([b], raw=True) for b in logic.reads],
            self.graph.width(index),
            self.family.lut_inputs,
            elsewhere,
            logic.melts,
        )
        return [f"{self.declare(index)};", *lines]

    def _shared(self, *places: Place) -> str:
        """Return the LUT of two cells."""
        functions = []
        for index, k in places:
            logic, name = self.packing.logic[index], self.names[index]
            n = logic.net.n_vars
            cell = logic.net.cells[k]
            reads = [
                self.origin(logic.reads[i]) if i < n else cell_net(name, i - n) for i in cell.inputs
            ]
            functions.append((cell_net(name, k), cell.bits, reads))
        return shared_lut(functions[1][0], functions, self.family.lut_inputs)

    def origin(self, bit: AnyBit) -> str:
        """Return a bit by the name of the net that it begins at, as it lies on the wires."""
        if isinstance(bit, Bit):
            src, index = origin(self.graph, bit.src, bit.index)
            node = self.graph.nodes[src]
            # A constant may stand beside others in a concatenation.
            bit = (node.value >> index) & 1 if isinstance(node, Const) else Bit(src, index, False)
        return self.pack([bit], raw=True)
