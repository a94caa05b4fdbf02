"""The shipped models: what their cards say is what their checkpoints hold and their data show."""

import json
import re

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.infer_shapes import InferShapes

from benchmarks import model_card
from brevitas_models import datasets, metrics, pruning, zoo
from brevitas_models.errors import UserError
from brevitas_models.model import checkpoint
from brevitas_models.model.export import METADATA_KEY, export_qonnx
from brevitas_models.train import experiment, recipe, rounds
from deploy.tables import read_table
from finn_builds.ingest import load_model, split_host, tidy
from finn_builds.sparse.compiler import compile_network

TABLES = ("jets", "jets_large", "jets_tiny")
NAMES = ("digits", *TABLES, "jets_paper", "jets_weights", "jets_weights_tiny")
JETS = NAMES[1:]
FRAMES = dict.fromkeys(JETS, "jets") | {"digits": "test images"}
# layers, weight bits, activation bits, input bits, pruned share (None: as the budget has it)
STATED = {
    "digits": ([64, 32, 32, 10], 2, 2, 4, 0.0),
    "jets": ([16, 16, 5], (6, 8), 6, 7, None),
    "jets_large": ([16, 32, 5], (7, 8), 6, 7, None),
    "jets_paper": ([16, 64, 32, 32, 5], 6, 6, 8, 0.8),
    "jets_tiny": ([16, 10, 5], (6, 8), 5, 6, None),
    "jets_weights": ([16, 64, 32, 32, 5], 4, 4, 8, 0.8),
    "jets_weights_tiny": ([16, 64, 32, 32, 5], 4, 3, 6, 0.9),
}


@pytest.fixture(scope="module", params=NAMES)
def shipped(request):
    return (request.param, *checkpoint.load(zoo.path(request.param)))


def test_names_are_those_with_tests():
    # The autoencoder's own tests are in test_jets_anomaly.py.
    assert tuple(zoo.names()) == tuple(sorted((*NAMES, "jets_anomaly")))


def test_an_unknown_name_lists_what_there_is():
    known = (
        r"digits, jets, jets_anomaly, jets_large, jets_paper, jets_tiny, jets_weights, "
        r"jets_weights_tiny"
    )
    with pytest.raises(UserError, match=rf"'jet'; there are {known}\. Is jets meant\?"):
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
    assert config.to_dict() == recipe.load(zoo.path(name, ".yaml")).network.to_dict()
    assert not info["surrogate"], "a shipped model is measured on real data"


def test_pruned_weights_are_exactly_zero(shipped):
    name, model, info = shipped
    masks = model.masks()
    pruned = sum(int((~m).sum()) for m in masks) / sum(m.numel() for m in masks)
    if name not in TABLES:
        assert pruned == pytest.approx(STATED[name][-1], abs=1e-3)
    assert info["metrics"]["pruned"] == pytest.approx(pruned)
    for linear, mask in zip(model.linears, masks, strict=True):
        edges = linear.tables(linear.weight) if name in TABLES else linear.weight
        assert not edges[~mask].any()


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_within_their_budget(name):
    model, info = checkpoint.load(zoo.path(name))
    budget = info["recipe"]["pruning"]["lut_budget"]
    luts = pruning.total_luts(pruning.edge_prices(model))
    # What the last prunings left, of edges that each cost some ten LUTs.
    assert 0.9 * budget < luts <= budget


def test_the_recipe_recorded_is_the_recipe_shipped(shipped):
    name, _, info = shipped
    recorded = recipe.from_dict(info["recipe"]).to_dict()
    stated = recipe.load(zoo.path(name, ".yaml")).to_dict()
    # Where the data came from is said on the command line.
    assert "/" not in str(recorded["data"].pop("source"))
    stated["data"].pop("source")
    assert recorded == stated


def test_figures_of_the_card_are_those_recorded(shipped):
    name, model, info = shipped
    text = zoo.path(name, ".md").read_text()
    missing = [row for row in model_card.rows(model, info, FRAMES[name]) if row not in text]
    assert not missing


def test_figures_follow_from_network_and_weights(shipped):
    _, model, info = shipped
    figures, masks = info["metrics"], model.masks()
    assert figures["bops"] == metrics.network_bops(model.config, masks)
    assert figures["bops_32bit_input"] == metrics.network_bops(model.config, masks, 32)
    assert figures["weight_bits"] == metrics.weight_bits(model.config, masks)
    layers = [figures[f"neural_efficiency_{k}"] for k in range(1, len(model.config.layers))]
    assert figures["neural_efficiency"] == pytest.approx(metrics.geometric_mean(layers))
    assert figures["aiq"] == metrics.aiq(figures["auc"], figures["neural_efficiency"])


