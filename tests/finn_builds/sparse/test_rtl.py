"""The emitted Verilog in Verilator and Icarus, and the cells' primitives against their twins."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from deploy.packing import padded
from finn_builds import tools
from finn_builds.network import IntegerNetwork
from finn_builds.sim import SimDesign, Simulator, compile_designs
from finn_builds.sparse.cells import AS_CELLS, cell_files
from finn_builds.sparse.compiler import CompiledNetwork, compile_network
from finn_builds.sparse.families.ecp5 import ECP5
from finn_builds.sparse.families.gowin import GOWIN
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.sparse.families.xcup import XCUP
from finn_builds.sparse.family import Family
from finn_builds.sparse.options import Options
from tests.finn_builds.network.networks import random_graph, random_inputs
from tests.finn_builds.sparse.sparse_networks import (
    on_stream,
    pack,
    random_frames,
    random_network,
)

SEEDS = range(110)
#: Graphs of up to 12 operations of every kind and width, with forks, joins, inputs and outputs.
GRAPHS = range(1000, 1030)
FAMILIES = ("xc7", "xc7", "xcup", "ecp5")


@cache
def _compiled(seed: int) -> tuple[IntegerNetwork, CompiledNetwork]:
    rng = np.random.default_rng(seed)
    if seed in GRAPHS:
        network, clocks = random_graph(seed), (12.0, 20.0, 50.0)
    else:
        network, clocks = random_network(rng, most=int(rng.choice((4, 8, 24)))), (6.0, 12.0, 50.0)
    clock = float(rng.choice(clocks))
    options = Options(restarts=int(seed % 10 == 0))
    family = FAMILIES[seed % 4]
    clock *= 1.5 if family == "ecp5" else 1.0  # its LUTs are slower and see less at once
    compiled = compile_network(network, f"net{seed}", family, clock_ns=clock, options=options)
    return network, compiled


def _beats(
    network: IntegerNetwork, compiled: CompiledNetwork, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return frames and their results as the streams carry them."""
    y = on_stream(network.execute(x), compiled.out_datatype)
    return pack(on_stream(x, compiled.in_datatype), compiled.in_width), pack(y, compiled.out_width)


