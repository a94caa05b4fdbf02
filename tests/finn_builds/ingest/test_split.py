"""What goes to the host and what stays: the host's integers are the graph's own, to the bit."""

import json

import numpy as np
import pytest
from onnx import TensorProto
from qonnx.core.datatype import DataType

from deploy.errors import HostModelError
from deploy.host_model import HostModel
from finn_builds.errors import UserError
from finn_builds.ingest import (
    HostSplit,
    InputQuant,
    Reference,
    calibrate_scale,
    model_info,
    split_host,
    tidy,
)
from finn_builds.network import Affine, Linear, Requantise
from tests.finn_builds.ingest.graphs import Graph, Layer, Quantizer, execute, mlp, random_layers
from tests.finn_builds.ingest.integers import taken

RNG = np.random.default_rng(5)
Q4 = Quantizer(4, 0.5)


def host_of(model, **options):
    return HostModel.from_json(json.dumps(split_host(tidy(model), **options).description))


def referenced(model) -> Reference:
    tidied = tidy(model)
    return Reference(tidied, split_host(tidied))


def front(quantizer, n=5):
    """Return a model that standardises and quantises, and the same without layers."""
    mean = RNG.normal(size=(1, n)).astype(np.float32)
    std = RNG.uniform(0.1, 3, size=n).astype(np.float32)
    graphs = []
    for with_layer in (True, False):
        graph = Graph((1 if with_layer else 500, n))
        graph.add("Sub", mean)
        graph.add("Div", std)
        graph.add("Mul", np.float32(1.1))
        graph.quantize(quantizer)
        if with_layer:
            graph.layer(Layer(RNG.integers(-8, 8, size=(n, 2)) * 0.5, Q4))
        graphs.append(graph.model((1, 2) if with_layer else (500, n)))
    return graphs


@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "CEIL", "DOWN", "UP", "HALF_UP", "HALF_DOWN"])
@pytest.mark.parametrize(
    "quantizer",
    [
        Quantizer(8, 0.031),
        Quantizer(4, 0.25, narrow=True),
        Quantizer(3, 0.4, signed=False),
        Quantizer(8, 0.05, signed=False, zero_point=100),
        Quantizer(1, 0.7),
        Quantizer(1, 0.7, plain=True),
        Quantizer(1, 0.7, signed=False),
    ],
    ids=["int8", "narrow", "uint3", "zero point", "bipolar", "one bit Quant", "binary"],
)
def test_before_gives_the_integers_of_the_graph(quantizer, mode):
    quantizer = Quantizer(**{**quantizer.__dict__, "rounding": mode})
    model, alone = front(quantizer)
    host = host_of(model)
    x = (RNG.normal(size=(500, 5)) * 3).astype(np.float32)
    x[0], x[1] = 1e30, -1e30
    values = execute(alone, x)
    codes = host.before(x)
    assert codes.dtype == np.int64
    levels = (codes - host.to_dict()["inputs"][0]["codes"]["zero_point"]).astype(np.float32)
    np.testing.assert_array_equal(levels * np.float32(quantizer.scale), values)
    assert DataType[host.input_datatype].allowed(codes).all()


def test_brevitas_name_for_rounding_towards_zero():
    graph = Graph((1, 2))
    graph.quantize(Quantizer(4, 1.0, rounding="ROUND_TO_ZERO"))
    graph.layer(Layer(np.eye(2), Q4))
    codes = host_of(graph.model((1, 2))).before(np.float32([[1.9, -1.9]]))
    np.testing.assert_array_equal(codes, [[1, -1]])


