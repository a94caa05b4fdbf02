"""Which graphs are refused, and what is said about them."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from finn_builds.errors import UserError
from finn_builds.ingest import (
    split_host,
    tidy,
)
from tests.finn_builds.ingest.chains import Q4, QUANT, RNG, U3, chain
from tests.finn_builds.ingest.graphs import (
    Graph,
    Layer,
    Quantizer,
    mlp,
    random_layers,
)


def refused(model, match):
    with pytest.raises(UserError, match=match) as error:
        split_host(tidy(model))
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
