"""Operators that move values, against qonnx and onnxruntime executing the model itself."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.custom_op.registry import getCustomOp

from finn_builds.ingest import Reference, split_host, tidy, wiring
from tests.finn_builds.ingest.graphs import GENERAL, Graph
from tests.finn_builds.ingest.operators.operator_checks import (
    FRAMES,
    Q6,
    RNG,
    W4,
    check,
    ints,
    layered,
    start,
)

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


def test_squares_of_a_padded_tensor_as_an_output():
    """The fill has no code of its own, and the padded tensor itself is not an output."""
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