def _write(files: dict[str, str], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return [folder / name for name in files]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return all networks of this file in one Verilator build."""
    folder = tmp_path_factory.mktemp("sparse")
    designs = []
    for seed in (*SEEDS, *GRAPHS):
        _, compiled = _compiled(seed)
        designs.append(
            SimDesign(
                compiled.name,
                _write(compiled.files(), folder / compiled.name),
                compiled.name,
                padded(compiled.combinational.n_in * compiled.in_width),
                padded(len(compiled.combinational.outputs) * compiled.out_width),
            )
        )
    return compile_designs(designs, build_dir=folder / "build")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*SEEDS, *GRAPHS])
def test_verilator(library: Path, tmp_path: Path, seed: int) -> None:
    network, compiled = _compiled(seed)
    x = random_inputs(network, 400, seed)
    beats, expected = _beats(network, compiled, x)
    with Simulator(library, tmp_path, design=compiled.name, randomise=seed) as simulator:
        free = simulator.run(beats, len(beats), drain=50)
        stalled = simulator.run(beats, len(beats), stall_in=0.4, stall_out=0.5, seed=seed, drain=50)
    assert np.array_equal(free.outputs, expected)
    assert np.array_equal(stalled.outputs, expected)
    assert int(free.out_cycles[0] - free.in_cycles[0]) == compiled.latency
    assert np.all(np.diff(free.out_cycles) == 1), "interval 1 without stalls"


TESTBENCH = """
module tb;
  reg clk = 0, rst = 0;
  integer i = 0, o = 0, bad = 0, seed = {seed};
  reg [{ib}-1:0] x [0:{n}-1];
  reg [{ob}-1:0] y [0:{n}-1];
  reg sv = 0, mr = 0;
  wire sr, mv;
  wire [{ob}-1:0] md;
  always #5 clk = ~clk;
  initial begin $readmemh("x.hex", x); $readmemh("y.hex", y); #42 rst = 1; end
  {name} dut (.ap_clk(clk), .ap_rst_n(rst),
      .s_axis_0_tdata(x[i < {n} ? i : 0]), .s_axis_0_tvalid(sv), .s_axis_0_tready(sr),
      .m_axis_0_tdata(md), .m_axis_0_tvalid(mv), .m_axis_0_tready(mr));
  always @(posedge clk) if (rst) begin
    if (sv && sr) begin i <= i + 1; sv <= (i + 1 < {n}) && ($random(seed) & 1); end
    else if (!sv) sv <= (i < {n}) && ($random(seed) & 1);
    if (mv && mr) begin
      if (md !== y[o]) bad = bad + 1;
      o <= o + 1;
      if (o == {n} - 1) begin $display("done, bad %0d", bad); $finish; end
    end
    mr <= $random(seed) & 1;
  end
  initial #{limit} begin $display("hung at %0d of {n}", o); $finish; end
endmodule
"""


def _primitives() -> str:
    """Return what the vendor's primitives do (UG953), for a simulator that does not know them."""
    text = ""
    for n in range(2, 7):
        pins = ", ".join(f"I{k}" for k in range(n))
        index = ", ".join(f"I{k}" for k in reversed(range(n)))
        text += (
            f"module LUT{n} #(parameter [{2**n - 1}:0] INIT = 0) (input {pins}, output O);\n"
            f"  assign O = INIT[{{{index}}}];\nendmodule\n"
        )
    text += (
        "module LUT6_2 #(parameter [63:0] INIT = 0) (input I0, I1, I2, I3, I4, I5, output O5, O6);"
        "\n  assign O5 = INIT[{1'b0, I4, I3, I2, I1, I0}];\n"
        "  assign O6 = INIT[{I5, I4, I3, I2, I1, I0}];\nendmodule\n"
    )
    for name, n, into in (("CARRY4", 4, "CYINIT"), ("CARRY8", 8, "CI_TOP")):
        first = "CI | CYINIT" if n == 4 else "CI"
        kind = '#(parameter CARRY_TYPE = "SINGLE_CY8") ' if n == 8 else ""
        text += (
            f"module {name} {kind}(input CI, {into}, input [{n - 1}:0] S, DI, "
            f"output [{n - 1}:0] O, CO);\n  wire [{n}:0] c;\n  assign c[0] = {first};\n"
            + "".join(f"  assign c[{k + 1}] = S[{k}] ? c[{k}] : DI[{k}];\n" for k in range(n))
            + f"  assign O = S ^ c[{n - 1}:0];\n  assign CO = c[{n}:1];\nendmodule\n"
        )
    for name in ("MUXF7", "MUXF8"):
        text += (
            f"module {name} (input I0, I1, S, output O);\n  assign O = S ? I1 : I0;\nendmodule\n"
        )
    return text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "as_cells"), [(100, 0), (101, 0), (103, 0), (106, 0), (100, 1), (106, 1)]
)
def test_icarus_agrees(tmp_path: Path, seed: int, as_cells: int) -> None:
    """With `as_cells` it reads what synthesis gets where ``PS_CELLS`` is defined."""
    programs = tools.icarus()
    if programs is None:
        pytest.skip("Icarus Verilog is not installed")
    compiler, simulator = programs
    network, compiled = _compiled(seed)
    rng = np.random.default_rng([seed, 1])
    x = random_frames(rng, network, 100)
    sources = [p.name for p in _write(compiled.files(), tmp_path)]
    for name, beats in zip(("x.hex", "y.hex"), _beats(network, compiled, x), strict=True):
        lines = [bytes(reversed(beat.tobytes())).hex() for beat in beats]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    (tmp_path / "tb.v").write_text(
        TESTBENCH.format(
            name=compiled.name,
            n=len(x),
            seed=seed,
            ib=padded(network.input.size * compiled.in_width),
            ob=padded(network.output.size * compiled.out_width),
            limit=100_000,
        )
    )
    defines: list[str] = []
    if as_cells:
        (tmp_path / "primitives.v").write_text(_primitives())
        sources.append("primitives.v")
        defines = [f"-D{AS_CELLS}", "-DSYNTHESIS"]
    options = ["-g2001", "-Wall", "-Wno-timescale", *defines, "-o", "tb.vvp"]
    built = tools.run([str(compiler), *options, "tb.v", *sources], cwd=tmp_path)
    assert "warning" not in built.stdout, built.stdout
    made = (tmp_path / "tb.vvp").read_text()
    assert ("LUT6_2" in made) == bool(as_cells)
    assert "done, bad 0" in tools.run([str(simulator), "tb.vvp"], cwd=tmp_path).stdout


