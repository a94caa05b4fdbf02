"""Verilog of the carry chains of Xilinx devices: adders and comparisons on CARRY4 and CARRY8.

Yosys maps `a + b + c` to two chains, where Vivado makes one. No tool makes one chain of a
comparison with a selected constant.
"""

from __future__ import annotations

from finn_builds.sparse.cells import AS_CELLS, CellText

_ADD_HEAD = """\
// y = (a ^ NA) + (b ^ NB) + (c ^ NC) + ONES modulo 2^W, ONES = 0, 1 or 2. The chain adds two bits
// a position by itself. Where a third meets them (SAVE[i]), the position's LUT compresses its own
// to a sum bit and a saved carry (its second output), which the position above takes as its second
// bit. Elsewhere `a` goes into the chain as it is; of two inverted bits (PAIR[i]) a LUT inverts it.
// Vivado is expected to find this by itself in the expression, and to time it better than the
// instances (whose saved carry seems to depend on the one below); Yosys does not find it.
module ps_add #(
    parameter W = 1,
    parameter [W-1:0] NA = 0,
    parameter [W-1:0] NB = 0,
    parameter [W-1:0] NC = 0,
    /* verilator lint_off UNUSEDPARAM */
    parameter [W-1:0] SAVE = 0,
    parameter [W-1:0] PAIR = 0,
    /* verilator lint_on UNUSEDPARAM */
    parameter ONES = 0
) (
    input wire [W-1:0] a,
    input wire [W-1:0] b,
    input wire [W-1:0] c,
    output wire [W-1:0] y
);
"""

_ADD_BEHAVIOUR = """\
  localparam [W+1:0] EXTRA = ONES;
  assign y = (a ^ NA) + (b ^ NB) + (c ^ NC) + EXTRA[W-1:0];
"""

_ADD_PRIMITIVES = """\
  localparam BLOCKS = (W + {per} - 1) / {per};
  function [63:0] init;
    input na, nb, nc, save;
    integer i;
    reg x, y, z, m;
    begin
      init = 64'd0;
      for (i = 0; i < 32; i = i + 1) begin
        x = i[0] ^ na;
        y = i[1] ^ nb;
        z = i[2] ^ nc;
        m = i[3];
        init[i] = save ? (x & y) | (x & z) | (y & z) : x;
        init[32+i] = x ^ y ^ z ^ m;
      end
    end
  endfunction
  wire [W:0] saved;
  wire [{per}*BLOCKS-1:0] s, d, o;
  wire [BLOCKS:0] carry;
  assign saved[0] = ONES > 1;
  assign carry[0] = ONES > 0;
  genvar i;
  generate
    for (i = 0; i < {per} * BLOCKS; i = i + 1) begin : g_bit
      if (i >= W) begin : g_pad
        assign s[i] = 1'b0;
        assign d[i] = 1'b0;
      end else begin : g_used
        if (SAVE[i] || PAIR[i]) begin : g_lut
          wire second;
          LUT6_2 #(
              .INIT(init(NA[i], NB[i], NC[i], SAVE[i]))
          ) lut (
              .I0(a[i]), .I1(b[i]), .I2(c[i]), .I3(saved[i]), .I4(1'b0), .I5(1'b1),
              .O5(second), .O6(s[i])
          );
          assign saved[i+1] = SAVE[i] ? second : 1'b0;
          assign d[i] = SAVE[i] ? saved[i] : second;
        end else begin : g_free
          wire below;
          if (i == 0) begin : g_first
            assign below = ONES > 1;
          end else begin : g_above
            assign below = SAVE[i-1];
          end
          assign s[i] = a[i] ^ b[i] ^ c[i] ^ saved[i] ^ (NA[i] ^ NB[i] ^ NC[i]);
          assign d[i] = below ? saved[i] : a[i] ^ NA[i];
          assign saved[i+1] = 1'b0;
        end
      end
    end
    for (i = 0; i < BLOCKS; i = i + 1) begin : g_chain
{chain}
    end
  endgenerate
  assign y = o[W-1:0];
"""

#: A verdict along a carry chain; cells differ in what they say of a position.
_COMPARE_HEAD = """\
module {module} #(
    parameter N = 1,
    parameter [64*N-1:0] INIT = 0
) (
{ports}
);
"""

_COMPARE_BEHAVIOUR = """\
  reg verdict;
  integer k;
  always @* begin
    verdict = 1'b1;
    for (k = 0; k < N; k = k + 1)
      {verdict};
  end
  assign y = verdict;
"""

