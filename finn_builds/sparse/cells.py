"""Verilog of the cells that are more than one expression: what carry chains and slices can do.

Each has a behavioural body, read by simulators, and one of primitives. Yosys (which defines
`YOSYS`) maps `a + b + c` to two chains and spreads a table over more levels than it needs, so it
gets the primitives. Vivado is expected, not measured, to make one chain, so it gets the expression;
where `PS_CELLS` is defined it gets the same primitives as Yosys, which the netlist check has
simulated. No tool is known to make one chain of a comparison with a selected constant, and Yosys
makes LUTs of a multiplexer that a slice has, so all synthesis (`SYNTHESIS`) gets those as
primitives.
"""

from __future__ import annotations

from finn_builds.sparse.cells_ccu2c import CCU2C_CELLS
from finn_builds.sparse.family import Family

#: Macro that gives every synthesis tool the primitives.
AS_CELLS = "PS_CELLS"

_HEAD = """\
// {title}
`default_nettype none
"""

#: In front of a module whose primitives are for Yosys, and for others where they ask for them.
_GUARD = f"""\
`ifdef YOSYS
`ifndef {AS_CELLS}
`define {AS_CELLS}
`endif
`endif
"""

_ADD = (
    _GUARD
    + """\
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
`ifndef PS_CELLS
  localparam [W+1:0] EXTRA = ONES;
  assign y = (a ^ NA) + (b ^ NB) + (c ^ NC) + EXTRA[W-1:0];
`else
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
`endif
endmodule
"""
)

#: A verdict along a carry chain; cells differ in what they say of a position.
_COMPARE_CHAIN = """\
module {module} #(
    parameter N = 1,
    parameter [64*N-1:0] INIT = 0
) (
{ports}
);
`ifndef SYNTHESIS
  reg verdict;
  integer k;
  always @* begin
    verdict = 1'b1;
    for (k = 0; k < N; k = k + 1)
      {verdict};
  end
  assign y = verdict;
`else
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
`endif
endmodule
"""

_COMPARE = """\
// One comparison bit along a carry chain. Position i looks at five inputs: the upper half of its
// INIT says whether they leave the verdict to the positions below, the lower half the verdict.
""" + _COMPARE_CHAIN.replace(
    "{ports}",
    """\
    input wire [5*N-1:0] x,
    output wire y""",
).replace(
    "{verdict}",
    "if (!INIT[64*k+32+{{27'd0, x[5*k+:5]}}]) verdict = INIT[64*k+{{27'd0, x[5*k+:5]}}]",
).replace(
    "{position}",
    """\
        LUT6_2 #(
            .INIT(INIT[64*i+:64])
        ) lut (
            .I0(x[5*i]), .I1(x[5*i+1]), .I2(x[5*i+2]), .I3(x[5*i+3]), .I4(x[5*i+4]), .I5(1'b1),
            .O5(d[i]), .O6(s[i])
        );""",
)

_COMPARE6 = """\
// The same with six inputs a position: INIT says whether they leave the verdict to the positions
// below, and v[i] is the verdict where they do not.
""" + _COMPARE_CHAIN.replace(
    "{ports}",
    """\
    input wire [6*N-1:0] x,
    input wire [N-1:0] v,
    output wire y""",
).replace("{verdict}", "if (!INIT[64*k+{{26'd0, x[6*k+:6]}}]) verdict = v[k]").replace(
    "{position}",
    """\
        LUT6 #(
            .INIT(INIT[64*i+:64])
        ) lut (
            .I0(x[6*i]), .I1(x[6*i+1]), .I2(x[6*i+2]), .I3(x[6*i+3]), .I4(x[6*i+4]), .I5(x[6*i+5]),
            .O(s[i])
        );
        assign d[i] = v[i];""",
)

_MUX = """\
// The slice's multiplexer behind two {behind}: y = s ? b : a.
module {module} (
    input wire a,
    input wire b,
    input wire s,
    output wire y
);
`ifndef {guard}
  assign y = s ? b : a;
`else
  {primitive};
`endif
endmodule
"""