ADD_MITER = """
module miter(input [5:0] a, b, c, output ok0, ok1, ok2);
  wire [5:0] y0, y1, y2, y3, y4;
  ps_add #(.W(6), .NA(6'h15), .NB(6'h2c), .NC(6'h07), .SAVE(6'h3f)) d0 (a, b, c, y0);
  ps_add #(.W(6), .NB(6'h33), .SAVE(6'h3f), .ONES(1)) d1 (a, b, c, y1);
  // Two saved carries, then one bit over a saved carry, then constants and single bits.
  ps_add #(.W(6), .NA(6'h10), .SAVE(6'h03), .ONES(2))
      d2 ({1'b0, a[4], 2'b0, a[1:0]}, {2'b0, b[3:0]}, {5'b0, c[0]}, y2);
  // Two operands: some inverted in pairs, one on its own, a constant below a bit.
  ps_add #(.W(6), .NA(6'h19), .NB(6'h1d), .PAIR(6'h09))
      d3 ({a[5], 1'b0, a[3:0]}, {b[5:2], 1'b0, b[0]}, 6'd0, y3);
  ps_add #(.W(6), .NA(6'h2a), .NB(6'h2a), .PAIR(6'h2a), .ONES(1)) d4 (a, b, 6'd0, y4);
  assign ok0 = y0 == ((a ^ 6'h15) + (b ^ 6'h2c) + (c ^ 6'h07));
  assign ok1 = y1 == (a + (b ^ 6'h33) + c + 6'd1) &&
      y2 == (({1'b0, a[4], 2'b0, a[1:0]} ^ 6'h10) + {2'b0, b[3:0]} + {5'b0, c[0]} + 6'd2);
  assign ok2 = y3 == (({a[5], 1'b0, a[3:0]} ^ 6'h19) + ({b[5:2], 1'b0, b[0]} ^ 6'h1d)) &&
      y4 == ((a ^ 6'h2a) + (b ^ 6'h2a) + 6'd1);
endmodule
"""

COMPARE_MITER = """
module miter(input [9:0] x, output ok0, ok1, ok2);
  wire y;
  localparam [127:0] INIT = 128'h{init:032x};
  ps_compare #(.N(2), .INIT(INIT)) d (x, y);
  wire p1 = INIT[96 + x[9:5]], g1 = INIT[64 + x[9:5]];
  wire p0 = INIT[32 + x[4:0]], g0 = INIT[x[4:0]];
  assign ok0 = y == (p1 ? (p0 ? 1'b1 : g0) : g1);
  assign ok1 = 1'b1;
  assign ok2 = 1'b1;
endmodule
"""


COMPARE6_MITER = """
module miter(input [11:0] x, input [1:0] d, output ok0, ok1, ok2);
  wire y;
  localparam [127:0] INIT = 128'h{init:032x};
  ps_compare6 #(.N(2), .INIT(INIT)) dut (x, d, y);
  assign ok0 = y == (INIT[64 + x[11:6]] ? (INIT[x[5:0]] ? 1'b1 : d[0]) : d[1]);
  assign ok1 = 1'b1;
  assign ok2 = 1'b1;
endmodule
"""

