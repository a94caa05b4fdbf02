"""Which graphs are taken, in which form they come out, and what is said about the others."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.datatype import DataType

from deploy.host_model import HostModel
from finn_builds.errors import UserError
from finn_builds.ingest import (
    Reference,
    host_description,
    integer_mlp,
    split_host,
    tidy,
    to_thresholds,
)
from tests.finn_builds.ingest.graphs import (
    GENERAL,
    Graph,
    Layer,
    Quantizer,
    execute,
    mlp,
    random_layers,
)

RNG = np.random.default_rng(11)
Q4 = Quantizer(4, 0.5)
U3 = Quantizer(3, 0.25, signed=False)


def chain(*middle, shape=(1, 4), n=4, opset=13, into=Q4, **options):
    """Return a network of two layers with nodes of (op, constants, attrs) before the second."""
    graph = Graph(shape)
    if into is not None:
        graph.quantize(into)
    graph.layer(Layer(RNG.integers(-8, 8, size=(4, 4)) * 0.5, Q4))
    for op, constants, attrs in middle:
        graph.add(op, *constants, **attrs)
    graph.layer(Layer(RNG.integers(-8, 8, size=(n, 2)) * 0.5, Q4))
    return graph.model((1, 2), opset=opset, **options)


QUANT = ("Quant", (0.5, 0.0, 4.0), {"domain": GENERAL, "signed": 1, "narrow": 0})


def run_all(model, x):
    """Return what the build's own chain of stages gives for raw frames."""
    streamlined = to_thresholds(split_host(tidy(model)))
    host = HostModel.from_dict(host_description(streamlined))
    return host.after(integer_mlp(streamlined).execute(host.before(x)))


def assert_same(model, x, shape=None):
    """Compare with qonnx executing the model as it is, frame by frame."""
    expected = np.concatenate([execute(model, row.reshape(shape or (1, -1))) for row in x])
    np.testing.assert_array_equal(run_all(model, x), expected)


def frames(n=4, count=12):
    return (RNG.integers(-40, 40, size=(count, n)) / 8).astype(np.float32)


def test_the_plain_form_of_a_network():
    layers = random_layers(RNG, [4, 3, 2], Q4, U3)
    model = tidy(mlp(layers, Q4))
    ops = [n.op_type for n in model.graph.node]
    assert ops == ["Quant", "MatMul", "Mul", "Quant", "MatMul", "Mul"]
    weights = model.get_initializer(model.graph.node[1].input[1])
    np.testing.assert_array_equal(weights, np.round(layers[0].weights / 0.5))
    assert model.get_tensor_datatype(model.graph.node[1].input[1]) == DataType["INT4"]


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
    streamlined = to_thresholds(split_host(tidy(chain(QUANT, ("Relu", (), {})))))
    assert integer_mlp(streamlined).layers[0].output_datatype == "UINT3"


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
    layer = integer_mlp(to_thresholds(split_host(tidy(model)))).layers[0]
    assert layer.weights[0, 1] == layer.weights[1, 0] == 0


def test_weights_changed_otherwise_behind_their_quantizer():
    graph = Graph((1, 3))
    graph.quantize(Q4)
    weights = graph.quantized_constant(np.ones((3, 2)), Q4)
    graph.add("MatMul", graph.side("Mul", [weights, graph.constant(0.3)]))
    with pytest.raises(UserError, match=r"'n_MatMul_3'.*changed behind its quantizer"):
        tidy(graph.model((1, 2)))


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


def test_nodes_without_names_and_with_the_same_name():
    model = mlp(random_layers(RNG, [4, 3, 2], Q4, U3), Q4)
    expected = run_all(model, x := frames())
    for node in model.graph.node:
        node.name = "" if node.op_type == "Quant" else "same"
    np.testing.assert_array_equal(run_all(model, x), expected)


def refused(model, match):
    with pytest.raises(UserError, match=match) as error:
        tidy(model)
    assert "\n" not in str(error.value)