_COMPARE_PRIMITIVES = """\
  localparam BLOCKS = (N + {per} - 1) / {per};
  wire [{per}*BLOCKS-1:0] s, d, o;
  wire [BLOCKS:0] carry;
  wire [{per}*BLOCKS-1:0] co;
  assign carry[0] = 1'b1;
  genvar i;
  generate
    for (i = 0; i < {per} * BLOCKS; i = i + 1) begin : g_bit
      if (i >= N) begin : g_pad
        assign s[i] = 1'b0;
        assign d[i] = 1'b0;
      end else begin : g_used
{position}
      end
    end
    for (i = 0; i < BLOCKS; i = i + 1) begin : g_chain
{chain_co}
    end
  endgenerate
  assign y = co[N-1];
"""

_CARRY4 = """\
      wire [3:0] c;
      if (i == 0) begin : g_first
        CARRY4 chain (
            .CI(1'b0), .CYINIT(carry[0]), .S(s[3:0]), .DI(d[3:0]), .O(o[3:0]), .CO(c)
        );
      end else begin : g_next
        CARRY4 chain (
            .CI(carry[i]), .CYINIT(1'b0), .S(s[4*i+:4]), .DI(d[4*i+:4]), .O(o[4*i+:4]), .CO(c)
        );
      end
      assign carry[i+1] = c[3];"""

_CARRY8 = """\
      wire [7:0] c;
      CARRY8 #(
          .CARRY_TYPE("SINGLE_CY8")
      ) chain (
          .CI(carry[i]), .CI_TOP(1'b0), .S(s[8*i+:8]), .DI(d[8*i+:8]), .O(o[8*i+:8]), .CO(c)
      );
      assign carry[i+1] = c[7];"""

_FIVE = """\
// One comparison bit along a carry chain. Position i looks at five inputs: the upper half of its
// INIT says whether they leave the verdict to the positions below, the lower half the verdict.
"""

_FIVE_PORTS = """\
    input wire [5*N-1:0] x,
    output wire y"""

_FIVE_VERDICT = "if (!INIT[64*k+32+{27'd0, x[5*k+:5]}]) verdict = INIT[64*k+{27'd0, x[5*k+:5]}]"

_FIVE_POSITION = """\
        LUT6_2 #(
            .INIT(INIT[64*i+:64])
        ) lut (
            .I0(x[5*i]), .I1(x[5*i+1]), .I2(x[5*i+2]), .I3(x[5*i+3]), .I4(x[5*i+4]), .I5(1'b1),
            .O5(d[i]), .O6(s[i])
        );"""

_SIX = """\
// The same with six inputs a position: INIT says whether they leave the verdict to the positions
// below, and v[i] is the verdict where they do not.
"""

_SIX_PORTS = """\
    input wire [6*N-1:0] x,
    input wire [N-1:0] v,
    output wire y"""

_SIX_VERDICT = "if (!INIT[64*k+{26'd0, x[6*k+:6]}]) verdict = v[k]"

_SIX_POSITION = """\
        LUT6 #(
            .INIT(INIT[64*i+:64])
        ) lut (
            .I0(x[6*i]), .I1(x[6*i+1]), .I2(x[6*i+2]), .I3(x[6*i+3]), .I4(x[6*i+4]), .I5(x[6*i+5]),
            .O(s[i])
        );
        assign d[i] = v[i];"""


def carry_cells(per: int) -> list[CellText]:
    """Return adder and comparisons on carry cells of four or eight positions."""
    chain = {4: _CARRY4, 8: _CARRY8}[per]

    def filled(text: str, **parts: str) -> str:
        for name, part in parts.items():
            text = text.replace(f"{{{name}}}", part)
        return text.replace("{per}", str(per))

    add = CellText(
        "ps_add",
        "Two- or three-operand adder on one carry chain.",
        _ADD_HEAD,
        _ADD_BEHAVIOUR,
        filled(_ADD_PRIMITIVES, chain=chain),
        AS_CELLS,
    )
    compares = [
        CellText(
            module,
            title,
            about + filled(_COMPARE_HEAD, module=module, ports=ports),
            filled(_COMPARE_BEHAVIOUR, verdict=verdict),
            filled(
                _COMPARE_PRIMITIVES,
                position=position,
                chain_co=f"{chain}\n      assign co[{per}*i+:{per}] = c;",
            ),
            "SYNTHESIS",
        )
        for module, title, about, ports, verdict, position in (
            (
                "ps_compare",
                "Comparison with a selected constant on one carry chain.",
                _FIVE,
                _FIVE_PORTS,
                _FIVE_VERDICT,
                _FIVE_POSITION,
            ),
            (
                "ps_compare6",
                "Comparison with one of 32 constants on one carry chain.",
                _SIX,
                _SIX_PORTS,
                _SIX_VERDICT,
                _SIX_POSITION,
            ),
        )
    ]
    return [add, *compares]