MUX_MITER = """
module miter(input a, b, c, d, s, t, output ok0, ok1, ok2);
  wire y0, y1, y2;
  ps_mux7 m0 (a, b, s, y0);
  ps_mux7 m1 (c, d, s, y1);
  ps_mux8 m2 (y0, y1, t, y2);
  assign ok0 = y0 == (s ? b : a);
  assign ok1 = y1 == (s ? d : c);
  assign ok2 = y2 == (t ? y1 : y0);
endmodule
"""

LUT_MITER = """
module miter(input [5:0] x, output ok0, ok1, ok2);
  wire y6, y4, y2;
  localparam [63:0] INIT = 64'h{init:032x};
  ps_lut6 #(.INIT(INIT)) m0 (x, y6);
  ps_lut4 #(.INIT(INIT[15:0])) m1 (x[3:0], y4);
  ps_lut2 #(.INIT(4'h9)) m2 (x[1:0], y2);
  assign ok0 = y6 == INIT[x];
  assign ok1 = y4 == INIT[x[3:0]];
  assign ok2 = y2 == ~^x[1:0];
endmodule
"""

DUAL_MITER = """
module miter(input [4:0] x, output ok0, ok1, ok2);
  wire y, z;
  localparam [63:0] INIT = 64'h{init:032x};
  ps_lut5x2 #(.INIT(INIT)) dut (x, y, z);
  assign ok0 = y == INIT[{1'b0, x}];
  assign ok1 = z == INIT[{1'b1, x}];
  assign ok2 = 1'b1;
endmodule
"""

ADD_MITER_FOUR = """
module miter(input [6:0] a, b, output ok0, ok1, ok2);
  wire [5:0] y0;
  wire [6:0] y1, y2;
  ps_add #(.W(6), .NA(6'h15), .NB(6'h2c)) d0 (a[5:0], b[5:0], y0);
  ps_add #(.W(7), .NA(7'h7f), .NB(7'h4c), .ONES(1)) d1 (a, b, y1);
  ps_add #(.W(7), .NB(7'h2b)) d2 (a, 7'd0, y2);
  assign ok0 = y0 == ((a[5:0] ^ 6'h15) + (b[5:0] ^ 6'h2c));
  assign ok1 = y1 == (~a + (b ^ 7'h4c) + 7'd1);
  assign ok2 = y2 == (a + 7'h2b);
endmodule
"""

COMPARE3_MITER = """
module miter(input [8:0] x, output ok0, ok1, ok2);
  wire y2, y3;
  localparam [47:0] INIT = 48'h{init:032x};
  ps_compare3 #(.N(2), .INIT(INIT[31:0])) d2 (x[5:0], y2);
  ps_compare3 #(.N(3), .INIT(INIT)) d3 (x, y3);
  wire v0 = INIT[8 + x[2:0]] ? 1'b1 : INIT[x[1:0]];
  wire v1 = INIT[24 + x[5:3]] ? v0 : INIT[16 + x[4:3]];
  wire v2 = INIT[40 + x[8:6]] ? v1 : INIT[32 + x[7:6]];
  assign ok0 = y2 == v1;
  assign ok1 = y3 == v2;
  assign ok2 = 1'b1;
endmodule
"""

LUT_MITER_FOUR = """
module miter(input [3:0] x, output ok0, ok1, ok2);
  wire y4, y3, y2;
  localparam [15:0] INIT = 16'h{init:032x};
  ps_lut4 #(.INIT(INIT)) m0 (x, y4);
  ps_lut3 #(.INIT(INIT[7:0])) m1 (x[2:0], y3);
  ps_lut2 #(.INIT(4'h9)) m2 (x[1:0], y2);
  assign ok0 = y4 == INIT[x];
  assign ok1 = y3 == INIT[x[2:0]];
  assign ok2 = y2 == ~^x[1:0];
endmodule
"""