def test_a_convolution_is_named():
    graph = Graph((1, 1, 4, 4))
    graph.quantize(Q4)
    graph.add("Conv", graph.quantized_constant(np.ones((2, 1, 3, 3)), Q4))
    graph.add("Flatten")
    graph.layer(Layer(np.ones((8, 2)), Q4))
    refused(graph.model((1, 2)), r"node 'n_Conv_2' \(Conv\) is not supported: supported is a chain")


@pytest.mark.parametrize("op", ["LeakyRelu", "Abs", "Exp", "Sqrt", "GlobalAveragePool", "Erf"])
def test_other_operators_are_named(op):
    refused(chain((op, (), {}), QUANT), rf"node 'n_{op}_3' \({op}\) is not supported")


def test_a_branch_is_named():
    graph = Graph((1, 4))
    graph.quantize(Q4)
    graph.layer(Layer(np.ones((4, 4)), Q4))
    start = graph.current
    graph.quantize(Q4)
    graph.add("Add", start)
    graph.layer(Layer(np.ones((4, 2)), Q4))
    refused(graph.model((1, 2)), r"branches: the result of node 'n_MatMul_2' .* 'n_Add_4' \(Add\)")


def test_a_residual_from_the_input_is_named():
    graph = Graph((1, 4))
    graph.add("Add", "x")
    graph.quantize(Q4)
    graph.layer(Layer(np.ones((4, 2)), Q4))
    refused(graph.model((1, 2)), "branches: the result of the input is used by 'n_Add_0'")


def test_an_output_in_the_middle():
    model = mlp(random_layers(RNG, [4, 3, 2], Q4, U3), Q4)
    inner = next(n for n in model.graph.node if n.op_type == "MatMul").output[0]
    model.graph.output[0].name = inner
    # What follows the output is not part of the network.
    assert sum(n.op_type == "MatMul" for n in tidy(model).graph.node) == 1


def test_several_inputs_and_outputs():
    model = mlp(random_layers(RNG, [4, 3], Q4, U3), Q4)
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, (1, 4)))
    refused(model, r"2 inputs \('x', 'more'\); supported is one input")
    model = mlp(random_layers(RNG, [4, 3], Q4, U3), Q4)
    model.graph.output.append(helper.make_tensor_value_info("t0", TensorProto.FLOAT, (1, 4)))
    refused(model, r"2 outputs .*; supported is one output")


def test_float_weights_are_named():
    graph = Graph((1, 4))
    graph.quantize(Q4)
    graph.add("MatMul", np.ones((4, 2), np.float32))
    refused(graph.model((1, 2)), r"node 'n_MatMul_1' \(MatMul\) has float weights; supported")


def test_float_activations_between_layers_are_named():
    refused(chain(("Relu", (), {})), "from node 'n_MatMul_2'.*to node 'n_MatMul_5'.*not quantised")


@pytest.mark.parametrize("dim", ["features", 0])
def test_a_dynamic_number_of_features(dim):
    graph = Graph(("n", dim))
    graph.quantize(Q4)
    graph.layer(Layer(np.ones((4, 2)), Q4))
    refused(graph.model((1, 2)), "dimension 1.* of input 'x' is dynamic; only the batch")


def test_an_input_without_a_batch():
    graph = Graph((4,))
    graph.quantize(Q4)
    graph.layer(Layer(np.ones((4, 2)), Q4))
    refused(graph.model((2,)), r"has 1 dimensions; expected \(batch, features\)")


@pytest.mark.parametrize("bits", [9, 16])
def test_too_wide(bits):
    wide = Quantizer(bits, 2.0**-bits)
    refused(mlp([Layer(np.ones((4, 2)), wide)], Q4), f"{bits}-bit weights; supported are 1 to 8")
    layers = random_layers(RNG, [4, 3, 2], Q4, wide)
    refused(mlp(layers, Q4), f"{bits}-bit activations; supported are 1 to 8")
    refused(mlp(layers[-1:], wide), f"{bits}-bit activations; supported are 1 to 8")


def test_unsigned_weights_beyond_eight_signed_bits():
    layer = Layer(np.full((4, 2), 200.0), Quantizer(8, signed=False))
    refused(mlp([layer], Q4), "weights from 200 to 200 .*supported are -128 to 127")


