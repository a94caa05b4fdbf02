"""A pipelined operator graph as behavioural VHDL, written from the meaning of its nodes alone.

It shares no text with the Verilog: no cell, no wire that lies inverted. VHDL-93, which newer tools
read too.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import assert_never

from finn_builds.sparse.core_ports import CorePorts
from finn_builds.sparse.emit import net_names
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.nodes import Clip, Compare, Concat, Const, Field, Input, Reg, Sum, Table

_MODEL = """\
-- {name}: the model in VHDL of the Verilog module of the same name and ports, for simulators
-- without Verilog. It can be synthesised too, but says nothing of carry chains and LUTs.
library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;

entity {name} is
  port (
{ports}
  );
end entity;

architecture model of {name} is
{declarations}
begin
{body}
end architecture;
"""


def entity_ports(core: CorePorts) -> list[str]:
    """Return the ports of the core, without the semicolon at each end."""

    def vector(bits: int) -> str:
        return f"std_logic_vector({bits - 1} downto 0)"

    scalars = ["clk", "rst", *(["ce"] if core.with_ce else []), "valid_in"]
    return [
        *(f"{name} : in std_logic" for name in scalars),
        *(f"{port.name} : in {vector(port.bits)}" for port in core.inputs),
        *(f"{port.name} : out {vector(port.bits)}" for port in core.outputs),
        "valid_out : out std_logic",
    ]


def vhdl_model(core: CorePorts, graph: Graph) -> str:
    """Return the entity of a core: ``{name}_model.vhd``."""
    writer = _Writer(core, graph)
    ports = ";\n".join(f"    {port}" for port in entity_ports(core))
    return _MODEL.format(
        name=core.name,
        ports=ports,
        declarations="\n".join(writer.declarations),
        body="\n".join(writer.body),
    )


def _bits(value: int, width: int) -> str:
    """Return a literal of a value modulo 2^width."""
    return f'"{value & ((1 << width) - 1):0{width}b}"'


class _Writer:
    """Writes every node as a signal of unsigned bits, two's complement where it may be negative."""

    def __init__(self, core: CorePorts, graph: Graph) -> None:
        self.core, self.graph = core, graph
        self.inputs = [lane for port in core.inputs for lane in port.lanes]
        taken = {port.name for port in (*core.inputs, *core.outputs)}
        self.names = net_names(graph, {*taken, "filled", "rst", "valid_in", "valid_out"})
        self.declarations: list[str] = []
        self.body: list[str] = []
        clocked: list[str] = []
        for i, node in enumerate(graph.nodes):
            if isinstance(node, Const):
                continue
            self.declarations.append(
                f"  signal {self.names[i]} : unsigned({self.width(i) - 1} downto 0) "
                ":= (others => '0');"
            )
            if isinstance(node, Reg):
                clocked.append(f"{self.names[i]} <= {self.names[node.src]};")
            else:
                self.body += [f"  {line}" for line in self._node(i)]
        self._registers(clocked)
        self._outputs()

    def width(self, node: int) -> int:
        """Return the bits of a node's signal."""
        return max(1, self.graph.width(node))

    def _registers(self, clocked: Sequence[str]) -> None:
        last = self.core.latency - 1
        self.declarations.append(
            f"  signal filled : std_logic_vector({last} downto 0) := (others => '0');"
        )
        shifted = f"filled({last - 1} downto 0) & valid_in"
        whole = f"filled <= {shifted};" if last else "filled(0) <= valid_in;"
        enabled = "rising_edge(clk) and ce = '1'" if self.core.with_ce else "rising_edge(clk)"
        self.body += [
            "  process (clk)",
            "  begin",
            "    if rising_edge(clk) then",
            "      if rst = '1' then",
            "        filled <= (others => '0');",
            "      elsif ce = '1' then" if self.core.with_ce else "      else",
            f"        {whole}",
            "      end if;",
            "    end if;",
            "  end process;",
            f"  valid_out <= filled({last});",
            "  process (clk)",
            "  begin",
            f"    if {enabled} then",
            *(f"      {line}" for line in clocked),
            "    end if;",
            "  end process;",
        ]

    def _outputs(self) -> None:
        lanes = [lane for port in self.core.outputs for lane in port.lanes]
        for out, lane in zip(self.graph.outputs, lanes, strict=True):
            node = self.graph.nodes[out]
            if isinstance(node, Const):
                value = _bits(node.value, lane.width)
            elif self.graph.ranges[out][0] < 0:
                value = f"std_logic_vector(resize(signed({self.names[out]}), {lane.width}))"
            else:
                value = f"std_logic_vector(resize({self.names[out]}, {lane.width}))"
            top = lane.lsb + lane.width - 1
            self.body.append(f"  {lane.port}({top} downto {lane.lsb}) <= {value};")

    def _field(self, field: Field) -> str:
        """Return bits of a node, zeros beyond its width."""
        node = self.graph.nodes[field.src]
        if isinstance(node, Const):
            return f"unsigned'({_bits(node.value >> field.lsb, field.width)})"
        there = max(0, min(field.width, self.width(field.src) - field.lsb))
        text = f"{self.names[field.src]}({field.lsb + there - 1} downto {field.lsb})"
        if there == field.width:
            return text
        if not there:
            return f"unsigned'({_bits(0, field.width)})"
        return f"resize({text}, {field.width})"

    def _word(self, fields: Sequence[Field]) -> str:
        """Return fields side by side, the first least significant."""
        parts = [self._field(field) for field in reversed(fields)]
        return parts[0] if len(parts) == 1 else "\n    & ".join(parts)

    def _node(self, i: int) -> list[str]:
        node, name, width = self.graph.nodes[i], self.names[i], self.width(i)
        match node:
            case Input():
                lane = self.inputs[node.index]
                top = lane.lsb + node.width - 1
                raw = f"unsigned({lane.port}({top} downto {lane.lsb}))"
                if node.bias:
                    raw = f"{raw} xor {_bits(node.bias, node.width)}"
                return [f"{name} <= resize({raw}, {width});"]
            case Sum():
                return self._sum(node, name, width)
            case Table():
                return self._table(node, name, width)
            case Compare():
                return self._compare(node, name)
            case Concat():
                return [f"{name} <= resize({self._word(node.fields)}, {width});"]
            case Clip():
                return [self._clip(node, name, width)]
            case Const() | Reg():
                raise AssertionError(node)
            case _:
                assert_never(node)

    def _sum(self, node: Sum, name: str, width: int) -> list[str]:
        terms = []
        for term in node.terms:
            source = self.names[term.src]
            source = f"not {source}" if term.inv else source
            terms.append(f"shift_left(resize({source}, {width}), {term.shift})")
        if node.const or not terms:
            terms.append(f"unsigned'({_bits(node.const, width)})")
        joined = "\n    + ".join(terms)
        return [f"{name} <= {joined};"]

    def _constants(self, name: str, values: Sequence[int], width: int) -> None:
        """Declare a table of constants, `name`."""
        listed = ", ".join(_bits(value, width) for value in values)
        # One value alone would be taken for something in parentheses.
        listed = f"0 => {listed}" if len(values) == 1 else listed
        self.declarations += [
            f"  type {name}_array is array (0 to {len(values) - 1}) "
            f"of unsigned({width - 1} downto 0);",
            *textwrap.wrap(
                f"constant {name} : {name}_array := ({listed});",
                98,
                initial_indent="  ",
                subsequent_indent="    ",
                break_long_words=False,
            ),
        ]

    def _table(self, node: Table, name: str, width: int) -> list[str]:
        self._constants(f"{name}_table", node.values, width)
        address = self._word(node.fields)
        return [f"{name} <= {name}_table(to_integer(unsigned'({address})));"]

    def _compare(self, node: Compare, name: str) -> list[str]:
        width = node.src.width + 1
        bounds = [min(max(b, 0), 1 << node.src.width) for b in node.bounds]
        if node.select:
            self._constants(f"{name}_bounds", bounds, width)
            bound = f"{name}_bounds(to_integer(unsigned'({self._word(node.select)})))"
        else:
            bound = f"unsigned'({_bits(bounds[0], width)})"
        return [f'{name} <= "1" when resize({self._field(node.src)}, {width}) >= {bound} else "0";']

    def _clip(self, node: Clip, name: str, width: int) -> str:
        source, have = self.names[node.src], self.width(node.src)
        count = node.top.bit_length()
        choices = ""
        if self.graph.ranges[node.src][0] < 0:
            have -= 1  # the sign
            choices += f"{_bits(0, width)} when {source}({have}) = '1' else "
        above = node.shift + count
        if have > above:
            over, base = f"{source}({have - 1} downto {above})", node.base >> count
            if base:
                choices += f"{_bits(0, width)} when {over} < {base} else "
            choices += f"{_bits(node.top, width)} when {over} > {base} else "
        top = min(have, above)
        if top <= node.shift:
            return f"{name} <= {choices}{_bits(0, width)};"
        return f"{name} <= {choices}resize({source}({top - 1} downto {node.shift}), {width});"
