"""Inputs and outputs of a model, against qonnx and onnxruntime executing the model itself."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from finn_builds.ingest import Reference, split_host, tidy
from tests.finn_builds.ingest.graphs import GENERAL, Graph, Quantizer
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


def test_an_output_of_positions():
    graph = start((1, 4, 3))
    graph.add("Reshape", ints(graph, [-1, 3]))
    layered(graph, 3, 2)
    check(graph, (1, 4, 3))


def test_an_output_of_codes_beside_others():
    graph = start((1, 4))
    before = graph.current
    layered(graph, 4, 3)
    graph.quantize(Quantizer(4, 0.5))
    graph.current = graph.side("Concat", [graph.current, before], axis=1)
    check(graph, (1, 4))


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
