"""Edges that are tables, against qonnx and onnxruntime executing the model itself."""

import numpy as np
import pytest
from onnx import TensorProto

from finn_builds.network import Lookup
from tests.finn_builds.ingest.graphs import Graph, Quantizer
from tests.finn_builds.ingest.operators.operator_checks import (
    RNG,
    check,
    ints,
    layered,
)


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
