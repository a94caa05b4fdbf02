"""Every bit width of weights and activations through the hardware steps to the simulator."""

import numpy as np
import pytest

from tests.finn_builds.flow.networks import simulators, small_network, stitch
from tests.finn_builds.network.networks import random_inputs

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
        network = small_network(
            (6, 8, 4, 3), weight_bits=bits, act_bits=bits, input_type=INPUTS[bits], seed=bits
        )
        board = "Ultra96-V2" if bits in (3, 8) else "Pynq-Z1"
        networks.append(stitch(f"same_{bits}", network, folder / f"same_{bits}", board=board))
    for bits in (1, 2, 8):
        network = small_network(
            (5, 4, 6, 2),
            weight_bits=bits,
            act_bits=9 - bits,
            input_type="UINT1" if bits == 8 else "INT8",
            seed=20 + bits,
            density=0.4,
        )
        networks.append(
            stitch(f"crossed_{bits}", network, folder / f"crossed_{bits}", target_fps=2e6)
        )
    return networks, simulators(networks, folder / "sim")


@pytest.mark.slow
def test_no_node_is_hls(built):
    for item in built[0]:
        kinds = {block.kind for block in item.hardware.blocks}
        assert all(kind.endswith("_rtl") for kind in kinds), kinds


@pytest.mark.slow
@pytest.mark.parametrize("stalls", [0.0, 0.4])
def test_rtl_equals_the_integer_network(built, stalls):
    networks, sims = built
    assert len(networks) == 11
    for item in networks:
        x = random_inputs(item.network, 60, seed=7)
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