@pytest.mark.parametrize("name", JETS)
def test_hardware_of_the_card_is_about_what_the_network_costs_today(name):
    # The card has the figures of a build; the optimiser may have become better since.
    text = zoo.path(name, ".md").read_text()
    row = re.search(r"\| hardware \| ([\d,]+) LUT \(estimated\).* ([\d,]+) frames verified", text)
    network = split_host(tidy(load_model(zoo.path(name, ".onnx")))).network
    found = compile_network(network, name, "xc7", clock_ns=10.0).cost()
    assert int(row[1].replace(",", "")) == pytest.approx(found.luts, rel=0.1)
    assert int(row[2].replace(",", "")) >= 1000


def test_commands_of_the_cards_are_those_recorded(shipped):
    name, _, info = shipped
    text = zoo.path(name, ".md").read_text()
    command = re.sub(r" --out \S+| --quiet", "", info["command"])
    assert f"    .venv/bin/python {command}\n" in text


@pytest.mark.parametrize(
    ("name", "points"), [("jets_weights", 2), ("jets_paper", 2), ("jets_weights_tiny", 3)]
)
def test_jets_are_not_far_below_their_teacher(name, points):
    _, info = checkpoint.load(zoo.path(name))
    assert info["metrics"]["folds"] > 1, "measured on jets that were not learnt"
    assert info["metrics"]["below_teacher"] <= points / 100


def test_jets_paper_is_made_as_in_the_paper():
    settings = recipe.load(zoo.path("jets_paper", ".yaml"))
    shares = [now.share for now in rounds.plan(settings)]
    assert shares == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert settings.pruning.schedule == "lottery_ticket"
    assert (settings.training.l1, settings.network.batch_norm) == (1e-4, "on")
    _, info = checkpoint.load(zoo.path("jets_paper"))
    assert info["metrics"]["round"] == 9
    # Against 32 bits and nothing pruned, which are 4,652,832 bit operations.
    assert 4_652_832 / info["metrics"]["bops"] > 40
    assert 4_652_832 / info["metrics"]["bops_32bit_input"] > 20


def executed(path, x):
    graph = ModelWrapper(str(path)).transform(ChangeBatchSize(len(x))).transform(InferShapes())
    return execute_onnx(graph, {graph.graph.input[0].name: x})[graph.graph.output[0].name]


def operations(path):
    """Return the nodes of a graph in its order: kinds, attributes and constant operands."""
    graph = ModelWrapper(str(path)).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    attributes = [sorted(f"{a.name}={a}" for a in node.attribute) for node in graph.node]
    operands = [[constants.get(name) for name in node.input] for node in graph.node]
    return [node.op_type for node in graph.node], attributes, operands


def test_the_shipped_qonnx_is_what_the_checkpoint_exports(shipped, tmp_path):
    name, model, info = shipped
    again = export_qonnx(model, info, tmp_path / "again.onnx")
    (kinds, attributes, operands), (*others, wanted) = map(
        operations, (zoo.path(name, ".onnx"), again)
    )
    assert [kinds, attributes] == others
    assert sum(value is not None for node in operands for value in node) > 20
    for kind, found, expected in zip(kinds, operands, wanted, strict=True):
        assert [value is None for value in found] == [value is None for value in expected]
        for one, other in zip(found, expected, strict=True):
            if one is None:
                continue
            assert one.dtype == other.dtype
            if kind == "Quant":  # integer weights, unit scales, zero points, widths
                np.testing.assert_array_equal(one, other)
            else:
                np.testing.assert_allclose(one, other, rtol=1e-6)
    described = [ModelWrapper(str(path)) for path in (zoo.path(name, ".onnx"), again)]
    texts = [json.loads(graph.get_metadata_prop(METADATA_KEY)) for graph in described]
    assert texts[0] == texts[1]
    # A build looks for frames under the name of the data set.
    x = read_table(zoo.path(name).with_name(f"{texts[0]['dataset']}.npz"), test_only=True).x[:200]
    np.testing.assert_allclose(executed(again, x), executed(zoo.path(name, ".onnx"), x), rtol=1e-5)


