"""Matrices in all their forms, against qonnx and onnxruntime executing the model itself."""

import numpy as np
import pytest

from finn_builds.network import Max
from tests.finn_builds.ingest.graphs import GENERAL, Layer, Quantizer
from tests.finn_builds.ingest.operators.operator_checks import (
    RNG,
    W4,
    check,
    ints,
    layered,
    start,
)

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


def test_linear_after_linear():
    graph = start((1, 4))
    layered(graph, 4, 3)
    graph.add("Add", np.float32([0.5, -0.25, 3]))
    layered(graph, 3, 5)
    network = check(graph, (1, 4))
    assert len(network.nodes) == 2


def test_weights_count_by_the_bits_that_they_need():
    """As those of an 18-bit fixed-point type, which hls4ml's users have."""
    graph = start((1, 4))
    weights = RNG.integers(-2000, 2000, size=(4, 2)) * 2.0**-10
    graph.layer(Layer(weights, Quantizer(18, 2.0**-10)))
    check(graph, (1, 4))


def test_a_pool_at_positions():
    graph = start((1, 3, 2, 6))
    graph.add("Reshape", ints(graph, [3, 2, 6]))
    weights = graph.quantized_constant(RNG.integers(-8, 8, size=(2, 2, 3)) * 0.25, W4)
    graph.add("Conv", weights, np.float32([0.5, 2.125]))
    graph.add("MaxPool", kernel_shape=[2], strides=[2])
    graph.add("Reshape", ints(graph, [1, 12]))
    check(graph, (1, 3, 2, 6))
