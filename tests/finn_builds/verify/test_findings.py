"""What a build warns of though it is verified."""

import numpy as np
import pytest

from deploy.host_model import HostModel
from finn_builds.ingest import load_model, split_host, tidy
from finn_builds.verify.accuracy import Accuracy, target_error
from finn_builds.verify.data import GivenData
from finn_builds.verify.findings import constants_of, findings_of
from tests.finn_builds.ingest.graphs import Quantizer, mlp, random_layers
from tests.finn_builds.network.networks import random_network
from tests.finn_builds.verify.test_data import nameless_host

X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)


def data(y=None, targets=None, x=X, classes=""):
    return GivenData(x, y, targets, "somewhere", False, classes)


def logits(classes, count=3):
    """Return integers of which the largest is that of each class."""
    return np.eye(count, dtype=np.int64)[classes] * 5


def test_a_network_of_changing_outputs_has_no_findings():
    assert findings_of(random_network((3, 4, 3), 2), nameless_host(3), None).warnings == ()


def test_row_10_a_layer_that_never_changes_is_named(cases):
    """Row 10 of the list of cases: a bipolar quantiser after a Relu is always +1."""
    split = split_host(tidy(load_model(cases / "10_constant_hidden_layer.onnx")))
    network = split.network
    hidden, outputs = constants_of(network)
    assert hidden.whole and not hidden.output and outputs.whole and outputs.output
    first, second = findings_of(network, split.host, None).warnings
    assert hidden.tensor in first and "neuron of the layer" in first
    assert "of node 'BipolarQuant_13' (BipolarQuant)" in first, "as the file calls it"
    assert outputs.tensor in second and "output of the network" in second
    assert "of node 'MatMul_19' (MatMul)" in second


def test_a_layer_that_never_changes():
    """The same, made here: weights and biases that keep every sum positive, then a sign."""
    rng = np.random.default_rng(0)
    layers = random_layers(rng, [3, 4, 2], Quantizer(3, 0.5), Quantizer(1, 1.0), relu=True)
    split = split_host(tidy(mlp(layers, Quantizer(4, 0.5))))
    network = split.network
    assert [(found.whole, found.output) for found in constants_of(network)] == [
        (True, False), (True, True)
    ]  # fmt: skip
    x = rng.integers(-8, 8, (500, 3))
    assert len(np.unique(network.execute(x), axis=0)) == 1


def test_one_answer_on_every_frame():
    y = np.arange(200) % 3
    quality = Accuracy(1 / 3, 0.03, 200, "somewhere", False)
    network = random_network((3, 4, 3), 2)
    (warning,) = findings_of(
        network, nameless_host(3), data(y), logits(np.zeros(200, int)), quality
    ).warnings
    assert "answers class 0 on every frame" in warning


def test_accuracy_far_below_chance():
    y = np.arange(200) % 3
    network = random_network((3, 4, 3), 2)
    swapped = logits((y + 1) % 3)
    quality = Accuracy(0.0, 0.0, 200, "somewhere", False)
    given = data(y, classes="a, b, c (in alphabetical order)")
    (warning,) = findings_of(network, nameless_host(3), given, swapped, quality).warnings
    assert "far below chance (33.3%)" in warning and "--classes" in warning
    assert "a, b, c (in alphabetical order)" in warning
    fine = Accuracy(0.4, 0.03, 200, "somewhere", False)
    assert findings_of(network, nameless_host(3), given, swapped, fine).warnings == ()


def test_targets_that_are_missed():
    network, targets = random_network((3, 4, 3), 2), X.copy()
    near = target_error(targets + 0.1, targets, "somewhere", surrogate=False)
    assert near.rmse == pytest.approx(0.1, rel=1e-5)
    assert near.rmse_by_output == pytest.approx((0.1, 0.1, 0.1), rel=1e-5)
    assert near.rmse_of_constant == pytest.approx(np.sqrt(targets.astype(float).var(axis=0).mean()))
    far = target_error(-targets, targets, "somewhere", surrogate=False)
    whole = logits(np.zeros(200, int))
    given = data(targets=targets)
    assert findings_of(network, nameless_host(3), given, whole, near).warnings == ()
    (warning,) = findings_of(network, nameless_host(3), given, whole, far).warnings
    assert "not closer to the targets than their mean" in warning


def quantising_host():
    description = nameless_host(3).to_dict()
    quant = {"op": "quant", "scale": 0.5, "zero_point": 0, "bits": 4, "signed": True,
             "narrow": False, "rounding": "ROUND"}  # fmt: skip
    (only,) = description["inputs"]
    return HostModel({**description, "inputs": [{**only, "before": [quant]}]})


def test_inputs_outside_the_quantiser():
    """4 bits of step 0.5 hold -4 to 3.5: half a step beyond is still rounded to it."""
    host, network = quantising_host(), random_network((3, 4, 3), 2)
    x = np.array([[-4.3, 3.8, 0.2], [3.7, -4.2, 1.0], [np.inf, 0, 0]], np.float32)
    expected = [[True, True, False], [False, False, False], [True, False, False]]
    assert host.saturated(x).tolist() == expected
    found = findings_of(network, host, data(x=x))
    assert found.saturated_inputs == pytest.approx(3 / 9)
    assert "33% of the input values lie outside the range" in found.warnings[0]
    assert findings_of(network, host, data(x=X)).warnings == ()


def test_data_that_say_little():
    network, host = random_network((3, 4, 3), 2), nameless_host(3)
    one = data(np.ones(200, int))
    (warning,) = findings_of(network, host, one).warnings
    assert "of one class: the accuracy says nothing of the others" in warning
    (warning,) = findings_of(network, host, data(x=np.ones((50, 3), np.float32))).warnings
    assert "the 50 frames of the data are all equal" in warning
    assert findings_of(network, host, data(np.arange(200) % 3)).warnings == ()
    assert findings_of(network, host, data(np.ones(1, int), x=X[:1])).warnings == ()
