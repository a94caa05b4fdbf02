"""Every operator that is taken, once, against qonnx and onnxruntime executing the model itself."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.infer_shapes import InferShapes

from finn_builds.ingest import Reference, split_host, tidy, wiring
from finn_builds.network import Lookup, Max, Product, Requantise
from tests.finn_builds.ingest.graphs import GENERAL, Graph, Layer, Quantizer
from tests.finn_builds.network.networks import check_ranges, naive

RNG = np.random.default_rng(4)
Q6 = Quantizer(6, 0.125)
W4 = Quantizer(4, 0.25)
FRAMES = 40


@pytest.fixture(autouse=True)
def same_numbers():
    """Let a test have the same numbers whichever others run before it."""
    RNG.bit_generator.state = np.random.default_rng(4).bit_generator.state


def check(graph: Graph, shape, outputs=None, opset=13, atol=0.0, versions=None):
    """Compare network and host with the model, frame by frame, and with the reference."""
    model = graph.model(None, opset=opset)
    for imported in model.model.opset_import:
        imported.version = (versions or {}).get(imported.domain, imported.version)
    for name in outputs or ():
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    tidied = tidy(model)
    split = split_host(tidied)
    network, host = split.network, split.host
    x = (RNG.integers(-40, 40, size=(FRAMES, *shape[1:])) / 8).astype(np.float32)
    x[0], x[1] = -9, 9
    codes = host.before(x)
    y = network.execute(codes)
    np.testing.assert_array_equal(y, Reference(tidied, split).run(codes))
    np.testing.assert_array_equal(y[:3], Reference(tidied, split, exact=True).run(codes[:3]))
    assert y[:3].tolist() == [naive(network, row) for row in codes[:3]]
    check_ranges(network, codes)
    found = host.after(y)
    found = found if isinstance(found, dict) else {model.graph.output[0].name: found}
    shaped = model.transform(InferShapes())
    for i, row in enumerate(x):
        expected = execute_onnx(shaped, {graph.input.name: row[None]})
        for name, values in found.items():
            np.testing.assert_allclose(values[i], expected[name].ravel(), rtol=1e-6, atol=atol)
    return network


def layered(graph: Graph, n_in: int, n_out: int = 3) -> None:
    graph.layer(Layer(RNG.integers(-8, 8, size=(n_in, n_out)) * 0.25, W4))


def start(shape) -> Graph:
    graph = Graph(shape)
    graph.quantize(Q6)
    return graph


GROWING = {
    "LeakyRelu": [("LeakyRelu", (), {"alpha": 0.125})],
    "PRelu": [("PRelu", (np.float32([0.25, 0.5, 0.125, 0]),), {})],
    "Elu": [("Elu", (), {"alpha": 0.8})],
    "Selu": [("Selu", (), {})],
    "Celu": [("Celu", (), {"alpha": 1.5})],
    "Softplus": [("Softplus", (), {})],
    "Softsign": [("Softsign", (), {})],
    "Tanh": [("Tanh", (), {})],
    "Sigmoid": [("Sigmoid", (), {})],
    "HardSigmoid": [("HardSigmoid", (), {})],
    "Erf": [("Erf", (), {})],
    "Exp": [("Min", (np.float32(2),), {}), ("Exp", (), {})],
    "Log": [("Abs", (), {}), ("Add", (np.float32(1),), {}), ("Log", (), {})],
    "Sqrt": [("Abs", (), {}), ("Sqrt", (), {})],
    "Atan": [("Atan", (), {})],
}


@pytest.mark.parametrize("name", GROWING)
def test_functions_in_front_of_a_quantizer(name):
    graph = start((1, 4))
    layered(graph, 4, 4)
    for op, constants, attrs in GROWING[name]:
        graph.add(op, *constants, **attrs)
    graph.quantize(Quantizer(4, 0.171))
    layered(graph, 4)
    check(graph, (1, 4), opset=13, atol=1e-5)


OTHERS = {
    "Abs": [("Abs", (), {})],
    "Sin": [("Sin", (), {})],
    "Cos": [("Cos", (), {})],
    "HardSwish": [("HardSwish", (), {})],
    "negative slope": [("LeakyRelu", (), {"alpha": -0.5})],
    "ThresholdedRelu": [("ThresholdedRelu", (), {"alpha": 0.5})],
    "cube": [("Pow", (np.float32(3),), {})],
    "Reciprocal": [("Abs", (), {}), ("Add", (np.float32(1),), {}), ("Reciprocal", (), {})],
}


@pytest.mark.parametrize("name", OTHERS)
def test_functions_that_are_not_monotone_become_tables(name):
    graph = start((1, 4))
    for op, constants, attrs in OTHERS[name]:
        graph.add(op, *constants, **attrs)
    graph.quantize(Quantizer(5, 0.171))
    layered(graph, 4)
    network = check(graph, (1, 4), opset=14, atol=1e-5)
    assert any(isinstance(node.op, Lookup | Requantise) for node in network.nodes)


def test_silu_as_it_is_exported():
    graph = start((1, 4))
    layered(graph, 4, 4)
    start_ = graph.current
    graph.add("Sigmoid")
    graph.add("Mul", start_)
    graph.quantize(Quantizer(5, 0.171))
    layered(graph, 4)
    network = check(graph, (1, 4), atol=1e-5)
    assert any(isinstance(node.op, Lookup) for node in network.nodes)


BENDS = {
    "SiLU": [("Sigmoid", (), {})],
    "GELU": [("Gelu", (), {})],
    "HardSwish": [("HardSwish", (), {})],
    "negative slope": [("LeakyRelu", (), {"alpha": -0.25})],
    "wave": [("Sin", (), {})],
}


@pytest.mark.parametrize("name", BENDS)
def test_functions_of_sums_that_rise_and_fall(name):
    """Of more sums than a table has entries: counts of rises less counts of falls."""
    graph = Graph((1, 8))
    graph.quantize(Quantizer(8, 2.0**-4))
    graph.layer(Layer(RNG.normal(size=(8, 3)), Quantizer(7, 2.0**-5)))
    before = graph.current
    for op, constants, attrs in BENDS[name]:
        graph.add(op, *constants, **attrs)
    if name == "SiLU":
        graph.add("Mul", before)
    graph.quantize(Quantizer(5, 0.171))
    layered(graph, 3)
    network = check(graph, (1, 8), opset=20, atol=1e-5)
    assert not any(isinstance(node.op, Lookup) for node in network.nodes)


LINEAR = {
    "conv 1d": ((1, 2, 8), "Conv", (3, 2, 3), {"pads": [1, 1], "strides": [2]}),
    "conv 1d dilated": ((1, 2, 8), "Conv", (3, 2, 3), {"dilations": [2]}),
    "conv 2d": ((1, 1, 4, 5), "Conv", (2, 1, 2, 3), {}),
    "conv 2d by channel": ((1, 2, 4, 4), "Conv", (2, 1, 3, 3), {"group": 2}),
    "matmul over the last axis": ((1, 3, 4), "MatMul", (4, 2), {}),
}


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("name", LINEAR)
def test_weights_shared_over_positions(name, per_channel):
    shape, op, weights, attrs = LINEAR[name]
    graph = start(shape)
    scale = np.float32(0.25)
    if per_channel and op == "Conv":
        scale = np.float32(RNG.choice([0.25, 0.5, 1], weights[0])).reshape(
            -1, *[1] * (len(weights) - 1)
        )
    elif per_channel:
        scale = np.float32([0.25, 0.5])
    values = RNG.integers(-8, 8, size=weights) * scale
    graph.add(op, graph.quantized_constant(values, Quantizer(4, scale)), **attrs)
    graph.add("Relu")
    graph.quantize(Quantizer(6, 0.5, signed=False))
    check(graph, shape)


EINSUMS = {
    "abc,cd->abd": ((1, 3, 4), (4, 2)),
    "abc,bcd->ad": ((1, 3, 4), (3, 4, 2)),
    "abc,bd->adc": ((1, 3, 4), (3, 2)),
    "dc,abc->abd": ((1, 3, 4), (2, 4)),
}


@pytest.mark.parametrize("equation", EINSUMS)
def test_einsum_as_keras_exports_dense_layers(equation):
    shape, weights = EINSUMS[equation]
    graph = start(shape)
    constant = graph.quantized_constant(RNG.integers(-8, 8, size=weights) * 0.25, W4)
    graph.add("Einsum", constant, position=equation.index("abc") // 3, equation=equation)
    check(graph, shape)


@pytest.mark.parametrize("constant", ["pairs of particles", "multiples of a float"])
def test_constants_on_a_grid_are_weights(constant):
    """Such as the incidence matrices of interaction networks, which nobody quantises."""
    graph = start((1, 3, 4))
    values = RNG.integers(0, 2, (4, 12)).astype(np.float32)
    if constant != "pairs of particles":
        values = RNG.integers(-999, 999, (4, 12)).astype(np.float32) * np.float32(0.0003662109375)
    graph.add("MatMul", values)
    check(graph, (1, 3, 4), atol=1e-5)


@pytest.mark.parametrize("op", ["ScatterElements", "ScatterND"])
@pytest.mark.parametrize("reduction", ["add", "none"])
def test_what_edges_send_to_nodes(op, reduction):
    """As PyTorch's scatter_add and index_add are exported."""
    graph = start((1, 4, 2))
    to = [0, 2, 2, 1] if reduction == "add" else [0, 2, 3, 1]
    index = np.repeat(np.array(to)[None, :, None], 2, axis=2)
    if op == "ScatterND":
        index = np.array([[[0, k] for k in to]])
    data = np.float32(RNG.integers(-2, 2, (1, 5, 2)))
    attrs = {"axis": 1} if op == "ScatterElements" else {}
    graph.add(op, data, ints(graph, index), position=2, reduction=reduction, **attrs)
    graph.add("Relu")
    graph.quantize(Quantizer(6, 0.25, signed=False))
    graph.add("Mul", np.float32(2))
    check(graph, (1, 4, 2), opset=16)


