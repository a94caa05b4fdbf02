"""Sparse, folded and mixed networks give the same integers; the choice keeps to the budget."""

import json

import numpy as np
import pytest
from qonnx.custom_op.registry import getCustomOp

from finn_builds.config.build import BuildConfig
from finn_builds.errors import UserError
from finn_builds.flow import convert as hardware
from finn_builds.flow.choose_style import choose, step_choose_style
from finn_builds.flow.fuse import SparseCost
from finn_builds.folded.estimates import MvauShape, Resources, ThresholdShape
from finn_builds.folded.folding import FoldedLayer
from tests.finn_builds.flow.networks import legal_inputs, simulators, stitch, streamlined

NETWORKS = 30
STYLES = [
    ("folded", "folded", "folded"),
    ("sparse", "sparse", "sparse"),
    ("folded", "sparse", "sparse"),
    ("sparse", "sparse", "folded"),
    ("sparse", "folded", "sparse"),
    ("folded", "folded", "sparse"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory, network_seed):
    """Random networks in every mixture, folded throughout included, in one simulator build."""
    folder = tmp_path_factory.mktemp("styles")
    seed = network_seed
    rng = np.random.default_rng(seed)
    networks = []
    for index, styles in enumerate(STYLES * (NETWORKS // len(STYLES))):
        sizes = tuple(int(n) for n in rng.integers(1, rng.choice((7, 13, 25)), size=4))
        model = streamlined(
            sizes,
            weight_bits=int(rng.integers(1, 9)),
            act_bits=int(rng.integers(1, 9 if sum(sizes) < 20 else 5)),
            input_type=str(rng.choice(["INT4", "UINT3", "BIPOLAR", "INT8", "UINT1"])),
            seed=int(rng.integers(1 << 30)),
            density=float(rng.choice([0.0, 0.1, 0.3, 1.0])),
        )
        name = f"mixed_{index}"
        networks.append(stitch(name, model, folder / name, styles=styles))
    return seed, networks, simulators(networks, folder / "sim")


@pytest.mark.slow
@pytest.mark.parametrize("stalls", [0.0, 0.5])
def test_every_mixture_is_exact(built, stalls):
    seed, networks, sims = built
    for item in networks:
        x = legal_inputs(item.network, 80, seed=seed)
        result = sims[item.name].run(
            item.design.input.to_beats(x),
            len(x) * item.design.output.beats,
            stall_in=stalls,
            stall_out=stalls,
            seed=seed,
            drain=60,
        )
        found = item.design.output.from_beats(result.outputs)
        np.testing.assert_array_equal(
            found, item.network.execute(x), err_msg=f"{item.name}, seed {seed}"
        )


@pytest.mark.slow
def test_mixtures_are_what_was_asked_for(built):
    for styles, item in zip(STYLES * (NETWORKS // len(STYLES)), built[1], strict=True):
        kinds = [node.op_type for node in item.model.graph.node]
        runs = "".join(style[0] for style in styles).replace("sss", "s").replace("ss", "s")
        assert kinds.count("SparseMVAU_rtl") == runs.count("s")
        assert kinds.count("MVAU_rtl") == styles.count("folded")


def test_the_report_holds_what_is_built(tmp_path):
    """Fused layers cost less than each alone; the report has both, and the node has the former."""
    model = streamlined((8, 9, 7, 3), weight_bits=4, act_bits=3, input_type="INT5", seed=2)
    source = tmp_path / "network.onnx"
    model.save(str(source))
    cfg = BuildConfig(
        board="Pynq-Z1", model=str(source), output_dir=tmp_path / "out", style="sparse"
    ).validate()
    model = hardware.step_convert_to_hw(model, cfg)
    model = hardware.step_specialize_layers(model, cfg)
    model = step_choose_style(model, cfg)
    report = json.loads((cfg.out / "report" / "style.json").read_text())
    (fused,) = report["sparse_nodes"]
    (node,) = [n for n in model.graph.node if n.op_type == "SparseMVAU_rtl"]
    op = getCustomOp(node)
    assert fused["layers"] == [row["layer"] for row in report["layers"]]
    assert (fused["LUT"], fused["latency"]) == tuple(
        op.get_nodeattr(key) for key in ("lutEstimate", "latency")
    )
    alone = [row["as_sparse"] for row in report["layers"]]
    assert fused["LUT"] < sum(a["LUT"] for a in alone)
    assert fused["latency"] < sum(a["latency"] for a in alone)
    assert fused["stage_fits_clock"]


def layers(n: int) -> list[FoldedLayer]:
    return [
        FoldedLayer(str(k), MvauShape(16, 16, 4, 4, 12, True, 25), ThresholdShape(16, 15, 12, 12))
        for k in range(n)
    ]


def costs(*luts: float) -> list[SparseCost]:
    return [SparseCost(str(k), Resources(LUT=lut), 4) for k, lut in enumerate(luts)]


def test_all_sparse_when_it_fits():
    choice = choose(layers(3), costs(100, 200, 300), {"LUT": 700, "DSP": 10, "BRAM_18K": 10})
    assert choice.styles == ("sparse",) * 3
    assert (choice.interval, choice.latency) == (1, 12)


def test_the_layer_that_does_not_fit_is_folded():
    budget = {"LUT": 20000.0, "DSP": 20.0, "BRAM_18K": 100.0}
    choice = choose(layers(3), costs(100, 50000, 300), budget)
    assert choice.styles == ("sparse", "folded", "sparse")
    assert choice.interval > 1
    assert budget["LUT"] >= choice.resources.LUT


def test_nothing_fits_is_said():
    with pytest.raises(UserError, match="does not fit the board"):
        choose(layers(2), costs(500, 500), {"LUT": 50.0, "DSP": 1.0, "BRAM_18K": 1.0})
