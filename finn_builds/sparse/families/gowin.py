"""Gowin GW1N and GW2A: four-input LUTs, each with a carry (ALU).

An ALU adds two bits and the carry, the second bit inverted if asked, and takes the place of a LUT
(Gowin UG288; Yosys' ``share/gowin/cells_sim.v``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from finn_builds.sparse.bits import BitWriter, hexadecimal
from finn_builds.sparse.cells import CellText, lut_cells, mux_cells
from finn_builds.sparse.chain import Chain
from finn_builds.sparse.compares import bounds_table
from finn_builds.sparse.device import (
    Carry,
    FlipFlop,
    Function,
    Kind,
    Meaning,
    NotSimulated,
    Parameters,
    Position,
    Primitive,
    fixed,
    lut,
    mux,
    number,
    primitive,
)
from finn_builds.sparse.family import Bounds, CompareShape, Family
from finn_builds.sparse.lutnet import lut_count, lut_net
from finn_builds.sparse.nodes import Field

# Inputs of a comparison up to which a table is tried.
_TABLE = 8

#: Yosys' own way, but its LUTs by the mapper without carry cells in sight (as on ECP5).
COMMANDS = ("synth_gowin -top {top} -noiopads -nodffe -noalu",)

_ADD_HEAD = """\
// y = (a ^ NA) + (b ^ NB) + ONES modulo 2^W, ONES = 0 or 1. The chain inverts one of two bits by
// itself.
module ps_add #(
    parameter W = 1,
    parameter [W-1:0] NA = 0,
    parameter [W-1:0] NB = 0,
    parameter ONES = 0
) (
    input wire [W-1:0] a,
    input wire [W-1:0] b,
    output wire [W-1:0] y
);
"""

_ADD_BEHAVIOUR = """\
  localparam [W:0] EXTRA = ONES;
  assign y = (a ^ NA) + (b ^ NB) + EXTRA[W-1:0];
