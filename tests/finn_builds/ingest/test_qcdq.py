"""Models quantised by onnxruntime and Brevitas' QCDQ, against the original file in onnxruntime."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from finn_builds import BuildConfig, build
from finn_builds.errors import UserError, VerificationError
from finn_builds.ingest import load_model, qcdq, split_host, tidy

RNG = np.random.default_rng(3)
SIZES = [6, 8, 5, 3]


def float_model(path: Path) -> Path:
    nodes, constants, x = [], [], "x"
    rng = np.random.default_rng(0)
    for i, (a, b) in enumerate(itertools.pairwise(SIZES)):
        weights = rng.normal(size=(a, b)).astype(np.float32) / 2
        bias = rng.normal(size=b).astype(np.float32) / 3
        constants += [
            numpy_helper.from_array(weights, f"w{i}"),
            numpy_helper.from_array(bias, f"b{i}"),
        ]
        nodes.append(helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], [f"g{i}"], name=f"g{i}"))
        x = f"g{i}"
        if i < 2:
            nodes.append(helper.make_node("Relu", [x], [f"r{i}"], name=f"r{i}"))
            x = f"r{i}"
    return saved(path, nodes, constants, 6, (x, 3))


def saved(path: Path, nodes, constants, n_in: int, out: tuple[str, int]) -> Path:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", n_in])],
        [helper.make_tensor_value_info(out[0], TensorProto.FLOAT, ["n", out[1]])],
        constants,
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


class Calibration(CalibrationDataReader):
    """Frames from which onnxruntime takes the scales."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.frames = iter({"x": rng.normal(size=(1, 6)).astype(np.float32)} for _ in range(60))

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.frames, None)


def statically(folder: Path, **options) -> Path:
    """Quantise the float model by onnxruntime."""
    path = folder / "static.onnx"
    quantize_static(float_model(folder / "float.onnx"), path, Calibration(), **options)
    return path