RESIZES = {
    "by two": ([1, 1, 2, 2], {"coordinate_transformation_mode": "asymmetric"}, "floor"),
    "one way": ([1, 1, 3, 1], {"coordinate_transformation_mode": "half_pixel"}, None),
    "by a fraction": ([1, 1, 1.5, 1], {"coordinate_transformation_mode": "align_corners"}, "ceil"),
    "for images": ([1, 1, 2.5, 2], {}, "round_prefer_ceil"),
}


@pytest.mark.parametrize("name", RESIZES)
def test_enlarging(name):
    factors, attrs, rounding = RESIZES[name]
    graph = start((1, 2, 4, 3))
    attrs = {**attrs, **({"nearest_mode": rounding} if rounding else {})}
    graph.add("Resize", "", np.float32(factors), mode="nearest", **attrs)
    graph.add("Mul", np.float32(2))
    check(graph, (1, 2, 4, 3))


def test_a_convolution_with_a_bias():
    graph = start((1, 2, 6))
    weights = graph.quantized_constant(RNG.integers(-8, 8, size=(3, 2, 3)) * 0.25, W4)
    graph.add("Conv", weights, np.float32([0.5, -1, 2.125]))
    check(graph, (1, 2, 6))


POOLS = {
    "average": ("AveragePool", {"kernel_shape": [2], "strides": [2]}),
    "average with padding": ("AveragePool", {"kernel_shape": [3], "pads": [1, 1]}),
    "global average": ("GlobalAveragePool", {}),
    "mean": ("ReduceMean", {"axes": [2], "keepdims": 0}),
    "sum": ("ReduceSum", {}),
    "largest": ("MaxPool", {"kernel_shape": [2], "strides": [2]}),
    "global largest": ("GlobalMaxPool", {}),
    "reduced to the largest": ("ReduceMax", {"axes": [1], "keepdims": 0}),
    "reduced to the smallest": ("ReduceMin", {"axes": [2], "keepdims": 1}),
}


@pytest.mark.parametrize("name", POOLS)
def test_pooling(name):
    op, attrs = POOLS[name]
    graph = start((1, 2, 6))
    constants = (np.array([2], dtype=np.int64),) if op == "ReduceSum" else ()
    names = [graph.constant(c, np.int64) for c in constants]
    graph.add(op, *names, **attrs)
    network = check(graph, (1, 2, 6))
    assert any(isinstance(node.op, Max) for node in network.nodes) == (
        "Max" in op or op == "ReduceMin"
    )


