"""The branch with Vivado: its script, its reports, and a stand-in for the program.

The texts of the reports are written for the tests; Vivado itself has not been run.
"""

import stat
from types import SimpleNamespace

import pytest

from finn_builds.config.build import BuildConfig
from finn_builds.errors import UserError
from finn_builds.files import SYNTHESIS_FILE, read_json
from finn_builds.flow.synthesise import VIVADO_LOG
from finn_builds.synth import vivado
from finn_builds.synth.report import Synthesised
from finn_builds.tools import ToolFailed
from finn_builds.vivado.reports import ReportError
from tests.finn_builds.flow.networks import small_network, stitch, synthesise
from tests.finn_builds.vivado.report_texts import FLAT, TIMING

HEAD = (
    "| Instance | Module | Total LUTs | Logic LUTs | LUTRAMs | SRLs | FFs | RAMB36 | RAMB18 "
    "| DSP Blocks |\n"
)

ROW = "  2.250  0.000  0  1500  0.100  0.000  0  1500  3.750  0.000  0  800"
PATHS = """
Max Delay Paths
  Logic Levels:           6  (CARRY4=3 LUT2=1 LUT6=2)
Min Delay Paths
  Logic Levels:           1  (LUT3=1)
"""


def hierarchy(*rows: tuple[str, int]) -> str:
    """Return the table for instances below the top with so many LUTs each."""
    whole = [("finn_design_wrapper", 4100), *((f"  {name}", luts) for name, luts in rows)]
    lines = [
        f"| {name} | m | {luts} | {luts - 30} | 20 | 10 | {luts // 2} | 0 | 1 | 2 |\n"
        for name, luts in whole
    ]
    rule = "+--+\n"
    return rule + HEAD + rule + "".join(lines) + rule


def design(*names: str) -> SimpleNamespace:
    return SimpleNamespace(stages=[SimpleNamespace(name=name) for name in names])


def written(*rows: tuple[str, int]) -> dict[str, str]:
    return {
        vivado.UTILISATION: FLAT,
        vivado.HIERARCHY: hierarchy(*rows),
        vivado.TIMING: TIMING.format(row=ROW) + PATHS,
    }


def test_script_reads_sources_in_order_and_writes_reports():
    lines = vivado.script(["a.sv", "b.v"], "xc7z020clg400-1").splitlines()
    assert lines == [
        "read_verilog -sv a.sv",
        "read_verilog b.v",
        "read_xdc -mode out_of_context clock.xdc",
        "synth_design -mode out_of_context -flatten_hierarchy rebuilt -top finn_design_wrapper "
        "-part xc7z020clg400-1",
        "report_utilization -file utilization.rpt",
        "report_utilization -hierarchical -file hierarchy.rpt",
        "report_timing_summary -file timing.rpt",
    ]
    assert vivado.constraints(8.5) == "create_clock -name ap_clk -period 8.5 [get_ports ap_clk]\n"


def test_figures_of_reports():
    rows = [("MVAU_rtl_0", 500), ("MVAU_rtl_0_weights", 100), ("SparseMVAU_rtl_1_inst", 300)]
    found = vivado.figures(design("MVAU_rtl_0", "SparseMVAU_rtl_1"), written(*rows), 10.0)
    assert found.top.counts == {
        "LUT": 4100,
        "FF": 2500,
        "CARRY": 310,
        "DSP": 7,
        "BRAM_18K": 5,
        "URAM": 0,
        "LUT_logic": 4000,
        "LUT_RAM": 60,
        "LUT_SRL": 40,
    }
    assert (found.top.logic_depth, found.top.critical_path_ns) == (6, 7.75)
    folded, sparse = found.blocks["MVAU_rtl_0"], found.blocks["SparseMVAU_rtl_1"]
    assert folded.counts["LUT"] == 600, "the weights' memory belongs to the node"
    assert folded.counts["BRAM_18K"] == 2
    assert sparse.counts["LUT_logic"] == 270
    assert found.tool.version == "2023.2"


def test_a_node_that_is_not_in_the_report_is_an_error():
    with pytest.raises(ReportError, match="no instance Thresholding_rtl_0"):
        vivado.figures(design("Thresholding_rtl_0"), written(("MVAU_rtl_0", 5)), 10.0)


