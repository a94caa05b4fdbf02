"""The exported graph against the model, on whole data sets, to the last bit."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.infer_shapes import InferShapes
from sklearn.datasets import load_digits

from brevitas_models.errors import UserError
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.export import export_qonnx
from brevitas_models.model.quant_mlp import QuantMLP

FRAMES = 400


def describe(x, n_classes):
    mean, scale = x.mean(0), x.std(0)
    scale[scale == 0] = 1
    return {
        "model": "tiny",
        "dataset": "made-up",
        "source": "random numbers",
        "surrogate": False,
        "feature_names": [f"f{i}" for i in range(x.shape[1])],
        "class_names": [f"c{i}" for i in range(n_classes)],
        "metrics": {"accuracy": np.float64(0.25), "auc": float("nan"), "frames": np.int64(3)},
        "scaler": {"mean": mean.tolist(), "scale": scale.tolist()},
    }


def standardised(x, info):
    mean, scale = (np.float32(info["scaler"][key]) for key in ("mean", "scale"))
    return torch.from_numpy((x - mean) / scale)


def execute(path, x):
    graph = ModelWrapper(str(path)).transform(ChangeBatchSize(len(x))).transform(InferShapes())
    return execute_onnx(graph, {"features": x})["logits"]


def assert_equal(path, model, x, info, exact=True):
    exported = execute(path, x)
    with torch.no_grad():
        wanted = model.eval()(standardised(x, info)).numpy()
    assert exported.shape == wanted.shape
    assert np.isfinite(wanted).all()
    if exact:
        np.testing.assert_array_equal(exported, wanted)
    else:
        np.testing.assert_allclose(exported, wanted, atol=1e-5, rtol=1e-5)
        np.testing.assert_array_equal(exported.argmax(1), wanted.argmax(1))


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(FRAMES, 6)) * [1, 5, 0.1, 100, 1, 0] + [0, 3, -2, 50, 0, 4]
    return x.astype(np.float32)


def trained(x, info, seed=0, steps=3, **settings):
    """Return a network that has seen data: statistics, ranges and offsets are not the initial."""
    torch.manual_seed(seed)
    model = QuantMLP(MLPConfig.from_dict({"layers": [6, 9, 7, 3]} | settings))
    x = standardised(x, info)
    y = torch.randint(0, model.config.layers[-1], (len(x),))
    model.calibrate(x)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    model.freeze_statistics(x)
    return model


WIDTHS = [{"weight_bits": b, "act_bits": b, "input_bits": b} for b in (*range(1, 9), 32)]
OPTIONS = [
    {"weight_bits": (2, 1, 8), "act_bits": (1, 5), "scale": "free"},
    {"weight_bits": (8, 2, 1), "act_bits": (3, 1), "weight_scale": "per_channel"},
    {"weight_bits": 1, "act_bits": 1, "input_bits": 8, "batch_norm": "off", "scale": "free"},
    {"weight_bits": 1, "act_bits": 1, "batch_norm": "no_affine", "scale": "free", "bias": False},
    {"batch_norm": "no_running_stats", "scale": "free"},
    {"batch_norm": "no_running_stats", "weight_scale": "per_channel", "bias": False},
    {"batch_norm": "no_affine", "activation": "hardtanh", "narrow_range": False},
    {"batch_norm": "off", "activation": "hardtanh", "scale": "free", "weight_scale": "per_channel"},
    {"batch_norm": "off", "bias": False, "weight_bits": 2, "act_bits": 2},
    {"batch_norm": "off", "bias": False, "weight_bits": 2, "act_bits": 2, "scale": "free"},
    {"narrow_range": False, "scale": "free", "weight_bits": 3},
    {"fold_batch_norm": True},
    {"fold_batch_norm": True, "batch_norm": "no_affine", "bias": False, "weight_bits": 2},
    {"fold_batch_norm": True, "weight_scale": "per_channel", "act_bits": (1, 6)},
    {"layers": [6, 3]},
    {"layers": [6, 3], "scale": "free", "bias": False, "input_bits": 2},
    {"layers": [6, 1, 2]},
    {"layers": [6, 6, 6, 3], "skip": [[0, 1], [0, 2], [1, 2]], "act_bits": (5, 3)},
    {"layers": [6, 6, 6, 3], "skip": [[1, 2]], "fold_batch_norm": True, "input_ranges": "shared"},
    {"layers": [6, 6, 3], "skip": [[0, 1]], "input_ranges": "per_feature", "act_bits": 1},
]
# Sums of float values, or of integers too wide to be exact in float32.
FLOATING = [
    {"weight_bits": 12, "act_bits": 12, "input_bits": 12, "scale": "free"},
    {"weight_bits": 32, "act_bits": 32, "input_bits": 32, "activation": "hardtanh"},
    {"input_bits": 32, "scale": "free"},
    {"weight_bits": (32, 4, 4)},
    {"act_bits": (32, 4), "weight_scale": "per_channel"},
    {"fold_batch_norm": True, "weight_bits": (4, 32, 4), "act_bits": (4, 32)},
    {"layers": [6, 7, 7, 3], "skip": [[1, 2]], "act_bits": (32, 4)},
]


@pytest.mark.parametrize("settings", WIDTHS + OPTIONS + FLOATING, ids=str)
def test_equals_the_model(settings, frames, tmp_path):
    info = describe(frames, 3)
    info["class_names"] = info["class_names"][: settings.get("layers", [3])[-1]]
    model = trained(frames, info, **settings)
    path = export_qonnx(model, info, tmp_path / "net.onnx")
    assert_equal(path, model, frames, info, exact=model.config.buildable)


@pytest.mark.parametrize("outputs", [None, {"kind": 3, "energy": 2}])
def test_outputs_have_names_and_the_units_of_targets(outputs, frames, tmp_path):
    info = describe(frames, 0) | {
        "target_names": list("abcde"),
        "target_scaler": {"mean": [0, 0, 0, 7.5, -2], "scale": [1, 1, 1, 40, 0.3]},
    }
    model = trained(frames, info, layers=[6, 8, 5], outputs=outputs)
    path = export_qonnx(model, info, tmp_path / "net.onnx")
    mean, scale = (np.float32(info["target_scaler"][key]) for key in ("mean", "scale"))
    with torch.no_grad():
        wanted = model.eval()(standardised(frames, info)).numpy() * scale + mean
    graph = ModelWrapper(str(path)).transform(ChangeBatchSize(len(frames)))
    found = execute_onnx(graph.transform(InferShapes()), {"features": frames})
    assert list(found) == list(outputs or ["values"])
    np.testing.assert_array_equal(np.concatenate(list(found.values()), axis=1), wanted)
    assert json.loads(graph.get_metadata_prop("prunestream"))["target_names"] == list("abcde")


def test_equals_an_untrained_model(frames, tmp_path):
    info = describe(frames, 3)
    for settings in ({"weight_bits": 1, "act_bits": 1, "scale": "free"}, {}):
        model = QuantMLP(MLPConfig(layers=(6, 9, 7, 3), **settings))
        path = export_qonnx(model, info, tmp_path / "net.onnx")
        assert_equal(path, model, frames, info)


@pytest.mark.parametrize("scale", ["free", "power_of_two"])
def test_equals_the_model_on_all_digits(scale, tmp_path):
    x = load_digits().data.astype(np.float32)
    info = describe(x, 10)
    model = trained(x, info, layers=[64, 32, 10], weight_bits=2, act_bits=2, scale=scale)
    # Every class and many ties: each sum is a small integer.
    path = export_qonnx(model, info, tmp_path / "digits.onnx")
    assert_equal(path, model, x, info)


@pytest.mark.parametrize("settings", [{}, {"fold_batch_norm": True}, {"weight_bits": 32}])
def test_pruned_weights_are_exactly_zero(settings, frames, tmp_path):
    info = describe(frames, 3)
    model = trained(frames, info, **settings)
    masks = [torch.rand_like(linear.weight) > 0.7 for linear in model.linears]
    masks[1][2] = False  # a dead neuron
    model.set_masks(masks)
    path = export_qonnx(model, info, tmp_path / "net.onnx")
    assert_equal(path, model, frames, info, exact=settings != {"weight_bits": 32})
    graph = ModelWrapper(str(path))
    for node, mask in zip(graph.get_nodes_by_op_type("MatMul"), masks, strict=True):
        quant = graph.find_producer(node.input[1])
        weight = graph.get_initializer(quant.input[0] if quant else node.input[1])
        assert (weight[~mask.numpy().T] == 0).all()
        assert (weight[mask.numpy().T] != 0).any()


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_an_empty_layer(layer, frames, tmp_path):
    info = describe(frames, 3)
    model = trained(frames, info, scale="free", weight_scale="per_channel")
    masks = model.masks()
    masks[layer][:] = False
    model.set_masks(masks)
    path = export_qonnx(model, info, tmp_path / "net.onnx")
    assert_equal(path, model, frames, info)


def test_the_graph(frames, tmp_path):
    info = describe(frames, 3)
    model = trained(frames, info, weight_bits=4, act_bits=(3, 1), scale="free")
    graph = ModelWrapper(str(export_qonnx(model, info, tmp_path / "net.onnx")))
    assert [i.name for i in graph.graph.input] == ["features"]
    assert [o.name for o in graph.graph.output] == ["logits"]
    assert graph.get_tensor_shape("features") == [1, 6]
    assert graph.get_tensor_shape("logits") == [1, 3]
    flow = [
        node.op_type for node in graph.graph.node if graph.get_initializer(node.input[0]) is None
    ]
    norm = ["Sub", "Mul", "Add"]
    assert flow == [
        *("Sub", "Div", "Div", "Quant"),
        *("MatMul", "Mul", "Add", *norm, "Div", "Relu", "Quant"),
        *("MatMul", "Mul", "Add", *norm, "BipolarQuant"),
        *("MatMul", "Mul", "Add"),
    ]
    first, second = graph.graph.node[0], graph.find_consumers(graph.graph.node[0].output[0])[0]
    np.testing.assert_array_equal(
        graph.get_initializer(first.input[1]).ravel(), np.float32(info["scaler"]["mean"])
    )
    np.testing.assert_array_equal(
        graph.get_initializer(second.input[1]).ravel(), np.float32(info["scaler"]["scale"])
    )
    wanted = {key: info[key] for key in info if key != "scaler"}
    wanted["metrics"] = {"accuracy": 0.25, "auc": None, "frames": 3}
    assert json.loads(graph.get_metadata_prop("prunestream")) == wanted
    for node in graph.get_nodes_by_op_type("Quant"):
        assert graph.get_initializer(node.input[1]) == 1


def test_float_input_has_no_quantiser(frames, tmp_path):
    info = describe(frames, 3)
    model = trained(frames, info, input_bits=32)
    graph = ModelWrapper(str(export_qonnx(model, info, tmp_path / "net.onnx")))
    dynamic = [n for n in graph.graph.node if graph.get_initializer(n.input[0]) is None]
    assert [node.op_type for node in dynamic[:3]] == ["Sub", "Div", "MatMul"]


def test_export_changes_nothing_and_repeats(frames, tmp_path):
    info = describe(frames, 3)
    model = trained(frames, info).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    one = export_qonnx(model, info, tmp_path / "one.onnx").read_bytes()
    assert model.training
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    model(standardised(frames, info)).sum().backward()  # still trains
    model = trained(frames, info)
    assert export_qonnx(model, info, tmp_path / "two.onnx").read_bytes() == one
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.onnx", "two.onnx"]


def test_refuses_batch_statistics(frames, tmp_path):
    info = describe(frames, 3)
    model = trained(frames, info, batch_norm="no_running_stats").train()
    with pytest.raises(UserError, match="freeze_statistics"):
        export_qonnx(model, info, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_refuses_scalers_that_divide_by_nothing(scale, frames, tmp_path):
    info = describe(frames, 3)
    model = trained(frames, info)
    info["scaler"]["scale"][2] = scale
    with pytest.raises(UserError, match="scaler"):
        export_qonnx(model, info, tmp_path / "net.onnx")