@pytest.mark.parametrize("op", ["MaxPool", "ReduceMin"])
def test_pooling_of_channels_of_free_scales_and_biases(op):
    """Numbers of one channel compare as their integers do, whatever the channels' scales are."""
    graph = start((1, 2, 4))
    weights = RNG.integers(-7, 8, (3, 2, 2)) * np.float32([[[0.3]], [[0.07]], [[0.11]]])
    w = graph.quantized_constant(weights, Quantizer(4, np.float32([[[0.3]], [[0.07]], [[0.11]]])))
    graph.add("Conv", w, RNG.normal(size=3), pads=[0, 1])
    if op == "MaxPool":
        graph.add("MaxPool", kernel_shape=[2], strides=[2])
    else:
        graph.add("ReduceMin", axes=[2])
    graph.quantize(Quantizer(8, 0.05))
    network = check(graph, (1, 2, 4), atol=1e-6)
    assert sum(isinstance(node.op, Max) for node in network.nodes) == 1


TRUNCATIONS = {
    "first version": (1, (7.0, 5.0), {}),
    "of signed numbers": (1, (8.0, 5.0), {"rounding_mode": "ROUND"}),
    "second version": (2, (7.0, 0.25, 4.0), {"signed": 0}),
    "with another scale than a power of two times": (2, (7.0, 0.26, 4.0), {"signed": 0}),
    "clipped": (2, (7.0, 0.125, 4.0), {"signed": 0, "rounding_mode": "CEIL"}),
}


@pytest.mark.parametrize("zero_point", [0.0, -8.0])
@pytest.mark.parametrize("name", TRUNCATIONS)
def test_truncated_means(name, zero_point):
    """As Brevitas exports a pool that drops bits."""
    version, widths, attrs = TRUNCATIONS[name]
    graph = start((1, 2, 8))
    if "sign" not in name:
        graph.add("Relu")
    graph.add("AveragePool", kernel_shape=[4], strides=[4])
    constants = (np.float32(c) for c in (0.03125, zero_point, *widths))
    graph.add("Trunc", *constants, domain=GENERAL, **{"rounding_mode": "FLOOR", **attrs})
    graph.add("Flatten")
    layered(graph, 4)
    check(graph, (1, 2, 8), versions={GENERAL: version}, atol=1e-6)


def ints(graph, values):
    return graph.constant(values, np.int64)


WIRES = {
    "Transpose": lambda g: g.add("Transpose", perm=[0, 2, 1]),
    "Reshape": lambda g: g.add("Reshape", ints(g, [1, 3, 2])),
    "Flatten": lambda g: g.add("Flatten"),
    "Slice": lambda g: g.add("Slice", ints(g, [1]), ints(g, [3]), ints(g, [2])),
    "Gather": lambda g: g.add("Gather", ints(g, [2, 0, 0]), axis=2),
    "Pad": lambda g: g.add("Pad", ints(g, [0, 0, 1, 0, 0, 2]), g.constant(1.5)),
    "Unsqueeze": lambda g: g.add("Unsqueeze", ints(g, [1])),
    "Squeeze": lambda g: (g.add("Unsqueeze", ints(g, [3])), g.add("Squeeze", ints(g, [3]))),
    "Expand": lambda g: g.add("Expand", ints(g, [1, 2, 3])),
    "Tile": lambda g: g.add("Tile", ints(g, [1, 1, 2])),
}


@pytest.mark.parametrize("name", WIRES)
def test_wiring(name):
    graph = start((1, 2, 3))
    WIRES[name](graph)
    graph.add("Mul", np.float32(2))
    check(graph, (1, 2, 3))


def test_wiring_of_what_is_not_quantised_yet():
    graph = Graph((1, 2, 3))
    graph.add("Transpose", perm=[0, 2, 1])
    graph.add("Add", np.float32(np.arange(6).reshape(1, 3, 2)))
    graph.add("Flatten")
    graph.quantize(Q6)
    layered(graph, 6)
    check(graph, (1, 2, 3))


def test_split_and_concat():
    graph = start((1, 6))
    first, second = "part0", "part1"
    graph.nodes.append(
        helper.make_node("Split", [graph.current], [first, second], name="split", axis=1)
    )
    graph.current = graph.side("Concat", [second, first, second], axis=1)
    layered(graph, 9)
    check(graph, (1, 6))


def test_a_residual_connection():
    graph = start((1, 4))
    before = graph.current
    layered(graph, 4, 4)
    graph.quantize(Quantizer(5, 0.25))
    graph.add("Add", before)
    graph.add("Relu")
    graph.quantize(Quantizer(4, 0.5, signed=False))
    layered(graph, 4)
    check(graph, (1, 4))


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Max", "Min"])
def test_two_branches_joined(op):
    graph = start((1, 4))
    before = graph.current
    layered(graph, 4, 4)
    graph.quantize(Quantizer(5, 0.75))
    left = graph.current
    graph.current = before
    layered(graph, 4, 4)
    graph.add("Add", np.float32(0.0625))
    graph.add(op, left)
    network = check(graph, (1, 4))
    assert any(isinstance(node.op, Product) for node in network.nodes) == (op == "Mul")


def test_branches_of_unquantised_functions_side_by_side():
    graph = start((1, 4))
    layered(graph, 4, 4)
    before = graph.current
    left = graph.side("Tanh", [before])
    right = graph.side("Relu", [before])
    graph.current = graph.side("Concat", [left, right], axis=1)
    graph.quantize(Quantizer(5, 0.11))
    layered(graph, 8)
    check(graph, (1, 4), atol=1e-5)


def test_scales_that_differ_by_a_rational_of_small_integers():
    graph = start((1, 4))
    before = graph.current
    layered(graph, 4, 4)
    graph.quantize(Quantizer(5, 0.375))
    graph.add("Sub", before, position=1)
    layered(graph, 4)
    check(graph, (1, 4))


@pytest.mark.parametrize("scale", [0.1, [0.1, 0.2, 0.05, 0.3]])
def test_an_input_scale_per_feature(scale):
    graph = Graph((1, 4))
    graph.quantize(Quantizer(6, np.float32(scale)))
    layered(graph, 4)
    check(graph, (1, 4), atol=1e-4)


def test_an_activation_scale_per_channel():
    graph = start((1, 4))
    layered(graph, 4, 4)
    graph.quantize(Quantizer(4, np.float32([0.5, 0.25, 1, 0.75])))
    layered(graph, 4)
    check(graph, (1, 4))


