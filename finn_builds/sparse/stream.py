"""The elastic ends: an AXI-stream shell around a datapath that has none of it.

One bit per stage says whether the stage holds a frame. All stages advance together while `ce` is
high. The frame that leaves the pipeline in the clock in which the sink stalls goes to a spare
register, and only a full spare stops the pipeline in the next clock. So no path runs from
`m_axis_0_tready` to the datapath, a stall costs no frame and inserts no bubble, and the interval is
1. Only the valid bits have a reset.

`ce` reaches every register of the datapath. It is a register itself, high while the spare is empty,
without logic behind it, so that a tool can copy it or put it onto a global net. Other ways to stop
or not to stop the pipeline are measured in ``benchmarks/bench_stall.py``.
"""

from __future__ import annotations

from deploy.packing import padded

_TOP = """\
// {name}: AXI-stream shell of {name}_core; one frame per clock, latency {latency} clocks.
// Frames are whole vectors, element 0 least significant, TDATA padded to whole bytes with zeros.
`default_nettype none
module {name} (
    input wire ap_clk,
    input wire ap_rst_n,
    input wire [{in_pad}-1:0] s_axis_0_tdata,
    input wire s_axis_0_tvalid,
    output wire s_axis_0_tready,
    output wire [{out_pad}-1:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input wire m_axis_0_tready
);
  // The pipeline: {inner} registers in the datapath, the last one is `head`. It advances while the
  // spare is empty.
  reg ce;
  wire [{out_bits}-1:0] tail;
  {name}_core core (
      .clk(ap_clk),
      .ce(ce),
      .x(s_axis_0_tdata[{in_bits}-1:0]),
      .y(tail)
  );
{valid}

  // Two frames of room behind it: `head` is what the sink sees, `spare` takes the frame that
  // arrives while `head` waits.
  reg [{out_bits}-1:0] head, spare;
  reg head_valid;
  wire move = m_axis_0_tready | ~head_valid;
  always @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      head_valid <= 1'b0;
      ce <= 1'b1;
    end else begin
      if (move) head_valid <= ~ce | tail_valid;
      ce <= move | (ce & ~tail_valid);
    end
    if (move) head <= ce ? tail : spare;
    if (ce) spare <= tail;
  end
  assign s_axis_0_tready = ce & ap_rst_n;
  assign m_axis_0_tvalid = head_valid;
  assign m_axis_0_tdata = {tdata};
endmodule
`default_nettype wire
"""


def shell_luts(out_bits: int) -> int:
    """Return the LUTs of the shell of a datapath with that many bits of output."""
    return out_bits + 5


def emit_stream(name: str, in_bits: int, out_bits: int, inner: int) -> dict[str, str]:
    """Return the shell of `<name>_core`, `{file name: Verilog}`.

    A frame has `in_bits` and `out_bits`; the datapath has `inner` registers, at least 1.
    """
    if inner < 1:
        raise ValueError("the datapath needs a register at its input")
    if inner == 1:
        valid = [
            "  reg filled;",
            "  always @(posedge ap_clk)",
            "    if (!ap_rst_n) filled <= 1'b0;",
            "    else if (ce) filled <= s_axis_0_tvalid;",
            "  wire tail_valid = filled;",
        ]
    else:
        valid = [
            f"  reg [{inner - 1}:0] filled;",
            "  always @(posedge ap_clk)",
            f"    if (!ap_rst_n) filled <= {inner}'d0;",
            f"    else if (ce) filled <= {{filled[{inner - 2}:0], s_axis_0_tvalid}};",
            f"  wire tail_valid = filled[{inner - 1}];",
        ]
    pad = padded(out_bits) - out_bits
    text = _TOP.format(
        name=name,
        latency=inner + 1,
        inner=inner,
        in_pad=padded(in_bits),
        out_pad=padded(out_bits),
        in_bits=in_bits,
        out_bits=out_bits,
        valid="\n".join(valid),
        tdata=f"{{{pad}'d0, head}}" if pad else "head",
    )
    return {f"{name}.v": text}
