"""Functions of one value, against qonnx and onnxruntime executing the model itself."""

import numpy as np
import pytest

from finn_builds.network import Lookup, Requantise
from tests.finn_builds.ingest.graphs import Graph, Layer, Quantizer
from tests.finn_builds.ingest.operators.operator_checks import (
    RNG,
    check,
    layered,
    start,
)

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


def test_an_output_of_different_functions_side_by_side():
    graph = start((1, 4))
    layered(graph, 4, 3)
    sums = graph.current
    curved = graph.side("Tanh", [sums])
    graph.current = sums
    layered(graph, 3, 2)
    graph.current = graph.side("Concat", [curved, graph.current], axis=1)
    check(graph, (1, 4), atol=1e-5)


def test_a_function_of_a_value_and_itself_is_a_table():
    graph = start((1, 4))
    before = graph.current
    graph.add("Abs")
    graph.add("Add", before)
    layered(graph, 4)
    network = check(graph, (1, 4))
    assert [type(node.op) for node in network.nodes][:1] == [Lookup]


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


@pytest.mark.parametrize("op", ["Max", "Min", "Sub"])
def test_two_functions_of_an_element_joined_as_an_output(op):
    graph = start((1, 4))
    source = graph.current
    graph.add("Tanh")
    graph.add(op, source)
    check(graph, (1, 4), atol=1e-6)


def test_a_sum_of_squares_of_functions_of_few_codes():
    """The squares are a table, and no tensor of the model."""
    graph = start((1, 4))
    graph.add("Clip", np.float32(-1), np.float32(2))
    graph.add("ReduceSumSquare", axes=[1])
    check(graph, (1, 1, 4)[1:])