def test_linear_after_linear():
    graph = start((1, 4))
    layered(graph, 4, 3)
    graph.add("Add", np.float32([0.5, -0.25, 3]))
    layered(graph, 3, 5)
    network = check(graph, (1, 4))
    assert len(network.nodes) == 2


@pytest.mark.parametrize("square", ["Mul", "Pow", "ReduceSumSquare"])
def test_a_sum_of_squares(square):
    graph = start((1, 4))
    layered(graph, 4, 3)
    if square == "Mul":
        graph.add("Mul", graph.current)
    elif square == "Pow":
        graph.add("Pow", np.float32(2))
    if square == "ReduceSumSquare":
        graph.add("ReduceSumSquare", axes=[1], keepdims=1)
    else:
        graph.add("ReduceSum", ints(graph, [1]))
    network = check(graph, (1, 4))
    assert any(isinstance(node.op, Product) for node in network.nodes)


@pytest.mark.parametrize("op", ["ReduceL1", "ReduceL2"])
def test_a_sum_of_magnitudes_and_a_root_of_squares(op):
    graph = start((1, 4))
    layered(graph, 4, 3)
    graph.add(op, axes=[1], keepdims=1)
    graph.quantize(Quantizer(6, 0.71))
    layered(graph, 1)
    check(graph, (1, 4), atol=1e-5)


@pytest.mark.parametrize("second", ["result", "constant"])
def test_a_bit_chooses_between_results(second):
    graph = start((1, 4))
    first = graph.current
    layered(graph, 4, 4)
    graph.quantize(Quantizer(5, 0.5))
    other = graph.current
    bit = graph.side("Greater", [first, graph.constant(np.float32(0.5))])
    last = other if second == "result" else graph.constant(np.float32([[1, -2, 0, 0.5]]))
    graph.current = graph.side("Where", [bit, first, last])
    layered(graph, 4)
    check(graph, (1, 4), opset=16, atol=1e-6)


def test_a_constant_chooses_between_results():
    graph = start((1, 4))
    first = graph.current
    layered(graph, 4, 4)
    graph.quantize(Quantizer(5, 0.5))
    mask = graph.constant([[True, False, True, True]], bool)
    graph.current = graph.side("Where", [mask, first, graph.current])
    layered(graph, 4)
    check(graph, (1, 4), opset=16, atol=1e-6)


@pytest.mark.parametrize(
    ("stride", "pad", "dilations"),
    [
        ([1, 1], [0, 0, 0, 0], [1, 1]),
        ([2, 1], [1, 0, 2, 1], [1, 1]),
        ([1, 2], [1, 1, 0, 1], [2, 1]),
    ],
)
def test_patches_of_an_image_are_wires(stride, pad, dilations):
    graph = start((1, 5, 4, 2))
    ways = {"stride": stride, "pad_amount": pad, "dilations": dilations}
    graph.add("Im2Col", domain=GENERAL, kernel_size=[2, 3], input_shape="(1,5,4,2)", **ways)
    patches = graph.current
    layered(graph, 12, 3)
    model = graph.model(None)
    tidied = tidy(model)
    split = split_host(tidied)
    codes = RNG.integers(-32, 32, (FRAMES, 40))
    network = split.network
    np.testing.assert_array_equal(network.execute(codes), Reference(tidied, split).run(codes))
    # qonnx itself, which takes one frame, on the codes as they are
    proto = next(node for node in graph.nodes if node.output[0] == patches)
    for name in proto.input:
        model.set_tensor_datatype(name, DataType["INT6"])
    images = codes[:1].reshape(1, 5, 4, 2).astype(np.float32)
    context = {proto.input[0]: images}
    getCustomOp(proto).execute_node(context, model.graph)
    np.testing.assert_array_equal(wiring.patches(images, proto), context[patches])


@pytest.mark.parametrize("bits", [9, 12, 16])
def test_batch_norm_in_front_of_many_levels(bits):
    graph = Graph((1, 24))
    graph.quantize(Quantizer(12, 2**-8))
    weights = RNG.integers(-127, 128, size=(24, 6)) * 2**-7
    graph.layer(Layer(weights, Quantizer(8, 2**-7)))
    norm = [RNG.uniform(0.3, 3, 6), RNG.normal(size=6), RNG.normal(size=6), RNG.uniform(0.1, 9, 6)]
    graph.add("BatchNormalization", *(np.float32(part) for part in norm))
    graph.quantize(Quantizer(bits, np.float32(0.0137)))
    layered(graph, 6)
    tidied = tidy(graph.model(None))
    split = split_host(tidied)
    codes = RNG.integers(-2048, 2048, (4000, 24))
    found = split.network.execute(codes)
    np.testing.assert_array_equal(found, Reference(tidied, split).run(codes))


def test_a_product_of_two_matrices_of_the_network():
    graph = start((1, 2, 3))
    before = graph.current
    turned = graph.side("Transpose", [before], perm=[0, 2, 1])
    graph.current = graph.side("MatMul", [before, turned])
    check(graph, (1, 2, 3))


@pytest.mark.parametrize("op", ["Greater", "GreaterOrEqual", "Less", "LessOrEqual"])
def test_a_trigger_bit(op):
    graph = start((1, 4))
    layered(graph, 4, 1)
    graph.add(op, np.float32(0.5))
    graph.add("Cast", to=TensorProto.FLOAT)
    network = check(graph, (1, 4))
    assert network.output.datatype == "UINT1"


def test_a_comparison_of_two_results():
    graph = start((1, 4))
    before = graph.current
    layered(graph, 4, 4)
    graph.add("Less", before)
    graph.add("Cast", to=TensorProto.FLOAT)
    layered(graph, 4)
    check(graph, (1, 4))