@pytest.mark.parametrize(
    ("file", "data", "frames"),
    [
        ("digits.npz", {"name_or_path": "digits"}, 359),
        ("jets.npz", {"name_or_path": "jets", "source": "surrogate"}, 4000),
    ],
)
def test_the_shipped_frames_are_those_of_the_test_set(file, data, frames, tmp_path):
    zoo.write_data(tmp_path)
    wanted = datasets.load(**data)
    for folder in (zoo.path("digits").parent, tmp_path):
        found = read_table(folder / file, test_only=True)
        assert found.x.shape == (frames, wanted.n_features)
        # The surrogate is drawn with matrix products, whose last bits differ by processor.
        np.testing.assert_allclose(found.x, wanted.x_test[:frames], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(found.y, wanted.y_test[:frames])
        np.testing.assert_allclose(found.scaler.mean, wanted.scaler.mean, rtol=1e-6)
        np.testing.assert_allclose(found.scaler.scale, wanted.scaler.scale, rtol=1e-6)
        assert found.feature_names == wanted.feature_names
        assert found.class_names == wanted.class_names
        assert found.source.startswith(wanted.source)
        assert found.surrogate == wanted.surrogate == (file == "jets.npz")


def test_shipped_files_are_small():
    for file in zoo.path("digits").parent.iterdir():
        assert file.is_dir() or file.stat().st_size < 400_000, file


def same_as_the_model(name, x):
    """Compare the shipped QONNX with Brevitas on raw features; return Brevitas' classes."""
    model, info = checkpoint.load(zoo.path(name))
    mean, scale = (np.float32(info["scaler"][key]) for key in ("mean", "scale"))
    with torch.no_grad():
        wanted = model(torch.from_numpy((x - mean) / scale)).numpy()
    found = executed(zoo.path(name, ".onnx"), x)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(1), wanted.argmax(1))
    return wanted.argmax(1)


def test_digits_are_told_apart_as_recorded_by_model_and_export():
    data = datasets.load("digits")
    _, info = checkpoint.load(zoo.path("digits"))
    classes = same_as_the_model("digits", data.x_test)
    assert (classes == data.y_test).mean() == info["metrics"]["accuracy"]
    same_as_the_model("digits", np.concatenate([data.x_train, data.x_val]))


@pytest.mark.parametrize("name", JETS)
def test_jets_export_equals_the_model_on_surrogate_jets(name):
    same_as_the_model(name, datasets.load("jets", source="surrogate").x_test[:2000])


@pytest.mark.parametrize("name", JETS)
def test_jets_are_told_apart_by_model_and_export(name, shared_data):
    data = read_table(shared_data / "jets_real_dev.npz", test_only=True)
    classes = same_as_the_model(name, data.x)
    assert len(classes) == 501
    # These jets were trained on, so nothing above the cross-fitted figure is claimed.
    assert (classes == data.y).mean() > 0.70


def test_the_same_training_gives_the_same_bits_on_one_machine():
    settings = recipe.load(zoo.path("digits", ".yaml")).replace("training", epochs=3)
    data = datasets.load("digits")
    runs = [experiment.Experiment(settings, data, None).fit() for _ in range(2)]
    one, other = (model.state_dict() for model, _ in runs)
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


@pytest.mark.slow
def test_digits_train_again_to_a_network_as_good_as_the_shipped_one():
    # Sums of floats differ between processors and with them the weights: only the result is stated.
    settings, data = recipe.load(zoo.path("digits", ".yaml")), datasets.load("digits")
    again = experiment.Experiment(settings, data, None)
    model, _ = again.fit()
    shipped, info = checkpoint.load(zoo.path("digits"))
    truth, outputs, _ = again.answers(model)
    own = outputs.argmax(1)
    # Twice the error of a difference between two networks of this accuracy on 359 images.
    band = 2 * np.sqrt(2) * info["metrics"]["accuracy_error"]
    assert (own == truth).mean() == pytest.approx(info["metrics"]["accuracy"], abs=band)
    assert (own == again.answers(shipped)[1].argmax(1)).mean() > 1 - 2 * band
    assert model.config == shipped.config
    assert all(map(torch.equal, model.masks(), shipped.masks()))
    assert metrics.network_bops(model.config, model.masks()) == info["metrics"]["bops"]
    # Ranges are set from the data before anything is trained.
    torch.testing.assert_close(model.input_scale(0), shipped.input_scale(0), rtol=1e-5, atol=0)
