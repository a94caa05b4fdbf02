"""What the simulated board needs before it starts, and its end."""

import os
import subprocess
import sys

import numpy as np
import pytest

from deploy.virtual import simulator
from deploy.virtual.simulator import ShellSimulator, VirtualBoardError, _load
from finn_builds.shell import ShellSpec, compile_shell
from tests.finn_builds.shell.conftest import Bench

pytestmark = pytest.mark.slow  # one small compilation

# Mixes each byte with one that it reads from a file. Public signals, as a build has, make
# Verilator keep scopes.
KEYED = """
module keyed (
    input  wire ap_clk,
    input  wire ap_rst_n,
    input  wire [7:0] s_axis_0_tdata,
    input  wire s_axis_0_tvalid,
    output wire s_axis_0_tready,
    output wire [7:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input  wire m_axis_0_tready
);
    reg [7:0] key[0:0] /* verilator public_flat_rd */;
    initial $readmemh("./key.dat", key);
    stream_fifo #(.WIDTH(8), .DEPTH(2)) fifo (
        .clk(ap_clk), .rst(!ap_rst_n), .s_data(s_axis_0_tdata ^ key[0]),
        .s_valid(s_axis_0_tvalid), .s_ready(s_axis_0_tready),
        .m_data(m_axis_0_tdata), .m_valid(m_axis_0_tvalid), .m_ready(m_axis_0_tready)
    );
endmodule
"""


SPEC = ShellSpec("keyed", 1, 1, 1, 1)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keyed")
    source = folder / "keyed.v"
    source.write_text(KEYED)
    return compile_shell(SPEC, [source], folder)


def test_files_that_are_missing_and_a_board_that_is_closed(library, tmp_path):
    """Without its weights the board does not start, and closed it does not crash."""
    with pytest.raises(VirtualBoardError, match=r"did not start: .*key\.dat.*file not found"):
        ShellSimulator(library, run_dir=tmp_path)
    with pytest.raises(VirtualBoardError, match=r"cannot enter the run folder .*gone"):
        ShellSimulator(library, run_dir=tmp_path / "gone")
    (tmp_path / "key.dat").write_text("5a\n")
    with ShellSimulator(library, run_dir=tmp_path) as sim:
        bench = Bench(library, SPEC, lambda x, _: x ^ 0x5A, runtime_sizes=False)
        bench.check_run(sim, np.random.default_rng(16), 9)
    with pytest.raises(ValueError, match="has been closed"):
        sim.step(1)
    sim.close()


@pytest.mark.parametrize("closes", [True, False])
def test_a_simulation_is_freed_once_nothing_shows_its_memory(
    library, tmp_path, monkeypatch, closes
):
    freed = []

    def load(path):
        lib = _load(path)
        free = lib.ps_free
        lib.ps_free = lambda handle: (freed.append(handle), free(handle))
        return lib

    monkeypatch.setattr(simulator, "_load", load)
    (tmp_path / "key.dat").write_text("5a\n")
    sim = ShellSimulator(library, run_dir=tmp_path)
    shown = sim.memory[4:8]
    if closes:
        sim.close()
    else:
        del sim
    shown[:] = 7
    assert (shown == 7).all() and not freed
    del shown
    assert len(freed) == 1


def test_boards_end_in_any_order(library, tmp_path):
    """Verilator's context of a thread is the newest one, which may be gone when another ends."""
    (tmp_path / "key.dat").write_text("5a\n")
    code = (
        "from pathlib import Path\n"
        "from deploy.virtual.simulator import ShellSimulator\n"
        f"boards = [ShellSimulator(Path({str(library)!r})) for _ in range(3)]\n"
        "for i in (2, 0, 1):\n"
        "    boards[i].close()\n"
        "    [board.reset() for board in boards if board.memory.size]\n"
    )
    # Freed memory gets other contents: without that it still looks alive.
    environment = {**os.environ, "MALLOC_PERTURB_": "165", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, timeout=300, check=False
    )
    assert done.returncode == 0