def test_an_integer_zero_point_is_added_in_double_as_qonnx_does():
    # 2**-19 short of a tie: float32 loses it when 100 is added, double does not.
    x = np.float32([[27.5 - 2**-19, 27.5 + 2**-19]])
    for kind, expected in ((np.int64, [127, 128]), (np.float32, [128, 128])):
        graph = Graph((1, 2))
        zero_point = graph.constant(100, kind)
        scale, bits = graph.constant(1.0), graph.constant(8.0)
        attrs = {"signed": 0, "narrow": 0, "rounding_mode": "ROUND"}
        graph.add("Quant", scale, zero_point, bits, domain="qonnx.custom_op.general", **attrs)
        alone = graph.model((1, 2))
        graph.layer(Layer(np.eye(2), Quantizer(2)))
        np.testing.assert_array_equal(execute(alone, x) + 100, [expected])
        host = host_of(graph.model((1, 2)))
        np.testing.assert_array_equal(host.before(x), [expected])


def typed_model(datatype, *nodes, n=4):
    graph = Graph((1, n))
    for op, constant, options in nodes:
        graph.add(op, np.float32(constant), **options)
    graph.layer(Layer(RNG.integers(-2, 2, size=(n, 3)), Quantizer(2)))
    model = graph.model((1, 3))
    model.set_tensor_datatype("x", DataType[datatype])
    return model


@pytest.mark.parametrize(
    ("datatype", "nodes", "codes"),
    [
        ("BIPOLAR", [], "BIPOLAR"),
        ("BIPOLAR", [("Add", 1, {}), ("Div", 2, {})], "BIPOLAR"),
        ("BIPOLAR", [("Mul", 0.3, {})], "BIPOLAR"),
        ("UINT8", [("Div", 255, {})], "UINT8"),
        ("INT4", [("Mul", 2, {}), ("Add", 2, {})], "INT4"),
        ("UINT8", [("Div", 255, {}), ("Sub", 0.5, {})], "UINT8"),
        ("INT16", [], "INT16"),
        ("INT4", [("Mul", [1, 2, 3, 4], {})], "INT4"),
        ("UINT8", [("Sub", 127, {})], "UINT8"),
        ("UINT4", [("Sub", 8, {}), ("Mul", -0.25, {})], "UINT4"),
        ("BINARY", [("Sub", 1, {"position": 1})], "UINT1"),
        ("TERNARY", [], "INT2"),
        ("INT1", [], "UINT1"),
    ],
)
def test_inputs_that_are_integers_already(datatype, nodes, codes):
    model = typed_model(datatype, *nodes)
    host = host_of(model)
    assert host.input_datatype == codes
    kind = DataType[datatype]
    values = np.arange(int(kind.min()), int(kind.max()) + 1)
    values = values[kind.allowed(values)]
    x = RNG.choice(values, size=(20, 4)).astype(np.float32)
    y = host.after(taken(model)[0].execute(host.before(x)))
    original = np.concatenate([execute(model, row[None]) for row in x])
    np.testing.assert_allclose(y, original, rtol=1e-6, atol=1e-6)


def test_integer_inputs_refuse_other_values():
    host = host_of(typed_model("BIPOLAR"))
    with pytest.raises(
        HostModelError, match=r"BIPOLAR values \(-1 to 1\); frame 1, feature 2 is 0"
    ):
        host.before(np.float32([[1, 1, 1, 1], [1, -1, 0, 1]]))
    with pytest.raises(HostModelError, match=r"frame 0, feature 0 is 0\.5"):
        host.before(np.float32([[0.5, 1, 1, 1]]))


def test_an_input_of_bytes():
    graph = Graph((1, 4))
    graph.add("Cast", to=TensorProto.FLOAT)
    graph.add("Div", np.float32(256))
    graph.layer(Layer(RNG.integers(-2, 2, size=(4, 3)), Quantizer(2)))
    model = graph.model((1, 3))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    host = host_of(model)
    assert host.input_datatype == "UINT8"
    x = RNG.integers(0, 256, size=(5, 4)).astype(np.uint8)
    np.testing.assert_array_equal(host.before(x), x)


def test_integer_inputs_wider_than_any_hardware():
    with pytest.raises(UserError, match="type INT32; supported are 1 to 24 bits"):
        split_host(tidy(typed_model("INT32")))


def unquantised(n=4):
    layers = [Layer(RNG.integers(-8, 8, size=(n, 3)) * 0.25, Quantizer(4, 0.25))]
    return mlp(layers, None)


