"""Which graphs are taken, and in which form they come out."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.datatype import DataType

from finn_builds.errors import UserError
from finn_builds.ingest import Reference, Tidied, model_info, split_host, tidy
from tests.finn_builds.ingest.chains import Q4, QUANT, RNG, U3, assert_same, chain, frames, run_all
from tests.finn_builds.ingest.graphs import (
    GENERAL,
    Graph,
    Layer,
    Quantizer,
    execute,
    mlp,
    random_layers,
)
from tests.finn_builds.ingest.integers import taken


def test_the_network_of_a_chain():
    layers = random_layers(RNG, [4, 3, 2], Q4, U3)
    network, _ = taken(mlp(layers, Q4))
    assert [node.output.name for node in network.nodes] == [
        "MatMul_0",
        "MultiThreshold_0",
        "MatMul_1",
    ]
    first, _ = network.layers()
    np.testing.assert_array_equal(np.abs(first.linear.weights), np.abs(layers[0].weights / 0.5))


def test_the_model_given_is_left_as_it_is():
    model = mlp(random_layers(RNG, [4, 3], Q4, U3), Q4)
    before = model.model.SerializeToString()
    tidy(model)
    assert model.model.SerializeToString() == before


ACTIVATIONS = {
    "relu": [("Relu", (), {})],
    "clip": [("Clip", (np.float32(-1), np.float32(1.5)), {})],
    "clip from below": [("Clip", (np.float32(0),), {})],
    "min and max": [("Min", (np.float32(2),), {}), ("Max", (np.float32([-1, 0, 1, -2]),), {})],
    "neg": [("Neg", (), {})],
    "constant minus data": [("Sub", (np.float32([1, 2, 3, 4]),), {"position": 1})],
    "constant first": [("Add", (np.float32(1),), {"position": 1})],
    "divide": [("Div", (np.float32([2, -4, 0.5, 1]),), {})],
    "identity": [("Identity", (), {}), ("Dropout", (), {})],
    "neutral": [("Mul", (np.ones(4, np.float32),), {}), ("Add", (np.float32(0),), {})],
    "nearly neutral": [("Mul", (np.float32(1 + 2**-20),), {}), ("Add", (np.float32(1e-6),), {})],
    "sign": [("Sign", (), {})],
    "round": [("Floor", (), {}), ("Ceil", (), {}), ("Round", (), {})],
    "reshape": [("Reshape", ("shape",), {}), ("Flatten", (), {})],
    "two quantizers": [("Quant", (0.125, 0.0, 8.0), QUANT[2])],
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_elementwise_nodes_between_layers(name):
    graph = Graph((1, 4))
    graph.quantize(Q4)
    graph.layer(Layer(RNG.integers(-8, 8, size=(4, 4)) * 0.5, Q4))
    for op, constants, attrs in ACTIVATIONS[name]:
        if constants and isinstance(constants[0], str):
            constants = (graph.constant([1, 2, 2], np.int64),)
        graph.add(op, *constants, **attrs)
    graph.quantize(Quantizer(4, 0.5))
    graph.layer(Layer(RNG.integers(-8, 8, size=(4, 2)) * 0.5, Q4))
    assert_same(graph.model((1, 2)), frames())


@pytest.mark.parametrize("op", ["Tanh", "Sigmoid", "HardSigmoid"])
def test_curved_activations(op):
    graph = Graph((1, 4))
    graph.quantize(Q4)
    graph.layer(Layer(RNG.integers(-8, 8, size=(4, 4)) * 0.1, Quantizer(4, 0.1)))
    graph.add(op)
    graph.quantize(Quantizer(4, 0.11))
    graph.layer(Layer(RNG.integers(-8, 8, size=(4, 2)) * 0.5, Q4))
    model = graph.model((1, 2))
    x = frames(count=20)
    expected = np.concatenate([execute(model, row[None]) for row in x])
    np.testing.assert_allclose(run_all(model, x), expected, atol=1e-5)


AFTER_QUANT = {
    "relu": [("Relu", (), {})],
    "scale": [("Mul", (np.float32(3),), {}), ("Div", (np.float32(-2),), {})],
    "shift on the lattice": [("Add", (np.float32(1.5),), {})],
    "clip on the lattice": [("Clip", (np.float32(-1), np.float32(1)), {})],
}


@pytest.mark.parametrize("name", AFTER_QUANT)
def test_nodes_between_a_quantizer_and_the_next_layer(name):
    assert_same(chain(QUANT, *AFTER_QUANT[name]), frames())


def test_relu_after_a_signed_quantizer_saves_the_sign_bit():
    network, _ = taken(chain(QUANT, ("Relu", (), {})))
    assert network.layers()[0].output.datatype == "UINT3"


def test_a_batch_norm_before_the_input_quantizer_runs_on_the_host_to_the_bit():
    graph = Graph((1, 4))
    norm = [RNG.uniform(0.5, 2, size=4).astype(np.float32) for _ in range(4)]
    graph.add("BatchNormalization", *norm)
    graph.quantize(Quantizer(6, 2.0**-5))
    graph.layer(Layer(RNG.integers(-8, 8, size=(4, 2)), Quantizer(4)))
    assert_same(graph.model((1, 2)), RNG.normal(size=(60, 4)).astype(np.float32))


def test_images_are_flattened_and_keep_their_channels():
    graph = Graph((1, 2, 3, 1))
    graph.add("Sub", np.float32([0.5, -0.25]).reshape(1, 2, 1, 1))
    norm = [RNG.uniform(0.5, 2, size=2).astype(np.float32) for _ in range(4)]
    graph.add("BatchNormalization", *norm)
    graph.add("Flatten")
    graph.quantize(Quantizer(5, 0.125))
    graph.layer(Layer(RNG.integers(-8, 8, size=(6, 2)), Quantizer(4)))
    model = graph.model((1, 2))
    x = RNG.normal(size=(30, 2, 3, 1)).astype(np.float32)
    assert_same(model, x, shape=(1, 2, 3, 1))
    assert_same(model, x.reshape(30, 6), shape=(1, 2, 3, 1))


def test_gemm_with_factors_and_a_quantised_bias():
    graph = Graph((1, 3))
    graph.quantize(Q4)
    weights = graph.quantized_constant(RNG.integers(-8, 8, size=(5, 3)) * 0.5, Q4)
    bias = graph.quantized_constant(RNG.normal(size=5).astype(np.float32), Quantizer(6, 0.125))
    graph.add("Gemm", weights, bias, transB=1, alpha=0.5, beta=2.0)
    assert_same(graph.model((1, 5)), frames(3))


def test_gemm_without_a_bias():
    graph = Graph((1, 3))
    graph.quantize(Q4)
    graph.add("Gemm", graph.quantized_constant(np.ones((3, 2)), Q4))
    assert_same(graph.model((1, 2)), frames(3))


def test_a_mask_behind_the_weights_quantizer():
    graph = Graph((1, 3))
    graph.quantize(Q4)
    weights = graph.quantized_constant(RNG.integers(1, 8, size=(3, 2)) * 0.5, Q4)
    mask = graph.constant([[1, 0], [0, 1], [1, 1]])
    graph.add("MatMul", graph.side("Mul", [weights, mask]))
    model = graph.model((1, 2))
    assert_same(model, frames(3))
    weights = taken(model)[0].layers()[0].linear.weights
    assert weights[0, 1] == weights[1, 0] == 0


def test_weights_changed_otherwise_behind_their_quantizer():
    graph = Graph((1, 3))
    graph.quantize(Q4)
    weights = graph.quantized_constant(np.ones((3, 2)), Q4)
    graph.add("MatMul", graph.side("Mul", [weights, graph.constant(0.3)]))
    with pytest.raises(UserError, match=r"'n_MatMul_3'.*changed after its quantizer"):
        split_host(tidy(graph.model((1, 2))))


def test_weights_annotated_as_integers_need_no_quantizer():
    graph = Graph((1, 3))
    graph.quantize(Q4)
    name = graph.constant(RNG.integers(-8, 8, size=(3, 2)))
    graph.add("MatMul", name)
    model = graph.model((1, 2))
    model.set_tensor_datatype(name, DataType["INT4"])
    assert_same(model, frames(3))


@pytest.mark.parametrize("domain", ["onnx.brevitas", "finn.custom_op.general", GENERAL])
def test_domains_of_old_and_new_exporters(domain):
    model = mlp(random_layers(RNG, [4, 3, 2], Quantizer(1, 0.5), Quantizer(1)), Q4)
    x = frames()
    expected = run_all(model, x)
    for node in model.graph.node:
        if "Quant" in node.op_type:
            node.domain = domain
            if domain == GENERAL and node.op_type == "Quant":
                node.op_type = "IntQuant"
    np.testing.assert_array_equal(run_all(model, x), expected)


@pytest.mark.parametrize("batch", ["n", 0, 1, 8])
def test_any_batch_dimension(batch):
    graph = Graph((batch, 4))
    graph.quantize(Q4)
    if batch == 8:
        graph.add("Reshape", graph.constant([8, 2, 2], np.int64))
        graph.add("Reshape", graph.constant([8, 4], np.int64))
    graph.layer(Layer(RNG.integers(-8, 8, size=(4, 2)) * 0.5, Q4))
    model = graph.model((batch, 2))
    tidied = tidy(model)
    assert tidied.get_tensor_shape(tidied.graph.input[0].name) == [1, 4]
    assert run_all(model, frames()).shape == (12, 2)


@pytest.mark.filterwarnings("ignore:Output shapes disagree")  # qonnx, on the untidied model
def test_a_shape_computed_from_the_input_is_folded():
    graph = Graph((1, 2, 2))
    shape = graph.side("Shape", [graph.current])
    first = graph.side("Gather", [shape, graph.constant([0], np.int64)])
    target = graph.side("Concat", [first, graph.constant([-1], np.int64)], axis=0)
    graph.add("Reshape", target)
    graph.quantize(Q4)
    graph.layer(Layer(RNG.integers(-8, 8, size=(4, 2)) * 0.5, Q4))
    assert_same(graph.model((1, 2)), frames(), shape=(1, 2, 2))


def test_a_shape_as_newer_exporters_of_pytorch_write_it():
    """They set ``allowzero`` on every Reshape, also where the shape has no zero."""
    graph = Graph((1, 2, 2))
    graph.quantize(Q4)
    graph.add("Reshape", graph.constant([1, 4], np.int64), allowzero=1)
    graph.layer(Layer(RNG.integers(-8, 8, size=(4, 2)) * 0.5, Q4))
    assert_same(graph.model((1, 2), opset=18), frames(), shape=(1, 2, 2))


def test_nodes_without_names_and_with_the_same_name():
    model = mlp(random_layers(RNG, [4, 3, 2], Q4, U3), Q4)
    expected = run_all(model, x := frames())
    for node in model.graph.node:
        node.name = "" if node.op_type == "Quant" else "same"
    np.testing.assert_array_equal(run_all(model, x), expected)


def test_an_output_in_the_middle():
    model = mlp(random_layers(RNG, [4, 3, 2], Q4, U3), Q4)
    inner = next(n for n in model.graph.node if n.op_type == "MatMul").output[0]
    model.graph.output[0].name = inner
    # What follows the output is not part of the network.
    assert len(taken(model)[0].layers()) == 1


def test_metadata_survive():
    model = mlp(random_layers(RNG, [2, 3], Q4, U3), Q4)
    text = '{"class_names": ["a", "b", "c"], "feature_names": ["p", "q"]}'
    model.model.metadata_props.add(key="prunestream", value=text)
    assert model_info(tidy(model)) == json.loads(text)
    _, host = taken(model)
    assert host.class_names == ("a", "b", "c") and host.feature_names == ("p", "q")


def test_initialisers_listed_as_inputs():
    model = mlp(random_layers(RNG, [4, 3], Q4, U3), Q4)
    for tensor in model.graph.initializer:
        shape = numpy_helper.to_array(tensor).shape
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, shape)
        )
    del model.graph.value_info[:]
    assert len(tidy(model).graph.input) == 1


def test_a_reference_can_be_made_of_every_tidied_model():
    model = chain(QUANT, ("Relu", (), {}))
    x = frames()
    expected = np.concatenate([execute(model, row[None]) for row in x])
    np.testing.assert_array_equal(Reference(tidy(model)).run_float(x), expected)


def test_a_tidied_model_is_the_same_after_loading(tmp_path):
    model = mlp(random_layers(RNG, [4, 3, 2], Q4, U3), Q4)
    model.set_metadata_prop("prunestream", '{"dataset": "digits"}')
    tidied = Tidied(tidy(model))
    tidied.save(tmp_path, "step_tidy_up")
    loaded = Tidied.load(tmp_path, "step_tidy_up")
    assert loaded.model.model == tidied.model.model
    assert model_info(loaded.model) == {"dataset": "digits"}
