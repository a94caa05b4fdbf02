"""A build folder with a small stitched design, and Vivado's stand-in."""

from __future__ import annotations

import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from finn_builds.config.boards import board_names, load_board
from finn_builds.config.zynq_boards import Board
from finn_builds.shell.spec import ShellSpec
from finn_builds.vivado.project import write_project

RECORDER = Path(__file__).with_name("recorder.tcl")

#: Boards that Vivado makes bitfiles for; the others have no processor.
BOARDS = [name for name in board_names() if isinstance(load_board(name), Board)]

TOP = """\
module finn_design_wrapper (
    input  wire ap_clk,
    input  wire ap_rst_n,
    input  wire [15:0] s_axis_0_tdata,
    input  wire s_axis_0_tvalid,
    output wire s_axis_0_tready,
    output wire [7:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input  wire m_axis_0_tready
);
    node node_0 (.ap_clk(ap_clk));
    assign m_axis_0_tdata = s_axis_0_tdata[7:0];
    assign m_axis_0_tvalid = s_axis_0_tvalid;
    assign s_axis_0_tready = m_axis_0_tready;
endmodule
"""
NODE = """\
module node #(parameter FILE = "./node_0_weights.dat") (input wire ap_clk);
    reg [7:0] weights[0:3];
    initial $readmemh(FILE, weights);
endmodule
"""


@dataclass(frozen=True)
class Recorded:
    """One run of a script under the recorder."""

    returncode: int
    output: str
    lines: tuple[str, ...]
    options: tuple[str, ...]

    def table(self, kind: str) -> list[list[str]]:
        """Return the words of each recorded line of a kind."""
        return [line.split()[1:] for line in self.lines if line.split()[0] == kind]


def write_build(out: Path, board: str, clock_ns: float = 10.0) -> Path:
    """Write ``stitched_ip/`` and ``vivado/`` below a folder and return the latter."""
    stitched = out / "stitched_ip"
    stitched.mkdir(parents=True)
    (stitched / "finn_design_wrapper.v").write_text(TOP)
    (stitched / "node.v").write_text(NODE)
    (stitched / "node_0_weights.dat").write_text("1\n2\n3\n4\n")
    # The shell has a file of this name, too: it must not be there twice.
    (stitched / "stream_fifo.sv").write_text("module stream_fifo (); endmodule\n")
    names = ("stream_fifo.sv", "node.v", "finn_design_wrapper.v")
    (stitched / "all_verilog_srcs.txt").write_text("".join(f"{name}\n" for name in names))
    write_project(out / "vivado", small_spec(board), load_board(board), clock_ns=clock_ns)
    return out / "vivado"


def small_spec(board: str) -> ShellSpec:
    """Return the shell of that design."""
    return ShellSpec.for_board(
        load_board(board), "finn_design_wrapper", in_bytes=2, out_bytes=1, in_beats=3, out_beats=5
    )


@pytest.fixture(scope="session")
def tclsh() -> str:
    path = shutil.which("tclsh")
    if path is None:
        pytest.skip("tclsh is not installed (Debian package tcl)")
    return path


@pytest.fixture
def record(tclsh: str, tmp_path: Path) -> Callable[..., Recorded]:
    """Run a project's script under the recorder."""

    def run(project: Path, *options: str) -> Recorded:
        written = tmp_path / "record.txt"
        written.write_text("")
        done = subprocess.run(
            [tclsh, RECORDER, project / "build.tcl", written, *options],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        lines = tuple(written.read_text().splitlines())
        return Recorded(done.returncode, done.stdout + done.stderr, lines, options)

    return run


#: What ``vivado`` prints at its start in batch mode, by version: its name was in lower case for a
#: while. From public transcripts.
BANNERS = {
    "2020.2": """
****** Vivado v2020.2 (64-bit)
  **** SW Build 3064766 on Wed Nov 18 09:12:47 MST 2020
  **** IP Build 3064653 on Wed Nov 18 14:17:31 MST 2020
    ** Copyright 1986-2020 Xilinx, Inc. All Rights Reserved.
""",
    "2022.2": """
****** Vivado v2022.2 (64-bit)
  **** SW Build 3671981 on Fri Oct 14 04:59:54 MDT 2022
  **** IP Build 3669848 on Fri Oct 14 08:30:02 MDT 2022
    ** Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.
""",
    "2023.2": """
****** vivado v2023.2 (64-bit)
  **** SW Build 4029153 on Fri Oct 13 20:13:54 MDT 2023
  **** IP Build 4028589 on Sat Oct 14 00:45:43 MDT 2023
  **** SharedData Build 4025554 on Tue Oct 10 17:18:54 MDT 2023
    ** Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.
    ** Copyright 2022-2023 Advanced Micro Devices, Inc. All Rights Reserved.
""",
    "2025.1": """
vivado v2025.1 (64-bit)
Tool Version Limit: 2025.05
SW Build 6140274 on Wed May 21 22:58:25 MDT 2025
IP Build 6138677 on Thu May 22 03:10:11 MDT 2025
SharedData Build 6139179 on Tue May 20 17:58:58 MDT 2025
Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.
""",
    "2026.1": """
vivado v2026.1 (64-bit)
Tool Version Limit: 2026.06
SW Build 6511674 on Tue Jun 16 11:01:26 MDT 2026
""",
    "unknown": "\nWelcome to the design tools\n",
}


@pytest.fixture
def fake_vivado(tclsh: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program ``vivado`` on the search path that runs scripts under the recorder.

    A file ``options`` beside it holds the recorder's options, a file ``banner`` what it prints at
    its start.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "vivado"
    program.write_text(f"""\
#!/bin/sh
if [ "$*" != "-mode batch -nojournal -log vivado.log -source build.tcl" ]; then
  echo "unknown arguments: $*"
  exit 1
fi
cat {folder}/banner
echo "source build.tcl"
sed 's/^/# /' build.tcl  # the program shows what it reads
exec {tclsh} {RECORDER} build.tcl record.txt $(cat {folder}/options 2> /dev/null)
""")
    (folder / "banner").write_text(BANNERS["2023.2"])
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    path = f"{folder}:/usr/bin:/bin"
    monkeypatch.setenv("PATH", path)
    return folder
