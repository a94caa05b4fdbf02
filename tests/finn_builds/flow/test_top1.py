"""Top-1 in hardware: the keys are exact, and so is the RTL."""

import re
import shutil

import numpy as np
import pytest
from finn_builds.folded.custom_op.label_select_rtl import key_width, label_select_text
from hypothesis import given
from hypothesis import strategies as st

from deploy.host_model import HostModel
from finn_builds import tools
from finn_builds.errors import UserError
from finn_builds.folded.estimates import top1
from finn_builds.ingest.top1 import class_keys, output_affine
from finn_builds.sim.compile import SimDesign, compile_designs
from finn_builds.sim.simulator import Simulator
from finn_builds.stitch.sources import RTL
from finn_builds.stitch.streams import StreamFormat


@given(
    st.lists(st.integers(-40, 40), min_size=2, max_size=7),
    st.integers(1, 12),
    st.integers(0, 2**32 - 1),
)
def test_keys_order_classes_as_scaled_and_biased_values(numerators, denominator, seed):
    # Everything is a fraction with the same denominator, so the truth is exact integers.
    scale = np.full(len(numerators), float(denominator))
    bias = np.array(numerators, dtype=float)
    shift, offsets = class_keys(scale, bias)
    x = np.random.default_rng(seed).integers(-9, 10, size=(200, len(numerators)))
    truth = (x * denominator + np.array(numerators)).argmax(axis=1)
    np.testing.assert_array_equal(((x << shift) + np.array(offsets)).argmax(axis=1), truth)


def test_scales_that_differ_are_refused():
    with pytest.raises(UserError, match="one positive scale"):
        class_keys(np.array([0.5, 0.25]), np.zeros(2))
    with pytest.raises(UserError, match="one positive scale"):
        class_keys(np.array([-0.5, -0.5]), np.zeros(2))


def test_affine_of_the_host_is_followed_in_order():
    host = HostModel(
        {
            "version": 1,
            "input": {"name": "x", "shape": [2], "n": 2, "datatype": "INT4"},
            "before": [],
            "codes": {"scale": 1.0, "divisor": 1, "zero_point": 0, "min": -8, "max": 7},
            "output": {"name": "y", "n": 2, "datatype": "INT8", "kind": "logits"},
            "after": [
                {"op": "mul", "value": 0.5},
                {"op": "sub", "value": [1.0, 2.0]},
                {"op": "rsub", "value": 3.0},
                {"op": "div", "value": -2.0},
                {"op": "softmax"},
            ],
        }
    )
    scale, bias = output_affine(host)
    np.testing.assert_array_equal(scale, [0.25, 0.25])
    np.testing.assert_array_equal(bias, [-2.0, -2.5])


@pytest.mark.slow
def test_rtl_of_many_shapes_equals_argmax(tmp_path):
    rng = np.random.default_rng(5)
    cases = [(2, 1, 5, 0), (5, 5, 12, 3), (6, 2, 9, 2), (10, 1, 16, 0), (12, 4, 7, 4)]
    designs, truths = [], {}
    for labels, pe, bits, shift in cases:
        offsets = [int(v) for v in rng.integers(-300, 300, size=labels)]
        name = f"label_select_{labels}_{pe}"
        source = tmp_path / f"{name}.v"
        text = label_select_text(
            name=name, pe=pe, in_bits=bits, out_bits=8, shift=shift, offsets=offsets
        )
        top = _as_top(name, StreamFormat(f"INT{bits}", pe, labels // pe).width)
        source.write_text(text + top)
        form = StreamFormat(f"INT{bits}", pe, labels // pe)
        designs.append(SimDesign(name, [RTL / "top1.sv", source], f"{name}_top", form.width, 8))
        truths[name] = (form, shift, offsets)
    library = compile_designs(designs, build_dir=tmp_path / "sim")
    for name, (form, shift, offsets) in truths.items():
        low, high = -(2 ** (form.bits - 1)), 2 ** (form.bits - 1)
        x = rng.integers(low, high, size=(400, len(offsets)))
        expected = ((x << shift) + np.array(offsets)).argmax(axis=1)
        for stalls in (0.0, 0.5):
            sim = Simulator(library, tmp_path, design=name)
            result = sim.run(
                form.to_beats(x), len(x), stall_in=stalls, stall_out=stalls, seed=1, drain=40
            )
            np.testing.assert_array_equal(result.outputs[:, 0], expected, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(("labels", "pe"), [(10, 10), (10, 5)])
def test_offsets_are_wires_and_cost_what_is_estimated(tmp_path, labels, pe):
    rng = np.random.default_rng(5)
    offsets = [int(v) for v in rng.integers(-3000, 3000, size=labels)]
    text = label_select_text(name="n", pe=pe, in_bits=14, out_bits=8, shift=4, offsets=offsets)
    (tmp_path / "n.v").write_text(text)
    shutil.copy(RTL / "top1.sv", tmp_path)
    script = (
        "read_verilog -sv -DSYNTHESIS top1.sv n.v; "
        "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -top n; tee -o cells.txt stat"
    )
    tools.run([*tools.yosys_command(), "-q", "-p", script], cwd=tmp_path)
    cells = {
        kind: int(count)
        for count, kind in re.findall(r"(\d+) +([A-Z]\w+)", (tmp_path / "cells.txt").read_text())
    }
    assert "DSP48E1" not in cells, "a constant is chosen, not computed"
    luts = sum(count for kind, count in cells.items() if kind.startswith("LUT"))
    assert luts == pytest.approx(top1(labels, pe, 14).LUT, rel=0.15)


def _as_top(name: str, width: int) -> str:
    return f"""
module {name}_top (
    input wire ap_clk, input wire ap_rst_n,
    input wire [{width - 1}:0] s_axis_0_tdata, input wire s_axis_0_tvalid,
    output wire s_axis_0_tready,
    output wire [7:0] m_axis_0_tdata, output wire m_axis_0_tvalid, input wire m_axis_0_tready
);
    {name} node (
        .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
        .in0_V_TDATA(s_axis_0_tdata), .in0_V_TVALID(s_axis_0_tvalid),
        .in0_V_TREADY(s_axis_0_tready),
        .out0_V_TDATA(m_axis_0_tdata), .out0_V_TVALID(m_axis_0_tvalid),
        .out0_V_TREADY(m_axis_0_tready)
    );
endmodule
"""


def test_key_width_holds_the_extremes():
    # 4 bits shifted by 2: -32 to 28; offsets -5 and 40: -37 to 68 needs 8 bits.
    assert key_width(4, 2, [-5, 40]) == 8
