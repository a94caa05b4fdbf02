"""Operators of several values, against qonnx and onnxruntime executing the model itself."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from finn_builds.ingest import split_host, tidy
from finn_builds.network import Max, Product
from tests.finn_builds.ingest.graphs import Quantizer
from tests.finn_builds.ingest.operators.operator_checks import (
    check,
    ints,
    layered,
    start,
)


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
