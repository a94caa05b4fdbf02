"""A deployment package around a small accelerator, and the virtual board that runs it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.host_descriptions import described

IN_BEATS, IN_ELEMENTS, OUT_BEATS, OUT_ELEMENTS = 3, 4, 2, 3

# Takes 3 beats of 4 INT4, sums all 12, then gives 2 beats of 3 INT10: sum * (1 + position).
ACCELERATOR = """
module tiny_accelerator (
    input  wire ap_clk,
    input  wire ap_rst_n,
    input  wire [15:0] s_axis_0_tdata,
    input  wire s_axis_0_tvalid,
    output wire s_axis_0_tready,
    output wire [31:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input  wire m_axis_0_tready
);
    reg [1:0] beat;
    reg giving;
    reg signed [9:0] sum;
    reg signed [9:0] added;
    integer i;
    always @* begin
        added = 10'sd0;
        for (i = 0; i < 4; i = i + 1) added = added + $signed(s_axis_0_tdata[4*i +: 4]);
    end
    wire signed [9:0] first = beat[0] ? 10'sd4 : 10'sd1;
    wire signed [9:0] a = sum * first;
    wire signed [9:0] b = sum * (first + 10'sd1);
    wire signed [9:0] c = sum * (first + 10'sd2);
    assign m_axis_0_tdata = {2'b00, c, b, a};
    assign s_axis_0_tready = !giving;
    assign m_axis_0_tvalid = giving;
    always @(posedge ap_clk) begin
        if (!ap_rst_n) begin
            beat <= 2'd0;
            giving <= 1'b0;
            sum <= 10'sd0;
        end else if (giving && m_axis_0_tready) begin
            beat <= beat == 2'd1 ? 2'd0 : beat + 2'd1;
            if (beat == 2'd1) begin
                giving <= 1'b0;
                sum <= 10'sd0;
            end
        end else if (!giving && s_axis_0_tvalid) begin
            sum <= sum + added;
            beat <= beat == 2'd2 ? 2'd0 : beat + 2'd1;
            if (beat == 2'd2) giving <= 1'b1;
        end
    end
endmodule
"""


def reference(integers: np.ndarray) -> np.ndarray:
    """Return what the accelerator gives for integers (n, 12): (n, 6)."""
    return integers.sum(axis=1, dtype=np.int64)[:, None] * np.arange(1, 7)


HOST = described(
    {"name": "features", "shape": [12], "datatype": "INT4", "n": 12},
    [
        {"op": "sub", "value": [1.0] * 12},
        {
            "op": "quant",
            "scale": 0.5,
            "zero_point": 0.0,
            "bits": 4,
            "signed": True,
            "narrow": False,
            "rounding": "ROUND",
        },
    ],
    {"scale": 0.5, "divisor": 1, "zero_point": 0, "min": -8, "max": 7},
    {"name": "logits", "datatype": "INT10", "n": 6, "kind": "logits"},
    [{"op": "mul", "value": 0.25}],
)


@dataclass(frozen=True)
class Made:
    """The package and what was put into it."""

    folder: Path
    archive: Path
    features: np.ndarray
    integers: np.ndarray
    outputs: np.ndarray
    description: dict


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    pytest.importorskip("pynq", reason="the driver needs pynq")
    return make(tmp_path_factory.mktemp("build"), "Pynq-Z1")


@pytest.fixture(scope="session")
def made_for_kv260(tmp_path_factory: pytest.TempPathFactory) -> Made:
    pytest.importorskip("pynq", reason="the driver needs pynq")
    return make(tmp_path_factory.mktemp("build"), "KV260_SOM")


@pytest.fixture(scope="session")
def made_for_ulx3s(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("build"), "ULX3S-25F")


def make(build: Path, board: str) -> Made:
    """Write the stitched folder and the package of the small accelerator for a board."""
    from deploy.host_model import HostModel
    from finn_builds.config.boards import load_board
    from finn_builds.config.open_boards import OpenBoard
    from finn_builds.shell.package import identified, overlay_description, write_package
    from finn_builds.shell.uart import UartSpec

    stitched = build / "stitched_ip"
    stitched.mkdir()
    (stitched / "tiny_accelerator.v").write_text(ACCELERATOR)
    (stitched / "all_verilog_srcs.txt").write_text("tiny_accelerator.v\n")
    accelerator = {
        "top": "tiny_accelerator",
        "clock_ns": 10.0,
        "input": {"datatype": "INT4", "elements": IN_ELEMENTS, "beats": IN_BEATS, "width": 16},
        "output": {"datatype": "INT10", "elements": OUT_ELEMENTS, "beats": OUT_BEATS, "width": 32},
    }
    uart, bitfile = None, None
    if isinstance(load_board(board), OpenBoard):
        sizes = (2, 4, IN_BEATS, OUT_BEATS)
        uart = UartSpec("tiny_accelerator", *sizes, mhz=100.0, baud=1_000_000, build_id=77)
        bitfile = build / "tiny.bit"
        bitfile.write_bytes(b"bits")
    description = overlay_description(
        "tiny",
        accelerator,
        HOST,
        load_board(board),
        uart=uart,
        expected={"latency_cycles": 4, "interval_cycles": 5.0},
    )
    if uart is None:
        description = identified(description, stitched, clock_ns=10.0)
    features = np.random.default_rng(0).normal(1, 2, (70, 12)).astype(np.float32)
    integers = HostModel.from_dict(HOST).before(features)
    outputs = reference(integers)
    archive = write_package(
        build / "deploy",
        description,
        integers,
        outputs,
        rtl=stitched,
        features=features[:50],
        bitfile=bitfile,
    )
    return Made(build / "deploy", archive, features, integers, outputs, description)


@pytest.fixture(scope="session")
def handoff_of() -> Callable[..., str]:
    """Return the handoff of a shell on a board, in Vivado's form; its project goes into a folder.

    `stitched_ip` lies beside that folder. The clock is the processor's PLL divided to 100 MHz.
    """
    tclsh = shutil.which("tclsh")
    if tclsh is None:
        pytest.skip("tclsh is not installed (Debian package tcl): no block design, no handoff")
    from finn_builds.config.boards import load_board
    from finn_builds.shell.spec import ShellSpec
    from finn_builds.vivado.project import write_project
    from tests.deploy.handoff import handoff
    from tests.finn_builds.vivado.conftest import RECORDER

    def text(project: Path, spec: ShellSpec, board: str) -> str:
        ps_type = load_board(board).ps_type
        write_project(project, spec, load_board(board), clock_ns=10.0)
        record = project / "record.txt"
        record.touch()
        command = [tclsh, str(RECORDER), str(project / "build.tcl"), str(record)]
        subprocess.run(command, check=True, capture_output=True, cwd=project)
        divisors, mhz = ((10, 1), 100.0) if ps_type == "zynq_7000" else ((15, 1), 99.999)
        return handoff(record.read_text().splitlines(), spec, divisors=divisors, mhz=mhz)

    return text


@pytest.fixture(scope="session")
def with_handoff(handoff_of: Callable[..., str]) -> Callable[[Made], Path]:
    """Add a bitfile with its handoff to a package; return the bitfile's path."""
    from finn_builds.shell.spec import ShellSpec

    def add(made: Made) -> Path:
        bit = made.folder / "bitfile" / "finn-accel.bit"
        if not bit.is_file():
            spec = ShellSpec(**made.description["shell"])
            text = handoff_of(made.folder.parent / "vivado", spec, made.description["board"])
            bit.parent.mkdir(exist_ok=True)
            bit.with_suffix(".hwh").write_text(text)
            bit.write_bytes(b"the simulated fabric is in a library")
        return bit

    return add


@pytest.fixture
def virtual(made: Made):
    """A virtual board of its own with the tiny accelerator."""
    from deploy.virtual.simulate import simulate_package
    from finn_builds.shell.compile import compile_for_virtual_board

    board = simulate_package(made.folder, made.description, compile_shell=compile_for_virtual_board)
    yield board
    board.close()


@pytest.fixture
def overlay(made: Made, virtual):
    """The driver's overlay on the virtual board, with buffers for 16 frames."""
    from deploy.driver_base import FINNExampleOverlay
    from deploy.host_model import HostModel

    return FINNExampleOverlay(
        str(made.folder / "overlay.json"),
        "zynq-iodma",
        made.description["io_shape_dict"],
        batch_size=16,
        device=virtual,
        host_model=HostModel.from_dict(HOST),
        timeout_s=0.5,
    )
