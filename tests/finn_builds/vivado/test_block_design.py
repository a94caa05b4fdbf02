"""The Tcl of every board under ``tclsh``, against a strict model of Vivado's commands.

What the model does not know of (the connections that are simulated, the board's clock, the syntax
of sources) is checked of what it recorded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.fabric_clock import SAME_CLOCK
from finn_builds.config.boards import load_board
from finn_builds.config.zynq_boards import CLOCK_DIGITS
from finn_builds.vivado.project import needs_licence
from finn_builds.vivado.script import REPORTS
from finn_builds.vivado.tcl import number
from tests.finn_builds.vivado.conftest import BOARDS, Recorded, small_spec, write_build
from tests.finn_builds.vivado.design_checks import differences, wrong_clock

#: Boards of the two kinds of processor.
ZYNQ, ULTRASCALE = "Pynq-Z1", "KV260_SOM"


def facts(project: Path) -> dict:
    return json.loads((project / "result" / "finn-accel.json").read_text())


@pytest.mark.parametrize("board", BOARDS)
def test_every_board_s_script_runs_to_the_bitfile(record, tmp_path, board):
    spec = load_board(board)
    project = write_build(tmp_path / "build", board, spec.clock_ns)
    done = record(project)
    assert not differences(done, project, small_spec(board), spec, spec.clock_ns)
    assert done.table("part") == [[spec.part]]
    cells = dict(done.table("cell"))
    zynq = {"zynq_7000": "processing_system7", "zynq_ultrascale": "zynq_ultra_ps_e"}
    assert zynq[spec.ps_type] in cells["zynq_ps"]
    assert [cells[name] for name in ("idma0", "odma0", "control0", "accelerator0")] == [
        "prunestream_idma",
        "prunestream_odma",
        "prunestream_control",
        "prunestream_accelerator",
    ]
    # Register ports from the processor, memory port of the board's width.
    interfaces = done.table("interface")
    assert [f"zynq_ps/{spec.axi_control}", "axi_registers/S00_AXI"] in interfaces
    assert ["axi_memory/M00_AXI", f"zynq_ps/{spec.axi_data}"] in interfaces
    properties = {(cell, key): value for cell, key, value in done.table("property")}
    width = next(int(v) for (_, key), v in properties.items() if key.endswith("_DATA_WIDTH"))
    assert width == spec.dma_width
    names = ["finn-accel.bit", "finn-accel.hwh", "finn-accel.json", *REPORTS]
    assert sorted(path.name for path in (project / "result").iterdir()) == sorted(names)
    assert "HLS" not in (project / "build.tcl").read_text().upper()


@pytest.mark.parametrize("board", BOARDS)
def test_what_the_bitfile_is_made_for_is_told(record, tmp_path, board):
    spec = load_board(board)
    project = write_build(tmp_path / "build", board, spec.clock_ns)
    output = record(project).output
    made = 100.0 if spec.ps_type == "zynq_7000" else spec.pll.mhz / 8
    told = facts(project)
    assert told["clock"]["asked_mhz"] == pytest.approx(1000 / spec.clock_ns, abs=1e-6)
    assert told["clock"]["actual_mhz"] == pytest.approx(made, rel=1e-6)
    assert told["clock"]["period_ns"] == float(f"{1000 / made:.3f}")
    assert told["board_files"]["found"].startswith(f"{spec.board_part}:part0:")
    assert told["board_files"]["found"] in told["board_files"]["note"]
    assert (told["vivado"], told["timing"]) == ("2023.2", {"met": True, "wns": 0.321, "whs": 0.02})
    makes = f"the processor makes {told['clock']['actual_mhz']:.6f} MHz"
    assert f"MHz asked for, {makes}" in output
    assert f"board files: {told['board_files']['note']}" in output


def test_sources_name_memory_contents_absolutely_and_none_is_there_twice(record, tmp_path):
    project = write_build(tmp_path / "build", "Pynq-Z1")
    assert record(project).returncode == 0
    copied = project / "project" / "src"
    assert sorted(path.name for path in copied.iterdir()) == ["finn_design_wrapper.v", "node.v"]
    named = re.search(r'"(.*\.dat)"', (copied / "node.v").read_text())
    assert named is not None
    assert named[1] == str(tmp_path / "build" / "stitched_ip" / "node_0_weights.dat")


def test_it_can_be_run_again(record, tmp_path):
    project = write_build(tmp_path / "build", "Pynq-Z1")
    assert record(project).returncode == record(project).returncode == 0


@pytest.mark.parametrize("board", BOARDS)
def test_board_files_are_not_needed(record, tmp_path, board):
    spec = load_board(board)
    project = write_build(tmp_path / "build", board, spec.clock_ns)
    done = record(project, "without-board")
    assert not differences(done, project, small_spec(board), spec, spec.clock_ns)
    assert ["zynq_ps", "1"] not in done.table("preset")
    told = facts(project)["board_files"]
    assert told["found"] is None
    assert f"board files: No board files of {board} were installed" in done.output
    assert f"its crystal of {number(spec.pll.crystal_mhz)} MHz" in told["note"]
    high = spec.ps_type == "zynq_ultrascale" and spec.ddr_mib > 2048
    assert ("do not reach the DDR above 2 GB" in told["note"]) == high


def test_a_preset_that_overrides_the_basic_clocks_does_not_matter(record, tmp_path):
    spec = load_board(ULTRASCALE)
    project = write_build(tmp_path / "build", ULTRASCALE, spec.clock_ns)
    done = record(project, "overridden")
    assert not differences(done, project, small_spec(ULTRASCALE), spec, spec.clock_ns)


@pytest.mark.parametrize("board", BOARDS)
def test_any_clock_ends_in_the_fastest_that_is_not_above_it(record, tmp_path, board):
    """Also where the nearest one that the PLL makes, which Vivado takes, is a faster one."""
    spec = load_board(board)
    for ns in (1, 2, 3.33, 5, 5.334, 6.667, 7.123, 8, 10, 33.333, 100, 2000):
        project = write_build(tmp_path / f"{ns}", board, ns)
        done = record(project)
        assert done.returncode == 0, done.output
        assert not wrong_clock(project, spec, ns)
        clock = facts(project)["clock"]
        assert clock["actual_mhz"] <= clock["asked_mhz"] * (1 + CLOCK_DIGITS)
        assert done.output.count("MHz asked for, the processor makes") == 1, "asked for once"
        # The driver finds this clock by the period that the design is constrained to.
        assert clock["actual_mhz"] <= 1000 / clock["period_ns"] * (1 + SAME_CLOCK)


def test_another_pll_gives_a_slower_clock(record, tmp_path):
    """Of 1,200 MHz: 200 is nearer to 187.5 than 171.4 is, and too fast."""
    project = write_build(tmp_path / "build", ULTRASCALE, 5.333)
    done = record(project, "other-pll")
    assert done.returncode == 0, done.output
    assert "the processor makes 200.000000 MHz" in done.output
    assert facts(project)["clock"]["actual_mhz"] == 171.428571
    assert facts(project)["clock"]["period_ns"] == 5.833
    for ns in (2, 3.33, 4.3, 5, 6.667, 7.123, 9.1, 33.333, 100):
        project = write_build(tmp_path / f"{ns}", ULTRASCALE, ns)
        assert record(project, "other-pll").returncode == 0
        made, most = facts(project)["clock"]["actual_mhz"], 1000 / ns * (1 + CLOCK_DIGITS)
        best = max(1200 / divisor for divisor in range(1, 200) if 1200 / divisor <= most)
        assert 0.97 * best < made <= most, "a step of 2 % may pass over the best one"


@pytest.mark.parametrize(
    ("board", "ns", "advice"),
    [(ZYNQ, 10.0, "1"), (ULTRASCALE, 5.333, "0.666"), (ULTRASCALE, 5.0, "0.666")],
)
def test_a_clock_above_the_one_asked_for_is_an_error(record, tmp_path, board, ns, advice):
    project = write_build(tmp_path / "build", board, ns)
    done = record(project, "fast-clock")
    assert done.returncode == 1
    assert "a clock that is too fast, and none that is slower: build again" in done.output
    assert f"--clock-ns {advice}, or without the board files" in done.output
    assert not list((project / "result").iterdir())


def test_a_clock_that_the_processor_refuses_is_an_error(record, tmp_path):
    done = record(write_build(tmp_path / "build", ZYNQ), "no-clock")
    assert done.returncode == 1
    assert (
        "STOPPED: the processor takes no clock of 100 MHz: ERROR: [IP_Flow 19-3461] Value '100'"
        in done.output
    )


def test_a_slower_clock_than_the_one_asked_for_is_told(record, tmp_path):
    project = write_build(tmp_path / "build", ULTRASCALE, 5.0)
    done = record(project)
    assert done.returncode == 0, done.output
    assert "clock: 200 MHz asked for, the processor makes 187.498123 MHz" in done.output
    clock = {"asked_mhz": 200, "actual_mhz": 187.498123, "period_ns": 5.333}
    assert facts(project)["clock"] == clock


def test_a_design_that_is_constrained_to_a_slower_clock_is_an_error(record, tmp_path):
    project = write_build(tmp_path / "build", ULTRASCALE, 5.333)
    done = record(project, "other-constraint")
    assert done.returncode == 1
    assert "constrained to 10.667 ns, a slower clock than the 187.498123 MHz" in done.output


@pytest.mark.parametrize(
    ("option", "wns", "whs"),
    [
        ("late", -0.25, 0.02),
        ("hold", 0.321, -0.011),
        ("late-by-1ps", -0.001, 0.02),
        ("late-by-less", 0.0, 0.02),  # which slacks of three decimals do not show
        ("pulse", 0.321, 0.02),  # nor these that of a pulse width
        ("no-paths", None, None),  # nothing was constrained
        ("unconstrained", None, 0.02),
    ],
)
def test_missed_timing_leaves_no_bitfile_of_the_usual_name(record, tmp_path, option, wns, whs):
    project = write_build(tmp_path / "build", ZYNQ)
    done = record(project, option)
    assert done.returncode == 0, "its reports are wanted"
    assert "TIMING MISSED" in done.output and "longer --clock-ns" in done.output
    names = {path.name for path in (project / "result").iterdir()}
    assert "finn-accel.bit" not in names
    assert {"finn-accel-timing-missed.bit", "worst_paths.rpt"} <= names
    assert facts(project)["timing"] == {"met": False, "wns": wns, "whs": whs}


@pytest.mark.parametrize(
    ("option", "message"),
    [("no-bit", "the run impl_1 left no bitfile"), ("no-handoff", "has written no top.hwh")],
)
def test_files_that_vivado_did_not_write_are_told(record, tmp_path, option, message):
    done = record(write_build(tmp_path / "build", ZYNQ), option)
    assert done.returncode == 1
    assert f"STOPPED: {message}" in done.output or message in done.output


ODD_FOLDERS = ("with blanks", "Müller", "日本", "a$b", "a[b]c", "a{b", 'a"b', "a;b", "a&b")


@pytest.mark.parametrize("name", ODD_FOLDERS)
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_the_script_runs_in_a_folder_of_any_name(record, tmp_path, monkeypatch, name, locale):
    """The runs of a real Vivado may mind; the script itself does not."""
    monkeypatch.setenv("LC_ALL", locale)
    project = write_build(tmp_path / name / "build", ZYNQ)
    done = record(project)
    assert done.returncode == 0, done.output
    data = f'"{tmp_path}/{name}/build/stitched_ip/node_0_weights.dat"'
    assert data in (project / "project" / "src" / "node.v").read_text()
    assert facts(project)["timing"]["met"]


def test_cells_as_they_were_simulated_can_be_asked_for(record, tmp_path):
    project = write_build(tmp_path / "build", ZYNQ)
    script = project / "build.tcl"
    script.write_text(script.read_text().replace("set as_cells 0", "set as_cells 1"))
    assert record(project).returncode == 0
    copied = project / "project" / "src"
    for path in copied.iterdir():
        assert path.read_text().startswith("`define PS_CELLS\n")


def test_a_vivado_without_the_device_says_so(record, tmp_path):
    done = record(write_build(tmp_path / "build", "RFSoC4x2"), "without-part")
    assert done.returncode == 1
    assert "does not know the part xczu48dr" in done.output
    assert not (tmp_path / "build" / "vivado" / "result").exists()


@pytest.mark.parametrize(
    ("option", "run", "status"),
    [
        ("failing-synthesis", "synth_1", "synth_design ERROR"),
        ("failing-run", "impl_1", "route_design ERROR"),
    ],
)
def test_a_failed_run_says_so_and_leaves_no_bitfile(record, tmp_path, option, run, status):
    project = write_build(tmp_path / "build", "Pynq-Z1")
    done = record(project, option)
    assert done.returncode == 1
    error = f"ERROR: [Recorder 1-1] this is why {run} failed"
    assert f"STOPPED: the run {run} ended with '{status}': {error} (" in done.output
    assert "ERROR: [Common 17-39] failed due to earlier errors." in done.output
    assert [path.name for path in (project / "result").iterdir()] == ["address_map.txt"]


Mutate = Callable[..., str]


@pytest.fixture
def mutate(record: Callable[..., Recorded], tmp_path: Path) -> Mutate:
    """Change one text of a project, run it, and return what is wrong then."""

    def run(board: str, file: str, old: str, new: str, *options: str) -> str:
        spec = load_board(board)
        project = write_build(tmp_path / "build", board, spec.clock_ns)
        path = project / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        done = record(project, *options)
        return differences(done, project, small_spec(board), spec, spec.clock_ns)

    return run


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("validate_bd_design\n", "validate_bd_desing\n", "unknown command validate_bd_desing"),
        ("-norecurse", "-recurse", "unknown option -recurse"),
        ("NUM_MI 3", "NUM_M 3", "smartconnect has no property NUM_M"),
        ("NUM_MI 3", "NUM_MI 17", "NUM_MI must be one of 1..16"),
        ("HP0_DATA_WIDTH 64", "HP0_DATA_WIDTH 128", "must be one of 32 64"),
        ("HP0_DATA_WIDTH 64", "HP0_DATA_WIDTH 32", "idma0 has 64 bits"),
        ("idma0/stop odma0/stop", "idma0/stop", "odma0/stop has no driver"),
        ("idma0/stop odma0/stop", "idma0/stop idma0/stop", "has two drivers"),
        ("control0/ap_clk accelerator0", "accelerator0", "control0/ap_clk has no driver"),
        ("idma0/quiet {", "idma0/quit {", "no pin idma0/quit"),
        ("control0/stop {", "control0/ap_clk {", "drives nothing"),
        ("{accelerator0/ap_rst_n}", "{accelerator0/ap_clk}", "accelerator0/ap_clk has two drivers"),
        ("control0/m_axis_out odma0", "control0/m_axis_in odma0", "connected twice"),
        ("accelerator0/m_axis_0 control0/s_axis_out", "", "has no partner"),
        ("idma0/m_axis_0 control0/s_axis_in", "idma0/m_axis_0 odma0/s_axis_0", "16 bits"),
        ("-reference prunestream_odma", "-reference odma", "must be plain Verilog"),
        ("ip:proc_sys_reset", "ip:proc_sys", "this Vivado has no xilinx.com:ip:proc_sys"),
        ("make_external", "make_extern", "has no option make_extern"),
        ("Master Disable", "Master Enable", "makes a Master of its own"),
        ("Slave Disable", "Slave Enable", "makes a Slave of its own"),
        ("set_property top top_wrapper", "# top", "the run synth_1 is launched without a top"),
        ("assign_bd_address\n", "", "addresses are not assigned"),
        ("add_files -norecurse $sources\nupdate_compile_order -fileset sources_1\n",
         "add_files -norecurse $sources\n", "the order of the sources is not known"),
        ("save_bd_design\n", "", "no file top.bd"),
        ("finish impl_1\n", "", "the run impl_1 is not over"),
        ("finish synth_1\n", "", "impl_1 is launched before synth_1 is over"),
        ("open_run impl_1\n", "", "report_utilization"),
        ("Performance_ExplorePostRoute", "Performance_PostRoute", "no strategy Performance_Post"),
        ("STEPS.POST_ROUTE_PHYS_OPT", "STEPS.POST_ROUTE_PHYSOPT", "no property STEPS.POST_ROUTE"),
        ("[get_clocks -quiet clk_fpga_0]", "[get_clocks -quiet clk]", "has no clock clk_fpga_0"),
    ],
)  # fmt: skip
def test_the_recorder_refuses_what_vivado_would(mutate, old, new, message):
    assert message in mutate(ZYNQ, "build.tcl", old, new)


STRATEGY = "set_property strategy Performance_ExplorePostRoutePhysOpt"
SWAPPED = "idma0/quiet {control0/odma_quiet}\n    odma0/quiet {control0/idma_quiet}"
PAIR = "idma0/quiet {control0/idma_quiet}\n    odma0/quiet {control0/odma_quiet}"
RESETS = """\
    reset0/peripheral_aresetn {idma0/ap_rst_n odma0/ap_rst_n control0/ap_rst_n}
    control0/accelerator_rst_n {accelerator0/ap_rst_n}
