"""What a recorded block design must be, beyond the rules that the recorder has for every design.

The connections are compared with those of the shell's top, which the simulations and proofs run;
the clock, bursts and addresses with the board's description; Verilator reads the sources.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest

from finn_builds import tools
from finn_builds.config.zynq_boards import Board
from finn_builds.shell.spec import ShellSpec
from finn_builds.shell.top import TOP, shell_files
from tests.finn_builds.vivado.conftest import Recorded

BLOCKS = ("idma0", "odma0", "control0", "accelerator0")


def differences(done: Recorded, project: Path, spec: ShellSpec, board: Board, ns: float) -> str:
    """Return what is wrong with a recorded run, in words; empty if nothing is."""
    if done.returncode:
        return done.output
    found = [
        *wrong_connections(done, spec),
        *wrong_clock(project, board, ns),
        *wrong_masters(done, spec),
        *wrong_runs(done),
        *wrong_board_files(done, project, board),
    ]
    return "\n".join(found or wrong_sources(done, project))


def wrong_connections(done: Recorded, spec: ShellSpec) -> list[str]:
    """Compare the nets between the blocks with those of the top that is simulated."""
    wires, streams = top_connections(spec)
    driven = {sink: source for source, sink in done.table("net")}
    ends = defaultdict(set)
    for sink, source in driven.items():
        ends[source] |= {source, sink}
    between = {
        frozenset(points) for source, points in ends.items() if source.partition("/")[0] in BLOCKS
    }
    pairs = {
        frozenset(pair)
        for pair in done.table("interface")
        if all(end.partition("/")[0] in BLOCKS for end in pair)
    }
    expected = {points for name, points in wires.items() if name not in ("ap_clk", "ap_rst_n")}
    wrong = [f"net {sorted(net)} is not in the top" for net in between - expected]
    wrong += [f"the top's net {sorted(net)} is missing" for net in expected - between]
    wrong += [f"stream {sorted(pair)} is not in the top" for pair in pairs - streams]
    wrong += [f"the top's stream {sorted(pair)} is missing" for pair in streams - pairs]
    clocks = {driven[pin] for pin in wires["ap_clk"]}
    if len(clocks) != 1:
        wrong.append(f"the blocks have the clocks {sorted(clocks)}")
    resets = {driven[pin] for pin in wires["ap_rst_n"]}
    if resets != {"reset0/peripheral_aresetn"}:
        wrong.append(f"the blocks have the resets {sorted(resets)}")
    return wrong


def top_connections(spec: ShellSpec) -> tuple[dict[str, frozenset[str]], set[frozenset[str]]]:
    """Return the top's single wires by name, and its streams, as pins and interfaces of cells."""
    text = shell_files(spec)[f"{TOP}.v"]
    nets = defaultdict(set)
    for cell, ports in re.findall(
        r"^    \w+ (\w+) \(\n(.*?)\n    \);", text, re.MULTILINE | re.DOTALL
    ):
        for port, net in re.findall(r"\.(\w+)\((\w+)\)", ports):
            nets[net].add(f"{cell}/{port}")
    wires, streams = {}, set()
    for net, pins in nets.items():
        if net.endswith("_tdata"):
            streams.add(frozenset(pin.removesuffix("_tdata") for pin in pins))
        elif not net.endswith(("_tvalid", "_tready")) and len(pins) > 1:
            wires[net] = frozenset(pins)
    assert set(wires) == {
        "ap_clk", "ap_rst_n", "accelerator_rst_n", "stop", "clear", "idma_quiet", "odma_quiet",
    }  # fmt: skip
    assert len(streams) == 4
    return wires, streams


def wrong_clock(project: Path, board: Board, ns: float) -> list[str]:
    """Compare what was asked for, made and constrained with the board's PLL."""
    clock = json.loads((project / "result" / "finn-accel.json").read_text())["clock"]
    made = board.fabric_mhz(ns)
    expected = {"asked_mhz": 1000 / ns, "actual_mhz": made, "period_ns": 1000 / made}
    return [
        f"{key} is {clock[key]}, not {value}"
        for key, value in expected.items()
        # Vivado computes with single precision, and gives periods to the picosecond.
        if clock[key] != pytest.approx(value, rel=1e-6, abs=6e-4 if key == "period_ns" else 2e-6)
    ]


def wrong_masters(done: Recorded, spec: ShellSpec) -> list[str]:
    """Compare the declared properties of the DMAs with how they are built."""
    has = {(bus, key): value for bus, key, value in done.table("parameter")}
    wrong = []
    for cell, way, burst in (
        ("idma0", "READ", spec.read_burst),
        ("odma0", "WRITE", spec.write_burst),
    ):
        expected = {
            "PROTOCOL": "AXI4",
            "READ_WRITE_MODE": f"{way}_ONLY",
            "SUPPORTS_NARROW_BURST": "0",
            f"NUM_{way}_OUTSTANDING": str(spec.pending),
            "MAX_BURST_LENGTH": str(burst),
            "ADDR_WIDTH": str(spec.addr_bits),
        }
        wrong += [
            f"{cell}: {key} is {has.get((f'{cell}/m_axi_gmem', key))}, not {value}"
            for key, value in expected.items()
            if has.get((f"{cell}/m_axi_gmem", key)) != value
        ]
    return wrong


def wrong_runs(done: Recorded) -> list[str]:
    """Look for the settings that timing depends on."""
    expected = [
        ["top.bd", "synth_checkpoint_mode", "None"],  # or the strategy does not reach the blocks
        ["synth_1", "strategy", "Flow_PerfOptimized_high"],
        ["impl_1", "strategy", "Performance_ExplorePostRoutePhysOpt"],
        ["impl_1", "STEPS.PHYS_OPT_DESIGN.IS_ENABLED", "true"],
        ["impl_1", "STEPS.POST_ROUTE_PHYS_OPT_DESIGN.IS_ENABLED", "true"],
    ]
    return [f"run {' '.join(run)} is missing" for run in expected if run not in done.table("run")]


def wrong_board_files(done: Recorded, project: Path, board: Board) -> list[str]:
    """The newest board files were taken, and all the memory they have is reached."""
    taken = done.table("board")
    if "without-board" in done.options:
        return [f"board files that are not installed: {taken}"] if taken else []
    wrong = [] if taken else ["no board files were taken"]
    if done.table("preset") != [["zynq_ps", "1"]]:
        wrong.append("the processor has not the presets of the board files")
    newest = {"xilinx.com:kv260_som": "1.4", "xilinx.com:zcu102": "3.4", "xilinx.com:zcu104": "1.1"}
    if board.board_part in newest and taken != [
        [f"{board.board_part}:part0:{newest[board.board_part]}"]
    ]:
        wrong.append(f"not the newest board files: {taken}")
    reached = (project / "result" / "address_map.txt").read_text()
    if ("DDR_HIGH" in reached) != (board.ps_type == "zynq_ultrascale" and board.ddr_mib > 2048):
        wrong.append(f"of {board.ddr_mib} MiB these are reached:\n{reached}")
    return wrong


def wrong_sources(done: Recorded, project: Path) -> list[str]:
    """Let Verilator read the sources that were added, for errors, ports and widths."""
    sources = [path for (path,) in done.table("source")]
    argv, env = tools.verilator_command()
    options = ["--lint-only", "-Wno-MULTITOP", "-Wwarn-UNDRIVEN"]
    try:
        tools.run([*argv, *options, *sources], cwd=project, env=env, timeout=120)
    except tools.ToolFailed as error:
        return [str(error)]
    return []
