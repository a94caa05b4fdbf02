"""Verilog of the carry chains of ECP5: adders and comparisons on CCU2C.

A CCU2C has two positions. Each has a LUT4, whose value passes the carry on and, exclusive-or the
carry, is the sum; where it does not pass it on, the LUT2 in the lowest quarter of the same INIT, of
inputs A and B, gives the carry (Lattice FPGA-TN-02205). With D at 1 the upper half of INIT is a
function of A, B and C of its own.
"""

from __future__ import annotations

_ADD = """\
// y = (a ^ NA) + (b ^ NB) + ONES modulo 2^W, ONES = 0 or 1. Inverters melt into the chain.
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
`ifndef YOSYS
  localparam [W:0] EXTRA = ONES;
  assign y = (a ^ NA) + (b ^ NB) + EXTRA[W-1:0];
`else
  localparam BLOCKS = (W + 1) / 2;
  localparam [2*BLOCKS-1:0] MA = NA;
  localparam [2*BLOCKS-1:0] MB = NB;
  function [15:0] init;
    input na, nb;
    init = {{(na ^ nb) ? 8'b10011001 : 8'b01100110, 4'b0000, na ? 4'b0101 : 4'b1010}};
  endfunction
  wire [2*BLOCKS-1:0] p, q, s;
  wire [BLOCKS:0] carry;
  assign p = a;
  assign q = b;
  assign carry[0] = ONES > 0;
  genvar i;
  generate
    for (i = 0; i < BLOCKS; i = i + 1) begin : g_cell
      CCU2C #(
          .INIT0(init(MA[2*i], MB[2*i])),
          .INIT1(init(MA[2*i+1], MB[2*i+1])),
          .INJECT1_0("NO"),
          .INJECT1_1("NO")
      ) chain (
          .CIN(carry[i]),
          .A0(p[2*i]), .B0(q[2*i]), .C0(1'b0), .D0(1'b1),
          .A1(p[2*i+1]), .B1(q[2*i+1]), .C1(1'b0), .D1(1'b1),
          .S0(s[2*i]), .S1(s[2*i+1]), .COUT(carry[i+1])
      );
    end
  endgenerate
  assign y = s[W-1:0];
`endif
endmodule
"""

_COMPARE = """\
// One comparison bit along a carry chain. Position i looks at three inputs: the upper half of its
// INIT says whether they leave the verdict to the positions below; where they do not, the lowest
// quarter has it, from the first two. A position above hands the verdict out of the chain.
module ps_compare3 #(
    parameter N = 1,
    parameter [16*N-1:0] INIT = 0
) (
    input wire [3*N-1:0] x,
    output wire y
);
`ifndef YOSYS
  reg verdict;
  integer k;
  always @* begin
    verdict = 1'b1;
    for (k = 0; k < N; k = k + 1)
      if (!INIT[16*k+8+{{29'd0, x[3*k+:3]}}]) verdict = INIT[16*k+{{30'd0, x[3*k+:2]}}];
  end
  assign y = verdict;
`else
  localparam BLOCKS = (N + 2) / 2;
  localparam [32*BLOCKS-1:0] ALL = INIT;
  wire [6*BLOCKS-1:0] a;
  wire [2*BLOCKS-1:0] s;
  wire [BLOCKS:0] carry;
  assign a = x;
  assign carry[0] = 1'b1;
  genvar i;
  generate
    for (i = 0; i < BLOCKS; i = i + 1) begin : g_cell
      CCU2C #(
          .INIT0(ALL[32*i+:16]),
          .INIT1(ALL[32*i+16+:16]),
          .INJECT1_0("NO"),
          .INJECT1_1("NO")
      ) chain (
          .CIN(carry[i]),
          .A0(a[6*i]), .B0(a[6*i+1]), .C0(a[6*i+2]), .D0(1'b1),
          .A1(a[6*i+3]), .B1(a[6*i+4]), .C1(a[6*i+5]), .D1(1'b1),
          .S0(s[2*i]), .S1(s[2*i+1]), .COUT(carry[i+1])
      );
    end
  endgenerate
  assign y = s[N];
`endif
endmodule
"""

#: Name, title and text of each module; braces are doubled.
CCU2C_CELLS = (
    ("ps_add", "Two-operand adder on one carry chain.", _ADD),
    ("ps_compare3", "Comparison with a selected constant on one carry chain.", _COMPARE),
)