"""


@pytest.mark.parametrize(
    ("board", "old", "new", "message"),
    [
        (ZYNQ, PAIR, SWAPPED, "['control0/odma_quiet', 'idma0/quiet'] is not in the top"),
        (ZYNQ, "control0/stop {", "control0/clear {", "'idma0/stop', 'odma0/clear', 'odma0/stop']"),
        (
            ZYNQ,
            "control0/stop {idma0/stop odma0/stop}\n    control0/clear {idma0/clear odma0/clear}",
            "control0/clear {idma0/stop odma0/stop}\n    control0/stop {idma0/clear odma0/clear}",
            "'control0/stop', 'idma0/clear', 'odma0/clear'] is not in the top",
        ),
        # Resets: those of the accelerator and a DMA swapped, another kind, active high, no clock.
        (ZYNQ, RESETS, RESETS.replace("odma0", "x").replace("accelerator0", "odma0").replace(
            "x", "accelerator0"), "'control0/accelerator_rst_n'] is missing"),
        (ZYNQ, "peripheral_aresetn", "peripheral_reset", "reset0/peripheral_reset is reset_high"),
        (ZYNQ, "peripheral_aresetn", "interconnect_aresetn", "['reset0/interconnect_aresetn']"),
        (ZYNQ, "reset0/peripheral_aresetn", "zynq_ps/FCLK_RESET0_N",
         "zynq_ps/FCLK_RESET0_N is async_low, idma0/ap_rst_n reset_low"),
        (ULTRASCALE, "zynq_ps/pl_resetn0 {reset0/ext_reset_in}", "",
         "reset0/ext_reset_in has no driver"),
        # The clock.
        (ZYNQ, "set asked_mhz 100\n", "set asked_mhz 250\n", "asked_mhz is 250, not 100"),
        (ULTRASCALE, "set asked_mhz 187.5", "set asked_mhz 166.7", "actual_mhz is 166.664993"),
        (ULTRASCALE, "SRCSEL IOPLL", "SRCSEL RPLL", "the clock is of RPLL"),
        # Board files and memory.
        (ULTRASCALE, "apply_board_preset 1", "apply_board_preset 0", "has not the presets"),
        (ZYNQ, '[expr {$board_part ne ""}]', "0", "has not the presets"),
        (ULTRASCALE, "$board_files:*", "$board_files:part0:1.3", "no board files were taken"),
        (ULTRASCALE, "set board_files {", "set board_files {x", "no board files were taken"),
        (ULTRASCALE, "GUI_ENABLE 1", "GUI_ENABLE 0", "of 4096 MiB these are reached"),
        # Timing effort.
        (ZYNQ, f"{STRATEGY} [get_runs impl_1]\n", "", "run impl_1 strategy Perf"),
        (ZYNQ, "set_property synth_checkpoint_mode None [get_files top.bd]\n", "",
         "run top.bd synth_checkpoint_mode None is missing"),
        (ZYNQ, "checkpoint_mode None", "checkpoint_mode Singular",
         "run top.bd synth_checkpoint_mode None is missing"),
        (ZYNQ, "Performance_ExplorePostRoutePhysOpt", "Performance_Explore",
         "run impl_1 strategy Perf"),
        (ZYNQ, "POST_ROUTE_PHYS_OPT_DESIGN.IS_ENABLED true", "PHYS_OPT_DESIGN.IS_ENABLED true",
         "run impl_1 STEPS.POST_ROUTE_PHYS_OPT_DESIGN"),
    ],
)  # fmt: skip
def test_the_checks_find_what_the_script_may_not_do(mutate, board, old, new, message):
    found = mutate(board, "build.tcl", old, new)
    assert message in found


def test_an_overridden_clock_is_found(mutate):
    """A preset that leaves the basic clocks overridden, and a script that does not mind."""
    old = "set_property CONFIG.PSU__OVERRIDE__BASIC_CLOCK 0 $ps\n"
    found = mutate(ULTRASCALE, "build.tcl", old, "", "overridden")
    assert "actual_mhz is 99.999001, not 187.498125" in found


def test_a_clock_that_is_not_read_back_is_found(mutate, tmp_path):
    """The property that was set in the place of the one that Vivado computes."""
    old, new = "PL0_REF_CTRL__ACT_FREQMHZ", "PL0_REF_CTRL__FREQMHZ"
    found = mutate(ULTRASCALE, "build.tcl", old, new, "other-pll")
    assert "period_ns is 5.0" in found
    clock = facts(tmp_path / "build" / "vivado")["clock"]
    assert 1000 / clock["period_ns"] > clock["actual_mhz"] * (1 + CLOCK_DIGITS)


ADDRESS = "output wire [31:0] m_axi_gmem_araddr,"
INFO = '    (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 m_axi_gmem {}" *)\n'


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("accelerator", "s_axis_0:m_axis_0", "s_axis_0", "associated with"),
        ("idma", "ASSOCIATED_BUSIF s_axi_control:m_axi_gmem:m_axis_0, ", "", "associated with ''"),
        ("control", "ap_rst_n:accelerator_rst_n", "ap_rst_n", "associated with 'ap_rst_n'"),
        ("idma", "POLARITY ACTIVE_LOW", "POLARITY", "is reset_low, idma0/ap_rst_n reset_high"),
        ("idma", "POLARITY ACTIVE_LOW", "FREQ_HZ 1", "no polarity of ap_rst_n"),
        ("idma", "POLARITY ACTIVE_LOW", "POLARITY ACTIVE_HIGH", "idma0/ap_rst_n reset_high"),
        ("odma", "s_axis_0_tready", "s_axis_0_ready", "no s_axis_0_tready"),
        # Signals that are missing, or go the wrong way.
        ("idma", INFO.format("ARREADY") + "    input  wire m_axi_gmem_arready,\n", "",
         "no m_axi_gmem_arready"),
        ("idma", INFO.format("RLAST") + "    input  wire m_axi_gmem_rlast,\n", "",
         "no m_axi_gmem_rlast"),
        ("idma", INFO.format("ARLEN") + "    output wire [7:0] m_axi_gmem_arlen,\n", "",
         "no m_axi_gmem_arlen"),
        ("odma", INFO.format("WLAST") + "    output wire m_axi_gmem_wlast,\n", "",
         "no m_axi_gmem_wlast"),
        ("idma", "output wire m_axi_gmem_rready", "input  wire m_axi_gmem_rready",
         "has the wrong direction"),
        ("control", "    input  wire s_axi_control_bready,\n", "", "no s_axi_control_bready"),
        # Widths.
        ("idma", ADDRESS, ADDRESS.replace("31", "30"), "WIDTH"),
        ("idma", ADDRESS, ADDRESS.replace("31", "27"), "is excluded from idma0/m_axi_gmem"),
        ("idma", "[7:0] m_axi_gmem_arlen", "[3:0] m_axi_gmem_arlen", "arlen has 4 bits, not 8"),
        ("idma", "[1:0] m_axi_gmem_rresp", "[2:0] m_axi_gmem_rresp", "rresp has 3 bits, not 2"),
        ("odma", "[7:0] m_axi_gmem_wstrb", "[3:0] m_axi_gmem_wstrb", "wstrb has 4 bits, not 8"),
        # What the interconnect is made for.
        ("idma", "NARROW_BURST 0", "NARROW_BURST 1", "SUPPORTS_NARROW_BURST is 1, not 0"),
        ("idma", "NUM_READ_OUTSTANDING 8", "NUM_READ_OUTSTANDING 2", "NUM_READ_OUTSTANDING is 2"),
        ("odma", "MAX_BURST_LENGTH 16", "MAX_BURST_LENGTH 256", "bursts of 256, zynq_ps/S_AXI_HP0"),
        ("odma", "WRITE_ONLY", "READ_ONLY", "m_axi_gmem is not READ_ONLY"),
        ("odma", "SUPPORTS_NARROW", "SUPPORT_NARROW", "has no parameter SUPPORT_NARROW_BURST"),
    ],
)  # fmt: skip
def test_module_references_must_be_what_vivado_infers(mutate, file, old, new, message):
    assert message in mutate(ZYNQ, f"sources/prunestream_{file}.v", old, new)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("idma.sv", "endmodule", "endmodul"),
        ("axil_slave.sv", "always_ff", "always_f"),
        ("prunestream_control.v", "BITS(7)) registers", "BITS(7) registers"),
        ("prunestream_odma.v", ".bready(s_axi_control_bready)", ".b_ready(s_axi_control_bready)"),
    ],
)
def test_errors_in_sources_are_found(mutate, file, old, new):
    assert "%Error" in mutate(ZYNQ, f"sources/{file}", old, new)


@pytest.mark.parametrize("port", ["m_axis_in_tdata", "m_axis_out_tvalid", "s_axis_in_tready"])
def test_an_output_that_nothing_drives_is_found(mutate, port):
    found = mutate(ULTRASCALE, "sources/prunestream_control.v", f"    assign {port} = ", "    // ")
    assert "UNDRIVEN" in found and port in found


@pytest.mark.parametrize(("board", "differs"), [(ZYNQ, False), (ULTRASCALE, True)])
def test_a_frequency_that_a_module_states_must_be_the_clock_s(mutate, board, differs):
    """The wrappers state none, so that they take that of the clock they get (UG994)."""
    stated = "ASSOCIATED_RESET ap_rst_n, FREQ_HZ 100000000"
    file = "sources/prunestream_accelerator.v"
    found = mutate(board, file, "ASSOCIATED_RESET ap_rst_n", stated)
    assert ("FREQ_HZ does not match between zynq_ps/pl_clk0 (187498123)" in found) == differs
    assert bool(found) == differs


def test_the_catalogue_names_a_source_in_every_line():
    lines = Path(__file__).with_name("catalogue.tsv").read_text().splitlines()
    facts = [line.split("\t") for line in lines if not line.startswith("#")]
    assert len(facts) > 100
    assert all(len(fields) >= 4 and len(fields[-1]) > 5 for fields in facts)
    # A parameter of a reset is the one thing that a source of this project decides.
    assert {fields[0] for fields in facts} == {
        "ip", "property", "computed", "pin", "interface", "ports", "signal", "parameter", "board",
        "memory", "registers", "strategy", "step", "file",
    }  # fmt: skip


def test_the_folder_tells_what_to_run_where(tmp_path):
    for board in BOARDS:
        project = write_build(tmp_path / board, board)
        text = (project / "README.md").read_text()
        assert text.count("vivado -mode batch -source build.tcl") == 2, "on Linux and on Windows"
        assert "chdir /d C:\\b\\vivado\n" in text
        assert "never been run in Vivado" in text
        assert ("licensed" in text) == (board in {"ZCU102", "RFSoC2x2", "RFSoC4x2"})
        assert needs_licence(load_board(board)) == ("licensed" in text)
