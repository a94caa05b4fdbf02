"""Yosys scripts as text."""

from __future__ import annotations

from collections.abc import Sequence

NETLIST = "netlist.json"
SELECT_FILE = "select_map.v"

#: How Yosys' slang frontend reads FINN's and this project's SystemVerilog. One thread, because
#: WebAssembly has no more; checks and delays are for simulation.
_READ = (
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

#: Yosys does not know Vivado's attribute against shift registers; they leave kept flip-flops alone.
_NO_SHIFT_REGISTERS = "setattr -set keep 1 a:shreg_extract=no %ci1 t:$_*DFF* %i"

_XILINX = "synth_xilinx -top {top} -family {family} -flatten -noiopad -noclkbuf"
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
#: Yosys' own way maps ECP5 by abc9, which hands on wrong netlists of some designs with CCU2C cells
#: (seen with 0.70: another netlist in every third run); this is its way before that.
ECP5_COMMANDS = (
    "synth_ecp5 -top {top} -run begin:map_luts",
    "techmap -map +/lattice/latches_map.v",
    "abc -luts 2:2,3,6:5,10,20",
    "clean",
    "synth_ecp5 -top {top} -run map_cells:",
)


def options(family: str) -> list[str]:
    """Return the commands that decide the figures, for the report."""
    if family == "ecp5":
        return [_READ, *(command.format(top="<node>") for command in ECP5_COMMANDS)]
    sparse = "; ".join(_SPARSE).format(top="<node>")
    return [
        _READ,
        _XILINX.format(top="<node>", family=family),
        "wide selectors as $shiftx",
        f"sparse nodes up to the label fine: {sparse}",
    ]


def synthesis_script(
    sources: Sequence[str],
    modules: Sequence[str],
    top: str,
    top_file: str,
    family: str,
    *,
    sparse: bool = False,
) -> str:
    """Return the script that maps some modules, each for itself, and writes the netlists.

    Nothing is moved across the borders of `modules`; `top` instantiates them all. With `sparse`
    all of them are sparse nodes.
    """
    tops = " ".join(f"--top {module}" for module in modules)
    # DSP blocks of other vendors are not ECP5's: FINN's units have a behavioural form for those.
    defines = "-D FINN_SIMULATION -D YOSYS" if family == "ecp5" else "-D SYNTHESIS -D YOSYS"
    lines = [
        f"{_READ} {defines} {tops} {' '.join(sources)}",
        f"read_verilog {top_file}",
        *(f"setattr -mod -set keep_hierarchy 1 {module}" for module in modules),
    ]
    if family == "ecp5":
        lines += [command.format(top=top) for command in ECP5_COMMANDS]
    else:
        command = _XILINX.format(top=top, family=family)
        if sparse:
            lines += [line.format(top=top) for line in _SPARSE]
        else:
            lines += [
                f"{command} -run begin:fine",
                f"techmap -map {SELECT_FILE}",
                "opt_expr",
                "clean",
            ]
        lines += [
            f"{command} -run fine:map_ffs",
            _NO_SHIFT_REGISTERS,
            f"{command} -run map_ffs:",
        ]
    return "\n".join([*lines, f"write_json {NETLIST}"]) + "\n"