def original(path: Path, x: np.ndarray) -> np.ndarray:
    """Execute a file frame by frame, as it is written, by onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: frame[None]})[0] for frame in x])


def integer_network(path: Path, x: np.ndarray) -> np.ndarray:
    """Execute what the build makes of a file."""
    split = split_host(tidy(load_model(path)))
    return split.host.after(split.network.execute(split.host.before(x)))


@pytest.mark.parametrize("activations", [QuantType.QInt8, QuantType.QUInt8])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
def test_row_qdq_of_onnxruntime(tmp_path, activations, per_channel, symmetric):
    path = statically(
        tmp_path,
        quant_format=QuantFormat.QDQ,
        activation_type=activations,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
        extra_options={"ActivationSymmetric": symmetric},
    )
    x = RNG.normal(size=(150, 6)).astype(np.float32) * 2
    np.testing.assert_allclose(integer_network(path, x), original(path, x), atol=1e-6)


def test_row_qdq_with_asymmetric_weights(tmp_path):
    path = statically(
        tmp_path,
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QUInt8,
        extra_options={"WeightSymmetric": False},
    )
    x = RNG.normal(size=(150, 6)).astype(np.float32)
    np.testing.assert_allclose(integer_network(path, x), original(path, x), atol=1e-6)


@pytest.mark.parametrize("newer_exporter", [False, True])
def test_row_qcdq_of_brevitas(tmp_path, newer_exporter):
    import brevitas.nn as qnn
    import torch
    from brevitas.export import export_onnx_qcdq

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        qnn.QuantIdentity(bit_width=6),
        qnn.QuantLinear(6, 8, bias=True, weight_bit_width=4),
        qnn.QuantReLU(bit_width=4),
        qnn.QuantLinear(8, 3, bias=True, weight_bit_width=3),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(10):
            model(torch.randn(64, 6))
        model.eval()
        path = tmp_path / "qcdq.onnx"
        frame = torch.randn(1, 6)
        export_onnx_qcdq(model, args=frame, export_path=str(path), dynamo=newer_exporter)
    x = RNG.normal(size=(200, 6)).astype(np.float32)
    found = integer_network(path, x)
    np.testing.assert_allclose(found, original(path, x), atol=1e-6)
    with torch.no_grad():
        np.testing.assert_allclose(found, model(torch.from_numpy(x)).numpy(), atol=1e-5)


@pytest.mark.parametrize("zero", [0, 1, 2, 127, 128, 201])
def test_zero_points_are_exact_at_ties(tmp_path, zero):
    """ONNX rounds to even before it adds the zero point: halves show which came first."""
    constants = [
        numpy_helper.from_array(np.float32(0.5), "s"),
        numpy_helper.from_array(np.uint8(zero), "z"),
        numpy_helper.from_array(np.array([[1, 2], [3, -1]], np.int8), "w"),
        numpy_helper.from_array(np.float32(0.25), "ws"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws"], ["wd"]),
        helper.make_node("MatMul", ["d", "wd"], ["y"]),
    ]
    path = saved(tmp_path / "ties.onnx", nodes, constants, 2, ("y", 2))
    halves = np.arange(-300, 300) / 4  # every other value is a tie
    x = np.stack([halves, halves[::-1]], axis=1).astype(np.float32)
    np.testing.assert_array_equal(integer_network(path, x), original(path, x))


def test_a_clip_between_the_pair_gives_the_bits(tmp_path):
    constants = [
        numpy_helper.from_array(np.float32(0.5), "s"),
        numpy_helper.from_array(np.int8(0), "z"),
        numpy_helper.from_array(np.int8(-7), "low"),
        numpy_helper.from_array(np.int8(7), "high"),
        numpy_helper.from_array(np.array([[1, 2], [3, -1]], np.int8), "w"),
        numpy_helper.from_array(np.float32(0.25), "ws"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("Clip", ["q", "low", "high"], ["c"]),
        helper.make_node("DequantizeLinear", ["c", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws"], ["wd"]),
        helper.make_node("MatMul", ["d", "wd"], ["y"]),
    ]
    path = saved(tmp_path / "clip.onnx", nodes, constants, 2, ("y", 2))
    split = split_host(tidy(load_model(path)))
    assert split.network.input.datatype == "INT4" and split.network.input.bounds == (-7, 7)
    x = RNG.normal(size=(100, 2)).astype(np.float32) * 4
    np.testing.assert_array_equal(integer_network(path, x), original(path, x))


def test_row_other_formats_say_how_to_export(tmp_path):
    operator = statically(tmp_path, quant_format=QuantFormat.QOperator)
    with pytest.raises(UserError, match=r"QOperator format \(QGemm\).*QuantFormat\.QDQ"):
        load_model(operator)
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "dynamic.onnx")
    with pytest.raises(UserError, match=r"quantised dynamically.*quantize_static"):
        load_model(tmp_path / "dynamic.onnx")


def test_row_12_floatquant_is_named(cases):
    with pytest.raises(UserError, match="FloatQuant"):
        load_model(cases / "12_floatquant.onnx")


def test_what_has_no_quant_is_named(tmp_path):
    constants = [numpy_helper.from_array(np.float32(0.5), "s")]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"], name="first"),
        helper.make_node("Cast", ["q"], ["y"], to=TensorProto.FLOAT),
    ]
    path = saved(tmp_path / "cast.onnx", nodes, constants, 2, ("y", 2))
    with pytest.raises(
        UserError, match=r"QuantizeLinear node 'first'.*integers go to another operation"
    ):
        load_model(path)
    constants.append(numpy_helper.from_array(np.float32(0.25), "t"))
    nodes[1] = helper.make_node("DequantizeLinear", ["q", "t"], ["y"], name="second")
    path = saved(tmp_path / "scales.onnx", nodes, constants, 2, ("y", 2))
    with pytest.raises(UserError, match=r"'second'.*scale or zero point is not that of"):
        load_model(path)


def damaged(model: onnx.ModelProto, how: str) -> None:
    nodes = model.graph.node
    pairs = [node for node in nodes if node.op_type == "DequantizeLinear"]
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    scale = constants[pairs[-1].input[1]]
    if how == "order":
        nodes.insert(0, nodes.pop(len(nodes) - 1))
    elif how == "inputs":
        del pairs[0].input[:]
    elif how == "axis":
        pairs[0].attribute.append(helper.make_attribute("axis", 7))
    elif how == "scales":
        scale.CopyFrom(numpy_helper.from_array(np.ones(4, np.float32), scale.name))
    elif how == "no scale":
        scale.CopyFrom(numpy_helper.from_array(np.ones(0, np.float32), scale.name))
    elif how == "bias":
        nodes[-3].input[2] = next(iter(constants))


@pytest.mark.parametrize("how", ["order", "inputs", "axis", "scales", "no scale", "bias"])
def test_a_damaged_file_is_named(tmp_path, how):
    path = statically(tmp_path, quant_format=QuantFormat.QDQ, per_channel=True)
    model = onnx.load(path)
    damaged(model, how)
    onnx.save(model, path)
    with pytest.raises(UserError, match=r"static\.onnx(: onnxruntime| is not valid ONNX).*again"):
        load_model(path)


def test_a_wrong_conversion_is_noticed(tmp_path, monkeypatch):
    """A Quant of a bit less than the original's 8."""
    path = statically(tmp_path, quant_format=QuantFormat.QDQ, weight_type=QuantType.QInt8)
    right = qcdq._Converter._quant

    def wrong(self, out, source, scale, zero, bits, *form, **named):
        right(self, out, source, scale * 1.05, zero, bits, *form, **named)

    monkeypatch.setattr(qcdq._Converter, "_quant", wrong)
    with pytest.raises(VerificationError, match=r"of 64 frames differ from what onnxruntime gives"):
        load_model(path)


