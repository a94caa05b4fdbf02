"""7-series: calls, logs, LUTs of two outputs, sites; a build with a stand-in for nextpnr-xilinx."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finn_builds import BuildConfig, UserError, build
from finn_builds.files import read_json
from finn_builds.route.dual_luts import split_dual_luts
from finn_builds.route.nextpnr import timing_of_log, version
from finn_builds.route.sites import Sites, sites_of
from finn_builds.run.terminal import summary_table
from finn_builds.sparse.families import FAMILIES
from finn_builds.synth.gates import GateSimulator
from finn_builds.synth.netlist import from_json
from tests.finn_builds.small_network import save_small_network

XC7 = FAMILIES["xc7"]
XILINX, HIMBAECHEL = XC7.second_opinions
STAND_IN = Path(__file__).with_name("stand_in_nextpnr_xilinx.py")


def test_both_programs_read_the_same_files() -> None:
    for router in XC7.second_opinions:
        call = router.route("xc7z020clg400-1", 3, 100.0)
        assert call.program == router.program
        at = list(call.arguments)
        for flag, value in (
            ("--chipdb", "chipdb.bin"), ("--json", "netlist.json"), ("--write", "routed.json"),
            ("--seed", "3"), ("--freq", "100"),
        ):  # fmt: skip
            assert at[at.index(flag) + 1] == value
        assert "--pack-only" in router.pack_only("xc7z020clg400-1").arguments
    assert "--report" not in XILINX.route("xc7z020clg400-1", 1, 100.0).arguments
    with_part = HIMBAECHEL.route("xc7z020clg400-1", 1, 100.0).arguments
    assert with_part[with_part.index("--device") + 1] == "xc7z020clg400-1"
    pins = XILINX.constraints({"clk_in": ("", "LVCMOS33"), "led": ("R14", "LVCMOS33")}, 100.0)
    assert pins.splitlines() == [
        "set_property IOSTANDARD LVCMOS33 [get_ports clk_in]",
        "set_property PACKAGE_PIN R14 [get_ports led]",
        "set_property IOSTANDARD LVCMOS33 [get_ports led]",
    ]


LOG = """\
Info: Device utilisation:
Info: \t          SLICE_LUTX:   910/106400     0%
Info: \t             CARRY4:   140/13300     1%
Info: \t            DSP48E1:     0/  220     0%
Info: Max frequency for clock    'clk': 131.00 MHz (PASS at 100.00 MHz)
Info: Max frequency for clock 'clk_in': 400.00 MHz (PASS at 100.00 MHz)
Info: Critical path report for clock 'clk' (posedge -> posedge):
Info: curr total
Info:  0.1  0.1  Source a.b$1.Q
Info:  2.0  2.1    Net early budget 9.000000 ns (1,2) -> (3,4)
Info:                Sink d.D
Info:  0.1  2.2  Setup d.D
Info: 0.2 ns logic, 2.0 ns routing
Info: Critical path report for clock 'clk' (posedge -> posedge):
Info: curr total
Info:  0.1  0.1  Source design.accelerator.f.Q
Info:  6.3  6.4    Net design.accelerator.n[3] budget 9.000000 ns (30,72) -> (34,75)
Info:                Sink design.accelerator.c.DI[0]
Info:  0.6  7.0  Source design.accelerator.c.O[2]
Info:  2.7  9.7    Net design.accelerator.m budget 8.000000 ns (34,75) -> (33,70)
Info:                Sink design.accelerator.g.D
Info:  0.1  9.8  Setup design.accelerator.g.D
Info: 0.8 ns logic, 9.0 ns routing

Info: Critical path report for clock 'clk_in' (posedge -> posedge):
Info: curr total
Info:  0.1  0.1  Source other.Q
Info: 0.1 ns logic, 0.0 ns routing

