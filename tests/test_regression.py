"""Several outputs, skip connections and numbers as targets: from a file to exact integers."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import train as command
from benchmarks import model_card
from brevitas_models.errors import UserError
from brevitas_models.model import checkpoint
from brevitas_models.model.heads import Head
from brevitas_models.train.losses import loss_of
from brevitas_models.train.recipe import from_dict
from brevitas_models.train.stacked.losses import losses
from deploy.class_heads import class_heads, numbers_beside
from finn_builds.ingest import Reference, load_model, split_host, tidy
from finn_builds.verify.accuracy import target_error
from finn_builds.verify.data import load_data, outputs_of

HEADS = (Head("kind", 0, 2, "cross_entropy"), Head("energy", 2, 5, "huber"), Head("m", 5, 6, "mse"))
RECIPE = {
    "network": {
        "layers": [6, 12, 12, 12, 4],
        "skip": [[1, 2], [2, 3]],
        "outputs": {"kind": 2, "energy": 1, "mass": 1},
        "weight_bits": 6,
        "act_bits": 5,
    },
    "data": {"dataset": "toy.npz"},
    "training": {
        "epochs": 25,
        "batch_size": 64,
        "learning_rate": 0.01,
        "loss": ["cross_entropy", "huber", "mse"],
    },
    "pruning": {"share": 0.3},
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder with a small recipe and small data: a class and two numbers a frame."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 6))
    kind = x[:, 0] + x[:, 3] > 0
    energy = 40 + 12 * np.maximum(x[:, 0], 0) + 5 * x[:, 1] + rng.normal(size=900)
    targets = np.stack([~kind, kind, energy, 0.5 * np.abs(x[:, 2])], 1)
    np.savez("toy.npz", X=x, y=targets)
    np.savez("single.npz", X=x, y=energy)
    Path("toy.yaml").write_text(yaml.safe_dump(RECIPE, sort_keys=False))


@pytest.mark.parametrize("heads", [(), HEADS[:1], (Head("", 0, 6, "mse"),), HEADS], ids=len)
def test_gradients_of_the_losses_are_those_of_torch(heads: tuple[Head, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    width = heads[-1].stop if heads else 6
    outputs = 2 * torch.randn(2, width, 50, generator=generator)
    target = torch.randn(1, width, 50, generator=generator)
    classes = HEADS[0].stop if len(heads) > 1 else width
    target[:, :classes] = torch.softmax(target[:, :classes], 1)
    loss, grad = losses(outputs, target, 1.5, heads)
    for at in range(2):
        wanted = outputs[at].t().clone().requires_grad_()
        value = loss_of(wanted, target[0].t(), 1.5, heads)
        value.backward()
        torch.testing.assert_close(loss[at], value.detach(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(grad[at].t(), wanted.grad, rtol=1e-4, atol=1e-7)


def test_learns_measures_and_is_exact_in_integers(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--model", "toy.yaml", "--out", "result"]) == 0
    said = capsys.readouterr().out
    assert "RMSE on toy, frames unseen" in said
    assert "accuracy of kind on toy" in said
    model, info = checkpoint.load("result/toy.pt")
    figures = info["metrics"]
    assert figures["rmse"] < 0.5 * figures["rmse_of_constant"]
    assert figures["accuracy_kind"] > 0.85
    assert "validation_rmse" in Path("result/history.csv").read_text().splitlines()[0]
    rows = "\n".join(model_card.rows(model, info))
    assert "| RMSE |" in rows
    assert "skip connections 1 to 2, 2 to 3, outputs kind (2), energy (1), mass (1)" in rows

    tidied = tidy(load_model("result/toy.onnx"))
    split = split_host(tidied)
    data = load_data(Path("toy.npz"), split.host)
    integers = split.network.execute(split.host.before(data.x))
    np.testing.assert_array_equal(Reference(tidied, split).run(split.host.before(data.x)), integers)
    assert [out.name for out in split.host.outputs] == ["kind", "energy", "mass"]
    assert numbers_beside(class_heads(split.host), split.host) == [2, 3]
    values = outputs_of(split.host, integers)
    with torch.no_grad():
        scaler, unit = info["scaler"], info["target_scaler"]
        x = (data.x - np.float32(scaler["mean"])) / np.float32(scaler["scale"])
        wanted = model(torch.from_numpy(x)).numpy() * np.float32(unit["scale"])
    np.testing.assert_allclose(values, wanted + np.float32(unit["mean"]), rtol=1e-5, atol=1e-5)
    found = target_error(values[:, [2, 3]], data.targets[:, [2, 3]], "", surrogate=False)
    assert found.rmse == pytest.approx(figures["rmse"], rel=1e-4)


def test_one_number_is_one_output(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = {**RECIPE, "network": {"layers": [6, 8, 1]}, "data": {"dataset": "single.npz"}}
    recipe["training"] = {"epochs": 3, "batch_size": 64, "loss": "huber"}
    Path("one.yaml").write_text(yaml.safe_dump(recipe))
    line = ["--model", "one.yaml", "--out", "one", "--quiet"]
    assert command.main([*line, "--folds", "2"]) == 0
    split = split_host(tidy(load_model("one/one.onnx")))
    assert [out.name for out in split.host.outputs] == ["values"]
    assert checkpoint.load("one/one.pt")[1]["target_names"] == ["y0"]
    capsys.readouterr()
    for change, message in [
        ("training.loss=cross_entropy", "the labels are numbers with fractions"),
        ("training.loss=[mse, huber]", "one for each of the 1 outputs"),
        ("training.loss=l1", "training.loss"),
        ("data.dataset=digits", "digits has classes"),
        ("data.random_labels=0.5", "is for classes alone"),
        ("network.layers=[6, 8, 2]", "6 features and 1 targets"),
    ]:
        assert command.main([*line, "--set", change]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("other", [{"distillation": {}}, {"pruning": {"lut_budget": 90}}])
def test_what_is_for_classes_alone(other: dict[str, object]) -> None:
    with pytest.raises(UserError, match="is for classes alone"):
        from_dict({**RECIPE, "name": "toy", **other})