MUX_MITER_OF_FOUR = MUX_MITER.replace("ps_mux7", "ps_mux5").replace("ps_mux8", "ps_mux6")

# Cell: its miter, the files beside its own, and a primitive that must be there.
CELLS_ECP5 = {
    "ps_add": (ADD_MITER_FOUR, (), "CCU2C"),
    "ps_compare3": (COMPARE3_MITER, (), "CCU2C"),
    "ps_mux5": (MUX_MITER_OF_FOUR, ("ps_mux6.v",), "PFUMX"),
    "ps_lut4": (LUT_MITER_FOUR, ("ps_lut2.v", "ps_lut3.v"), "LUT4"),
}
CELLS_GOWIN = {
    "ps_add": (ADD_MITER_FOUR, (), "ALU"),
    "ps_mux5": (MUX_MITER_OF_FOUR, ("ps_mux6.v",), "MUX2_LUT5"),
    "ps_lut4": (LUT_MITER_FOUR, ("ps_lut2.v", "ps_lut3.v"), "LUT4"),
}
CELLS = {
    "ps_add": (ADD_MITER, (), "LUT6_2"),
    "ps_compare": (COMPARE_MITER, (), "LUT6_2"),
    "ps_compare6": (COMPARE6_MITER, (), "CARRY*"),
    "ps_mux7": (MUX_MITER, ("ps_mux8.v",), "MUXF7"),
    "ps_lut5x2": (DUAL_MITER, (), "LUT6_2"),
    "ps_lut6": (LUT_MITER, ("ps_lut2.v", "ps_lut4.v"), "LUT4"),
}


#: Cells of each family, Yosys' models of the primitives, and the primitives that may be there.
OF_FAMILY = {
    **dict.fromkeys(
        (XC7, XCUP),
        (
            CELLS,
            "+/xilinx/cells_sim.v",
            ("LUT2", "LUT4", "LUT6", "LUT6_2", "CARRY4", "CARRY8", "MUXF7", "MUXF8"),
        ),
    ),
    ECP5: (
        CELLS_ECP5,
        "+/lattice/cells_sim_ecp5.v",
        ("LUT2", "LUT4", "CCU2C", "PFUMX", "L6MUX21"),
    ),
    GOWIN: (
        CELLS_GOWIN,
        "+/gowin/cells_sim.v",
        ("LUT2", "LUT3", "LUT4", "ALU", "MUX2_LUT5", "MUX2_LUT6"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "cell"),
    [(family, cell) for family, (cells, *_) in OF_FAMILY.items() for cell in cells],
    ids=lambda p: p if isinstance(p, str) else p.name,
)
def test_primitives_equal_their_twin(tmp_path: Path, family: Family, cell: str) -> None:
    """Yosys proves for all inputs that the vendor primitives compute what simulators see."""
    init = int(np.random.default_rng(5).integers(0, 2**63)) ** 2 % 2**128
    cells, library, primitives = OF_FAMILY[family]
    miter, more, primitive = cells[cell]
    (tmp_path / "miter.v").write_text(miter.replace("{init:032x}", f"{init:032x}"))
    _write(cell_files(family), tmp_path)
    all_of_them = " ".join(f"t:{name}" for name in primitives)
    script = (
        f"read_verilog miter.v {' '.join([f'{cell}.v', *more])}; "
        "hierarchy -top miter; proc; flatten; "
        f"select -assert-min 1 t:{primitive}; "
        f"read_verilog -lib {library}; techmap -autoproc -map {library} "
        f"{all_of_them} {'%u ' * (len(primitives) - 1)}; proc; flatten; opt -full; "
        f"select -assert-none {all_of_them}; "
        "sat -verify -prove ok0 1 -prove ok1 1 -prove ok2 1 miter"
    )
    tools.run([*tools.yosys_command(), "-q", "-p", script], cwd=tmp_path, timeout=300)
