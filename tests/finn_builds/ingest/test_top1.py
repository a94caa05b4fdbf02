"""The choice of the class as integers: the keys order classes exactly as the host does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.host_model import HostModel
from finn_builds.errors import UserError
from finn_builds.ingest.top1 import class_keys, head_of, output_affine
from finn_builds.network import ArgMax
from tests.finn_builds.ingest.graphs import Graph, Layer, Quantizer
from tests.finn_builds.ingest.integers import taken
from tests.finn_builds.network.networks import random_inputs
from tests.host_descriptions import described

RNG = np.random.default_rng(17)


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
    np.testing.assert_array_equal(ArgMax(shift, offsets).execute(x)[:, 0], truth)


def test_scales_that_differ_are_refused():
    with pytest.raises(UserError, match="one positive scale"):
        class_keys(np.array([0.5, 0.25]), np.zeros(2))
    with pytest.raises(UserError, match="one positive scale"):
        class_keys(np.array([-0.5, -0.5]), np.zeros(2))


def host(after, n_out=2):
    """Return a host model with these operations after the network."""
    return HostModel(
        described(
            {"name": "x", "shape": [2], "n": 2, "datatype": "INT4"},
            [],
            {"scale": 1.0, "divisor": 1, "zero_point": 0, "min": -8, "max": 7},
            {"name": "y", "n": n_out, "datatype": "INT8", "kind": "logits"},
            after,
        )
    )


def test_affine_of_the_host_is_followed_in_order():
    scale, bias = output_affine(
        host(
            [
                {"op": "mul", "value": 0.5},
                {"op": "sub", "value": [1.0, 2.0]},
                {"op": "rsub", "value": 3.0},
                {"op": "div", "value": -2.0},
                {"op": "softmax"},
            ]
        )
    )
    np.testing.assert_array_equal(scale, [0.25, 0.25])
    np.testing.assert_array_equal(bias, [-2.0, -2.5])


def test_what_can_not_be_moved_into_hardware_is_refused():
    with pytest.raises(UserError, match=r"'relu' after the last layer.*Leave out --top1"):
        head_of(host([{"op": "mul", "value": 0.5}, {"op": "relu"}]))
    with pytest.raises(UserError, match="at least two outputs; this model has 1"):
        head_of(host([], n_out=1))


@pytest.mark.parametrize(
    "out",
    [None, Quantizer(4, 0.5, signed=False), Quantizer(3, 0.25), Quantizer(1, 2.0)],
    ids=["accumulators", "unsigned", "signed", "bipolar"],
)
@pytest.mark.parametrize("end", [None, "Softmax"])
def test_the_head_chooses_what_the_host_would(out, end):
    graph = Graph((1, 5))
    graph.quantize(Quantizer(4, 0.25))
    layer = RNG.integers(-4, 4, size=(5, 4)) * np.float32(0.5)
    # Sums of powers of two: the host's float32 is exact, so both must agree on every tie.
    bias = np.float32([0.0625, -0.1875, 0, 0.3125]) if out is None else None
    graph.layer(Layer(layer, Quantizer(3, 0.5), bias=bias, activation=out))
    if end is not None:
        graph.add(end, axis=1)
    network, host_model = taken(graph.model((1, 4)))
    whole = network.with_head(head_of(host_model))
    x = random_inputs(network, 500, 1)
    classes = host_model.classify(network.execute(x))
    assert len(set(classes)) > 1
    np.testing.assert_array_equal(whole.execute(x)[:, 0], classes)
    assert whole.output.datatype == "UINT8"
