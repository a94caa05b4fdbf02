"""Text of the plain-Verilog top that wires the stages of a design together."""

from __future__ import annotations

from deploy.packing import padded
from finn_builds.stitch.design import TOP, Design, Stage

_HEADER = """\
// Streaming accelerator: one AXI-Stream in, one out, element 0 in the least significant bits.
// ap_rst_n is synchronous and active low. Generated; edit the model or the folding instead.
`default_nettype none
module {top} (
    input  wire ap_clk,
    input  wire ap_rst_n,
    input  wire [{in_high}:0] s_axis_0_tdata,
    input  wire s_axis_0_tvalid,
    output wire s_axis_0_tready,
    output wire [{out_high}:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input  wire m_axis_0_tready
);
"""

_LINK = """\
    wire [{high}:0] {link}_tdata;
    wire {link}_tvalid /* verilator public_flat_rd */;
    wire {link}_tready /* verilator public_flat_rd */;
"""

_NODE = """\
    {module} {name} (
        .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),{extra}
        .in0_V_TDATA({source}_tdata), .in0_V_TVALID({source}_tvalid),
        .in0_V_TREADY({source}_tready),
        .out0_V_TDATA({sink}_tdata), .out0_V_TVALID({sink}_tvalid), .out0_V_TREADY({sink}_tready)
    );
"""

_MVAU_PORTS = """
        .ap_clk2x(ap_clk),
        .in1_V_TDATA({name}_weights_tdata), .in1_V_TVALID({name}_weights_tvalid),
        .in1_V_TREADY({name}_weights_tready),"""

# The configuration ports are tied off: weights and thresholds are constants of the design.
_AXILITE_OFF = """
        .s_axilite_AWVALID(1'b0), .s_axilite_AWADDR({address}'d0), .s_axilite_AWREADY(),
        .s_axilite_WVALID(1'b0), .s_axilite_WDATA(32'd0), .s_axilite_WSTRB(4'd0),
        .s_axilite_WREADY(), .s_axilite_BVALID(), .s_axilite_BREADY(1'b0), .s_axilite_BRESP(),
        .s_axilite_ARVALID(1'b0), .s_axilite_ARADDR({address}'d0), .s_axilite_ARREADY(),
        .s_axilite_RVALID(), .s_axilite_RREADY(1'b0), .s_axilite_RDATA(), .s_axilite_RRESP(),"""

_WEIGHTS = """\
    wire [{high}:0] {name}_weights_tdata;
    wire {name}_weights_tvalid;
    wire {name}_weights_tready;
    {name}_memstream_wrapper {name}_weights (
        .ap_clk(ap_clk), .ap_clk2x(ap_clk), .ap_rst_n(ap_rst_n),{axilite}
        .s_axilite_AWPROT(3'd0), .s_axilite_ARPROT(3'd0),
        .s_axis_0_tdata(1'b0), .s_axis_0_tvalid(1'b0), .s_axis_0_tready(),
        .m_axis_0_tdata({name}_weights_tdata), .m_axis_0_tvalid({name}_weights_tvalid),
        .m_axis_0_tready({name}_weights_tready)
    );
"""

_FIFO = """\
    {module} #(.WIDTH({width}){depth}) {name} (
        .clk(ap_clk), .rst(!ap_rst_n),
        .s_data({source}_tdata), .s_valid({source}_tvalid), .s_ready({source}_tready),
        .m_data({sink}_tdata), .m_valid({sink}_tvalid), .m_ready({sink}_tready)
    );
"""


_SPARSE = """\
    {module} {name} (
        .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
        .s_axis_0_tdata({source}_tdata), .s_axis_0_tvalid({source}_tvalid),
        .s_axis_0_tready({source}_tready),
        .m_axis_0_tdata({sink}_tdata), .m_axis_0_tvalid({sink}_tvalid),
        .m_axis_0_tready({sink}_tready)
    );
"""


def _instance(stage: Stage, source: str, sink: str, runtime_fifos: bool) -> str:
    name, ends = stage.name, {"source": source, "sink": sink}
    if stage.is_fifo:
        return _FIFO.format(
            module="stream_fifo_trial" if runtime_fifos else "stream_fifo",
            width=padded(stage.in_bits),
            depth="" if runtime_fifos else f", .DEPTH({stage.depth})",
            name=name,
            **ends,
        )
    if stage.kind == "SparseMVAU_rtl":
        # The generated module has the node's name; an instance may not share it in all tools.
        return _SPARSE.format(module=stage.module, name=f"{name}_inst", **ends)
    text = extra = ""
    if stage.kind == "MVAU_rtl":
        text = _WEIGHTS.format(
            high=padded(stage.weight_bits) - 1,
            name=name,
            axilite=_AXILITE_OFF.format(address=stage.address_bits),
        )
        extra = _MVAU_PORTS.format(name=name)
    elif stage.kind == "Thresholding_rtl":
        extra = _AXILITE_OFF.format(address=stage.address_bits) + (
            "\n        .in1_V_TDATA(8'd0), .in1_V_TVALID(1'b0), .in1_V_TREADY(),"
        )
    return text + _NODE.format(module=stage.module, name=name, extra=extra, **ends)


def top_text(design: Design, *, runtime_fifos: bool = False) -> str:
    """Return the Verilog of the top module; `runtime_fifos` as in `sources.design_files`."""
    parts = [
        _HEADER.format(
            top=TOP, in_high=padded(design.in_bits) - 1, out_high=padded(design.out_bits) - 1
        )
    ]
    links = design.links
    widths = [design.in_bits, *(stage.out_bits for stage in design.stages)]
    parts += [
        _LINK.format(high=padded(bits) - 1, link=link)
        for link, bits in zip(links, widths, strict=True)
    ]
    first, last = links[0], links[-1]
    parts.append(
        f"    assign {first}_tdata = s_axis_0_tdata;\n"
        f"    assign {first}_tvalid = s_axis_0_tvalid;\n"
        f"    assign s_axis_0_tready = {first}_tready;\n"
        f"    assign m_axis_0_tdata = {last}_tdata;\n"
        f"    assign m_axis_0_tvalid = {last}_tvalid;\n"
        f"    assign {last}_tready = m_axis_0_tready;\n\n"
    )
    for index, stage in enumerate(design.stages):
        parts.append(_instance(stage, links[index], links[index + 1], runtime_fifos))
    parts.append("endmodule\n`default_nettype wire\n")
    return "".join(parts)
