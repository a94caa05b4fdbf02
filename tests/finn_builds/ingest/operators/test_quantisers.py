"""Quantisers and scales, against qonnx and onnxruntime executing the model itself."""

import numpy as np
import pytest
from onnx import TensorProto
from qonnx.core.datatype import DataType
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from finn_builds.ingest import Reference, split_host, tidy
from tests.finn_builds.ingest.graphs import GENERAL, Graph, Layer, Quantizer
from tests.finn_builds.ingest.operators.operator_checks import (
    RNG,
    check,
    ints,
    layered,
    start,
)


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

    model.set_tensor_datatype(name, DataType["INT4"])
    split = split_host(tidy(model))
    x = RNG.integers(-8, 8, size=(30, 4)).astype(np.float32)
    found = split.host.after(split.network.execute(split.host.before(x)))
    shaped = model.transform(InferShapes())
    for i, row in enumerate(x):
        expected = execute_onnx(shaped, {"x": row[None]})[model.graph.output[0].name]
        np.testing.assert_array_equal(found[i], expected[0])


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


def test_an_input_of_multi_threshold_with_an_offset():
    graph = Graph((1, 4))
    rows = np.sort(RNG.normal(size=(1, 15)) * 3, axis=1)
    graph.add("MultiThreshold", rows, domain=GENERAL, out_dtype="INT4", out_bias=-8.0)
    layered(graph, 4)
    check(graph, (1, 4))


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
