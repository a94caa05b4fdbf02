"""Sparse, folded and mixed networks give the same integers; the choice keeps to the budget."""

import json

import numpy as np
import pytest

from finn_builds.config.build import BuildConfig
from finn_builds.flow.choose_style import step_choose_style
from tests.finn_builds.flow.networks import (
    as_streamlined,
    simulators,
    small_network,
    stitch,
    view_of,
)
from tests.finn_builds.network.networks import random_inputs

NETWORKS = 18
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
        network = small_network(
            sizes,
            weight_bits=int(rng.integers(1, 9)),
            act_bits=int(rng.integers(1, 9 if sum(sizes) < 20 else 5)),
            input_type=str(rng.choice(["INT4", "UINT3", "BIPOLAR", "INT8", "UINT1"])),
            seed=int(rng.integers(1 << 30)),
            density=float(rng.choice([0.0, 0.1, 0.3, 1.0])),
        )
        name = f"mixed_{index}"
        networks.append(stitch(name, network, folder / name, styles=styles))
    return seed, networks, simulators(networks, folder / "sim")


@pytest.mark.slow
@pytest.mark.parametrize("stalls", [0.0, 0.5])
def test_every_mixture_is_exact(built, stalls):
    seed, networks, sims = built
    for item in networks:
        x = random_inputs(item.network, 80, seed=seed)
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
        kinds = [block.kind for block in item.hardware.blocks]
        runs = "".join(style[0] for style in styles).replace("sss", "s").replace("ss", "s")
        assert kinds.count("SparseMVAU_rtl") == runs.count("s")
        assert kinds.count("MVAU_rtl") == styles.count("folded")


def test_the_report_holds_what_is_built(tmp_path):
    """What layers take within a fused node sums to the node; the report has both."""
    network = small_network((8, 9, 7, 3), weight_bits=4, act_bits=3, input_type="INT5", seed=2)
    out = tmp_path / "out"
    cfg = BuildConfig(board="Pynq-Z1", model="digits", output_dir=out, style="sparse").validate()
    out.mkdir()
    styles = step_choose_style(as_streamlined(network), view_of(cfg))
    styles.save(out, "choose_style")
    report = json.loads((out / "report" / "style.json").read_text())
    (fused,) = report["sparse_nodes"]
    (node,) = styles.nodes
    assert fused["layers"] == [row["layer"] for row in report["layers"]]
    assert fused["LUT"] == node.block.resources.LUT
    assert fused["latency"] == node.block.latency
    within = [row["as_sparse"] for row in report["layers"]]
    # The ends of the stream belong to no layer: a register for each bit, and some control.
    ends = fused["LUT"] - sum(part["LUT"] for part in within)
    assert 0 < ends <= node.block.stage.out_bits + 6
    assert fused["latency"] == 1 + sum(part["latency"] for part in within)
    assert fused["stage_fits_clock"]
    assert type(styles).load(out, "choose_style") == styles


def test_one_bit_inputs_of_an_all_sparse_design_travel_as_one_bit(tmp_path):
    for name, style, bits in (
        ("BIPOLAR", "sparse", 1),
        ("UINT1", "sparse", 1),
        ("BIPOLAR", "folded", 2),
    ):
        network = small_network((8, 4, 2), weight_bits=2, act_bits=2, input_type=name, seed=5)
        built = stitch(style, network, tmp_path / f"{name}_{style}", style=style)
        assert built.design.input.bits == bits
