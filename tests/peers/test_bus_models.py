"""Both shells under independent models of their buses: cocotbext-axi and cocotbext-uart, in Icarus.

The accelerator inside sums a frame, as in the tests of the shell. ``bus_models.py`` is what runs in
the simulator.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from finn_builds import tools
from finn_builds.config.boards import load_board
from finn_builds.shell import ShellSpec
from finn_builds.shell.top import (
    TOP,
    axil_ports,
    read_ports,
    shell_files,
    shell_sources,
    write_ports,
)
from finn_builds.shell.uart import UART_TOP, UartSpec, uart_files, uart_sources
from tests.finn_builds.shell.conftest import SUMMER

pytestmark = pytest.mark.peers
runner = pytest.importorskip("cocotb_tools.runner", reason="no cocotb: run make test-peers")

BUS_TOP = "bus_top"
SIZES = ("in_bytes", "out_bytes", "in_beats", "out_beats")


def bus_top(spec: ShellSpec) -> str:
    """Return the shell as the model wants it.

    Requests get identifiers, which it ignores. Bytes that are not enabled are zero, since it reads
    them: from the shell they are what a buffer held before, unknown at first.
    """
    ports = [("input", 1, "ap_clk"), ("input", 1, "ap_rst_n")]
    for block in ("idma0", "odma0", "control0"):
        ports += axil_ports(f"s_axi_{block}")
    ports += [*read_ports("m_axi_idma0", spec), *write_ports("m_axi_odma0", spec)]
    extra = [("output", "idma0_arid"), ("output", "odma0_awid")]
    extra += [("input", "idma0_rid"), ("input", "odma0_bid")]
    declared = [f"    {way} wire [{bits - 1}:0] {name}" for way, bits, name in ports]
    declared += [f"    {way} wire [0:0] m_axi_{name}" for way, name in extra]
    masked = {"m_axi_odma0_wdata": "sent"}
    connected = ",\n".join(f"        .{name}({masked.get(name, name)})" for _, _, name in ports)
    return (
        f"module {BUS_TOP} (\n"
        + ",\n".join(declared)
        + "\n);\n    assign m_axi_idma0_arid = 1'b0;\n    assign m_axi_odma0_awid = 1'b0;\n"
        + f"    wire [{8 * spec.word_bytes - 1}:0] sent;\n    genvar i;\n"
        + f"    generate for (i = 0; i < {spec.word_bytes}; i = i + 1) begin : gen_byte\n"
        + "        assign m_axi_odma0_wdata[8*i +: 8] ="
        + " m_axi_odma0_wstrb[i] ? sent[8*i +: 8] : 8'd0;\n    end endgenerate\n"
        + f"    {TOP} shell (\n{connected}\n    );\nendmodule\n"
    )


def simulate(folder: Path, sources: list[Path], top: str, case: dict) -> None:
    """Compile and run the tests of ``bus_models.py`` that are for this case."""
    if tools.icarus() is None:
        pytest.skip("Icarus Verilog (iverilog, vvp) is not installed")
    (folder / "case.json").write_text(json.dumps(case))
    icarus = runner.get_runner("icarus")
    options = {"hdl_toplevel": top, "build_dir": folder / "sim"}
    icarus.build(
        sources=sources, build_args=["-g2012"], timescale=("1ns", "1ps"),
        log_file=folder / "build.log", **options,
    )  # fmt: skip
    results = folder / "results.xml"
    with contextlib.suppress(SystemExit):  # how it ends where a test fails; the file says which
        icarus.test(
            test_module="tests.peers.bus_models", test_dir=folder, log_file=folder / "run.log",
            results_xml=str(results), **options,
        )  # fmt: skip
    cases = list(ElementTree.parse(results).iter("testcase"))
    ran = [c for c in cases if c.find("skipped") is None]
    failed = [c.get("name") for c in ran if c.find("failure") is not None]
    log = (folder / "run.log").read_text()
    assert ran, f"no test ran:\n{log[-3000:]}"
    assert not failed, f"{failed}:\n{log[-6000:]}"


def accelerator(folder: Path, sizes: dict[str, int]) -> Path:
    path = folder / "summer.v"
    path.write_text(SUMMER.format(**sizes))
    return path


AXI = {
    "Zynq-7000, a frame a beat": ("Pynq-Z1", (16, 7, 1, 1)),
    "Zynq-7000, folded": ("Pynq-Z1", (3, 13, 5, 2)),
    "UltraScale+, a frame a beat": ("ZCU104", (21, 5, 1, 1)),
    "UltraScale+, folded": ("ZCU104", (2, 1, 7, 3)),
}


def axi_case(folder: Path, name: str, seed: int) -> tuple[list[Path], dict]:
    board, numbers = AXI[name]
    sizes = dict(zip(SIZES, numbers, strict=True))
    spec = ShellSpec.for_board(load_board(board), "summer", **sizes)
    written = [accelerator(folder, sizes)]
    for file, text in {**shell_files(spec), f"{BUS_TOP}.v": bus_top(spec)}.items():
        written.append(folder / file)
        written[-1].write_text(text)
    frame = {"in_frame_bytes": spec.in_frame_bytes, "out_frame_bytes": spec.out_frame_bytes}
    return [*shell_sources(), *written], {"shell": "axi", "seed": seed, **frame}


@pytest.mark.parametrize("name", AXI)
def test_axi_shell(tmp_path, name, network_seed):
    sources, case = axi_case(tmp_path, name, network_seed)
    simulate(tmp_path, sources, BUS_TOP, case)


def test_a_wrong_shell_is_found(tmp_path, network_seed):
    """The bench can fail: an output DMA that enables a byte too many is caught."""
    sources, case = axi_case(tmp_path, "Zynq-7000, folded", network_seed)
    top = sources[-1].read_text()
    top = top.replace(".m_axi_odma0_wstrb(m_axi_odma0_wstrb)", ".m_axi_odma0_wstrb()")
    every = "    assign m_axi_odma0_wstrb = ~8'd0;\nendmodule"
    sources[-1].write_text(top.replace("endmodule", every))
    with pytest.raises(AssertionError, match="frames_go_through_memory"):
        simulate(tmp_path, sources, BUS_TOP, case)


@pytest.mark.parametrize("error", [0.985, 1.0, 1.015])
@pytest.mark.parametrize("numbers", [(16, 7, 1, 1), (3, 13, 5, 2)])
def test_uart_shell(tmp_path, numbers, error, network_seed):
    sizes = dict(zip(SIZES, numbers, strict=True))
    spec = UartSpec("summer", **sizes, mhz=100.0, baud=3_000_000)
    idle = 2000
    written = [accelerator(tmp_path, sizes)]
    for file, text in uart_files(spec, most_clocks=idle).items():
        written.append(tmp_path / file)
        written[-1].write_text(text)
    case = {
        "shell": "uart", "seed": network_seed, "baud": spec.baud, "error": error,
        "frames": min(spec.frames, 12), "idle_clocks": idle, "identity_bytes": 14,
        "in_frame_bytes": spec.in_bytes * spec.in_beats,
        "out_frame_bytes": spec.out_bytes * spec.out_beats,
    }  # fmt: skip
    simulate(tmp_path, [*uart_sources(), *written], UART_TOP, case)