@pytest.mark.parametrize("activations", [QuantType.QInt8, QuantType.QUInt8])
@pytest.mark.parametrize(("first", "last"), [(True, False), (False, True), (True, True)])
def test_integers_at_the_ends(tmp_path, activations, first, last):
    """Converters for microcontrollers leave the first and the last step out of the network."""
    path = statically(tmp_path, quant_format=QuantFormat.QDQ, activation_type=activations)
    model = onnx.load(path)
    graph = model.graph
    kind = TensorProto.INT8 if activations == QuantType.QInt8 else TensorProto.UINT8
    if first:
        (node,) = (n for n in graph.node if n.input[0] == "x")
        graph.node.remove(node)
        graph.input[0].name = node.output[0]
        graph.input[0].type.tensor_type.elem_type = kind
    if last:
        (node,) = (n for n in graph.node if n.output[0] == graph.output[0].name)
        graph.node.remove(node)
        graph.output[0].name = node.input[0]
        graph.output[0].type.tensor_type.elem_type = kind
    onnx.save(model, path)
    name = "int8" if activations == QuantType.QInt8 else "uint8"
    x = RNG.integers(np.iinfo(name).min, np.iinfo(name).max + 1, (150, 6)).astype(name)
    x = x if first else (RNG.normal(size=(150, 6)) * 2).astype(np.float32)
    found, expected = integer_network(path, x.astype(np.float32)), original(path, x)
    np.testing.assert_allclose(found, expected, atol=0 if last else 1e-6)


def test_operators_of_onnxruntime_for_16_bits(tmp_path):
    """Before opset 21 onnxruntime writes its own for these, and for others on request."""
    path = statically(
        tmp_path,
        quant_format=QuantFormat.QDQ,
        weight_type=QuantType.QInt8,
        extra_options={"UseQDQContribOps": True},
    )
    assert "com.microsoft" in {node.domain for node in onnx.load(path).graph.node}
    x = RNG.normal(size=(100, 6)).astype(np.float32)
    np.testing.assert_allclose(integer_network(path, x), original(path, x), atol=1e-6)


def test_a_function_between_two_quantisers_of_odd_zero_points(tmp_path):
    """Gelu of 8-bit codes leaves their multiples; the quantiser after it has 9 bits here."""
    constants = [
        numpy_helper.from_array(np.array([[1, 2], [3, -1]], np.int8), "w"),
        numpy_helper.from_array(np.float32(0.25), "ws"),
    ]
    nodes = [helper.make_node("DequantizeLinear", ["w", "ws"], ["wd"])]
    for k, (scale, zero) in enumerate(((0.03, 128), (0.0613, 127), (0.09, 17))):  # without ties
        constants.append(numpy_helper.from_array(np.float32(scale), f"s{k}"))
        constants.append(numpy_helper.from_array(np.uint8(zero), f"z{k}"))
    for k, (read, made) in enumerate((("x", "a"), ("m", "b"), ("g", "c"))):
        nodes.append(helper.make_node("QuantizeLinear", [read, f"s{k}", f"z{k}"], [f"q{k}"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"q{k}", f"s{k}", f"z{k}"], [made]))
        if made == "a":
            nodes.append(helper.make_node("MatMul", ["a", "wd"], ["m"]))
        elif made == "b":
            nodes.append(helper.make_node("Gelu", ["b"], ["g"], name="gelu"))
    nodes.append(helper.make_node("MatMul", ["c", "wd"], ["y"]))
    path = saved(tmp_path / "gelu.onnx", nodes, constants, 2, ("y", 2))
    model = onnx.load(path)
    model.opset_import[0].version = 20
    onnx.save(model, path)
    x = RNG.normal(size=(200, 2)).astype(np.float32) * 2
    np.testing.assert_allclose(integer_network(path, x), original(path, x), atol=1e-6)


@pytest.mark.slow
def test_a_qdq_model_is_built(tmp_path):
    path = statically(tmp_path, quant_format=QuantFormat.QDQ, weight_type=QuantType.QInt8)
    cfg = BuildConfig(
        board="ZCU104", model=str(path), output_dir=tmp_path / "out", synth="none", verify_frames=60
    )
    assert build(cfg).summary["mismatches"] == 0