def test_asking_for_vivado_without_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no `vivado` on the search path"):
        BuildConfig(board="Pynq-Z1", synth="vivado", output_dir=tmp_path / "x").validate()


@pytest.fixture
def small(tmp_path):
    """A folded layer behind a sparse one, as far as stitched RTL."""
    network = small_network((4, 3, 2), weight_bits=2, act_bits=2, input_type="INT3", seed=3)
    return stitch("small", network, tmp_path / "small", styles=("sparse", "folded"))


@pytest.mark.parametrize("synth", ["auto", "vivado"])
def test_vivado_is_taken_where_it_is_installed(small, tmp_path, monkeypatch, synth):
    """With ``auto`` Yosys runs, too: its counts stand beside, and its netlist is checked."""
    sparse, folded = [stage.name for stage in small.design.stages]
    folder = tmp_path / "bin"
    folder.mkdir()
    rows = [(f"{sparse}_inst", 300), (folded, 500), (f"{folded}_weights", 100)]
    for name, text in written(*rows).items():
        (folder / name).write_text(text)
    program = folder / "vivado"
    program.write_text(
        "#!/bin/sh\n"
        '[ "$*" = "-mode batch -nojournal -log vivado.log -source out_of_context.tcl" ] || exit 3\n'
        # What it is told to read must be there.
        "for f in $(sed -n 's/^read_verilog \\(-sv \\)*//p' out_of_context.tcl); do\n"
        '  [ -f "$f" ] || { echo "no $f"; exit 4; }\ndone\n'
        f"ls {folded}_memblock.dat > /dev/null || exit 5\n"
        "grep -q 'create_clock -name ap_clk -period 10 ' clock.xdc || exit 6\n"
        f"cp {folder}/*.rpt .\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    made = synthesise(small, synth=synth)
    assert made is not None
    made.save(tmp_path, "out_of_context_synthesis")
    assert Synthesised.load(tmp_path, "out_of_context_synthesis") == made
    found = read_json(tmp_path / SYNTHESIS_FILE)
    assert found["tool"]["name"] == "Vivado"
    assert found[sparse]["LUT"] == 300
    assert found[folded]["LUT"] == 600
    assert found["(top)"]["LUT"] == 4100
    estimated = small.hardware.resources()
    assert found["(top)"]["estimate"] == estimated["total"]
    for name in (sparse, folded):
        assert found[name]["estimate"] == estimated[name]
    if synth == "vivado":
        assert not any("yosys" in found[name] for name in ("(top)", sparse, folded))
        return
    alone = synthesise(small, synth="yosys")
    assert alone is not None and alone.tool.name == "Yosys"
    for name, figures in {"(top)": alone.top, **alone.blocks}.items():
        assert found[name]["yosys"] == figures.counts
        assert found[name]["yosys"]["LUT"] > 0
    assert made.top.gate_level == alone.top.gate_level
    assert alone.top.gate_level is not None and alone.top.gate_level.nodes == {sparse: 500}


def failing(tmp_path, monkeypatch) -> None:
    """Put a ``vivado`` on the search path that has not the device."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "vivado"
    program.write_text("#!/bin/sh\necho 'ERROR: [Common 17-69] no such part'\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")


def test_a_vivado_that_nobody_asked_for_stops_no_build(small, tmp_path, monkeypatch):
    failing(tmp_path, monkeypatch)
    made = synthesise(small)
    assert made is not None and made.tool.name == "Yosys"
    assert made.tool.stage.endswith(f"Vivado was tried, too, and failed: see {VIVADO_LOG}")
    assert made.top.counts["LUT"] > 0 and made.top.yosys is None
    assert "no such part" in (small.folder.parent / VIVADO_LOG).read_text()


def test_a_vivado_that_was_asked_for_does(small, tmp_path, monkeypatch):
    failing(tmp_path, monkeypatch)
    with pytest.raises(ToolFailed, match="no such part"):
        synthesise(small, synth="vivado")


def test_no_figures_where_none_are_wanted(small):
    assert synthesise(small, synth="none") is None
