"""The branch with Vivado: its script, its reports, and a stand-in for the program.

The texts of the reports are written for the tests; Vivado itself has not been run.
"""

import stat
from types import SimpleNamespace

import pytest

from finn_builds.config.build import BuildConfig
from finn_builds.errors import UserError
from finn_builds.files import SYNTHESIS_FILE, read_json
from finn_builds.flow.synthesise import step_out_of_context_synthesis
from finn_builds.synth import vivado
from finn_builds.synth.report import Synthesised
from finn_builds.vivado.reports import ReportError
from tests.finn_builds.flow.networks import Built, small_network, stitch, view_of
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
    lines = vivado.script(["a.sv", "b.v"], "xc7z020clg400-1", 8.5).splitlines()
    assert lines == [
        "read_verilog -sv a.sv",
        "read_verilog b.v",
        "synth_design -mode out_of_context -flatten_hierarchy rebuilt -top finn_design_wrapper "
        "-part xc7z020clg400-1",
        "create_clock -name ap_clk -period 8.5 [get_ports ap_clk]",
        "report_utilization -file utilization.rpt",
        "report_utilization -hierarchical -file hierarchy.rpt",
        "report_timing_summary -file timing.rpt",
    ]


def test_figures_of_reports():
    rows = [("MVAU_rtl_0", 500), ("MVAU_rtl_0_weights", 100), ("SparseMVAU_rtl_1_inst", 300)]
    found = vivado.figures(design("MVAU_rtl_0", "SparseMVAU_rtl_1"), written(*rows), 10.0)
    assert found["(top)"] == {
        "LUT": 4100,
        "FF": 2500,
        "CARRY": 310,
        "DSP": 7,
        "BRAM_18K": 5,
        "URAM": 0,
        "LUT_logic": 4000,
        "LUT_RAM": 60,
        "LUT_SRL": 40,
        "logic_depth": 6,
        "critical_path_ns": 7.75,
    }
    assert found["MVAU_rtl_0"]["LUT"] == 600, "the weights' memory belongs to the node"
    assert found["MVAU_rtl_0"]["BRAM_18K"] == 2
    assert found["SparseMVAU_rtl_1"]["LUT_logic"] == 270
    assert found["tool"]["version"] == "2023.2"


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


def synthesised(built: Built, **options) -> Synthesised | None:
    out = built.folder.parent
    cfg = BuildConfig(board="Pynq-Z1", model="digits", output_dir=out, **options).validate()
    return step_out_of_context_synthesis(
        built.streamlined, built.styles, built.hardware, view_of(cfg)
    )


def test_vivado_is_taken_where_it_is_installed(small, tmp_path, monkeypatch):
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
        f"cp {folder}/*.rpt .\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    made = synthesised(small)
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


def test_no_figures_where_none_are_wanted(small):
    assert synthesised(small, synth="none") is None
