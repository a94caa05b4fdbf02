"""Which graphs are refused, and what is said about them."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from finn_builds.errors import UserError
from finn_builds.ingest import split_host, tidy
from tests.finn_builds.ingest.chains import Q4, QUANT, RNG, U3, chain
from tests.finn_builds.ingest.graphs import GENERAL, Graph, Layer, Quantizer, mlp, random_layers


def refused(model, match):
    with pytest.raises(UserError, match=match) as error:
        split_host(tidy(model))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("op", ["Det", "EyeLike", "NonZero"])
def test_other_operators_are_named(op):
    refused(chain((op, (), {}), QUANT), rf"node 'n_{op}_3' \({op}\) is not supported")


def test_everything_unsupported_is_named_at_once():
    graph = Graph((1, 4))
    graph.quantize(Q4)
    start = graph.current
    graph.add("Det")
    graph.current = start
    graph.add("MatMul", RNG.normal(size=(4, 2)))
    model = graph.model((1, 2))
    model.graph.output.append(helper.make_tensor_value_info("t0", TensorProto.FLOAT, (1, 4)))
    model.graph.output[-1].name = next(n for n in model.graph.node if n.op_type == "Det").output[0]
    refused(model, r"2 things of the model.*\(1\) .*Det.*\(2\) .*float weights")


def test_a_memory_says_what_to_do():
    constants = (np.ones((1, 4, 4), np.float32), np.ones((1, 4, 1), np.float32))
    refused(chain(("LSTM", constants, {"hidden_size": 1}), QUANT), r"LSTM.*networks without memory")


def test_a_memory_of_several_steps_says_so_too():
    graph = Graph((3, 1, 4))
    graph.quantize(Q4)
    constants = (np.ones((1, 4, 4)), np.ones((1, 4, 1)))
    graph.add("LSTM", *constants, hidden_size=1)
    graph.nodes[-1].output[:] = ["", graph.current]  # which onnx does not execute
    refused(graph.model(None), r"LSTM.*networks without memory")


def test_float_weights_are_named():
    graph = Graph((1, 4))
    graph.quantize(Q4)
    graph.add("MatMul", RNG.normal(size=(4, 2)))
    refused(graph.model((1, 2)), r"node 'n_MatMul_1' \(MatMul\) has float weights; supported")


def test_float_activations_between_layers_are_named():
    refused(
        chain(("Tanh", (), {})), r"from node 'n_Tanh_3' \(Tanh\) to node 'n_MatMul_5'.*not quant"
    )


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


def test_too_wide():
    wide = Quantizer(17, 2.0**-17)
    refused(mlp([Layer(np.ones((4, 2)), wide)], Q4), "17-bit weights.*supported are 1 to 16")
    wide = Quantizer(25, 2.0**-24)
    layers = random_layers(RNG, [4, 3], Q4, Q4)
    refused(mlp(layers, wide), "an input of 25 bits; supported are 1 to 24")


def test_sums_too_wide_for_any_hardware():
    graph = Graph((1, 2))
    graph.quantize(Quantizer(24, 1.0))
    for _ in range(3):
        weights = np.full((2, 2), 32767.0)
        graph.layer(Layer(weights, Quantizer(16, 1.0)))
    refused(graph.model((1, 2)), "gives integers of up to .* bits; supported are 61")


def test_products_too_wide_for_any_hardware():
    """Of 2^96 and more, which do not fit the integers in which ranges are kept."""
    graph = Graph((1, 2))
    graph.quantize(Quantizer(24, 1.0))
    graph.add("Mul", graph.current)
    graph.add("Mul", graph.current)
    refused(graph.model((1, 2)), "gives integers of up to 9. bits; supported are 61")


def test_scales_that_have_no_common_one():
    graph = Graph((1, 4))
    graph.quantize(Quantizer(4, 0.1))
    start = graph.current
    graph.layer(Layer(np.eye(4) * 7, Quantizer(4, 1.0), activation=Quantizer(4, 0.0314159)))
    graph.add("Add", start)
    graph.layer(Layer(np.ones((4, 2)), Q4))
    refused(graph.model((1, 2)), r"joins numbers of scales 0\.0314.* and 0\.1")


def test_nonsense_in_quantizers():
    attrs = QUANT[2]
    quants = {
        "scale that is not a positive": (0.0, 0.0, 4.0),
        "zero point that is not an integer": (1.0, 0.5, 4.0),
        "width": (1.0, 0.0, 2.5),
        "has 4 widths; supported is one": (1.0, 0.0, np.float32([4, 5, 4, 3])),
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
        chain(("Add", (np.zeros((1, 3), np.float32),), {}), QUANT), "does not fit data|dimension"
    )


def test_numbers_that_a_function_is_not_defined_for():
    refused(chain(("Log", (), {}), QUANT), r"'n_Log_3' \(Log\).* NaN for numbers that element")


def test_weights_of_the_wrong_size():
    refused(chain(QUANT, n=3), "has weights for 3 inputs; its input has 4|dimension")


def test_softmax_in_the_middle():
    refused(
        chain(("Softmax", (), {}), QUANT), "'n_Softmax_3' .*supported at the network's end only"
    )


def test_a_softmax_over_some_of_the_features():
    graph = Graph((1, 2, 4))
    graph.quantize(Q4)
    graph.add("Softmax", axis=-1)
    graph.quantize(U3)
    graph.add("Mul", np.float32(2))
    refused(graph.model(None), r"axis -1 of data of shape \(1, 2, 4\).*divides by results")


def test_a_division_by_a_result():
    """As LayerNorm has it that was exported node by node."""
    graph = Graph((1, 4))
    graph.quantize(Q4)
    start = graph.current
    graph.layer(Layer(np.ones((4, 4)), Q4))
    graph.add("Div", start)
    refused(graph.model(None), r"\(Div\) takes two results.*multiply by a quantised Reciprocal")


def test_many_levels_of_a_curve_name_their_quantizer():
    graph = Graph((1, 128))
    graph.quantize(Quantizer(12, 0.125))
    graph.layer(Layer(RNG.normal(size=(128, 128)), Q4))
    graph.add("Sigmoid")
    graph.quantize(Quantizer(16, 2.0**-15))
    graph.layer(Layer(np.ones((128, 1)), Q4))
    refused(graph.model(None), r"'n_Quant_\d+' \(Quant\) gives 65,536 levels of 128 elements")


@pytest.mark.parametrize("often", [True, False])
def test_functions_of_too_many_numbers(often):
    graph = Graph((1, 8))
    graph.quantize(Quantizer(12 if often else 24, 2.0**-4))
    graph.layer(Layer(RNG.normal(size=(8, 2)), Quantizer(8, 2.0**-5)))
    if often:
        graph.add("Mul", np.float32(1000))
    graph.add("Sin")
    graph.quantize(Quantizer(8, 2.0**-6))
    graph.layer(Layer(np.ones((2, 1)), Q4))
    match = "changes more than 4,096 times" if often else "supported are 16,777,216 of all"
    refused(graph.model(None), rf"\(Sin\) is not monotone.*{match}.*12 bits or fewer in front")


def test_a_layer_of_too_many_inputs_and_outputs():
    graph = Graph((1, 3, 40, 40))
    graph.quantize(Q4)
    weights = graph.quantized_constant(RNG.integers(-8, 8, (64, 3, 3, 3)) * 0.5, Q4)
    graph.add("Conv", weights)
    refused(graph.model(None), r"\(Conv\) has 4,800 inputs and 92,416 outputs, too many")


def test_numbers_scattered_over_each_other():
    graph = Graph((1, 3))
    graph.quantize(Q4)
    index = graph.constant([[0, 1, 1]], np.int64)
    graph.add("ScatterElements", np.zeros((1, 4)), index, position=2, axis=1)
    refused(graph.model(None), "puts 3 numbers at 2 places with reduction 'none'; supported are")


def test_a_resize_between_elements():
    graph = Graph((1, 1, 2, 2))
    graph.quantize(Q4)
    graph.add("Resize", "", np.float32([1, 1, 2, 2]), mode="linear")
    refused(graph.model(None), r"\(Resize\) has mode linear.*supported is mode nearest")


def test_no_layer_at_all():
    graph = Graph((1, 2))
    graph.add("Relu")
    refused(graph.model((1, 2)), "input 'x' reaches output .* without a quantizer")


def test_training_mode():
    norm = [np.ones(4, np.float32)] * 4
    refused(
        chain(("BatchNormalization", norm, {"training_mode": 1}), QUANT, opset=15),
        "training mode; export the model in evaluation mode",
    )


def test_inputs_of_other_element_types():
    model = mlp(random_layers(RNG, [4, 3], Q4, U3), Q4)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    refused(model, "element type DOUBLE; supported are FLOAT, BOOL, and integers of 8 to 64 bits")


CONTRADICTIONS = {
    "reshape": ("Reshape", [1, 5], {}),
    "axes": ("Transpose", None, {"perm": [0, 5]}),
    "index": ("Gather", [9], {"axis": 1}),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_does_not_fit_is_named(name):
    op, constant, attrs = CONTRADICTIONS[name]
    graph = Graph((1, 4))
    graph.quantize(Q4)
    names = [] if constant is None else [graph.constant(constant, np.int64)]
    graph.add(op, *names, **attrs)
    refused(graph.model(None), rf"node 'n_{op}_1' \({op}\) can't be computed: .*contradicts itself")


def test_text_among_the_numbers():
    graph = Graph((1, 4))
    graph.quantize(Q4)
    graph.initializers.append(helper.make_tensor("words", TensorProto.STRING, [1], [b"a"]))
    graph.add("Add", "words")
    refused(graph.model(None), r"node 'n_Add_1' \(Add\) has a constant that is not numbers")


def test_a_layer_without_outputs():
    graph = Graph((1, 4))
    graph.quantize(Q4)
    graph.layer(Layer(np.ones((4, 0)), Q4))
    refused(graph.model(None), r"\(MatMul\) has no weights at all")


def test_an_attribute_of_another_type():
    graph = Graph((1, 4))
    parameters = [np.float32(1), np.float32(0), np.float32(4)]
    graph.add("Quant", *parameters, domain=GENERAL, signed="yes")
    graph.layer(Layer(np.ones((4, 2)), Q4))
    refused(graph.model(None), r"node 'n_Quant_0' \(Quant\) has signed 'yes'; expected 0 or 1")


def test_branches_of_control_flow():
    graph = Graph((1, 4))
    graph.quantize(Q4)
    inner = helper.make_graph(
        [helper.make_node("Identity", [graph.current], ["z"])],
        "inner",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )
    condition = graph.constant(True, np.bool_)
    graph.current = graph.side("If", [condition], then_branch=inner, else_branch=inner)
    refused(graph.model(None), r"\(If\) holds a graph of its own")


def test_a_table_of_too_many_entries():
    graph = Graph((1, 1))
    graph.quantize(Quantizer(13, 1.0))
    graph.add("Cast", to=TensorProto.INT64)
    graph.add("Gather", graph.constant(np.zeros((8192, 2))), position=1)
    refused(graph.model(None), r"\(Gather\) looks up by 8,192 different numbers.*12 bits")


def test_tables_that_make_no_sense():
    def looked_up(table, axis=0, first=0):
        graph = Graph((1, 4))
        graph.quantize(Quantizer(3, 1.0, signed=False))
        graph.add("Add", np.float32(first))
        graph.add("Cast", to=TensorProto.INT64)
        graph.add("Gather", graph.constant(table), position=1, axis=axis)
        return graph.model(None)

    table = np.arange(24.0).reshape(8, 3)
    table[3, 1] = np.inf
    refused(looked_up(table), r"\(Gather\) has entries that are infinite or NaN")
    table[3, 1] = np.nan
    refused(looked_up(table), r"\(Gather\) has entries that are infinite or NaN")
    table[3, 1] = 1 / 3
    refused(looked_up(table * 2.0**20), r"entries that are not multiples of one number")
    refused(looked_up(np.arange(24.0).reshape(8, 3) + 2.0**20), r"factors below 65,536; .* 17 bits")
    refused(looked_up(np.ones((7, 3))), r"\(Gather\) looks up entry 7 of 7")
    refused(looked_up(np.ones((0, 3))), r"\(Gather\) looks up entry 7 of 0")
    refused(looked_up(np.ones((9, 3)), first=-10), r"\(Gather\) looks up entry -10 of 9")
    refused(looked_up(np.ones((8, 3)), 2), r"\(Gather\) has axis 2; expected one of 2 axes")


@pytest.mark.parametrize(
    ("places", "values", "message"),
    [(6, [0, 1], "looks up entry 7 of 6"), (8, [0, 1, 2], "has 3 values; expected two")],
)
def test_one_hot_that_makes_no_sense(places, values, message):
    graph = Graph((1, 4))
    graph.quantize(Quantizer(3, 1.0, signed=False))
    graph.add("Cast", to=TensorProto.INT64)
    inputs = [graph.current, graph.constant([places], np.int64), graph.constant(values)]
    graph.current = graph.side("OneHot", inputs)
    refused(graph.model(None), rf"\(OneHot\) {message}")
