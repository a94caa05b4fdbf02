"""What Xilinx families have in common: six-input LUTs with a second output, carry cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from finn_builds.sparse.bits import AnyBit, BitWriter, flipped, hexadecimal
from finn_builds.sparse.cells import CellText, dual_cell, lut_cells, mux_cells
from finn_builds.sparse.chain import Bit, Chain
from finn_builds.sparse.compares import bounds_table
from finn_builds.sparse.device import Kind, Primitive
from finn_builds.sparse.families.xilinx_cells import carry_cells
from finn_builds.sparse.families.xilinx_kinds import KINDS, PRIMITIVES
from finn_builds.sparse.family import Bounds, CompareShape, Family
from finn_builds.sparse.lutnet import LUT_INPUTS, lut_count, lut_net
from finn_builds.sparse.nodes import Field

# Inputs of a LUT that also gives a second output.
DUAL_INPUTS = 5

#: Yosys does not know Vivado's attribute against shift registers; they leave kept flip-flops alone.
NO_SHIFT_REGISTERS = "setattr -set keep 1 a:shreg_extract=no %ci1 t:$_*DFF* %i"

#: What comes before the label ``fine`` for sparse nodes, instead of Yosys' own passes. Those look
#: for memories, DSP blocks and state machines, and read the libraries of these, which takes longer
#: than the rest; a sparse node has none of them, and the same cells come out.
_SPARSE = (
    "read_verilog -lib -specify +/xilinx/cells_sim.v",
    "hierarchy -check -top {top}",
    "flatten",
    "opt_clean",
    "opt",
    "alumacc",
)

_DUAL = """\
  LUT6_2 #(
      .INIT(INIT)
  ) lut (
      .I0(a[0]), .I1(a[1]), .I2(a[2]), .I3(a[3]), .I4(a[4]), .I5(1'b1), .O5(y), .O6(z)
  );
"""

_SYNTHESIS = "synth_xilinx -top {top} -family {family} -flatten -noiopad -noclkbuf"


@dataclass(frozen=True)
class Xilinx(Family):
    """A family of six-input LUTs, with carry cells of `per` positions."""

    per: int = 4

    @property
    def absorbs(self) -> int:
        """A plain adder leaves four of a LUT's inputs to a table."""
        return DUAL_INPUTS

    def chain_luts(self, chain: Chain) -> int:
        """Return the LUTs of a sum: those of its positions that need one."""
        return chain.luts

    def chain_delay(self, chain: Chain) -> float:
        """Return the delay of a sum; a saved carry passes through a LUT first."""
        if not chain.luts:
            return 0.0
        return self.adder(len(chain.columns)) + self.t_lut * any(chain.save)

    def compare_shape(self, wanted: Bounds) -> CompareShape:
        """Return the cheapest form: all that selects goes to each position, or bounds are read."""
        bits, select = wanted.bits, wanted.select
        if bits + select <= LUT_INPUTS:
            return CompareShape("table", bits, 0, 1)
        if select < DUAL_INPUTS:
            per = DUAL_INPUTS - select
            n = -(-bits // per)
            return CompareShape("chain", per, n, n)
        if select == DUAL_INPUTS:
            # All six inputs for "equal"; where not, the bit itself decides. A position more says no
            # for bounds that are never reached.
            n = bits + wanted.unreachable
            return CompareShape("six", 1, n, n)
        # A LUT compares two bits with their bounds.
        n = -(-max(bits, len(wanted.columns)) // 2)
        tables = sum(lut_count(c, select) for c in wanted.columns)
        return CompareShape("bounds", 2, n, n + tables)

    def compare_delay(self, shape: CompareShape, wanted: Bounds) -> float:
        """Return the delay; tables of bounds count as positions too: late rather than early."""
        if shape.kind == "table":
            return self.t_lut
        levels = float(wanted.select >= DUAL_INPUTS)
        if shape.kind == "bounds":
            levels = max(lut_net(column, wanted.select).depth for column in wanted.columns)
        return self.adder(shape.luts) + self.t_lut * levels

    def compare_lines(
        self,
        writer: BitWriter,
        index: int,
        shape: CompareShape,
        src: Field,
        select: Sequence[Field],
        bounds: Sequence[int],
    ) -> list[str]:
        """Return a comparison on a chain."""
        if shape.kind == "six":
            return _compare_six(writer, index, src, select, bounds)
        if shape.kind == "bounds":
            return _compare_two(writer, index, src, select, bounds)
        name, per, n = writer.names[index], shape.per, shape.positions
        bits = writer.field_bits(src)
        chosen = [b for f in select for b in writer.field_bits(f)]
        inputs: list[AnyBit] = []
        inits = 0
        for position in range(n):
            own = bits[position * per : (position + 1) * per]
            group: list[AnyBit] = [*own, *[0] * (per - len(own)), *chosen]
            group += [0] * (DUAL_INPUTS - len(group))
            inits |= _compare_init(group, bounds, position, per, src.width) << (64 * position)
            inputs += group
        return [
            f"{writer.declare(index)};",
            f"ps_compare #(.N({n}), .INIT({hexadecimal(inits, 64 * n)}))",
            f"    {name}_chain (.x({writer.pack(inputs, raw=True)}), .y({name}));",
        ]

    @cached_property
    def cells(self) -> tuple[CellText, ...]:
        """Chains, the slice's two multiplexers, LUTs."""
        muxes = [f"MUXF{k} mux (.I0(a), .I1(b), .S(s), .O(y))" for k in (7, 8)]
        return (
            *carry_cells(self.per),
            *mux_cells(self.lut_inputs, muxes, "SYNTHESIS"),
            *lut_cells(self.lut_inputs, _lut),
            dual_cell(DUAL_INPUTS, _DUAL),
        )

    @property
    def primitives(self) -> Mapping[str, Primitive]:
        """LUTs, multiplexers, carry cells and DSP blocks of both families."""
        return PRIMITIVES

    @property
    def defines(self) -> tuple[str, ...]:
        """FINN's units instantiate DSP blocks in synthesis."""
        return ("SYNTHESIS", "YOSYS")

    def synthesis(self, top: str, select_file: str, *, sparse: bool = False) -> list[str]:
        """Return `synth_xilinx` in parts, with shift registers as the sources ask for them."""
        command = _SYNTHESIS.format(top=top, family=self.name)
        begin = [f"{command} -run begin:fine", f"techmap -map {select_file}", "opt_expr", "clean"]
        if sparse:
            begin = [line.format(top=top) for line in _SPARSE]
        return [
            *begin,
            f"{command} -run fine:map_ffs",
            NO_SHIFT_REGISTERS,
            f"{command} -run map_ffs:",
        ]

    @property
    def options(self) -> list[str]:
        """The command, and what comes on top."""
        command = _SYNTHESIS.format(top="<node>", family=self.name)
        sparse = "; ".join(_SPARSE).format(top="<node>")
        return [
            command,
            "wide selectors as $shiftx",
            f"sparse nodes up to the label fine: {sparse}",
        ]

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The cells of both families."""
        return KINDS


def _lut(n: int) -> str:
    pins = ", ".join([*(f".I{k}(a[{k}])" for k in range(n)), ".O(y)"])
    return f"  LUT{n} #(\n      .INIT(INIT)\n  ) lut ({pins});\n"


def _compare_six(
    writer: BitWriter, index: int, src: Field, select: Sequence[Field], bounds: Sequence[int]
) -> list[str]:
    """Return a comparison whose LUTs see one bit of the number and five that select."""
    name = writer.names[index]
    bits = writer.field_bits(src)
    chosen = [b for f in select for b in writer.field_bits(f)]
    flip = flipped(chosen)
    if any(b >> src.width for b in bounds):
        bits.append(0)  # a position above that says no for bounds that are never reached
    inits = 0
    inputs: list[AnyBit] = []
    for position, bit in enumerate(bits):
        own = int(isinstance(bit, Bit) and bit.inv)
        for address in range(64):
            bound = bounds[(address >> 1) ^ flip]
            equal = ((address & 1) ^ own) == ((bound >> position) & 1)
            if position == src.width:
                equal = not bound >> src.width
            inits |= int(equal) << (64 * position + address)
        inputs += [bit, *chosen]
    n = len(bits)
    return [
        f"{writer.declare(index)};",
        f"ps_compare6 #(.N({n}), .INIT({hexadecimal(inits, 64 * n)})) {name}_chain (",
        f"    .x({writer.pack(inputs, raw=True)}), .v({writer.pack(bits)}), .y({name}));",
    ]


def _compare_two(
    writer: BitWriter, index: int, src: Field, select: Sequence[Field], bounds: Sequence[int]
) -> list[str]:
    """Return a comparison of two bits of the number a LUT with a bound from tables."""
    name = writer.names[index]
    width = max(src.width, max(bounds).bit_length())
    bits = [*writer.field_bits(src), *[0] * (width + width % 2 - src.width)]
    n = len(bits) // 2
    bound = [f"{name}_r[{k}]" for k in range(2 * n)]
    init = sum(
        (int(a & 3 > (a >> 2) & 3) << a) | (int(a & 3 == (a >> 2) & 3) << (32 + a))
        for a in range(16)
    )
    inits = sum(init << (64 * k) for k in range(n))
    inputs = [
        f"1'b0, {bound[2 * k + 1]}, {bound[2 * k]}, {writer.pack(bits[2 * k : 2 * k + 2])}"
        for k in reversed(range(n))
    ]
    return [
        *bounds_table(writer, f"{name}_r", select, bounds, 2 * n),
        f"{writer.declare(index)};",
        f"ps_compare #(.N({n}), .INIT({hexadecimal(inits, 64 * n)}))",
        f"    {name}_chain (.x({{{', '.join(inputs)}}}), .y({name}));",
    ]


def _compare_init(
    group: Sequence[AnyBit], bounds: Sequence[int], position: int, per: int, width: int
) -> int:
    """Return the 64-bit INIT of one position of a comparison chain."""
    flip = flipped(group)
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
