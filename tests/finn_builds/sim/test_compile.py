"""Compilation: what is refused, what is told, and waveforms."""

from pathlib import Path

import numpy as np
import pytest

from finn_builds.sim import SimDesign, Simulator, compile_design, compile_designs
from finn_builds.sim.harness import port_widths
from finn_builds.tools import ToolFailed, ToolMissing

SOURCE = Path(__file__).with_name("designs.sv")

WRAPPED = """
module wrapped(
    input ap_clk, input ap_rst_n,
    input [7:0] s_axis_0_tdata, input s_axis_0_tvalid, output s_axis_0_tready,
    output [7:0] m_axis_0_tdata, output m_axis_0_tvalid, input m_axis_0_tready);
    assign {m_axis_0_tdata, m_axis_0_tvalid, s_axis_0_tready}
        = {s_axis_0_tdata + 8'dVALUE, s_axis_0_tvalid, m_axis_0_tready};
endmodule
"""


def test_names_and_widths_are_checked():
    with pytest.raises(ValueError, match="identifier"):
        SimDesign("a-b", [SOURCE], "echo", 8, 8)
    with pytest.raises(ValueError, match="in_width of a must be whole bytes, not 12"):
        SimDesign("a", [SOURCE], "echo", 12, 8)
    with pytest.raises(ValueError, match="differ"):
        compile_designs([SimDesign("a", [], "t", 8, 8)] * 2, build_dir=Path("never"))
    with pytest.raises(ValueError, match="at least one"):
        compile_designs([], build_dir=Path("never"))


def test_ports_of_a_model_are_read_from_its_header():
    header = "VL_IN8(&clk,0,0);\n VL_OUT64(&wide,39,0);\nVL_INW(&very,199,0,7);\nVL_OUT(&n,30,0);"
    assert port_widths(header) == {"clk": 1, "wide": 40, "very": 200, "n": 31}


def test_a_width_that_is_not_the_designs(tmp_path, engine_dir):
    with pytest.raises(ValueError, match="m_axis_0_tdata of gained is 24 bits wide, expected 8"):
        compile_design(
            [SOURCE], "gained", in_width=8, out_width=8, build_dir=tmp_path, runtime_dir=engine_dir
        )


def test_a_top_without_the_ports(tmp_path, engine_dir):
    with pytest.raises(ValueError, match="top module stage has no port ap"):
        source = tmp_path / "stage.sv"
        source.write_text(SOURCE.read_text().replace("ap_clk", "clk"))
        compile_design(
            [source], "stage", in_width=8, out_width=8, build_dir=tmp_path, runtime_dir=engine_dir
        )


def test_a_source_with_an_error_is_quoted(tmp_path, engine_dir):
    bad = tmp_path / "bad.sv"
    bad.write_text("module bad;\n  assign nothing_known = ;\nendmodule\n")
    with pytest.raises(ToolFailed, match=r"bad\.sv:2"):
        compile_design(
            [bad], "bad", in_width=8, out_width=8, build_dir=tmp_path, runtime_dir=engine_dir
        )


@pytest.mark.slow
def test_compiling_again_in_the_same_place_is_a_new_library(tmp_path, engine_dir):
    results = {}
    source = tmp_path / "wrapped.v"
    for value in (1, 2):
        source.write_text(WRAPPED.replace("VALUE", str(value)))
        library = compile_design(
            [source],
            "wrapped",
            in_width=8,
            out_width=8,
            build_dir=tmp_path / "build",
            runtime_dir=engine_dir,
        )
        with Simulator(library, tmp_path) as simulator:
            data = np.arange(9, dtype=np.uint8)[:, None]
            results[library] = simulator.run(data, 9).outputs[0, 0]
    assert list(results.values()) == [1, 2]


def test_a_link_that_the_design_does_not_have(tmp_path, engine_dir):
    source = tmp_path / "wrapped.v"
    source.write_text(WRAPPED.replace("VALUE", "0"))
    library = compile_design(
        [source],
        "wrapped",
        in_width=8,
        out_width=8,
        links=["gone"],
        build_dir=tmp_path,
        runtime_dir=engine_dir,
    )
    with pytest.raises(Exception, match="no public signal 'gone_tvalid'"):
        Simulator(library, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vcd", "fst"])
def test_waveforms(tmp_path, kind):
    try:
        library = compile_design(
            [SOURCE],
            "chain",
            in_width=8,
            out_width=8,
            build_dir=tmp_path / "build",
            links=["one__two"],
            trace=kind,
        )
    except ToolMissing as error:
        assert kind == "fst"
        assert "liblz4-dev" in str(error)
        pytest.skip(f"no waveform in FST here: {error}")
    wave = tmp_path / f"wave.{kind}"
    data = np.arange(50, dtype=np.uint8)[:, None]
    with Simulator(library, tmp_path, trace_file=wave) as simulator:
        result = simulator.run(data, 50, stall_out=0.3)
    np.testing.assert_array_equal(result.outputs, data)
    assert wave.stat().st_size > 1000
    if kind == "vcd":
        text = wave.read_text()
        assert "one__two_tvalid" in text
        # Two edges a cycle, 16 cycles of reset before.
        assert f"#{2 * (16 + result.cycles)}\n" in text
    with Simulator(library, tmp_path) as simulator:  # and without writing one
        np.testing.assert_array_equal(simulator.run(data, 50).outputs, data)


def test_fst_without_headers_says_what_to_install(tmp_path, monkeypatch):
    def refuse(cmd, **options):
        raise ToolFailed("g++ failed")

    monkeypatch.setattr("finn_builds.sim.compile.tools.run", refuse)
    with pytest.raises(ToolMissing, match="apt install liblz4-dev zlib1g-dev"):
        compile_design([SOURCE], "chain", in_width=8, out_width=8, build_dir=tmp_path, trace="fst")