def test_an_input_without_a_quantizer_says_what_to_pass():
    with pytest.raises(
        UserError, match=r"input 'x' reaches node 'n_MatMul_1'.*--input-quant INT8.*--input-scale"
    ):
        split_host(tidy(unquantised()))


@pytest.mark.parametrize(
    "datatype", ["INT8", "UINT8", "INT2", "UINT1", "BIPOLAR", "UINT5", "BINARY"]
)
def test_an_inserted_input_quantizer(datatype):
    model, quant = tidy(unquantised()), InputQuant(datatype, 0.11)
    split = split_host(model, input_quant=quant)
    host = split.host
    assert host.input_datatype == datatype.replace("BINARY", "UINT1")
    x = RNG.normal(size=(100, 4)).astype(np.float32)
    codes = host.before(x)
    kind = DataType[datatype]
    if datatype == "BIPOLAR":
        expected = np.where(x >= 0, 1, -1)
    else:
        expected = np.clip(np.round(x / np.float32(0.11)), kind.min(), kind.max())
    np.testing.assert_array_equal(codes, expected)
    reference = Reference(model, split)
    y = split.network.execute(codes)
    np.testing.assert_array_equal(y, reference.run(codes))
    np.testing.assert_allclose(reference.run_float(x), host.after(y), atol=1e-5)


def test_a_quantizer_for_an_input_that_has_one():
    model = tidy(mlp(random_layers(RNG, [4, 3], Q4, Q4), Q4))
    with pytest.raises(UserError, match="quantises its input itself; leave out"):
        split_host(model, input_quant=InputQuant("INT8", 1))


@pytest.mark.parametrize("name", ["INT25", "FLOAT32", "TERNARY", "int", "", "INT1", "FIXED<8,2>"])
def test_input_types_that_do_not_exist(name):
    with pytest.raises(UserError, match="supported are BIPOLAR, UINT1 to UINT24 and INT2 to INT24"):
        InputQuant(name, 1.0)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), 1e-60])
def test_input_scales_that_make_no_sense(scale):
    with pytest.raises(UserError, match="expected a positive number"):
        InputQuant("INT8", scale)


def test_the_calibrated_scale_loses_least():
    x = np.concatenate([RNG.normal(size=5000), [40.0]])[:, None]
    scale = calibrate_scale(x, "INT4")

    def loss(s):
        return np.mean((np.clip(np.round(x / s), -8, 7) * s - x) ** 2)

    assert loss(scale) <= min(loss(s) for s in np.linspace(40 / 7 / 5, 40 / 7, 50)) * 1.001
    # Data without outliers, finely quantised: the whole range.
    even = np.linspace(-1, 1, 1001)[:, None]
    assert calibrate_scale(even, "INT8") == pytest.approx(1 / 127.5, rel=0.02)
    assert calibrate_scale(-even[even < 0][:, None], "UINT8") == pytest.approx(1 / 255, rel=0.02)
    assert calibrate_scale(even, "BIPOLAR") == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize(
    ("x", "datatype"),
    [([], "INT8"), ([np.nan], "INT8"), ([0.0], "INT8"), ([-1.0, -2], "UINT4"), ([0.0], "BIPOLAR")],
)
def test_data_no_scale_can_be_found_from(x, datatype):
    with pytest.raises(UserError, match="can't find an input scale"):
        calibrate_scale(np.array(x)[:, None], datatype)