@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN"])
@pytest.mark.parametrize("bits", [4, 10, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_quantizers_of_every_width_and_rounding(mode, bits, signed):
    graph = start((1, 4))
    graph.layer(Layer(RNG.integers(-128, 128, size=(4, 6)) * 0.25, Quantizer(8, 0.25)))
    scale = np.float32([1, 0.5, 2, 0.25, 4, 1]) / 2 ** max(0, bits - 8)
    graph.quantize(Quantizer(bits, scale, signed=signed, rounding=mode))
    check(graph, (1, 4))


@pytest.mark.parametrize("scale", [0.29, 0.0123, 1.7])
def test_wide_quantizers_of_free_scales(scale):
    graph = start((1, 4))
    graph.layer(Layer(RNG.integers(-128, 128, size=(4, 6)) * 0.25, Quantizer(8, 0.25)))
    graph.add("Relu")
    graph.quantize(Quantizer(10, scale, signed=False))
    network = check(graph, (1, 4), atol=1e-4)
    assert "multiply" in str(network.nodes[-1].op)


def test_integers_in_front_of_the_first_layer():
    graph = Graph((1, 4))
    graph.quantize(Quantizer(13, 1.0))
    graph.add("Sub", np.float32([1, 2, 3, 4]))
    graph.add("Mul", np.float32([0.5, 0.25, 0.125, 0.5]))
    graph.quantize(Quantizer(18, 1 / 32, rounding="FLOOR"))
    graph.quantize(Quantizer(8, 0.25))
    layered(graph, 4)
    network = check(graph, (1, 4))
    assert network.input.datatype == "INT13"
    split = split_host(tidy(graph.model(None)), host_input=True)
    assert split.network.input.datatype == "INT8"


def test_multi_threshold_is_a_requantise():
    graph = Graph((1, 4))
    graph.quantize(Quantizer(4, 1.0))
    name = graph.constant(RNG.integers(-8, 8, size=(4, 3)))
    graph.add("MatMul", name)
    rows = np.sort(RNG.integers(-20, 20, size=(3, 15)), axis=1).astype(np.float32)
    graph.add(
        "MultiThreshold", rows, domain=GENERAL, out_dtype="INT4", out_scale=1.0, out_bias=-8.0
    )
    model = graph.model(None)
    from qonnx.core.datatype import DataType

    model.set_tensor_datatype(name, DataType["INT4"])
    split = split_host(tidy(model))
    x = RNG.integers(-8, 8, size=(30, 4)).astype(np.float32)
    found = split.host.after(split.network.execute(split.host.before(x)))
    shaped = model.transform(InferShapes())
    for i, row in enumerate(x):
        expected = execute_onnx(shaped, {"x": row[None]})[model.graph.output[0].name]
        np.testing.assert_array_equal(found[i], expected[0])


def test_several_outputs_of_which_one_is_on_the_host():
    graph = start((1, 4))
    layered(graph, 4, 3)
    logits = graph.current
    graph.add("Softmax", axis=-1)
    network = check(graph, (1, 4), outputs=[logits], atol=1e-6)
    assert len(network.outputs) == 1


def test_several_outputs_from_a_fork():
    graph = start((1, 4))
    layered(graph, 4, 4)
    graph.add("Relu")
    graph.quantize(Quantizer(4, 0.5, signed=False))
    hidden = graph.current
    layered(graph, 4, 2)
    first = graph.current
    graph.current = hidden
    layered(graph, 4, 1)
    network = check(graph, (1, 4), outputs=[first, hidden])
    assert len(network.outputs) == 3


@pytest.mark.parametrize("kind", ["INT32", "INT64", "BOOL", "mask"])
def test_inputs_of_integers_of_other_types(kind):
    """A detector's words in front of their quantizer, and bits that mask particles."""
    graph = Graph((1, 4))
    mask = kind == "mask"
    elements = TensorProto.DataType.Value("BOOL" if mask else kind)
    graph.input.type.tensor_type.elem_type = elements
    if mask:
        first, second = np.float32([[1, -2, 0, 3]]), np.float32([[-1, 0, 2, 4]])
        graph.add("Where", first, second)
    else:
        graph.add("Cast", to=TensorProto.FLOAT)
    if kind.startswith("INT"):
        graph.quantize(Quantizer(6, 2.0))
    layered(graph, 4)
    model = graph.model(None, opset=16)
    tidied = tidy(model)
    split = split_host(tidied)
    x = RNG.integers(-200, 200, (FRAMES, 4))
    x = x.astype(helper.tensor_dtype_to_np_dtype(elements))
    codes = split.host.before(x)
    y = split.network.execute(codes)
    np.testing.assert_array_equal(y, Reference(tidied, split).run(codes))
    np.testing.assert_array_equal(y, Reference(tidied, split, exact=True).run(codes))
    shaped = model.transform(InferShapes())
    for row, found in zip(x, split.host.after(y), strict=True):
        expected = execute_onnx(shaped, {"x": row[None]})[model.graph.output[0].name]
        np.testing.assert_array_equal(found, expected.ravel())


def test_weights_count_by_the_bits_that_they_need():
    """As those of an 18-bit fixed-point type, which hls4ml's users have."""
    graph = start((1, 4))
    weights = RNG.integers(-2000, 2000, size=(4, 2)) * 2.0**-10
    graph.layer(Layer(weights, Quantizer(18, 2.0**-10)))
    check(graph, (1, 4))


def test_several_inputs():
    graph = start((1, 4))
    left = graph.current
    more = helper.make_tensor_value_info("more", TensorProto.FLOAT, (1, 2))
    graph.current = "more"
    graph.quantize(Quantizer(10, 0.5, signed=False))
    graph.current = graph.side("Concat", [left, graph.current], axis=1)
    layered(graph, 6)
    model = graph.model(None)
    model.graph.input.append(more)
    tidied = tidy(model)
    split = split_host(tidied)
    assert [t.datatype for t in split.network.inputs] == ["INT6", "UINT10"]
    assert split.host.input_datatype == "INT11"
    x = {
        "x": RNG.normal(size=(20, 4)).astype(np.float32),
        "more": RNG.uniform(0, 500, size=(20, 2)).astype(np.float32),
    }
    codes = split.host.before(x)
    y = split.network.execute(codes)
    np.testing.assert_array_equal(y, Reference(tidied, split).run(codes))
    found = split.host.after(y)
    np.testing.assert_array_equal(found, Reference(tidied, split).run_float(x))
    side_by_side = np.concatenate([x["x"], x["more"]], axis=1)
    np.testing.assert_array_equal(split.host.before(side_by_side), codes)


@pytest.mark.parametrize("last", [False, True])
def test_top_k(last):
    graph = start((1, 4))
    layered(graph, 4, 5)
    k = ints(graph, [1])
    graph.nodes.append(
        helper.make_node("TopK", [graph.current, k], ["value", "index"], name="topk", axis=-1)
    )
    graph.current = "value"
    network = check(graph, (1, 4))
    assert isinstance(network.nodes[-1].op, Max)
    graph.current = "index"
    model = graph.model(None)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    split = split_host(tidy(model))
    assert split.host.kind == "argmax"


def test_table_edges():
    """A code, per input a row of a table, and their sum: a layer whose edges are tables."""
    graph = Graph((1, 4))
    graph.quantize(Quantizer(3, 0.5))
    graph.add("Div", np.float32(0.5))
    graph.add("Add", np.float32(4))
    graph.add("Cast", to=TensorProto.INT64)
    graph.add("Add", ints(graph, np.arange(4)[None] * 8))
    table = RNG.integers(-9, 9, size=(32, 3)).astype(np.float32)
    index = graph.current
    graph.current = graph.side("Gather", [graph.constant(table), index], axis=0)
    graph.add("ReduceSum", ints(graph, [1]), keepdims=0)
    graph.quantize(Quantizer(4, 2.0))
    network = check(graph, (1, 4))
    assert isinstance(network.nodes[0].op, Lookup) and network.nodes[0].op.n_out == 12


@pytest.mark.parametrize(
    ("shape", "axis", "summed"),
    [((8, 2, 3), 0, 3), ((8, 1, 1), 0, 2), ((1, 8, 3), 1, 2), ((1, 3, 8), -1, 2), ((1, 8), 1, 2)],
    ids=str,
)
def test_tables_of_every_shape(shape, axis, summed):
    graph = Graph((1, 4))
    graph.quantize(Quantizer(3, 1.0, signed=False))
    graph.add("Cast", to=TensorProto.INT32)
    table = graph.constant(RNG.integers(-9, 9, size=shape))
    graph.current = graph.side("Gather", [table, graph.current], axis=axis)
    graph.add("ReduceSum", ints(graph, [summed]), keepdims=0)
    graph.quantize(Quantizer(4, 2.0))
    check(graph, (1, 4))


@pytest.mark.parametrize("axis", [-1, 1, -2])
def test_one_hot_codes_times_a_matrix(axis):
    graph = Graph((1, 4))
    graph.quantize(Quantizer(2, 1.0, signed=False))
    graph.add("Cast", to=TensorProto.INT64)
    depth, values = ints(graph, [4]), graph.constant([0, 1])
    graph.current = graph.side("OneHot", [graph.current, depth, values], axis=axis)
    graph.add("Reshape", ints(graph, [1, 16]))
    layered(graph, 16)
    check(graph, (1, 4))


@pytest.mark.parametrize("scale", [0.3, np.float32([[0.3, 0.1, 1 / 3]])], ids=["one", "columns"])
def test_tables_after_a_quantizer_of_free_scales(scale):
    graph = Graph((1, 4))
    graph.quantize(Quantizer(3, 1.0, signed=False))
    graph.add("Cast", to=TensorProto.INT64)
    graph.add("Add", ints(graph, np.arange(4)[None] * 8))
    entries = RNG.integers(-9, 9, size=(32, 3)) * np.asarray(scale)
    table = graph.quantized_constant(entries, Quantizer(6, scale))
    graph.current = graph.side("Gather", [table, graph.current], axis=0)
    graph.add("ReduceSum", ints(graph, [1]), keepdims=0)
    graph.quantize(Quantizer(4, 0.9))
    network = check(graph, (1, 4))
    assert np.abs(network.nodes[0].op.tables).max() <= 9
    assert set(np.unique(network.nodes[1].op.weights)) == {0, 1}


def test_codes_after_a_hidden_quantizer_of_a_free_scale():
    """1 / 3.25 is rounded to float32, so scale times factor differs a little from 1."""
    graph = start((1, 4))
    layered(graph, 4, 4)
    graph.quantize(Quantizer(2, 3.25, signed=False))
    graph.add("Mul", np.float32(1 / 3.25))
    graph.add("Round")
    graph.add("Cast", to=TensorProto.INT64)
    graph.add("Unsqueeze", ints(graph, [2]))
    graph.add("Equal", ints(graph, np.arange(4).reshape(1, 1, 4)))
    graph.add("Cast", to=TensorProto.FLOAT)
    graph.add("Reshape", ints(graph, [1, 16]))
    layered(graph, 16)
    check(graph, (1, 4))


def test_a_quantised_bias_of_a_free_scale_on_ties():
    """Of 0.1 and 0.2 in float32 one is twice the other: half of the sums lie on a tie."""
    graph = Graph((1, 4))
    graph.quantize(Quantizer(6, 0.1))
    graph.layer(Layer(RNG.integers(-8, 8, size=(4, 3)), Quantizer(4, 1.0)))
    bias = graph.quantized_constant(np.float32([0.3, -0.7, 1.1]), Quantizer(8, 0.1))
    graph.add("Add", bias)
    graph.quantize(Quantizer(5, 0.2))
    tidied = tidy(graph.model(None))
    split = split_host(tidied)
    x = RNG.integers(-32, 32, size=(200, 4))
    np.testing.assert_array_equal(split.network.execute(x), Reference(tidied, split).run(x))


def test_a_model_that_can_only_run_frame_by_frame():
    """The reference does not need a model that takes batches."""
    graph = start((1, 4))
    layered(graph, 4, 4)
    graph.add("Reshape", ints(graph, [4]))
    graph.add("Unsqueeze", ints(graph, [0]))
    graph.add("Mul", np.float32(2))
    check(graph, (1, 4))


POSITIONS = {
    "a matrix": lambda g: layered(g, 3, 2),
    "a Gemm": lambda g: g.add(
        "Gemm",
        g.quantized_constant(RNG.integers(-8, 8, (2, 3)) * 0.25, W4),
        np.float32([0.5, -1]),
        transB=1,
    ),
    "a matrix over positions": lambda g: g.add(
        "MatMul", g.quantized_constant(RNG.integers(-8, 8, (2, 4)) * 0.25, W4), position=1
    ),
    "a normalisation": lambda g: g.add(
        "BatchNormalization", *(np.float32(v) for v in ([1, 2, -1], [0, 1, 2], [1, 0, 0], [1] * 3))
    ),
    "a sum over positions": lambda g: g.add("ReduceSum", ints(g, [0]), keepdims=1),
    "a sum up to a position": lambda g: g.add("CumSum", g.constant(0, np.int64)),
    "the largest over positions": lambda g: g.add("ReduceMax", axes=[0], keepdims=1),
    "a constant for each": lambda g: g.add("Mul", np.float32(np.arange(12).reshape(4, 3))),
}


@pytest.mark.parametrize("name", POSITIONS)
@pytest.mark.parametrize("quantised_at", ["once", "at positions"])
def test_positions_along_the_first_axis(name, quantised_at):
    """As PyTorch's view(-1, n) and Keras' TimeDistributed have them."""
    graph = Graph((1, 4, 3))
    if quantised_at == "once":
        graph.quantize(Q6)
    graph.add("Reshape", ints(graph, [-1, 3]))
    if quantised_at != "once":
        graph.quantize(Q6)
    POSITIONS[name](graph)
    graph.add("Relu")
    graph.quantize(Quantizer(6, 0.25, signed=False))
    graph.add("Reshape", ints(graph, [1, -1]))
    graph.add("Mul", np.float32(2))
    check(graph, (1, 4, 3))


def test_positions_in_front_of_the_batch():
    """As transformers of PyTorch have them: (positions, batch, features)."""
    graph = start((1, 4, 3))
    graph.add("Transpose", perm=[1, 0, 2])
    layered(graph, 3, 2)
    graph.quantize(Quantizer(6, 0.25))
    graph.add("ReduceMax", axes=[0], keepdims=0)
    layered(graph, 2, 2)
    check(graph, (1, 4, 3))


def test_an_input_without_a_batch():
    """As graph networks of PyTorch are exported: (nodes, features)."""
    graph = start((4, 3))
    layered(graph, 3, 2)
    graph.quantize(Quantizer(6, 0.25))
    graph.add("MatMul", np.float32(1 - np.eye(4)), position=1)
    graph.add("ReduceMean", axes=[0], keepdims=1)
    layered(graph, 2, 2)
    model = graph.model(None)
    tidied = tidy(model)
    split = split_host(tidied)
    x = (RNG.integers(-40, 40, size=(FRAMES, 4, 3)) / 8).astype(np.float32)
    codes = split.host.before(x)
    y = split.network.execute(codes)
    np.testing.assert_array_equal(y, Reference(tidied, split).run(codes))
    np.testing.assert_array_equal(y[:3], Reference(tidied, split, exact=True).run(codes[:3]))
    shaped = model.transform(InferShapes())
    for frame, found in zip(x, split.host.after(y), strict=True):
        expected = execute_onnx(shaped, {"x": frame})[model.graph.output[0].name]
        np.testing.assert_allclose(found, expected.ravel(), rtol=1e-6)


def test_a_pool_at_positions():
    graph = start((1, 3, 2, 6))
    graph.add("Reshape", ints(graph, [3, 2, 6]))
    weights = graph.quantized_constant(RNG.integers(-8, 8, size=(2, 2, 3)) * 0.25, W4)
    graph.add("Conv", weights, np.float32([0.5, 2.125]))
    graph.add("MaxPool", kernel_shape=[2], strides=[2])
    graph.add("Reshape", ints(graph, [1, 12]))
    check(graph, (1, 3, 2, 6))


def test_an_output_of_positions():
    graph = start((1, 4, 3))
    graph.add("Reshape", ints(graph, [-1, 3]))
    layered(graph, 3, 2)
    check(graph, (1, 4, 3))


@pytest.mark.parametrize("seed", range(30))
def test_random_graphs(seed):
    """Graphs of up to twelve nodes with forks and joins, widths of 1 to 16 bits."""
    rng = np.random.default_rng(seed)
    graph = Graph((1, 4))
    graph.quantize(Quantizer(int(rng.integers(1, 17)), 2.0 ** int(rng.integers(-6, 1))))
    tensors = [(graph.current, 4)]
    for _ in range(int(rng.integers(1, 10))):
        name, n = tensors[-1 - int(rng.integers(0, min(2, len(tensors))))]
        graph.current = name
        kind = rng.choice(["layer", "quant", "relu", "add", "square", "concat", "slice"])
        if kind == "layer":
            bits = int(rng.integers(1, 9))
            scale = 2.0 ** -int(rng.integers(0, 5))
            weights = rng.integers(-(1 << bits), 1 << bits, size=(n, m := int(rng.integers(1, 5))))
            graph.layer(Layer(weights * scale, Quantizer(bits + 1, scale)))
            n = m
        elif kind == "relu":
            graph.add("Relu")
            graph.quantize(Quantizer(int(rng.integers(2, 13)), 0.25, signed=False))
        elif kind == "add":
            others = [t for t, size in tensors if size == n]
            graph.add(str(rng.choice(["Add", "Sub", "Max"])), str(rng.choice(others)))
        elif kind == "square":
            graph.quantize(Quantizer(int(rng.integers(2, 9)), 0.5))
            graph.add("Mul", graph.current)
        elif kind == "concat":
            other, size = tensors[int(rng.integers(0, len(tensors)))]
            graph.current = graph.side("Concat", [name, other], axis=1)
            n += size
        elif kind == "slice" and n > 1:
            graph.add("Slice", ints(graph, [1]), ints(graph, [n]), ints(graph, [1]))
            n -= 1
        graph.quantize(
            Quantizer(
                int(rng.integers(1, 17)),
                2.0 ** int(rng.integers(-4, 3)),
                rounding=str(rng.choice(["ROUND", "FLOOR", "HALF_UP", "UP", "CEIL", "DOWN"])),
            )
        )
        tensors.append((graph.current, n))
    check(graph, (1, 4))


def test_an_output_of_different_functions_side_by_side():
    graph = start((1, 4))
    layered(graph, 4, 3)
    sums = graph.current
    curved = graph.side("Tanh", [sums])
    graph.current = sums
    layered(graph, 3, 2)
    graph.current = graph.side("Concat", [curved, graph.current], axis=1)
    check(graph, (1, 4), atol=1e-5)


def test_an_output_of_codes_beside_others():
    graph = start((1, 4))
    before = graph.current
    layered(graph, 4, 3)
    graph.quantize(Quantizer(4, 0.5))
    graph.current = graph.side("Concat", [graph.current, before], axis=1)
    check(graph, (1, 4))


def test_a_function_of_a_value_and_itself_is_a_table():
    graph = start((1, 4))
    before = graph.current
    graph.add("Abs")
    graph.add("Add", before)
    layered(graph, 4)
    network = check(graph, (1, 4))
    assert [type(node.op) for node in network.nodes][:1] == [Lookup]


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("op", ["Conv", "AveragePool", "MaxPool"])
def test_padding_that_follows_from_the_size(op, mode):
    graph = start((1, 1, 5, 5))
    if op == "Conv":
        weights = [graph.quantized_constant(RNG.integers(-8, 8, size=(2, 1, 2, 2)) * 0.25, W4)]
        graph.add(op, *weights, strides=[2, 2], auto_pad=mode)
    else:
        graph.add(op, kernel_shape=[2, 2], strides=[2, 2], auto_pad=mode)
    check(graph, (1, 1, 5, 5))


@pytest.mark.parametrize("opset", [10, 13])
def test_padding_without_a_value(opset):
    graph = start((1, 1, 3, 3))
    pads = [0, 0, 1, 1, 0, 0, 1, 1]
    if opset == 10:
        graph.add("Pad", pads=pads)
    else:
        graph.add("Pad", ints(graph, pads))
    graph.add("MaxPool", kernel_shape=[2, 2], strides=[2, 1])
    check(graph, (1, 1, 3, 3), opset=opset)


@pytest.mark.parametrize("op", ["Relu", "Clip", "Max", "Min"])
def test_a_clamp_of_many_levels_without_a_quantizer(op):
    graph = start((1, 4))
    graph.layer(Layer(RNG.integers(-128, 128, size=(4, 5)) / 64, Quantizer(8, 1 / 64)))
    graph.quantize(Quantizer(14, 1 / 256, rounding="FLOOR"))
    bounds = {"Relu": (), "Clip": (-1, 2), "Max": (-1.5,), "Min": (3,)}[op]
    graph.add(op, *(np.float32(b) for b in bounds))
    layered(graph, 5)
    network = check(graph, (1, 4))
    assert [type(node.op).__name__ for node in network.nodes].count("Requantise") == 2


def test_an_input_of_multi_threshold_with_an_offset():
    graph = Graph((1, 4))
    rows = np.sort(RNG.normal(size=(1, 15)) * 3, axis=1)
    graph.add("MultiThreshold", rows, domain=GENERAL, out_dtype="INT4", out_bias=-8.0)
    layered(graph, 4)
    check(graph, (1, 4))


def test_squares_of_a_padded_tensor_as_an_output():
    """A fill is no integer's value, and what it is multiplied with is none of the outputs."""
    graph = start((1, 4))
    graph.add("Pad", ints(graph, [0, 2, 0, 1]), graph.constant(0.0))
    graph.add("Mul", graph.current)
    graph.add("Slice", ints(graph, [0]), ints(graph, [3]), ints(graph, [1]))
    check(graph, (1, 4))


def test_a_padded_comparison_beside_others_as_an_output():
    graph = start((1, 4))
    graph.add("Greater", np.float32(0.5))
    graph.add("Cast", to=TensorProto.FLOAT)
    graph.add("Pad", ints(graph, [0, 1, 0, 1]), graph.constant(0.0))
    check(graph, (1, 4))


@pytest.mark.parametrize("op", ["Max", "Min", "Sub"])
def test_two_functions_of_an_element_joined_as_an_output(op):
    graph = start((1, 4))
    source = graph.current
    graph.add("Tanh")
    graph.add(op, source)
    check(graph, (1, 4), atol=1e-6)


def test_parts_of_an_input_quantised_by_a_free_scale_end_apart():
    """Each becomes an input of the network, both stand for the same tensor of the model."""
    graph = Graph((1, 5))
    graph.quantize(Quantizer(6, 0.3))
    graph.add("Neg")
    graph.add("Split", ints(graph, [3, 2]), axis=1)
    graph.nodes[-1].output.append("rest")
    first, graph.current = graph.current, "rest"
    layered(graph, 2)
    network = check(graph, (1, 5), outputs=[first], atol=1e-5)
    assert len(network.inputs) == 2


def test_an_input_on_the_way_that_no_output_depends_on():
    graph = start((1, 3))
    parameters = [graph.constant(v) for v in (0.5, 0.0, 4.0)]
    quantised = helper.make_node("Quant", ["z", *parameters], ["other"], domain=GENERAL, signed=1)
    graph.nodes.append(quantised)
    graph.add("Concat", "other", axis=1)
    graph.add("Slice", ints(graph, [0]), ints(graph, [3]), ints(graph, [1]))
    layered(graph, 3)
    model = graph.model(None)
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 2]))
    tidied = tidy(model)
    split = split_host(tidied, None)
    codes = RNG.integers(-32, 32, (FRAMES, 3))
    found = Reference(tidied, split).run(codes)
    np.testing.assert_array_equal(split.network.execute(codes), found)