def test_scales_that_cannot_leave_a_matrix_product():
    per_input = Quantizer(4, np.float32([[1], [2], [1], [1]]))
    refused(mlp([Layer(np.ones((4, 2)), per_input)], Q4), "differs from input to input")
    layers = random_layers(RNG, [4, 3, 2], Q4, Quantizer(4, np.float32([1, 2, 1])))
    refused(mlp(layers, Q4), "has a scale per channel; before node")
    refused(chain(QUANT, ("Mul", (np.float32([1, 2, 3, 4]),), {})), "treats channels differently")
    refused(chain(QUANT, ("Add", (np.float32(0.3),), {})), "no multiples of one scale")


def test_nonsense_in_quantizers():
    attrs = QUANT[2]
    quants = {
        "scale that is not a positive": (0.0, 0.0, 4.0),
        "zero point that is not an integer": (1.0, 0.5, 4.0),
        "width": (1.0, 0.0, 2.5),
        "zero point per channel": (1.0, np.float32([0, 1, 0, 1]), 4.0),
    }
    for match, constants in quants.items():
        refused(chain(("Quant", constants, attrs)), match)
    refused(
        chain(("Quant", (1.0, 0.0, 4.0), {**attrs, "rounding_mode": "STOCHASTIC_ROUND"})),
        "rounding mode STOCHASTIC_ROUND; supported are ROUND",
    )


def test_nonsense_in_constants():
    nan = np.float32([0, np.nan, 0, 0])
    refused(chain(("Add", (nan,), {}), QUANT), r"'n_Add_3' \(Add\) has a constant that is not")
    refused(chain(("Div", (np.float32(0),), {}), QUANT), "divides by zero")
    refused(mlp([Layer(np.full((4, 2), np.nan), Q4)], Q4), "holds NaN or infinity")
    bad = [np.float32([1] * 4)] * 3 + [np.float32([-1] * 4)]
    refused(chain(("BatchNormalization", bad, {}), QUANT), "variance that is not positive")
    refused(
        chain(("Add", (np.zeros((2, 4), np.float32),), {}), QUANT), "does not fit data of shape"
    )
    refused(
        chain(("Div", (np.float32(1),), {"position": 1}), QUANT), "divides a constant by the data"
    )


def test_weights_of_the_wrong_size_and_order():
    refused(chain(QUANT, n=3), "has weights for 3 inputs; its input has 4|dimension")
    graph = Graph((1, 2))
    graph.quantize(Q4)
    graph.add("MatMul", graph.quantized_constant(np.ones((4, 1)), Q4), position=1)
    refused(graph.model((4, 2)), "activations as its input 1; supported is activations first")


def test_softmax_in_the_middle():
    refused(
        chain(("Softmax", (), {}), QUANT), "'n_Softmax_3' .*supported at the network's end only"
    )


def test_no_layer_at_all():
    graph = Graph((1, 2))
    graph.quantize(Q4)
    refused(graph.model((1, 2)), "no MatMul or Gemm layer")


def test_training_mode():
    norm = [np.ones(4, np.float32)] * 4
    refused(
        chain(("BatchNormalization", norm, {"training_mode": 1}), QUANT, opset=15),
        "training mode; export the model in evaluation mode",
    )


def test_inputs_of_other_element_types():
    model = mlp(random_layers(RNG, [4, 3], Q4, U3), Q4)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    refused(model, "element type DOUBLE; supported are FLOAT, INT8 and UINT8")


def test_sums_too_large_to_be_exact():
    layer = Layer(np.full((1024, 1), 127.0), Quantizer(8))
    model = tidy(mlp([layer], Quantizer(8, signed=False)))
    with pytest.raises(UserError, match="can sum up to 33162240"):
        split_host(model)


def test_metadata_survive():
    model = mlp(random_layers(RNG, [2, 3], Q4, U3), Q4)
    text = '{"class_names": ["a", "b", "c"], "feature_names": ["p", "q"]}'
    model.model.metadata_props.add(key="prunestream", value=text)
    streamlined = to_thresholds(split_host(tidy(model)))
    assert streamlined.get_metadata_prop("prunestream") == text
    host = HostModel.from_dict(host_description(streamlined))
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