"""

_ADD_PRIMITIVES = """\
  wire [W:0] carry;
  assign carry[0] = ONES > 0;
  genvar i;
  generate
    for (i = 0; i < W; i = i + 1) begin : g_bit
      wire first, second;
      assign first = NA[i] ? (NB[i] ? ~a[i] : b[i]) : a[i];
      assign second = NA[i] && !NB[i] ? a[i] : b[i];
      ALU #(
          .ALU_MODE(NA[i] || NB[i] ? 1 : 0)
      ) alu (
          .I0(first), .I1(second), .I3(1'b1), .CIN(carry[i]), .COUT(carry[i+1]), .SUM(y[i])
      );
    end
  endgenerate
"""

_COMPARE_HEAD = """\
// y = a >= b along a carry chain; a position above hands the verdict out of the chain.
module ps_compare #(
    parameter N = 1
) (
    input wire [N-1:0] a,
    input wire [N-1:0] b,
    output wire y
);
"""

_COMPARE_BEHAVIOUR = "  assign y = a >= b;\n"

_COMPARE_PRIMITIVES = """\
  wire [N:0] carry;
  wire [N:0] sum;
  assign carry[0] = 1'b1;
  genvar i;
  generate
    for (i = 0; i < N; i = i + 1) begin : g_bit
      ALU #(
          .ALU_MODE(1)
      ) alu (
          .I0(a[i]), .I1(b[i]), .I3(1'b1), .CIN(carry[i]), .COUT(carry[i+1]), .SUM(sum[i])
      );
    end
  endgenerate
  ALU #(
      .ALU_MODE(0)
  ) out (
      .I0(1'b0), .I1(1'b0), .I3(1'b1), .CIN(carry[N]), .COUT(), .SUM(y)
  );
"""


@dataclass(frozen=True)
class Gowin(Family):
    """GW1N and GW2A."""

    def chain_luts(self, chain: Chain) -> int:
        """Return the LUTs of a sum: a position each, and one where the carry begins."""
        width = len(chain.columns)
        return (width + (width > 0)) * (1 if chain.pairs else 2)

    def chain_delay(self, chain: Chain) -> float:
        """Return the delay of a sum; where a position has to add three, of two chains."""
        width = len(chain.columns)
        return self.adder(width) * (1 if chain.pairs else 2) if width else 0.0

    def compare_shape(self, wanted: Bounds) -> CompareShape:
        """Return the cheaper of a table and a chain with the bound from tables."""
        n = max(wanted.bits, len(wanted.columns))
        luts = n + 2
        luts += sum(lut_count(c, wanted.select, self.lut_inputs) for c in set(wanted.columns))
        inputs = wanted.bits + wanted.select
        if inputs <= _TABLE:
            table = lut_count(wanted.table, inputs, self.lut_inputs)
            if table <= luts:
                return CompareShape("table", wanted.bits, 0, table)
        return CompareShape("bounds", 1, n, luts)

    def compare_delay(self, shape: CompareShape, wanted: Bounds) -> float:
        """Return the delay of a table, or of a chain after the tables of its bounds."""
        if shape.kind == "table":
            net = lut_net(wanted.table, wanted.bits + wanted.select, self.lut_inputs)
            return self.t_lut * net.depth
        tables = [lut_net(c, wanted.select, self.lut_inputs).depth for c in wanted.columns]
        return self.t_lut * max(tables, default=0) + self.adder(shape.positions)

    def compare_lines(
        self,
        writer: BitWriter,
        index: int,
        shape: CompareShape,
        src: Field,
        select: Sequence[Field],
        bounds: Sequence[int],
    ) -> list[str]:
        """Return a comparison of a number with a bound that is a net or a constant."""
        name, n = writer.names[index], shape.positions
        bits = writer.field_bits(src)
        bits += [0] * (n - len(bits))
        lines = [f"{writer.declare(index)};"]
        bound = hexadecimal(bounds[0], n)
        if select:
            bound = f"{name}_r"
            lines += bounds_table(writer, bound, select, bounds, n)
        return [
            *lines,
            f"ps_compare #(.N({n})) {name}_chain (",
            f"    .a({writer.pack(bits)}), .b({bound}), .y({name}));",
        ]

    @cached_property
    def cells(self) -> tuple[CellText, ...]:
        """Chains, multiplexers (left to the mapper, which knows their places), LUTs."""
        add = CellText(
            "ps_add",
            "Two-operand adder on one carry chain.",
            _ADD_HEAD,
            _ADD_BEHAVIOUR,
            _ADD_PRIMITIVES,
            "YOSYS",
        )
        compare = CellText(
            "ps_compare",
            "Comparison of two numbers on one carry chain.",
            _COMPARE_HEAD,
            _COMPARE_BEHAVIOUR,
            _COMPARE_PRIMITIVES,
            "YOSYS",
        )
        muxes = ["assign y = s ? b : a"] * 3
        return (add, compare, *mux_cells(4, muxes, "YOSYS"), *lut_cells(4, _lut))

    @property
    def primitives(self) -> Mapping[str, Primitive]:
        """LUTs and carry cell."""
        return PRIMITIVES

    @property
    def defines(self) -> tuple[str, ...]:
        """Other vendors' DSP blocks are not Gowin's: FINN's units have a behavioural form."""
        return ("YOSYS",)

    def synthesis(self, top: str, select_file: str) -> list[str]:
        """Return `synth_gowin`."""
        return [command.format(top=top) for command in COMMANDS]

    @property
    def options(self) -> list[str]:
        """The commands."""
        return [command.format(top="<node>") for command in COMMANDS]

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Cells as Yosys maps to them."""
        return KINDS


def _lut(n: int) -> str:
    pins = ", ".join([*(f".I{k}(a[{k}])" for k in range(n)), ".F(y)"])
    return f"  LUT{n} #(\n      .INIT(INIT)\n  ) lut ({pins});\n"


PRIMITIVES: Mapping[str, Primitive] = MappingProxyType(
    {
        **{
            f"LUT{n}": primitive(
                "INIT", "output: F 1; input: " + ", ".join(f"I{k} 1" for k in range(n))
            )
            for n in range(2, 5)
        },
        "ALU": primitive("ALU_MODE", "output: COUT 1, SUM 1; input: I0 1, I1 1, I3 1, CIN 1"),
    }
)

_I0, _I1 = ("I0", 0), ("I1", 0)
_XOR, _XNOR, _SAME = 0b0110, 0b1001, 0b10


def _alu(parameters: Parameters) -> Carry:
    mode = number(parameters, "ALU_MODE")
    if mode > 1:
        raise NotSimulated(f"cells ALU of mode {mode} are not simulated")
    through = Function(_XNOR if mode else _XOR, (_I0, _I1))
    own = Function(_SAME, (_I0,))
    return Carry((("CIN", 0),), (Position(through, own, ("SUM", 0), ("COUT", 0)),))


def _flip_flop(force: str, enable: bool) -> Meaning:
    sets = force == "SET"

    def meaning(parameters: Parameters) -> FlipFlop:
        return FlipFlop(
            ("D", 0),
            ("Q", 0),
            ("CE", 0) if enable else None,
            (force, 0) if force else None,
            sets,
            bool(number(parameters, "INIT")) if "INIT" in parameters else sets,
        )

    return meaning


_FF = (("FF", 1),)
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        **{
            f"LUT{n}": Kind((("LUT_logic", 1),), lut(*(f"I{k}" for k in range(n)), out="F"))
            for n in range(1, 5)
        },
        "INV": Kind((("LUT_logic", 1),), fixed(0b01, "I", out="O")),
        "ALU": Kind((("LUT_logic", 1), ("CARRY", 1)), _alu, "carry", ("CIN",)),
        **{
            f"MUX2_LUT{n}": Kind((("MUXF", 1),), mux("I0", "I1", "S0", "O"), "mux")
            for n in range(5, 9)
        },
        **{
            f"DFF{letter}{'E' if enable else ''}": Kind(_FF, _flip_flop(force, enable), "clocked")
            for letter, force in (("", ""), ("S", "SET"), ("R", "RESET"))
            for enable in (False, True)
        },
        **{f"DFF{letter}{e}": Kind(_FF, role="clocked") for letter in "CP" for e in ("", "E")},
        **{kind: Kind((), role="lut") for kind in ("GND", "VCC")},
    }
)

FAMILY = GOWIN = Gowin("gowin", 2, 4, 1.30, 1.20, 0.060, 1.30, 1.40)
