"""The block that chooses the class: its Verilog gives what numpy's argmax gives."""

import re
import shutil

import numpy as np
import pytest

from finn_builds import BuildConfig, build, tools
from finn_builds.ingest import HostSplit
from finn_builds.network import ArgMax
from finn_builds.network.types import range_of, step_of
from finn_builds.run.runner import result_of
from finn_builds.sim.compile import SimDesign, compile_designs
from finn_builds.sim.simulator import Simulator
from finn_builds.stitch.sources import RTL
from finn_builds.stitch.top1 import key_width, label_select_text, top1_block, top1_files
from finn_builds.verify.streamlined import Streamlined
from tests.finn_builds.ingest.graphs import Layer, Quantizer, mlp

# Classes, values per beat, type of a value, shift.
CASES = [
    (2, 1, "INT5", 0),
    (5, 5, "INT12", 3),
    (6, 2, "INT9", 2),
    (10, 1, "INT16", 0),
    (12, 4, "INT7", 4),
    (5, 1, "UINT4", 0),
    (5, 5, "UINT4", 2),
    (6, 3, "UINT8", 1),
    (4, 2, "UINT1", 1),
    (4, 4, "BIPOLAR", 2),
    (9, 3, "BIPOLAR", 0),
]


@pytest.mark.slow
def test_rtl_of_many_shapes_equals_argmax(tmp_path):
    rng = np.random.default_rng(5)
    designs, truths = [], {}
    for labels, pe, datatype, shift in CASES:
        # Small offsets, so that the values decide as often as the offsets do.
        least, most = range_of(datatype)
        reach = min(300, ((most - least) << shift) // 2)
        head = ArgMax(shift, rng.integers(-reach, reach + 1, size=labels))
        name = f"label_select_{labels}_{pe}_{datatype}"
        block = top1_block(name, head, datatype, pe)
        ((file, text),) = top1_files(block, head).items()
        source = tmp_path / file
        source.write_text(text + _as_top(name, block.input.width))
        width = block.input.width
        designs.append(SimDesign(name, [RTL / "top1.sv", source], f"{name}_top", width, 8))
        truths[name] = (block.input, head)
    library = compile_designs(designs, build_dir=tmp_path / "sim")
    for name, (form, head) in truths.items():
        least, most = range_of(form.datatype)
        step = step_of(form.datatype)
        size = (400, len(head.offsets))
        x = least + step * rng.integers(0, (most - least) // step + 1, size=size)
        # Many ties and many values whose highest bit is set.
        x[::3] = rng.choice([least, most], size=x[::3].shape)
        expected = head.execute(x)[:, 0]
        assert len(set(expected)) > 1
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
    head = ArgMax(4, rng.integers(-3000, 3000, size=labels))
    block = top1_block("n", head, "INT14", pe)
    (tmp_path / "n.v").write_text(top1_files(block, head)["n.v"])
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
    assert luts == pytest.approx(block.resources.LUT, rel=0.15)


@pytest.mark.parametrize(
    ("datatype", "shift", "offsets", "bits"),
    [
        ("INT4", 2, [-5, 40], 8),  # -32 to 28 and -5 to 40: -37 to 68
        ("UINT4", 2, [-5, 40], 8),  # 0 to 60: -5 to 100
        ("UINT4", 0, [0, 0], 5),  # 0 to 15, as a signed number
        ("BIPOLAR", 3, [0, 0], 5),  # -8 to 8
    ],
)
def test_key_width_holds_the_extremes(datatype, shift, offsets, bits):
    assert key_width(datatype, shift, offsets) == bits


def test_unsigned_values_are_extended_with_zeros():
    texts = {
        datatype: label_select_text(
            name="n", pe=1, datatype=datatype, out_bits=8, shift=0, offsets=[0, 0]
        )
        for datatype in ("INT4", "UINT4")
    }
    assert "{(WK-WI){value[WI-1]}}" in texts["INT4"]
    assert "{(WK-WI){1'b0}}" in texts["UINT4"]


@pytest.mark.slow
@pytest.mark.parametrize("style", ["sparse", "folded"])
@pytest.mark.parametrize(
    "out",
    [Quantizer(4, 0.5, signed=False), Quantizer(1, 1.0)],
    ids=["unsigned", "bipolar"],
)
def test_a_whole_build_that_chooses_among_quantised_outputs(tmp_path, style, out):
    """The last quantiser's values reach the block without a sign bit."""
    rng = np.random.default_rng(1)
    layers = [
        Layer(
            rng.integers(-3, 4, size=(6, 8)) * np.float32(0.5),
            Quantizer(3, 0.5),
            relu=True,
            activation=Quantizer(4, 0.25, signed=False),
        ),
        Layer(
            rng.integers(-3, 4, size=(8, 5)) * np.float32(0.5), Quantizer(3, 0.5), activation=out
        ),
    ]
    mlp(layers, Quantizer(4, 0.25)).save(str(tmp_path / "net.onnx"))
    result = build(
        BuildConfig(
            board="Pynq-Z1",
            model=str(tmp_path / "net.onnx"),
            output_dir=tmp_path / "out",
            style=style,
            top1=True,
            synth="none",
            verify_frames=400,
        )
    )
    # The build has compared the RTL with the expected classes, frame by frame.
    done: Streamlined = result_of(result.out, Streamlined)
    split: HostSplit = result_of(result.out, HostSplit)
    integers = done.network.without_head().execute(done.vectors.x)
    np.testing.assert_array_equal(done.vectors.y[:, 0], split.host.classify(integers))
    np.testing.assert_array_equal(done.network.execute(done.vectors.x), done.vectors.y)
    assert len(np.unique(done.vectors.y)) >= 3
    if not out.signed:
        # Read as signed, the values would lead to other classes in many frames.
        wrong = np.where(integers >= 8, integers - 16, integers).argmax(axis=1)
        assert (wrong != done.vectors.y[:, 0]).sum() > 40


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
