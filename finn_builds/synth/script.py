"""Yosys scripts as text."""

from __future__ import annotations

from collections.abc import Sequence

from finn_builds.sparse.family import Family

NETLIST = "netlist.json"
SELECT_FILE = "select_map.v"

#: How Yosys' slang frontend reads FINN's and this project's SystemVerilog. One thread, because
#: WebAssembly has no more; checks and delays are for simulation.
READ = (
    "read_slang --threads 1 --allow-use-before-declare --ignore-timing --ignore-assertions "
    "--empty-blackboxes"
)

#: An array of shift registers read at an address, as slang hands it on, is one wide selector.
#: Yosys makes SRLs only of chains with a ``$shiftx`` per bit, so selectors become these. Arrays
#: are stored with element 0 on top: the newest word of a shift register comes last, and the
#: address is turned around.
SELECT_MAP = r"""(* techmap_celltype = "$bmux" *)
module select_words (A, S, Y);
  parameter WIDTH = 1;
  parameter S_WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_A_ = 0;
  parameter _TECHMAP_CONSTVAL_A_ = 0;
  localparam WORDS = 1 << S_WIDTH;
  input [WIDTH*WORDS-1:0] A;
  input [S_WIDTH-1:0] S;
  output [WIDTH-1:0] Y;
  // Words up to the last one that is not undefined.
  function integer words_used;
    input integer unused;
    integer w;
    begin
      words_used = 1;
      for (w = 0; w < WORDS; w = w + 1)
        if (_TECHMAP_CONSTMSK_A_[w*WIDTH] !== 1'b1 || _TECHMAP_CONSTVAL_A_[w*WIDTH] !== 1'bx)
          if (words_used < WORDS - w) words_used = WORDS - w;
    end
  endfunction
  localparam USED = words_used(0);
  wire [S_WIDTH-1:0] at = ~S;
  genvar b, w;
  generate
    for (b = 0; b < WIDTH; b = b + 1) begin : bits
      wire [USED-1:0] lane;
      for (w = 0; w < USED; w = w + 1) begin : words
        assign lane[w] = A[(WORDS-1-w)*WIDTH+b];
      end
      \$shiftx #(
          .A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(USED), .B_WIDTH(S_WIDTH), .Y_WIDTH(1)
      ) pick (.A(lane), .B(at), .Y(Y[b]));
    end
  endgenerate
endmodule
"""


def options(family: Family) -> list[str]:
    """Return the commands that decide the figures, for the report."""
    return [READ, *family.options]


def synthesis_script(
    sources: Sequence[str],
    modules: Sequence[str],
    top: str,
    top_file: str,
    family: Family,
    *,
    sparse: bool = False,
) -> str:
    """Return the script that maps some modules, each for itself, and writes the netlists.

    Nothing is moved across the borders of `modules`; `top` instantiates them all. With `sparse`
    all of them are sparse nodes.
    """
    tops = " ".join(f"--top {module}" for module in modules)
    defines = " ".join(f"-D {macro}" for macro in ("FINN_SIMULATION", *family.defines))
    lines = [
        f"{READ} {defines} {tops} {' '.join(sources)}",
        f"read_verilog {top_file}",
        *(f"setattr -mod -set keep_hierarchy 1 {module}" for module in modules),
        *family.synthesis(top, SELECT_FILE, sparse=sparse),
        f"write_json {NETLIST}",
    ]
    return "\n".join(lines) + "\n"