@pytest.mark.parametrize(
    ("nodes", "kind"),
    [
        ([("Softmax", {"axis": 1})], "probabilities"),
        ([("LogSoftmax", {"axis": -1})], "logits"),
        ([("Sigmoid", {})], "probabilities"),
        ([("ArgMax", {"axis": 1})], "argmax"),
        ([("Relu", {})], "logits"),
    ],
)
def test_what_the_network_ends_in(nodes, kind):
    graph = Graph((1, 4))
    graph.quantize(Q4)
    graph.layer(Layer(RNG.integers(-8, 8, size=(4, 3)) * 0.5, Q4, bias=np.float32([0.1, -0.2, 0])))
    for op, attrs in nodes:
        graph.add(op, **attrs)
    model = graph.model(None)
    if kind == "argmax":
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    host = host_of(model)
    assert host.kind == kind
    x = RNG.normal(size=(40, 4)).astype(np.float32)
    y = taken(model)[0].execute(host.before(x))
    original = np.concatenate([execute(model, row[None]) for row in x])
    np.testing.assert_allclose(host.after(y), original, rtol=1e-5, atol=1e-6)
    expected = original[:, 0] if kind == "argmax" else original.argmax(axis=1)
    np.testing.assert_array_equal(host.classify(y), expected)


def assert_exact(model, network, host):
    """Compare host and integer network with the model and with the reference, on 4 inputs."""
    x = RNG.normal(size=(40, 4)).astype(np.float32) * 4
    original = np.concatenate([execute(model, row[None]) for row in x])
    y = network.execute(host.before(x))
    np.testing.assert_array_equal(host.after(y), original)
    np.testing.assert_array_equal(y, referenced(model).run(host.before(x)))


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("bits", [12, 24])
def test_an_output_quantizer_of_many_levels(channels, bits):
    scale = np.float32([0.5, 0.25, 2]) / 64 if channels else 2.0**-8
    layers = random_layers(RNG, [4, 3], Q4, Q4)
    layers = [Layer(layers[0].weights, Q4, activation=Quantizer(bits, scale))]
    model = mlp(layers, Q4)
    network, host = taken(model)
    assert [type(node.op) for node in network.nodes] == [Linear, Requantise]
    assert isinstance(network.nodes[1].op.form, Affine)
    assert_exact(model, network, host)


def test_an_output_quantizer_with_a_scale_per_channel_is_done_in_thresholds():
    out = Quantizer(3, np.float32([0.5, 0.25, 2]))
    model = mlp([Layer(RNG.integers(-8, 8, size=(4, 3)) * 0.5, Q4, activation=out)], Q4)
    network, host = taken(model)
    assert [type(node.op) for node in network.nodes] == [Linear, Requantise]
    assert_exact(model, network, host)


@pytest.mark.parametrize(
    ("text", "info"),
    [(None, {}), ("{", {}), ("[1]", {}), ('{"dataset": "digits"}', {"dataset": "digits"})],
)
def test_what_the_training_wrote_into_a_model(text, info):
    model = unquantised()
    if text is not None:
        model.set_metadata_prop("prunestream", text)
    assert model_info(model) == info


@pytest.mark.parametrize(
    "quant",
    [None, InputQuant("INT6", 0.1), InputQuant("BIPOLAR", 0.3), InputQuant("UINT1", 0.3)],
    ids=str,
)
def test_a_split_is_the_same_after_loading(tmp_path, quant):
    layers = random_layers(RNG, [5, 4, 3], Quantizer(3, 0.3), Quantizer(4, 0.7, signed=False))
    model = mlp(layers, Quantizer(5, 0.21) if quant is None else None)
    info = {"class_names": ["a", "b", "c"]}
    model.set_metadata_prop("prunestream", json.dumps(info))
    split = split_host(tidy(model), input_quant=quant)
    split.save(tmp_path, "step_qonnx_to_finn")
    loaded = HostSplit.load(tmp_path, "step_qonnx_to_finn")
    assert loaded.input_quant == quant
    assert loaded.description == split.description
    assert loaded.host.class_names == ("a", "b", "c")
    for side in ("inputs", "outputs"):
        for a, b in zip(getattr(loaded, side), getattr(split, side), strict=True):
            assert (a.tensor, a.shape) == (b.tensor, b.shape)
            for name in ("places", "at", "scale", "offset"):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    network, expected = loaded.network, split.network
    assert str(network) == str(expected)
    x = loaded.host.before(RNG.normal(size=(50, 5)))
    np.testing.assert_array_equal(network.execute(x), expected.execute(x))
