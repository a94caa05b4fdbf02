"""The emitted Verilog in Verilator and Icarus, and the cells' primitives against their twins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from finn_builds import tools
from finn_builds.sim import Design, Simulator, compile_designs
from finn_builds.sparse.cells import cell_files
from finn_builds.sparse.compiler import CompiledNetwork, compile_network
from finn_builds.sparse.family import XC7, XCUP
from finn_builds.sparse.network import SparseNetwork
from finn_builds.sparse.stream import padded
from tests.finn_builds.sparse.sparse_networks import pack, random_frames, random_network

SEEDS = range(200)
FAMILIES = ("xc7", "xc7", "xcup", "ecp5")


def _compiled(seed: int) -> tuple[SparseNetwork, CompiledNetwork, np.random.Generator]:
    rng = np.random.default_rng(seed)
    network = random_network(rng, f"net{seed}", most=int(rng.choice((4, 8, 24))))
    clock = float(rng.choice((6.0, 12.0, 50.0)))
    return network, compile_network(network, FAMILIES[seed % 4], clock_ns=clock), rng


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
    for seed in SEEDS:
        network, compiled, _ = _compiled(seed)
        designs.append(
            Design(
                network.name,
                _write(compiled.files(), folder / network.name),
                network.name,
                padded(network.n_in * compiled.in_width),
                padded(network.n_out * compiled.out_width),
            )
        )
    return compile_designs(designs, build_dir=folder / "build")


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_verilator(library: Path, tmp_path: Path, seed: int) -> None:
    network, compiled, rng = _compiled(seed)
    x = random_frames(rng, network, 400)
    beats, expected = pack(x, compiled.in_width), pack(network.evaluate(x), compiled.out_width)
    with Simulator(library, tmp_path, design=network.name, randomise=seed) as simulator:
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


@pytest.mark.slow
@pytest.mark.parametrize("seed", [100, 101, 103, 106])
def test_icarus_agrees(tmp_path: Path, seed: int) -> None:
    programs = tools.icarus()
    if programs is None:
        pytest.skip("Icarus Verilog is not installed")
    compiler, simulator = programs
    network, compiled, rng = _compiled(seed)
    x = random_frames(rng, network, 100)
    sources = [p.name for p in _write(compiled.files(), tmp_path)]
    for name, frames, width in (
        ("x.hex", x, compiled.in_width),
        ("y.hex", network.evaluate(x), compiled.out_width),
    ):
        lines = [bytes(reversed(beat.tobytes())).hex() for beat in pack(frames, width)]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    (tmp_path / "tb.v").write_text(
        TESTBENCH.format(
            name=network.name,
            n=len(x),
            seed=seed,
            ib=padded(network.n_in * compiled.in_width),
            ob=padded(network.n_out * compiled.out_width),
            limit=100_000,
        )
    )
    built = tools.run(
        [str(compiler), "-g2001", "-Wall", "-Wno-timescale", "-o", "tb.vvp", "tb.v", *sources],
        cwd=tmp_path,
    )
    assert "warning" not in built.stdout, built.stdout
    assert "done, bad 0" in tools.run([str(simulator), "tb.vvp"], cwd=tmp_path).stdout


ADD3_MITER = """
module miter(input [5:0] a, b, c, output ok0, ok1, ok2);
  wire [5:0] y0, y1, y2;
  ps_add3 #(.W(6), .NA(6'h15), .NB(6'h2c), .NC(6'h07), .LUT(6'h3f)) d0 (a, b, c, y0);
  ps_add3 #(.W(6), .NA(6'h00), .NB(6'h33), .NC(6'h00), .LUT(6'h3f), .ONES(1)) d1 (a, b, c, y1);
  ps_add3 #(.W(6), .NA(6'h00), .NB(6'h00), .NC(6'h12), .LUT(6'h1f), .ONES(2))
      d2 ({1'b0, a[4:0]}, {2'b0, b[3:0]}, {2'b0, c[3:0]}, y2);
  assign ok0 = y0 == ((a ^ 6'h15) + (b ^ 6'h2c) + (c ^ 6'h07));
  assign ok1 = y1 == (a + (b ^ 6'h33) + c + 6'd1);
  assign ok2 = y2 == ({1'b0, a[4:0]} + {2'b0, b[3:0]} + ({2'b0, c[3:0]} ^ 6'h12) + 6'd2);
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


@pytest.mark.slow
@pytest.mark.parametrize("family", [XC7, XCUP], ids=lambda f: f.name)
@pytest.mark.parametrize("cell", ["ps_add3", "ps_compare"])
def test_primitives_equal_their_twin(tmp_path: Path, family, cell: str) -> None:
    """Yosys proves for all inputs that the vendor primitives compute what simulators see."""
    init = int(np.random.default_rng(5).integers(0, 2**63)) ** 2 % 2**128
    text = ADD3_MITER if cell == "ps_add3" else COMPARE_MITER.replace("{init:032x}", f"{init:032x}")
    (tmp_path / "miter.v").write_text(text)
    _write(cell_files(family), tmp_path)
    script = (
        f"read_verilog miter.v {cell}.v; hierarchy -top miter; proc; flatten; "
        "select -assert-min 2 t:LUT6_2; "
        "read_verilog -lib +/xilinx/cells_sim.v; techmap -autoproc -map +/xilinx/cells_sim.v "
        "t:LUT6_2 t:CARRY4 t:CARRY8 %u %u; proc; flatten; opt -full; "
        "select -assert-none t:LUT6_2 t:CARRY4 t:CARRY8; "
        "sat -verify -prove ok0 1 -prove ok1 1 -prove ok2 1 miter"
    )
    tools.run([*tools.yosys_command(), "-q", "-p", script], cwd=tmp_path, timeout=300)
