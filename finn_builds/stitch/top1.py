"""The top-1 block: constant offsets in front of ``top1.sv``. FINN has LabelSelect only in HLS."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.packing import padded
from finn_builds.network import ArgMax
from finn_builds.network.types import BIPOLAR, bits_of, is_signed, range_of, signed_datatype_for
from finn_builds.stitch.blocks import TOP1, Block, Resources
from finn_builds.stitch.design import Stage
from finn_builds.stitch.streams import StreamFormat

_MODULE = """\
// Top-1 over {labels} values of {in_bits} bits, {pe} a beat: index of the largest
// (value << {shift}) + offset. The offsets are constants; see the node's attributes.
`default_nettype none
module {name} (
    input  wire ap_clk,
    input  wire ap_rst_n,
    input  wire [{in_high}:0] in0_V_TDATA,
    input  wire in0_V_TVALID,
    output wire in0_V_TREADY,
    output wire [{out_high}:0] out0_V_TDATA,
    output wire out0_V_TVALID,
    input  wire out0_V_TREADY
);
    localparam integer PE = {pe};
    localparam integer WI = {value_bits};
    localparam integer WK = {key_bits};

{offsets}
    wire [PE*WK-1:0] keys;
    genvar pe;
    generate
        for (pe = 0; pe < PE; pe = pe + 1) begin : gen_key
            wire [WI-1:0] value = {value};
            wire [WK-1:0] wide = {{{{(WK-WI){{{sign}}}}}, value}};
            assign keys[pe*WK +: WK] = (wide << {shift}) + offsets[pe*WK +: WK];
        end
    endgenerate

    wire [{core_high}:0] padded_keys = {{{pad}keys}};

    top1 #(.N({labels}), .PE(PE), .WIDTH(WK), .SIGNED(1)) core (
        .clk(ap_clk), .rst(!ap_rst_n),
        .s_data(padded_keys), .s_valid(in0_V_TVALID), .s_ready(in0_V_TREADY),
        .m_data(out0_V_TDATA), .m_valid(out0_V_TVALID), .m_ready(out0_V_TREADY)
    );
endmodule
`default_nettype wire
"""


_VALUE = "in0_V_TDATA[pe*WI +: WI]"

# One bit a value: 0 is -1, and 1 is 1.
_BIPOLAR_VALUE = "{!in0_V_TDATA[pe], 1'b1}"

_ONE_BEAT = """\
    // Offsets of all classes, class 0 in the least significant bits.
    wire [PE*WK-1:0] offsets = {constant};
"""

# A case of constants: of a slice of one long constant at a multiple of the beat, Yosys makes a
# multiplier and a shifter.
_BEATS = """\
    reg [{count_high}:0] beat = 0;
    always @(posedge ap_clk) begin
        if (!ap_rst_n) beat <= 0;
        else if (in0_V_TVALID && in0_V_TREADY) beat <= beat == {last} ? 0 : beat + 1;
    end

    // Offsets of the classes of a beat, the first class in the least significant bits.
    reg [PE*WK-1:0] offsets;
    always @(*) begin
        case (beat)
{cases}
            default: offsets = {constant};
        endcase
    end
"""


def key_width(datatype: str, shift: int, offsets: Sequence[int]) -> int:
    """Return the bits of a signed key ``(x << shift) + offset`` for x of a type."""
    least, most = range_of(datatype)
    low, high = (least << shift) + min(offsets), (most << shift) + max(offsets)
    return max(_value_bits(datatype) + 1, bits_of(signed_datatype_for(low, high)))


def _value_bits(datatype: str) -> int:
    """Return the bits of a value in two's complement: -1 and 1 take two."""
    return 2 if datatype == BIPOLAR else bits_of(datatype)


def label_select_text(
    *, name: str, pe: int, datatype: str, out_bits: int, shift: int, offsets: Sequence[int]
) -> str:
    """Return the Verilog of one top-1 node, `name` its module and `datatype` that of a value.

    A frame's values come `pe` a beat, which divides their number. Each is shifted left by `shift`
    before the constant of its class is added.
    """
    labels = len(offsets)
    in_bits = bits_of(datatype)
    key_bits = key_width(datatype, shift, offsets)
    core_bits = padded(pe * key_bits)
    missing = core_bits - pe * key_bits
    return _MODULE.format(
        name=name,
        labels=labels,
        pe=pe,
        in_bits=in_bits,
        value_bits=_value_bits(datatype),
        value=_BIPOLAR_VALUE if datatype == BIPOLAR else _VALUE,
        in_high=padded(pe * in_bits) - 1,
        out_high=padded(out_bits) - 1,
        shift=shift,
        key_bits=key_bits,
        sign="value[WI-1]" if is_signed(datatype) else "1'b0",
        offsets=_offsets_text(offsets, pe, key_bits),
        core_high=core_bits - 1,
        pad=f"{missing}'d0, " if missing else "",
    )


def _offsets_text(offsets: Sequence[int], pe: int, key_bits: int) -> str:
    """Return the Verilog of ``offsets``: those of the ``pe`` classes that come in this beat."""
    constants = []
    for start in range(0, len(offsets), pe):
        table = 0
        for index, offset in enumerate(offsets[start : start + pe]):
            table |= (offset & ((1 << key_bits) - 1)) << (index * key_bits)
        constants.append(f"{pe * key_bits}'h{table:x}")
    if len(constants) == 1:
        return _ONE_BEAT.format(constant=constants[0])
    last = len(constants) - 1
    bits = last.bit_length()
    cases = "\n".join(
        f"            {bits}'d{beat}: offsets = {constant};"
        for beat, constant in enumerate(constants[:-1])
    )
    return _BEATS.format(count_high=bits - 1, last=last, cases=cases, constant=constants[-1])


def top1_block(name: str, head: ArgMax, datatype: str, pe: int) -> Block:
    """Return the block of a choice of the class from values of a type, `pe` a beat."""
    labels = len(head.offsets)
    index = max(1, (labels - 1).bit_length())
    width = bits_of(datatype)
    # A comparator and two selectors per element.
    cost = Resources(LUT=pe * (1.5 * width + index) + 2 * width + 20)
    into = StreamFormat(datatype, pe, labels // pe)
    out = StreamFormat(f"UINT{padded(index)}", 1, 1)
    stage = Stage(name, TOP1, into.bits * pe, out.bits, module=name)
    beats = into.beats
    return Block(stage, (), into, out, beats, beats, cost, folding={"PE": pe})


def top1_files(block: Block, head: ArgMax) -> dict[str, str]:
    """Return the RTL of a top-1 block except ``top1.sv``, text by file name."""
    text = label_select_text(
        name=block.name,
        pe=block.input.elements,
        datatype=block.input.datatype,
        out_bits=block.output.bits,
        shift=head.shift,
        offsets=head.offsets.tolist(),
    )
    return {f"{block.name}.v": text}
