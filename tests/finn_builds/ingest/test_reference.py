"""The reference is the QONNX model, executed by onnx and qonnx."""

import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto

from finn_builds.errors import UserError
from finn_builds.ingest import InputQuant, Reference, split_host, tidy
from finn_builds.ingest import reference as reference_module
from finn_builds.network.types import weight_datatype
from tests.finn_builds.ingest.graphs import (
    Graph,
    Layer,
    Quantizer,
    exact_forward,
    execute,
    mlp,
    random_layers,
)

RNG = np.random.default_rng(3)


def naive(layers, values):
    """Return the last layer's output by plain float64 arithmetic, written for this test alone."""
    for layer in layers:
        q = layer.quantizer
        low, high = q.limits()
        w = np.clip(np.round(layer.weights / np.float32(q.scale)), low, high) * np.float64(q.scale)
        values = values @ w
        if layer.bias is not None:
            values = values + layer.bias
        if layer.activation is not None:
            a = layer.activation
            low, high = a.limits()
            values = np.clip(np.round(values / a.scale), low, high) * a.scale
    return values


def referenced(model) -> Reference:
    tidied = tidy(model)
    return Reference(tidied, split_host(tidied))


def network():
    scales = [float(np.float32(s)) for s in (0.123, 0.077, 0.31)]
    weight, act = Quantizer(4, scales[0]), Quantizer(4, scales[2], signed=False)
    return random_layers(RNG, [6, 8, 5, 3], weight, act), Quantizer(8, scales[1])


def test_a_double_run_equals_plain_arithmetic():
    layers, into = network()
    x = RNG.integers(-128, 128, size=(500, 6))
    y = referenced(mlp(layers, into)).run(x)
    assert y.dtype == np.int64
    unit = layers[1].activation.scale * layers[2].quantizer.scale
    np.testing.assert_array_equal(y, np.round(naive(layers, x * into.scale) / unit))


def test_a_float_run_equals_the_model_as_it_is():
    layers, into = network()
    x = RNG.normal(size=(200, 6)).astype(np.float32) * 4
    original = execute(mlp(layers, into, batch=200), x)
    got = referenced(mlp(layers, into)).run_float(x)
    # The weights' scale is applied after the sum: the last bits may differ.
    np.testing.assert_allclose(got, original, rtol=1e-5, atol=1e-5)


def test_the_front_alone():
    graph = Graph((1, 2, 2))
    graph.add("Sub", np.float32(1))
    graph.add("Flatten")
    graph.layer(Layer(np.eye(4), Quantizer(2)))
    model = tidy(graph.model((1, 4)))
    reference = Reference(model, split_host(model, InputQuant("INT8", 1)))
    x = RNG.normal(size=(7, 2, 2)).astype(np.float32)
    np.testing.assert_array_equal(reference.run_front(x), x.reshape(7, 4) - np.float32(1))


def test_frames_in_which_float32_decides_otherwise_are_counted():
    # 0.3f * 0.3f / 0.18f is a hair off 1/2, and float32 rounds products onto the tie.
    act = Quantizer(4, 0.18)
    layers = [
        Layer(np.full((1, 1), 0.3), Quantizer(2, 0.3), activation=act),
        Layer(np.ones((1, 1)), Quantizer(2)),
    ]
    into = Quantizer(5, 0.3)
    x = np.arange(-16, 16)[:, None]
    model = tidy(mlp(layers, into))
    split = split_host(model)
    reference = Reference(model, split)
    exact = np.array(exact_forward(layers, into, x), dtype=np.float64)
    y = reference.run(x)
    np.testing.assert_array_equal(y, np.round(exact / np.float64(np.float32(0.18))))
    np.testing.assert_array_equal(y, split.network.execute(x))
    in_single = execute(mlp(layers, into, batch=32), x * np.float32(0.3)) / np.float32(0.18)
    differing = int((np.round(in_single) != y).sum())
    assert reference.float32_disagreements(x) == differing > 0


@pytest.mark.parametrize(
    ("end", "n_out"),
    [(None, 1), ("Sigmoid", 1), (None, 3), ("Softmax", 3), ("LogSoftmax", 3), ("ArgMax", 3)],
)
def test_classes_are_those_of_the_host_model(end, n_out):
    graph = Graph((1, 4))
    graph.quantize(Quantizer(4, 0.5))
    graph.layer(Layer(RNG.integers(-8, 8, size=(4, n_out)) * 0.5, Quantizer(4, 0.5)))
    # A wide margin saturates float32's softmax and sigmoid: many outputs are equal there.
    graph.add("Mul", np.float32(100))
    if end:
        graph.add(end, **({} if end == "Sigmoid" else {"axis": 1}))
    model = graph.model(None)
    if end == "ArgMax":
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    model = tidy(model)
    split = split_host(model)
    host = split.host
    x = RNG.normal(size=(100, 4))
    classes = host.classify(split.network.execute(host.before(x)))
    np.testing.assert_array_equal(Reference(model).classify(x), classes)
    assert len(set(classes)) > 1


def test_models_without_a_quantised_input_run_in_floating_point_only():
    layers, _ = network()
    reference = Reference(tidy(mlp(layers, None)))
    assert reference.run_float(np.zeros((2, 6))).shape == (2, 3)
    with pytest.raises(UserError, match="--input-quant INT8"):
        split_host(tidy(mlp(layers, None)))


def test_no_frames_and_one_frame():
    layers, into = network()
    reference = referenced(mlp(layers, into))
    assert reference.run(np.zeros((0, 6), dtype=int)).shape == (0, 3)
    assert reference.run(np.zeros((1, 6), dtype=int)).shape == (1, 3)


def test_all_frames_go_through_a_node_at_once(monkeypatch):
    """That is what makes thousands of them quick."""
    nodes = []

    computed = reference_module._computed

    def counted(node, inputs, *rest):
        nodes.append((node.name, len(inputs[0])))
        return computed(node, inputs, *rest)

    monkeypatch.setattr(reference_module, "_computed", counted)
    layers, into = network()
    reference = referenced(mlp(layers, into))
    reference.run(RNG.integers(-128, 128, size=(1000, 6)))
    # Two frames are compared with each alone first.
    whole = [name for name, frames in nodes if frames == 1000]
    assert whole and len(set(whole)) == len(whole) and len(nodes) == 4 * len(whole)


def test_integer_layers_tell_their_types():
    layers, into = network()
    first, second, third = split_host(tidy(mlp(layers, into))).network.layers()
    assert (first.name, first.input.datatype) == ("MatMul_0", "INT8")
    assert weight_datatype(first.linear.weights) == "INT4"
    assert first.output is second.input and first.output.datatype == "UINT4"
    assert third.requantise is None and third.output is third.accumulators
    assert third.output.datatype.startswith("INT")
    assert (first.requantise.bias, first.requantise.step) == (0, 1)


def test_building_does_not_need_torch():
    code = "import sys, finn_builds.ingest; sys.exit('torch' in sys.modules)"
    root = __file__.rsplit("/tests/", 1)[0]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
