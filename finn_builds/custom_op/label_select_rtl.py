"""Text of the RTL wrapper of a top-1 node: constant offsets in front of ``top1.sv``."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.packing import padded

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
    localparam integer BEATS = {beats};
    localparam integer PE = {pe};
    localparam integer WI = {in_bits};
    localparam integer WK = {key_bits};

    // Offsets of all classes, class 0 in the least significant bits.
    localparam [{table_high}:0] OFFSETS = {table_bits}'h{table:x};

    reg [{count_high}:0] beat = 0;
    always @(posedge ap_clk) begin
        if (!ap_rst_n) beat <= 0;
        else if (in0_V_TVALID && in0_V_TREADY) beat <= beat == BEATS - 1 ? 0 : beat + 1;
    end

    wire [PE*WK-1:0] offsets = OFFSETS[beat*PE*WK +: PE*WK];
    wire [PE*WK-1:0] keys;
    genvar pe;
    generate
        for (pe = 0; pe < PE; pe = pe + 1) begin : gen_key
            wire [WI-1:0] value = in0_V_TDATA[pe*WI +: WI];
            wire [WK-1:0] wide = {{{{(WK-WI){{value[WI-1]}}}}, value}};
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


def key_width(in_bits: int, shift: int, offsets: Sequence[int]) -> int:
    """Return the bits of a signed key ``(x << shift) + offset`` for signed x of ``in_bits``."""
    low = -(1 << (in_bits - 1) << shift) + min(offsets)
    high = (((1 << (in_bits - 1)) - 1) << shift) + max(offsets)
    bits = in_bits + 1
    while not (-(1 << (bits - 1)) <= low and high < 1 << (bits - 1)):
        bits += 1
    return bits


def label_select_text(
    *, name: str, pe: int, in_bits: int, out_bits: int, shift: int, offsets: Sequence[int]
) -> str:
    """Return the Verilog of one top-1 node.

    Parameters
    ----------
    name : str
        Module name.
    pe : int
        Values per beat; divides the number of offsets.
    in_bits, out_bits : int
        Bits of one signed input value and of the index.
    shift : int
        Left shift of every value before its offset is added.
    offsets : sequence of int
        One constant per class, in order.
    """
    labels = len(offsets)
    beats = labels // pe
    key_bits = key_width(in_bits, shift, offsets)
    table = 0
    for index, offset in enumerate(offsets):
        table |= (offset & ((1 << key_bits) - 1)) << (index * key_bits)
    core_bits = padded(pe * key_bits)
    missing = core_bits - pe * key_bits
    return _MODULE.format(
        name=name,
        labels=labels,
        pe=pe,
        beats=beats,
        in_bits=in_bits,
        in_high=padded(pe * in_bits) - 1,
        out_high=padded(out_bits) - 1,
        shift=shift,
        key_bits=key_bits,
        table=table,
        table_bits=labels * key_bits,
        table_high=labels * key_bits - 1,
        count_high=max(1, (beats - 1).bit_length()) - 1,
        core_high=core_bits - 1,
        pad=f"{missing}'d0, " if missing else "",
    )
