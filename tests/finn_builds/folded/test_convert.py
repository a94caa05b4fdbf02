"""Types that FINN's RTL can carry, without changing a value."""

import numpy as np
import pytest

from finn_builds.folded.convert import hardware_nodes, signed_type, specialised, wide_layer, widened
from finn_builds.folded.finn_env import prepare_finn
from finn_builds.folded.shapes import folded_layers, layer_to_fold
from finn_builds.network.types import range_of
from tests.finn_builds.flow.networks import small_network
from tests.finn_builds.network.networks import random_inputs


@pytest.mark.parametrize(
    ("low", "high", "narrow", "name"),
    [(-1, 1, False, "INT2"), (-2, 1, True, "INT3"), (-8, 7, False, "INT4"), (-8, 7, True, "INT5")],
)
def test_signed_type_is_the_smallest(low, high, narrow, name):
    assert signed_type(low, high, narrow=narrow) == name


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("UINT1", "UINT2"),
        ("UINT4", "UINT4"),
        ("BIPOLAR", "INT2"),
        ("INT2", "INT2"),
        ("INT8", "INT8"),
    ],
)
def test_activations_have_at_least_two_bits(given, name):
    assert widened(given) == name


@pytest.mark.parametrize("seed", range(8))
def test_wide_thresholds_count_as_the_network_does(seed):
    bits = 1 + seed % 4
    network = small_network((5, 6, 4), weight_bits=3, act_bits=bits, input_type="INT3", seed=seed)
    layer = network.layers()[0]
    wide = wide_layer(layer, narrow_weights=seed % 2 == 0)
    counts = wide.thresholds
    sums = layer.linear.execute(random_inputs(network, 100, seed))
    found = counts.bias + (sums[:, :, None] >= counts.rows[None]).sum(axis=2)
    np.testing.assert_array_equal(found, layer.requantise.execute(sums))
    assert (np.diff(counts.rows, axis=1) >= 0).all()
    # A threshold at the very minimum of its type would be passed by accumulators below it, too.
    assert counts.rows.min() > range_of(counts.datatype)[0]
    if seed % 2 == 0:
        assert layer.linear.weights.min() > range_of(wide.weights)[0]


@pytest.mark.parametrize("part", ["xc7z020clg400-1", "xczu7ev-ffvc1156-2-e"])
def test_folding_knows_of_a_layer_what_it_reads_off_its_nodes(tmp_path, part):
    network = small_network((6, 8, 3), weight_bits=4, act_bits=1, input_type="BIPOLAR", seed=3)
    prepare_finn(tmp_path)
    model = specialised(hardware_nodes(network.layers(), part), part)
    read = folded_layers(model, part)
    known = [layer_to_fold(layer, part) for layer in network.layers()]
    assert [(f.mvau, f.threshold) for f in read] == [(f.mvau, f.threshold) for f in known]