Warning: Max frequency for clock    'clk': 98.53 MHz (FAIL at 100.00 MHz)
Info: Max frequency for clock 'clk_in': 380.10 MHz (PASS at 100.00 MHz)
"""


def test_a_log_without_a_report() -> None:
    """The last figures count; the path is that of the clock with the least to spare."""
    found = timing_of_log(LOG)
    assert (found.mhz, found.logic_ns, found.wire_ns) == (98.53, 0.8, 9.0)
    assert [(s.kind, s.cell, s.net) for s in found.path] == [
        ("clk-to-q", "design.accelerator.f", None),
        ("routing", "design.accelerator.c", "design.accelerator.n[3]"),
        ("logic", "design.accelerator.c", None),
        ("routing", "design.accelerator.g", "design.accelerator.m"),
        ("setup", "design.accelerator.g", None),
    ]
    assert found.cells == {"SLICE_LUTX": (910, 106400), "CARRY4": (140, 13300), "DSP48E1": (0, 220)}
    with pytest.raises(RuntimeError, match="no clock"):
        timing_of_log("Warning: No clocks found in design\n")


bits = st.integers(0, (1 << 64) - 1)


def outputs_of(netlist: dict[str, Any], inputs: int) -> dict[str, int]:
    """Return the ports of a module over all values of its inputs, as truth tables."""
    flat = from_json(netlist["modules"]["m"])
    lanes = 1 << inputs
    gates = GateSimulator(flat, lanes, XC7.kinds)
    gates.settle({2 + k: sum(((a >> k) & 1) << a for a in range(lanes)) for k in range(inputs)})
    return {port: gates.read(found[0]) for port, found in flat.ports.items() if port != "i"}


@given(bits, st.sampled_from(["0", "1", 7]), st.sampled_from([("O5",), ("O6",), ("O5", "O6")]))
def test_a_split_lut_computes_the_same(init: int, last: Any, read: tuple[str, ...]) -> None:
    pins = {f"I{k}": [2 + k] for k in range(5)} | {"I5": [last]}
    outs = {out: [20 + k] for k, out in enumerate(read)}
    cell = {
        "type": "LUT6_2",
        "parameters": {"INIT": f"{init:064b}"},
        "attributes": {},
        "port_directions": {**dict.fromkeys(pins, "input"), **dict.fromkeys(outs, "output")},
        "connections": {**pins, **outs},
    }
    ports = {"i": {"direction": "input", "bits": [2, 3, 4, 5, 6, 7]}}
    ports |= {out.lower(): {"direction": "output", "bits": at} for out, at in outs.items()}
    netlist = {"modules": {"m": {"ports": ports, "cells": {"c": cell}, "netnames": {}}}}
    split = split_dual_luts(netlist)
    kinds = [cell["type"] for cell in split["modules"]["m"]["cells"].values()]
    assert len(kinds) == len(read) and set(kinds) <= {"LUT5", "LUT6"}
    assert kinds.count("LUT6") == (last == 7 and "O6" in read)
    assert outputs_of(split, 6) == outputs_of(netlist, 6)


def test_sites_are_the_places_of_luts() -> None:
    def cell(bel: str) -> dict[str, Any]:
        return {"type": "SLICE_LUTX", "attributes": {"NEXTPNR_BEL": bel}}

    own = "design.accelerator."
    cells = {
        f"{own}d$LUT5": cell("SLICE_X1Y2/A5LUT"),  # two halves of one site
        f"{own}d$LUT6": cell("SLICE_X1Y2/A6LUT"),
        f"{own}e": cell("SLICE_X1Y2/B6LUT"),
        f"{own}n$LUT$9": cell("SLICE_X1Y2/C6LUT"),  # was not given: a net that passes through
        f"{own}f": {"type": "SLICE_FFX", "attributes": {"NEXTPNR_BEL": "SLICE_X1Y2/AFF"}},
        "design.shell.l": cell("SLICE_X1Y3/A6LUT"),
        "$PACKER_VCC": {"type": "VCC", "attributes": {}},
    }
    given_ = {f"{own}d": {}, f"{own}e": {}, f"{own}f": {}, "design.shell.l": {}}
    assert sites_of({"modules": {"top": {"cells": cells}}}, given_) == Sites((4, 3), (1, 1))


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = str(save_small_network(tmp_path / "small.onnx"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    def asked(board: str, **options: Any) -> BuildConfig:
        return BuildConfig(
            board=board, model=model, output_dir=str(tmp_path / "b"), route=True, **options
        )

    with pytest.raises(UserError, match=r"7-series .* ZCU104 \(xczu7ev.*\) is neither"):
        asked("ZCU104").validate()
    with pytest.raises(UserError, match=r"needs nextpnr-xilinx .* or nextpnr-himbaechel .* built"):
        asked("Pynq-Z1").validate()
    with pytest.raises(UserError, match=r"chip database .*: there is no such file"):
        asked("Pynq-Z1", chipdb=str(tmp_path / "none.bin")).validate()
    stand_in(tmp_path, monkeypatch)
    with pytest.raises(UserError, match="needs --chipdb FILE: the chip database of xc7z020clg400"):
        asked("Pynq-Z1").validate()
    assert version(XILINX) == "0.8.2-2-gabcdef"
    with pytest.raises(UserError, match="--route needs a board"):
        BuildConfig(fpga_part="xc7z020clg400-1", model=model, route=True).validate()


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, first: str = "") -> None:
    """Put the stand-in on the search path."""
    program = folder / "bin" / "nextpnr-xilinx"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} {first} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.mark.slow
@pytest.mark.parametrize("first", ["", "--old"])
def test_a_build_with_a_second_opinion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    stand_in(tmp_path, monkeypatch, first)
    chipdb = tmp_path / "xc7z020.bin"
    chipdb.write_bytes(b"chip")
    out = tmp_path / "build"
    config = BuildConfig(
        board="Pynq-Z1",
        model=str(save_small_network(tmp_path / "small.onnx")),
        style="sparse",
        output_dir=str(out),
        verify_frames=20,
        route=True,
        chipdb=str(chipdb),
        seeds=2,
    )
    result = build(config)
    found = read_json(out / "report/route.json")
    assert found["tool"] == "nextpnr-xilinx" and "placeholders of 0.1 ns" in found["timing"]
    assert (found["routed_mhz"], found["seed"]) == (102.0, 2)
    assert found["second_opinion"] and found["around"] == "shift registers"
    assert found["gate_level"]["frames"] == 0 and "not simulated" in found["gate_level"]["why"]
    kinds = [step["kind"] for step in found["path"]]
    assert kinds == ["clk-to-q", "routing", "logic", "routing", "setup"]
    sites, through = found["cells"]["LUT sites"], found["cells"]["LUT sites, routed through"]
    assert sites["available"] == 53_200 and 0 < sites["accelerator"] < sites["used"]
    # The stand-in puts one under each carry cell.
    assert 0 < through["accelerator"] < sites["accelerator"]
    shown = summary_table(result.summary)
    assert "102 MHz by nextpnr for 100 MHz; LUT sites" in shown and "bitfile/flash.sh" not in shown
    assert "A second opinion" in (out / "report.html").read_text()
    assert not (out / "bitfile").exists() and not (out / "route/bitstream").exists()
    assert (out / "vivado").is_dir()


@pytest.mark.slow
def test_a_second_opinion_changes_no_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch)
    chipdb = tmp_path / "xc7z020.bin"
    chipdb.write_bytes(b"chip")
    result = build(
        BuildConfig(
            board="Pynq-Z2",
            model=str(save_small_network(tmp_path / "small.onnx")),
            style="sparse",
            synth_clk_period_ns=8.0,
            output_dir=str(tmp_path / "build"),
            verify_frames=20,
            route=True,
            chipdb=str(chipdb),
        )
    )
    assert "turns" not in result.summary and not result.summary["routed"]["met"]
    shown = summary_table(result.summary)
    assert "101 MHz by nextpnr for 125 MHz, which it misses" in shown
    assert "results may be wrong" not in shown


@pytest.mark.slow
def test_a_database_that_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch)
    other = tmp_path / "other.bin"
    other.write_bytes(b"another program's")
    config = BuildConfig(
        board="Pynq-Z1",
        model=str(save_small_network(tmp_path / "small.onnx")),
        style="sparse",
        output_dir=str(tmp_path / "build"),
        verify_frames=20,
        synth="none",
        route=True,
        chipdb=str(other),
    )
    with pytest.raises(UserError, match=r"nextpnr-xilinx did not pack .* Unable to read chipdb"):
        build(config)


def test_halves_cover_all_ways() -> None:
    """A LUT6_2 whose last input is open reads 0 there, as nextpnr has it."""
    cell = {
        "type": "LUT6_2",
        "parameters": {"INIT": "1" * 32 + "0" * 31 + "1"},
        "port_directions": {},
        "connections": {"I0": [2], "O5": [9], "O6": [10]},
    }
    made = split_dual_luts({"modules": {"m": {"cells": {"c": cell}}}})["modules"]["m"]["cells"]
    assert list(made) == ["c$O5", "c$O6"]
    for half, pin in itertools.product(made.values(), ("I1", "I4")):
        assert half["type"] == "LUT5" and half["connections"][pin] == ["0"]
        assert half["parameters"]["INIT"] == "0" * 31 + "1"
