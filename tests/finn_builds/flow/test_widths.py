"""Every bit width of weights and activations through the hardware steps to the simulator."""

import numpy as np
import pytest

from finn_builds.folded.widen import activation_type, signed_type
from finn_builds.ingest.accumulators import accumulator_ranges
from tests.finn_builds.flow.networks import legal_inputs, simulators, stitch, streamlined

INPUTS = {
    1: "BIPOLAR",
    2: "INT2",
    3: "UINT3",
    4: "INT4",
    5: "UINT5",
    6: "INT6",
    7: "INT7",
    8: "INT8",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Networks of every width, on a part with and one without pre-adder room (DSP48E1, E2)."""
    folder = tmp_path_factory.mktemp("widths")
    networks = []
    for bits in range(1, 9):
        model = streamlined(
            (6, 8, 4, 3), weight_bits=bits, act_bits=bits, input_type=INPUTS[bits], seed=bits
        )
        board = "Ultra96-V2" if bits in (3, 8) else "Pynq-Z1"
        networks.append(stitch(f"same_{bits}", model, folder / f"same_{bits}", board=board))
    for bits in (1, 2, 8):
        model = streamlined(
            (5, 4, 6, 2),
            weight_bits=bits,
            act_bits=9 - bits,
            input_type="UINT1" if bits == 8 else "INT8",
            seed=20 + bits,
            density=0.4,
        )
        networks.append(
            stitch(f"crossed_{bits}", model, folder / f"crossed_{bits}", target_fps=2e6)
        )
    return networks, simulators(networks, folder / "sim")


@pytest.mark.slow
def test_no_node_is_hls(built):
    for item in built[0]:
        kinds = {node.op_type for node in item.model.graph.node}
        assert all(kind.endswith("_rtl") for kind in kinds), kinds


@pytest.mark.slow
@pytest.mark.parametrize("stalls", [0.0, 0.4])
def test_rtl_equals_the_integer_network(built, stalls):
    networks, sims = built
    assert len(networks) == 11
    for item in networks:
        x = legal_inputs(item.network, 60, seed=7)
        result = sims[item.name].run(
            item.design.input.to_beats(x),
            len(x) * item.design.output.beats,
            stall_in=stalls,
            stall_out=stalls,
            seed=3,
            drain=50,
        )
        found = item.design.output.from_beats(result.outputs)
        np.testing.assert_array_equal(found, item.network.execute(x), err_msg=item.name)
        assert len(np.unique(found)) > 1, "a test network must not be constant"


@pytest.mark.parametrize(
    ("low", "high", "narrow", "name"),
    [(-1, 1, False, "INT2"), (-2, 1, True, "INT3"), (-8, 7, False, "INT4"), (-8, 7, True, "INT5")],
)
def test_signed_type_is_the_smallest(low, high, narrow, name):
    assert signed_type(low, high, narrow=narrow).name == name


@pytest.mark.parametrize(
    ("low", "high", "name"), [(0, 1, "UINT2"), (0, 15, "UINT4"), (-1, 1, "INT2"), (0, 0, "UINT2")]
)
def test_activation_type_has_at_least_two_bits(low, high, name):
    assert activation_type(low, high).name == name


@pytest.mark.parametrize(("least", "most"), [(-4, 3), (0, 7), (-1, 1)])
def test_accumulator_ranges_are_reached(least, most):
    weights = np.array([[1, -2], [3, 0], [-1, 5]])
    low, high = accumulator_ranges(weights, least, most)
    corners = np.array(np.meshgrid(*[[least, most]] * 3)).reshape(3, -1).T @ weights
    np.testing.assert_array_equal((low, high), (corners.min(axis=0), corners.max(axis=0)))
