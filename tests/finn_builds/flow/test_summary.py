"""What a build's summary and its short table say of synthesis."""

from finn_builds.files import SYNTHESIS_FILE, write_json
from finn_builds.flow.report import _synthesised
from finn_builds.run.terminal import summary_table
from finn_builds.synth.report import Synthesised

REPORT = {
    "(top)": {
        "LUT": 4260,
        "FF": 1977,
        "CARRY": 1163,
        "DSP": 0,
        "BRAM_18K": 0,
        "URAM": 0,
        "LUT_RAM": 3,
        "logic_depth": 9,
        "critical_path_ns": 8.44,
    },
    "SparseMVAU_rtl_0": {"LUT": 4260},
    "tool": {
        "name": "Yosys",
        "version": "0.70",
        "stage": "every node out of context, not placed",
        "critical_path": "estimate before placement",
    },
}


def found(tmp_path, report) -> dict:
    """Return what the summary says of figures in a build folder."""
    write_json(tmp_path / SYNTHESIS_FILE, report)
    return _synthesised(Synthesised.load(tmp_path, "out_of_context_synthesis"))


def test_figures_of_the_tool_stand_beside_the_estimates(tmp_path):
    summary = found(tmp_path, REPORT)
    assert summary["synthesised"]["LUT"] == 4260
    assert "estimate" in summary["critical_path_kind"]
    estimated = {"LUT": 4013, "DSP": 0, "kind": "estimated"}
    device = {"LUT": 53200, "FF": 106400, "DSP": 220, "BRAM_18K": 280, "URAM": 0}
    summary |= {"resources": estimated, "device": device}
    assert summary_table(summary).splitlines() == [
        "synthesised   LUT 4,260 (8.0% of the board), FF 1,977 (1.9%), CARRY 1,163, DSP 0, "
        "BRAM_18K 0; by Yosys 0.70",
        "longest path  8.44 ns before placement (estimated)",
        "estimated     LUT 4,013 (7.5% of the board), DSP 0",
    ]


def test_a_design_that_was_synthesised_in_part_has_no_figures_of_the_whole(tmp_path):
    top = {"why": "not synthesised: MVAU_rtl_0", "others": {"LUT": 5}}
    summary = found(tmp_path, {**REPORT, "(top)": top})
    assert summary["synthesised"] is None
    assert summary_table(summary) == "synthesised  not synthesised: MVAU_rtl_0"


def test_without_synthesis_nothing_is_said():
    assert summary_table(_synthesised(None)) == ""
