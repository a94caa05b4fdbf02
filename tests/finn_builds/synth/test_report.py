"""Figures of synthesis as ``report/synth_resources.json`` holds them."""

from __future__ import annotations

import json
from pathlib import Path

from finn_builds.synth.report import Figures, GateLevel, Synthesised, Tool

TOOL = Tool("Yosys", "0.70", ["synth_xilinx"], "not placed", "an estimate")
COUNTS: dict[str, int | float] = {"LUT": 7, "BRAM_18K": 1.5, "LUT_RAM": 2}
LAYERS = {"0": {"LUT": 4}, "stream": {"LUT": 3}}


def test_counts_stand_among_the_other_figures(tmp_path: Path) -> None:
    gates = GateLevel(100, 0, lanes=10, clocks=50)
    top = Figures(COUNTS, 3, 4.5, gate_level=gates, estimate={"LUT": 8})
    found = Synthesised(top, {"S_0": Figures(COUNTS, 3, 4.5, LAYERS)}, TOOL)
    found.save(tmp_path, "")
    content = json.loads((tmp_path / "report/synth_resources.json").read_text())
    assert content["(top)"] == {
        **COUNTS,
        "logic_depth": 3,
        "critical_path_ns": 4.5,
        "gate_level": {"frames": 100, "mismatches": 0, "lanes": 10, "clocks": 50},
        "estimate": {"LUT": 8},
    }
    assert content["S_0"]["layers"] == LAYERS
    assert content["tool"]["options"] == ["synth_xilinx"]
    assert list(content) == ["(top)", "S_0", "tool"]
    assert Synthesised.load(tmp_path, "") == found


def test_what_was_not_synthesised_says_why_and_nothing_else(tmp_path: Path) -> None:
    top = Figures(why="not synthesised: M_0", others={"LUT": 7})
    lost = Figures(why="took too long", estimate={"LUT": 8})
    found = Synthesised(top, {"S_0": Figures({"LUT": 7}), "M_0": lost}, TOOL)
    found.save(tmp_path, "")
    content = json.loads((tmp_path / "report/synth_resources.json").read_text())
    assert content["M_0"] == {"why": "took too long", "estimate": {"LUT": 8}}
    assert content["(top)"] == {"why": "not synthesised: M_0", "others": {"LUT": 7}}
    assert Synthesised.load(tmp_path, "") == found