@pytest.mark.parametrize("first", [True, False])
def test_a_constant_chooses_between_a_result_and_numbers(first):
    graph = start((1, 4))
    layered(graph, 4, 4)
    mask = np.array([[True, False, True, False]])
    number = graph.constant(np.float32([[1, 2, 3, 4]]))
    names = [graph.current, number] if first else [number, graph.current]
    graph.current = graph.side("Where", [graph.constant(mask, bool), *names])
    layered(graph, 4)
    check(graph, (1, 4))


def test_a_sum_of_squares_of_functions_of_few_codes():
    """The squares are a table, and no tensor of the model."""
    graph = start((1, 4))
    graph.add("Clip", np.float32(-1), np.float32(2))
    graph.add("ReduceSumSquare", axes=[1])
    check(graph, (1, 1, 4)[1:])


def test_bits_beside_a_scale_that_is_far_from_one():
    """A bit is 1, however small that is in units of the scale of the codes it comes from."""
    graph = start((1, 4))
    graph.add("Mul", np.float32(2**22))
    graph.add("Equal", np.float32(2**22))
    graph.add("Cast", to=TensorProto.FLOAT)
    graph.add("Mul", graph.current)
    graph.add("ReduceSum", ints(graph, [1]))
    network = check(graph, (1, 4))
    assert network.output.high.tolist() == [4]
