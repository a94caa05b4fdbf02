"""Waveforms written and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from finn_builds.sparse.families.xc7 import XC7
from finn_builds.synth.gates import GateSimulator
from finn_builds.synth.netlist import Cell, Netlist
from finn_builds.verify.waves import Recorder, Waves, read_vcd


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    waves = Waves(edges=30)
    widths = {"core.a": 5, "core.deep.b": 1, "c": 70}
    held: dict[tuple[str, int], tuple[int, int]] = {}
    for edge in range(waves.edges):
        for name, width in widths.items():
            known = (1 << width) - 1 if name != "c" else (1 << width) - 1 - 6
            bits = int.from_bytes(rng.bytes(9), "little") if rng.random() < 0.4 or not edge else -1
            held[name, edge] = held[name, edge - 1] if bits < 0 else (bits & known, known)
            waves.note(name, edge, held[name, edge])
    path = tmp_path / "waves.vcd"
    waves.write(path, widths)
    found = read_vcd(path, "ap_clk")
    assert found.edges == 30
    for (name, edge), sample in held.items():
        full = (1 << widths[name]) - 1
        bits, known = found.at(name, edge) or (0, 0)
        assert (bits & known & full, known & full) == sample, (name, edge)


def test_an_edge_sees_what_was_there_before_it(tmp_path: Path) -> None:
    path = tmp_path / "small.vcd"
    head = (
        "$timescale 1ps $end $scope module TOP $end $scope module top $end "
        "$var wire 1 # ap_clk $end $var wire 4 % q [3:0] $end $upscope $end $upscope $end "
        "$enddefinitions $end "
    )
    path.write_text(head + "#1 0# b1 % #2 1# b10 % #3 0# #4 1# b11 % #5 0# b101 % #6 1#")
    waves = read_vcd(path, "top.ap_clk")
    assert waves.edges == 3
    assert [waves.bits("top.q", edge) for edge in range(3)] == [1, 2, 5]
    assert waves.at("top.nothing", 0) is None


def test_bits_that_nothing_drives_are_not_known() -> None:
    flop = Cell("f", "FDRE", {}, {"C": [9], "CE": ["1"], "D": [2], "R": ["0"]}, {"Q": [3]})
    ports = {"s_axis_0_tdata": (2,), "m_axis_0_tdata": (3,)}
    netlist = Netlist((flop,), ports, {}, {"core.word": (3, 7, "1", 2)})
    recorder = Recorder(netlist)
    simulator = GateSimulator(netlist, 1, XC7.kinds)
    for bit in (1, 0):
        simulator.settle({2: bit})
        recorder(simulator)
        simulator.clock()
    assert recorder.waves.at("core.word", 0) == (0b1100, 0b1101)
    assert recorder.waves.at("core.word", 1) == (0b0101, 0b1101)
    assert recorder.widths["core.word"] == 4
