"""The shipped autoencoder: model, QONNX, integer network, card and data say the same."""

import json

import numpy as np
import pytest
import torch

from brevitas_models import datasets, zoo
from brevitas_models.anomaly.autoencoder import OUTPUTS, export_qonnx
from brevitas_models.anomaly.make import from_checkpoint, load, measure
from brevitas_models.errors import UserError
from brevitas_models.model.export import METADATA_KEY
from deploy.tables import read_table
from finn_builds.ingest import load_model, split_host, tidy

NAME = "jets_anomaly"


@pytest.fixture(scope="module")
def shipped():
    return from_checkpoint(zoo.path(NAME))


@pytest.fixture(scope="module")
def data():
    return datasets.load("jets", source="surrogate")


@pytest.fixture(scope="module")
def split():
    return split_host(tidy(load_model(zoo.path(NAME, ".onnx"))))


def test_the_integer_network_gives_score_and_trigger_of_the_model(shipped, data, split):
    model, info = shipped
    # Frames of all classes, and corners far outside of every range.
    x = np.concatenate([data.x_test[:3000], 1e4 * np.eye(16, dtype=np.float32)])
    mean, scale = (np.float32(info["scaler"][key]) for key in ("mean", "scale"))
    with torch.no_grad():
        score, trigger = model(torch.from_numpy((x - mean) / scale))
    assert [output.name for output in split.host.outputs] == list(OUTPUTS)
    found = split.host.after(split.network.execute(split.host.before(x)))
    np.testing.assert_array_equal(found["score"], score.numpy())
    np.testing.assert_array_equal(found["trigger"], trigger.numpy())
    assert 0 < trigger.mean() < 0.5 and len(np.unique(score)) > 300


def test_the_shipped_qonnx_is_what_the_checkpoint_exports(shipped, data, split, tmp_path):
    model, info = shipped
    again = export_qonnx(model, {**info, "class_names": []}, tmp_path / "again.onnx")
    other = split_host(tidy(load_model(again)))
    integers = split.host.before(data.x_test[:500])
    np.testing.assert_array_equal(split.network.execute(integers), other.network.execute(integers))
    texts = [
        load_model(path).get_metadata_prop(METADATA_KEY)
        for path in (zoo.path(NAME, ".onnx"), again)
    ]
    assert json.loads(texts[0]) == json.loads(texts[1])


def test_the_recipe_recorded_is_the_recipe_shipped(shipped):
    _, info = shipped
    shipped_recipe = load(zoo.path(NAME, ".yaml"))
    # Settings that came later have their defaults.
    assert type(shipped_recipe).model_validate(info["recipe"]) == shipped_recipe
    assert info["surrogate"] and all(name.startswith("surrogate_") for name in info["metrics"])


def test_figures_recorded_are_those_of_the_test_frames_and_on_the_card(shipped, data):
    model, info = shipped
    found, text = measure(model, data, info["recipe"]["usual"]), zoo.path(NAME, ".md").read_text()
    for name, value in found.items():
        # The last bits of drawn frames differ by processor.
        assert info["metrics"][f"surrogate_{name}"] == pytest.approx(value, abs=2e-3, rel=0.02)
    for name in ("w", "z", "t"):
        area, rate = (info["metrics"][f"surrogate_{what}_{name}"] for what in ("auc", "trigger"))
        assert f"| {name} | left out | {area:.3f} | {100 * rate:.2f} % |" in text
    for name in ("g", "q"):
        rate = info["metrics"][f"surrogate_trigger_{name}"]
        assert f"| {name} | yes | | {100 * rate:.2f} % |" in text
    assert f"above {model.threshold}" in text


def test_the_shipped_frames_are_those_of_the_jets_without_labels():
    frames = read_table(
        zoo.path(NAME).with_name("jets_unlabelled.npz"), labelled=False, test_only=True
    )
    jets = read_table(zoo.path("jets").with_name("jets.npz"), test_only=True)
    assert frames.y is None and frames.surrogate
    np.testing.assert_array_equal(frames.x, jets.x)


def test_another_model_is_not_an_autoencoder():
    with pytest.raises(UserError, match="expected the checkpoint of an autoencoder"):
        from_checkpoint(zoo.path("digits"))
