"""The Tcl of every board under ``tclsh``, against a strict model of Vivado's commands."""

from __future__ import annotations

import re

import pytest

from finn_builds.config.boards import board_names, load_board
from finn_builds.vivado.project import needs_licence
from tests.finn_builds.vivado.conftest import write_build


@pytest.mark.parametrize("board", board_names())
def test_every_board_s_script_runs_to_the_bitfile(record, tmp_path, board):
    spec = load_board(board)
    project = write_build(tmp_path / "build", board, spec.clock_ns)
    done = record(project)
    assert done.returncode == 0, done.output
    assert done.table("part") == [[spec.part]]
    cells = dict(done.table("cell"))
    zynq = {"zynq_7000": "processing_system7", "zynq_ultrascale": "zynq_ultra_ps_e"}
    assert zynq[spec.ps_type] in cells["zynq_ps"]
    blocks = ("idma0", "odma0", "control0", "accelerator0")
    assert [cells[name] for name in blocks] == [
        "prunestream_idma",
        "prunestream_odma",
        "prunestream_control",
        "prunestream_accelerator",
    ]
    # Register ports from the processor, memory port of the board's width, the clock asked for.
    interfaces = done.table("interface")
    assert [f"zynq_ps/{spec.axi_control}", "axi_registers/S00_AXI"] in interfaces
    assert ["axi_memory/M00_AXI", f"zynq_ps/{spec.axi_data}"] in interfaces
    properties = {(cell, key): value for cell, key, value in done.table("property")}
    clock = next(float(v) for (_, key), v in properties.items() if "FREQMHZ" in key)
    assert clock == pytest.approx(1000 / spec.clock_ns)
    width = next(int(v) for (_, key), v in properties.items() if key.endswith("_DATA_WIDTH"))
    assert width == spec.dma_width
    result = project / "result"
    names = ["finn-accel.bit", "finn-accel.hwh", "timing.rpt", "utilization.rpt"]
    assert sorted(path.name for path in result.iterdir()) == names
    assert "HLS" not in (project / "build.tcl").read_text().upper()


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


@pytest.mark.parametrize("board", ["Pynq-Z1", "ZCU104"])
def test_board_files_are_not_needed(record, tmp_path, board):
    project = write_build(tmp_path / "build", board)
    done = record(project, "without-board")
    assert done.returncode == 0, done.output
    assert f"note: no board files for {board}" in done.output
    assert ["zynq_ps", "1"] not in done.table("preset")


def test_a_vivado_without_the_device_says_so(record, tmp_path):
    done = record(write_build(tmp_path / "build", "RFSoC4x2"), "without-part")
    assert done.returncode == 1
    assert "does not know the part xczu48dr" in done.output
    assert not (tmp_path / "build" / "vivado" / "result").exists()


def test_a_failed_run_says_so_and_leaves_no_bitfile(record, tmp_path):
    project = write_build(tmp_path / "build", "Pynq-Z1")
    done = record(project, "failing-run")
    assert done.returncode == 1
    assert "no bitfile: the run ended with 'route_design ERROR'" in done.output
    assert not list((project / "result").iterdir())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("validate_bd_design\n", "validate_bd_desing\n", "unknown command validate_bd_desing"),
        ("-norecurse", "-recurse", "unknown option -recurse"),
        ("NUM_MI 3", "NUM_M 3", "smartconnect has no property NUM_M"),
        ("NUM_MI 3", "NUM_MI 17", "NUM_MI must be 1 to 16"),
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
        ("assign_bd_address\n", "", "addresses are not assigned"),
        ("save_bd_design\n", "", "no file top.bd"),
        ("wait_on_run impl_1\n", "", "is not over"),
    ],
)
def test_the_recorder_refuses_what_vivado_would(record, tmp_path, old, new, message):
    project = write_build(tmp_path / "build", "Pynq-Z1")
    script = project / "build.tcl"
    text = script.read_text()
    assert old in text
    script.write_text(text.replace(old, new))
    done = record(project)
    assert done.returncode == 1
    assert message in done.output


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("prunestream_accelerator.v", "s_axis_0:m_axis_0", "s_axis_0", "associated with"),
        ("prunestream_idma.v", "POLARITY ACTIVE_LOW", "POLARITY", "no polarity"),
        ("prunestream_odma.v", "s_axis_0_tready", "s_axis_0_ready", "no s_axis_0_tready"),
    ],
)
def test_module_references_must_be_what_vivado_infers(record, tmp_path, file, old, new, message):
    project = write_build(tmp_path / "build", "Pynq-Z1")
    source = project / "sources" / file
    source.write_text(source.read_text().replace(old, new))
    done = record(project)
    assert done.returncode == 1
    assert message in done.output


def test_the_folder_tells_what_to_run_where(tmp_path):
    for board in board_names():
        project = write_build(tmp_path / board, board)
        text = (project / "README.md").read_text()
        assert "vivado -mode batch -source build.tcl" in text
        assert "never been run in Vivado" in text
        assert ("licensed" in text) == (board in {"ZCU102", "RFSoC2x2", "RFSoC4x2"})
        assert needs_licence(load_board(board)) == ("licensed" in text)