_LUT = (
    _GUARD
    + """\
// Any function of {n} bits. A mapper that sees the function may spread it over several levels.
module {module} #(
    parameter [{top}:0] INIT = 0
) (
    input wire [{last}:0] a,
    output wire y
);
`ifndef PS_CELLS
  assign y = INIT[a];
`else
  {cell} #(
      .INIT({init})
  ) lut ({pins});
`endif
endmodule
"""
)

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


def _lut(n: int, family: Family) -> str:
    if family.wide:
        cell, init = f"LUT{n}", "INIT"
        pins = [*(f".I{k}(a[{k}])" for k in range(n)), ".O(y)"]
    else:
        # Its INIT always has 16 bits; inputs that are not used see a 0.
        cell, init = "LUT4", "INIT" if n == 4 else f"{{{{{16 >> n}{{{{INIT}}}}}}}}"
        ends = [f"a[{k}]" for k in range(n)] + ["1'b0"] * (4 - n)
        pins = [*(f".{pin}({end})" for pin, end in zip("ABCD", ends, strict=True)), ".Z(y)"]
    text = _LUT.replace("{n}", str(n)).replace("{cell}", cell).replace("{init}", init)
    text = text.replace("{pins}", ", ".join(pins))
    return text.replace("{top}", str((1 << n) - 1)).replace("{last}", str(n - 1))


def cell_files(family: Family) -> dict[str, str]:
    """Return the cell modules of a family, `{file name: Verilog}`."""
    cells = _xilinx_cells(family) if family.wide else CCU2C_CELLS
    files = {}
    for name, title, text in (*cells, *_common_cells(family)):
        body = text.replace("{module}", name).replace("{{", "{").replace("}}", "}")
        files[f"{name}.v"] = _HEAD.replace("{title}", title) + body + "`default_nettype wire\n"
    return files


def _xilinx_cells(family: Family) -> list[tuple[str, str, str]]:
    per = {"CARRY4": 4, "CARRY8": 8}[family.carry]
    chain = {"CARRY4": _CARRY4, "CARRY8": _CARRY8}[family.carry]
    chain_co = f"{chain}\n      assign co[{per}*i+:{per}] = c;"
    cells = (
        ("ps_add", "Two- or three-operand adder on one carry chain.", _ADD),
        ("ps_compare", "Comparison with a selected constant on one carry chain.", _COMPARE),
        ("ps_compare6", "Comparison with one of 32 constants on one carry chain.", _COMPARE6),
    )
    return [
        (
            name,
            title,
            text.replace("{per}", str(per))
            .replace("{chain_co}", chain_co)
            .replace("{chain}", chain),
        )
        for name, title, text in cells
    ]


def _common_cells(family: Family) -> list[tuple[str, str, str]]:
    k = family.lut_inputs
    xilinx = "mux (.I0(a), .I1(b), .S(s), .O(y))"
    pins = ("MUXF7 " + xilinx, "MUXF8 " + xilinx)
    if not family.wide:
        pins = (
            "PFUMX mux (.BLUT(a), .ALUT(b), .C0(s), .Z(y))",
            "L6MUX21 mux (.D0(a), .D1(b), .SD(s), .Z(y))",
        )
    counts = {5: "Five", 6: "Six", 7: "Seven", 8: "Eight"}
    muxes = [
        (
            f"ps_mux{k + level}",
            f"{counts[k + level]} inputs.",
            _MUX.replace("{behind}", behind)
            .replace("{primitive}", primitive)
            .replace("{guard}", "SYNTHESIS" if family.wide else "YOSYS"),
        )
        for level, behind, primitive in zip(
            (1, 2), ("LUTs", "such multiplexers"), pins, strict=True
        )
    ]
    return [*muxes, *((f"ps_lut{n}", "One LUT.", _lut(n, family)) for n in range(2, k + 1))]


def without_conditions(text: str) -> str:
    """Return Verilog as simulators read it, where no macro is defined: without vendor's cells."""
    lines: list[str] = []
    taken: list[bool] = []
    for line in text.splitlines():
        word = line.strip().partition(" ")[0]
        match word:
            case "`ifdef" | "`ifndef":
                taken.append(word == "`ifndef")
            case "`else":
                taken[-1] = not taken[-1]
            case "`endif":
                taken.pop()
            case _:
                if all(taken):
                    lines.append(line)
    return "\n".join(lines) + "\n"
