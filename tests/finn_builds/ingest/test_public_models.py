"""The public QONNX models, as others exported them."""

import warnings

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

from deploy.host_model import HostModel
from finn_builds.ingest import (
    InputQuant,
    Reference,
    calibrate_scale,
    host_description,
    integer_mlp,
    load_model,
    split_host,
    tidy,
    to_thresholds,
)

MODELS = ["tfc_2w2a", "unsw_nb15_mlp_w2a2", "jets_teacher_6bit"]
QUANT = {"jets_teacher_6bit": InputQuant("INT8", 1 / 32)}


@pytest.fixture(scope="module", params=MODELS)
def built(request, shared_data):
    """Return path, tidied model, streamlined model and host model."""
    path = shared_data / f"{request.param}.onnx"
    model = tidy(load_model(path))
    streamlined = to_thresholds(split_host(model, input_quant=QUANT.get(request.param)))
    return path, model, streamlined, HostModel.from_dict(host_description(streamlined))


def test_equal_to_the_reference_on_a_thousand_frames(built):
    path, model, streamlined, host = built
    rng = np.random.default_rng(1)
    codes = host.to_dict()["codes"]
    x = rng.integers(codes["min"], codes["max"] + 1, size=(1000, host.n_in))
    x[0], x[1] = codes["min"], codes["max"]
    network = integer_mlp(streamlined)
    reference = Reference(model, input_quant=QUANT.get(path.stem))
    np.testing.assert_array_equal(network.execute(x), reference.run(x))
    assert reference.float32_disagreements(x) <= 2
    for row in x[:3]:
        got = execute_onnx(streamlined, {"global_in": row[None].astype(np.float32)})["global_out"]
        np.testing.assert_array_equal(got, network.execute(row[None]))


def test_raw_inputs_give_what_qonnx_gives_for_the_file(built, shared_data):
    path, _, streamlined, host = built
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
    y = integer_mlp(streamlined).execute(host.before(x))
    np.testing.assert_allclose(host.after(y), np.concatenate(expected), rtol=0, atol=1e-6)


def test_the_types_are_those_the_models_were_trained_with(built):
    path, _, streamlined, host = built
    layers = integer_mlp(streamlined).layers
    found = [
        (*layer.weights.shape, layer.weight_datatype, layer.input_datatype) for layer in layers
    ]
    expected = {
        "tfc_2w2a": [
            (784, 64, "INT2", "INT2"),
            (64, 64, "INT2", "INT2"),
            (64, 64, "INT2", "INT2"),
            (64, 10, "INT2", "INT2"),
        ],
        "unsw_nb15_mlp_w2a2": [
            (600, 64, "INT2", "BINARY"),
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
    scale = calibrate_scale(Reference(model).run_front(x), "INT8")
    streamlined = to_thresholds(split_host(model, input_quant=InputQuant("INT8", scale)))
    host = HostModel.from_dict(host_description(streamlined))
    quantised = host.classify(integer_mlp(streamlined).execute(host.before(x))) == data["y"]
    assert abs(quantised.mean() - plain) < 0.01
