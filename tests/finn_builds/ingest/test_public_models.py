"""The public QONNX models, as others exported them."""

import warnings

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

from finn_builds.ingest import (
    InputQuant,
    Reference,
    calibrate_scale,
    load_model,
    split_host,
    tidy,
)
from finn_builds.network.types import weight_datatype
from tests.finn_builds.network.networks import check_ranges, naive, random_inputs

MODELS = ["tfc_2w2a", "unsw_nb15_mlp_w2a2", "jets_teacher_6bit"]
QUANT = {"jets_teacher_6bit": InputQuant("INT8", 1 / 32)}


@pytest.fixture(scope="module", params=MODELS)
def built(request, shared_data):
    """Return path, tidied model, and the model split."""
    path = shared_data / f"{request.param}.onnx"
    model = tidy(load_model(path))
    split = split_host(model, input_quant=QUANT.get(request.param))
    return path, model, split


def test_equal_to_the_reference_on_a_thousand_frames(built):
    _, model, split = built
    network = split.network
    x = random_inputs(network, 1000, 1)
    reference = Reference(model, split)
    np.testing.assert_array_equal(network.execute(x), reference.run(x))
    assert reference.float32_disagreements(x) <= 2
    assert network.execute(x[:3]).tolist() == [naive(network, row) for row in x[:3]]
    check_ranges(network, x)


def test_raw_inputs_give_what_qonnx_gives_for_the_file(built, shared_data):
    path, _, split = built
    network, host = split.network, split.host
    rng = np.random.default_rng(2)
    if path.stem == "tfc_2w2a":
        x = rng.uniform(0, 1, size=(10, 1, 28, 28))
    elif path.stem == "unsw_nb15_mlp_w2a2":
        x = rng.choice([-1.0, 1.0], size=(10, 600))
    else:  # on the inserted quantizer's grid, where it changes nothing
        x = np.clip(np.round(rng.normal(size=(10, 16)) * 32), -128, 127) / 32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # qonnx, on the old domain of one file
        original = cleanup_model(ModelWrapper(str(path)))
    into, out = original.graph.input[0].name, original.graph.output[0].name
    expected = [execute_onnx(original, {into: f[None].astype(np.float32)})[out] for f in x]
    y = network.execute(host.before(x))
    np.testing.assert_allclose(host.after(y), np.concatenate(expected), rtol=0, atol=1e-6)


def test_the_types_are_those_the_models_were_trained_with(built):
    path, _, split = built
    network, host = split.network, split.host
    found = [
        (*layer.linear.weights.shape, weight_datatype(layer.linear.weights), layer.input.datatype)
        for layer in network.layers()
    ]
    expected = {
        "tfc_2w2a": [
            (784, 64, "INT2", "INT2"),
            (64, 64, "INT2", "INT2"),
            (64, 64, "INT2", "INT2"),
            (64, 10, "INT2", "INT2"),
        ],
        "unsw_nb15_mlp_w2a2": [
            (600, 64, "INT2", "BIPOLAR"),
            (64, 64, "INT2", "UINT8"),
            (64, 64, "INT2", "UINT2"),
            (64, 1, "INT2", "UINT2"),
        ],
        "jets_teacher_6bit": [
            (16, 64, "INT6", "INT8"),
            (64, 32, "INT6", "UINT6"),
            (32, 32, "INT6", "UINT6"),
            (32, 5, "INT6", "UINT6"),
        ],
    }
    assert found == expected[path.stem]
    kinds = {"tfc_2w2a": "logits", "unsw_nb15_mlp_w2a2": "levels"}
    assert host.kind == kinds.get(path.stem, "probabilities")


def test_the_jet_tagger_keeps_its_accuracy_with_a_calibrated_input(shared_data):
    data = np.load(shared_data / "jets_real_dev.npz", allow_pickle=True)
    x = ((data["X"] - data["scaler_mean"]) / data["scaler_scale"]).astype(np.float32)
    model = tidy(load_model(shared_data / "jets_teacher_6bit.onnx"))
    plain = (Reference(model).run_float(x).argmax(axis=1) == data["y"]).mean()
    assert plain == pytest.approx(0.75, abs=0.002)  # as the data's own description says
    probe = split_host(model, InputQuant("INT8", 1))
    scale = calibrate_scale(Reference(model, probe).run_front(x), "INT8")
    split = split_host(model, input_quant=InputQuant("INT8", scale))
    integers = split.network.execute(split.host.before(x))
    quantised = split.host.classify(integers) == data["y"]
    assert abs(quantised.mean() - plain) < 0.01
