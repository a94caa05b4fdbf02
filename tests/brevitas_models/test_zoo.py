"""The shipped models: what their cards say is what their checkpoints hold and their data show."""

import re

import numpy as np
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.infer_shapes import InferShapes

from brevitas_models import checkpoint, datasets, experiment, recipe, zoo
from brevitas_models.errors import UserError

NAMES = ("digits", "jets")
# layers, weight bits, activation bits, input bits, pruned share
STATED = {
    "digits": ([64, 32, 32, 10], 2, 2, 4, 0.0),
    "jets": ([16, 64, 32, 32, 5], 4, 4, 8, 0.8),
}


@pytest.fixture(scope="module", params=NAMES)
def shipped(request):
    return (request.param, *checkpoint.load(zoo.path(request.param)))


def test_names_are_those_with_tests():
    assert tuple(zoo.names()) == NAMES


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(UserError, match=r"'jet'; there are digits, jets\. Is jets meant\?"):
        zoo.path("jet")


def test_sizes_and_bits_are_as_stated(shipped):
    name, model, info = shipped
    layers, weight_bits, act_bits, input_bits, _ = STATED[name]
    config = model.config
    assert list(config.layers) == layers
    assert (config.weight_bits, config.act_bits, config.input_bits) == (
        weight_bits,
        act_bits,
        input_bits,
    )
    assert config.to_dict() == recipe.load(zoo.recipe_path(name)).network.to_dict()
    assert not info["surrogate"], "a shipped model is measured on real data"


def test_pruned_weights_are_exactly_zero(shipped):
    name, model, info = shipped
    masks = model.masks()
    pruned = sum(int((~m).sum()) for m in masks) / sum(m.numel() for m in masks)
    assert pruned == pytest.approx(STATED[name][-1], abs=1e-3)
    assert info["metrics"]["pruned"] == pytest.approx(pruned)
    for linear, mask in zip(model.linears, masks, strict=True):
        assert not linear.weight[~mask].any()


def test_the_recipe_recorded_is_the_recipe_shipped(shipped):
    name, _, info = shipped
    recorded = recipe.from_dict(info["recipe"]).to_dict()
    stated = recipe.load(zoo.recipe_path(name)).to_dict()
    # Where the data came from is said on the command line.
    assert "/" not in str(recorded["data"].pop("source"))
    stated["data"].pop("source")
    assert recorded == stated


def test_figures_of_the_card_are_those_recorded(shipped):
    name, model, info = shipped
    card, metrics = zoo.card_path(name).read_text(), info["metrics"]
    row = re.search(r"\| accuracy \| ([\d.]+) % \+- ([\d.]+) % .*?(\d+) (?:jets|test images)", card)
    assert row is not None
    assert float(row[1]) == round(100 * metrics["accuracy"], 1)
    assert float(row[2]) == round(100 * metrics["accuracy_error"], 1)
    assert int(row[3]) == metrics["frames"]
    weights = re.search(r"\| weights \| ([\d,]+)", card)
    assert int(weights[1].replace(",", "")) == sum(m.numel() for m in model.masks())
    if "teacher_accuracy" in metrics:
        remain = re.search(r"\((\d+) remain\)", card)
        assert int(remain[1]) == sum(int(m.sum()) for m in model.masks())
        teacher = re.search(r"teacher on the same jets \| ([\d.]+) %", card)
        assert float(teacher[1]) == round(100 * metrics["teacher_accuracy"], 1)
        below = re.search(
            r"below the teacher \| ([\d.]+) \+- ([\d.]+) points.* ([\d.]+) % \|", card
        )
        assert float(below[1]) == round(100 * metrics["below_teacher"], 1)
        assert float(below[2]) == round(100 * metrics["below_teacher_error"], 1)
        assert float(below[3]) == round(100 * metrics["agreement"], 1)


def test_jets_is_at_most_two_points_below_its_teacher():
    _, info = checkpoint.load(zoo.path("jets"))
    assert info["metrics"]["folds"] > 1, "measured on jets that were not learnt"
    assert info["metrics"]["below_teacher"] <= 0.02


def executed(path, x):
    graph = ModelWrapper(str(path)).transform(ChangeBatchSize(len(x))).transform(InferShapes())
    return execute_onnx(graph, {graph.graph.input[0].name: x})[graph.graph.output[0].name]


def same_as_the_model(name, x, tmp_path):
    """Compare the export with Brevitas on raw features; return Brevitas' classes."""
    model, info = checkpoint.load(zoo.path(name))
    mean, scale = (np.float32(info["scaler"][key]) for key in ("mean", "scale"))
    with torch.no_grad():
        wanted = model(torch.from_numpy((x - mean) / scale)).numpy()
    found = executed(zoo.export(name, tmp_path / f"{name}.onnx"), x)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(1), wanted.argmax(1))
    return wanted.argmax(1)


def test_digits_are_told_apart_as_recorded_by_model_and_export(tmp_path):
    data = datasets.load("digits")
    _, info = checkpoint.load(zoo.path("digits"))
    classes = same_as_the_model("digits", data.x_test, tmp_path)
    assert (classes == data.y_test).mean() == info["metrics"]["accuracy"]
    same_as_the_model("digits", np.concatenate([data.x_train, data.x_val]), tmp_path)


def test_jets_export_equals_the_model_on_surrogate_jets(tmp_path):
    same_as_the_model("jets", datasets.load("jets", source="surrogate").x_test[:2000], tmp_path)


def test_jets_are_told_apart_by_model_and_export(shared_data, tmp_path):
    data = datasets.load(shared_data / "jets_real_dev.npz", test_only=True)
    classes = same_as_the_model("jets", data.x_test, tmp_path)
    assert len(classes) == 501
    # These jets were trained on, so nothing above the cross-fitted figure is claimed.
    assert (classes == data.y_test).mean() > 0.70


@pytest.mark.slow
def test_digits_train_again_to_the_same_weights():
    settings = recipe.load(zoo.recipe_path("digits"))
    again, _ = experiment.Experiment(settings, datasets.load("digits"), None).fit()
    shipped, _ = checkpoint.load(zoo.path("digits"))
    theirs = shipped.state_dict()
    for key, value in again.state_dict().items():
        assert torch.equal(value, theirs[key]), key
