"""Verilog of the carry chains of ECP5: adders and comparisons on CCU2C."""

from __future__ import annotations

from finn_builds.sparse.cells import CellText
from finn_builds.sparse.families.four_input import adder_cell

_ADD_COMMENT = """\
Inverters melt into the chain.
// The first carry is generated in the lowest position, so that no net goes into the chain: of an
// odd number of bits in a position of its own, of an even one in that of bit 0, whose sum is a LUT.
// Two bits or less are LUTs.
"""

_ADD_PRIMITIVES = """\
  localparam ODD = W % 2;
  localparam P = W + ODD;
  localparam [P-1:0] MA = NA << ODD;
  localparam [P-1:0] MB = NB << ODD;
  function [15:0] init;
    input na, nb;
    init = {(na ^ nb) ? 8'b10011001 : 8'b01100110, 4'b0000, na ? 4'b0101 : 4'b1010};
  endfunction
  // Of the lowest position, which passes nothing on: a constant, or the carry of bit 0.
  localparam [3:0] BOTH = ONES > 0 ? 4'b1110 : 4'b1000;
  localparam [3:0] BIT0 = {BOTH[3^{NB[0], NA[0]}], BOTH[2^{NB[0], NA[0]}],
                           BOTH[1^{NB[0], NA[0]}], BOTH[{NB[0], NA[0]}]};
  localparam [15:0] FIRST = ODD ? (ONES > 0 ? 16'h000f : 16'h0000) : {12'd0, BIT0};
  genvar i;
  generate
    if (W <= 2) begin : g_luts
      wire [1:0] c;
      assign c = {BIT0[{b[0], a[0]}], ONES > 0};
      assign y = a ^ b ^ NA ^ NB ^ c[W-1:0];
    end else begin : g_chain
      wire [P-1:0] p, q, s;
      wire [P/2:0] carry;
      assign p = ODD ? {a, 1'b0} : a;
      assign q = ODD ? {b, 1'b0} : b;
      for (i = 0; i < P / 2; i = i + 1) begin : g_cell
        CCU2C #(
            .INIT0(i == 0 ? FIRST : init(MA[2*i], MB[2*i])),
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
      assign carry[0] = 1'bx;
      assign y[W-1:1] = s[P-1:ODD+1];
      assign y[0] = ODD ? s[ODD] : a[0] ^ b[0] ^ (NA[0] ^ NB[0] ^ (ONES > 0));
    end
  endgenerate
"""

_COMPARE_HEAD = """\
// One comparison bit along a carry chain. Position i looks at three inputs: the upper half of its
// INIT says whether they leave the verdict to the positions below; where they do not, the lowest
// quarter has it, from the first two. A position above hands the verdict out of the chain. The
// lowest one gives its verdict whatever comes into the chain; where that depends on three inputs,
// a LUT finds it, or a position below begins with yes, if that takes no other cell.
module ps_compare3 #(
    parameter N = 1,
    parameter [16*N-1:0] INIT = 0
) (
    input wire [3*N-1:0] x,
    output wire y
);
"""

_COMPARE_BEHAVIOUR = """\
  reg verdict;
  integer k;
  always @* begin
    verdict = 1'b1;
    for (k = 0; k < N; k = k + 1)
      if (!INIT[16*k+8+{29'd0, x[3*k+:3]}]) verdict = INIT[16*k+{30'd0, x[3*k+:2]}];
  end
  assign y = verdict;
"""

_COMPARE_PRIMITIVES = """\
  localparam BELOW = (N + 1) % 2;
  localparam P = N + 1 + BELOW;
  localparam [16*P-1:0] ALL = BELOW ? {INIT, 16'h000f} : INIT;
  // The lowest verdict as a function of three inputs: yes where they are equal.
  localparam [7:0] LOWEST = INIT[15:8] | {INIT[3:0], INIT[3:0]};
  localparam THREE = LOWEST[7:4] != LOWEST[3:0];
  localparam [3:0] GIVEN = THREE ? 4'b1010 : LOWEST[3:0];
  localparam [15:0] FIRST = BELOW ? ALL[15:0] : {12'd0, GIVEN};
  wire [3*P-1:0] a;
  wire [P-1:0] s;
  wire [P/2:0] carry;
  wire first;
  assign first = THREE ? LOWEST[x[2:0]] : x[0];
  assign a = BELOW ? {x, 3'd0} : {x[3*N-1:1], first};
  assign carry[0] = 1'bx;
  genvar i;
  generate
    for (i = 0; i < P / 2; i = i + 1) begin : g_cell
      CCU2C #(
          .INIT0(i == 0 ? FIRST : ALL[32*i+:16]),
          .INIT1(ALL[32*i+16+:16]),
          .INJECT1_0("NO"),
          .INJECT1_1("NO")
      ) chain (
          .CIN(carry[i]),
          .A0(a[6*i]), .B0(a[6*i+1]), .C0(i == 0 ? 1'b0 : a[6*i+2]), .D0(1'b1),
          .A1(a[6*i+3]), .B1(a[6*i+4]), .C1(a[6*i+5]), .D1(1'b1),
          .S0(s[2*i]), .S1(s[2*i+1]), .COUT(carry[i+1])
      );
    end
  endgenerate
  assign y = s[P-1];
"""

CARRY_CELLS = (
    adder_cell(_ADD_COMMENT, _ADD_PRIMITIVES),
    CellText(
        "ps_compare3",
        "Comparison with a selected constant on one carry chain.",
        _COMPARE_HEAD,
        _COMPARE_BEHAVIOUR,
        _COMPARE_PRIMITIVES,
        "YOSYS",
    ),
)
