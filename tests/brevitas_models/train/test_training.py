"""The loop: it learns, repeats itself to the bit, and keeps its promises about pruning."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from brevitas_models import datasets, metrics, pruning
from brevitas_models.datasets.folds import fold
from brevitas_models.errors import UserError
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.pruning.settings import PruningSettings
from brevitas_models.train import experiment, recipe, rounds, rules
from brevitas_models.train.loop import Job, train_many
from brevitas_models.train.losses import loss_of
from brevitas_models.train.recipe import Recipe
from brevitas_models.train.rules import EpochRecord, Frames
from brevitas_models.train.settings import TrainingSettings
from brevitas_models.train.stacked.stack import Stack
from brevitas_models.train.stacked.step import Step
from tests.brevitas_models.train.reference import train_one, weight_norm


@pytest.fixture(scope="module")
def digits() -> datasets.Dataset:
    return datasets.load("digits")


def digits_recipe(network: dict | None = None, **sections: dict) -> Recipe:
    return recipe.from_dict(
        {
            "name": "test",
            "network": {"layers": [64, 32, 10], "weight_bits": 2, "act_bits": 2} | (network or {}),
            "training": {"epochs": 3, "batch_size": 64, "learning_rate": 0.01},
        }
        | sections
    )


def blobs(n: int, seed: int = 0) -> Frames:
    """Three overlapping clouds in four dimensions."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    centres = torch.tensor([[2.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]])
    return Frames(centres[y] + torch.randn(n, 4, generator=generator), y)


def blob_model(seed: int = 0, **network: object) -> QuantMLP:
    settings = {"name": "t", "network": {"layers": [4, 16, 3], **network}}
    return rounds.initial_model(recipe.from_dict(settings | {"training": {"seed": seed}}))


def same_state(one: QuantMLP, other: QuantMLP) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_digits_are_learnt_in_a_few_epochs(digits: datasets.Dataset) -> None:
    settings = digits_recipe(training={"epochs": 12, "batch_size": 64, "learning_rate": 0.01})
    found = experiment.Experiment(settings, digits, None)
    model, history = found.fit()
    assert history[-1].train_loss < 0.5 * history[0].train_loss
    truth, outputs, _ = found.answers(model)
    assert metrics.accuracy_figures(truth, outputs.argmax(1))["accuracy"] > 0.85


def test_same_seed_same_bits(digits: datasets.Dataset) -> None:
    settings = digits_recipe(pruning={"share": 0.5})
    before = torch.get_rng_state()
    runs = [experiment.Experiment(settings, digits, None).fit() for _ in range(2)]
    (one, first), (other, second) = runs
    assert same_state(one, other)
    strip = [[dataclasses.replace(r, seconds=0) for r in history] for history in (first, second)]
    assert strip[0] == strip[1]
    assert torch.equal(torch.get_rng_state(), before), "the global generator was used"
    changed = settings.replace("training", seed=1)
    assert not same_state(one, experiment.Experiment(changed, digits, None).fit()[0])


def test_threads_are_left_as_they_were() -> None:
    before = torch.get_num_threads()
    train_one(blob_model(), blobs(60), blobs(30, 1), TrainingSettings(epochs=1))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("scope", ["global", "per_layer"])
def test_masks_hold_and_only_grow(scope: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = blob_model()
    masks: list[torch.Tensor] = []
    step = Step.__call__

    def watched(self: Step, *args: object) -> None:
        step(self, *args)
        for linear in model.linears:
            assert not linear.weight[~linear.mask].any()
        masks.append(torch.cat([mask.flatten() for mask in model.masks()]))

    monkeypatch.setattr(Step, "__call__", watched)
    shares = []
    train_one(
        model,
        blobs(512),
        blobs(100, 1),
        TrainingSettings(epochs=10, batch_size=64, learning_rate=0.05),
        PruningSettings(share=0.6, start=0.2, end=0.7, scope=scope),
        on_epoch=lambda record: shares.append(record.pruned),
    )
    assert len(masks) == 80
    assert all(not (late & ~early).any() for early, late in itertools.pairwise(masks))
    assert shares[0] == 0 and shares == sorted(shares)
    assert shares[6:] == [pytest.approx(0.6, abs=0.005)] * 4
    if scope == "per_layer":
        parts = [float((~mask).float().mean()) for mask in model.masks()]
        assert parts == [pytest.approx(0.6, abs=0.02)] * 2


def test_best_weights_are_fully_pruned_ones() -> None:
    # Pruning that ends with the very last step leaves one epoch to choose from.
    model, history = blob_model(), []
    settings = TrainingSettings(epochs=5, batch_size=32, patience=1)
    train_one(
        model,
        blobs(320),
        blobs(90, 1),
        settings,
        PruningSettings(share=0.8, start=0.0, end=1.0),
        on_epoch=history.append,
    )
    assert [record.best for record in history] == [False] * 4 + [True]
    assert sum(int((~mask).sum()) for mask in model.masks()) == round(0.8 * (4 * 16 + 16 * 3))


def test_best_weights_come_back() -> None:
    model, history, states = blob_model(), [], []
    judged = blobs(90, 1)

    def keep(record: EpochRecord) -> None:
        history.append(record)
        states.append({key: value.clone() for key, value in model.state_dict().items()})

    # So large a rate that the loss does not fall in every epoch.
    settings = TrainingSettings(epochs=12, batch_size=32, learning_rate=0.3, schedule="constant")
    train_one(model, blobs(320), judged, settings, on_epoch=keep)
    losses = [record.validation_loss for record in history]
    best = losses.index(min(losses))
    assert best < len(losses) - 1
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in states[best].items())
    again = loss_of(rules.evaluate(model, judged.x), judged.target)
    assert float(again) == losses[best]


def test_early_stopping() -> None:
    settings = TrainingSettings(epochs=200, batch_size=32, learning_rate=0.3, patience=3)
    history = train_one(blob_model(), blobs(320), blobs(90, 1), settings)
    best = max(record.epoch for record in history if record.best)
    assert len(history) == best + 3 < 200


def test_schedules() -> None:
    constant = TrainingSettings(learning_rate=0.2, schedule="constant")
    cosine = TrainingSettings(learning_rate=0.2, schedule="cosine")
    assert [rules.learning_rate(t, constant) for t in (0.0, 0.5, 1.0)] == [0.2] * 3
    expected = [0.2, 0.1 * (1 + math.sqrt(0.5)), 0.1, 0.0]
    assert [rules.learning_rate(t, cosine) for t in (0.0, 0.25, 0.5, 1.0)] == pytest.approx(
        expected
    )


def test_l1_makes_weights_smaller() -> None:
    norms = []
    for l1 in (0.0, 0.05):
        model = blob_model()
        settings = TrainingSettings(epochs=10, batch_size=32, learning_rate=0.01, l1=l1)
        train_one(model, blobs(320), blobs(90, 1), settings)
        norms.append(float(weight_norm(model).detach()))
    assert norms[1] < 0.5 * norms[0]


@pytest.mark.parametrize("kind", ["on", "off", "no_affine", "no_running_stats"])
def test_every_batch_norm_trains_and_is_left_fixed(kind: str) -> None:
    model, judged = blob_model(batch_norm=kind), blobs(90, 1)
    settings = TrainingSettings(epochs=15, batch_size=32, learning_rate=0.02)
    history = train_one(model, blobs(320), judged, settings)
    assert history[-1].validation_match > 0.7
    # In evaluation a frame's answer does not depend on the frames beside it.
    whole = rules.evaluate(model, judged.x)
    torch.testing.assert_close(whole[:1], rules.evaluate(model, judged.x[:1]))


@pytest.mark.parametrize("n", [2, 33, 65])
def test_few_and_odd_numbers_of_frames(n: int) -> None:
    # 33 and 65 leave a single frame over, on which BatchNorm could not be trained.
    history = train_one(
        blob_model(), blobs(n), blobs(9, 1), TrainingSettings(epochs=2, batch_size=32)
    )
    assert len(history) == 2


@pytest.mark.parametrize(("n", "judged"), [(1, 5), (0, 5), (5, 0)])
def test_too_few_frames(n: int, judged: int) -> None:
    with pytest.raises(UserError, match="at least 2 training frames"):
        train_one(blob_model(), blobs(n), blobs(judged), TrainingSettings())


def test_a_loss_that_is_no_number() -> None:
    frames = Frames(torch.full((64, 4), 1e38), torch.arange(64) % 3)
    model = blob_model(weight_bits=32, act_bits=32, input_bits=32, batch_norm="off")
    with pytest.raises(UserError, match="not a finite number in epoch 1"):
        train_one(model, frames, frames, TrainingSettings(epochs=2, batch_size=32))


def test_folds_are_disjoint_and_complete(digits: datasets.Dataset) -> None:
    parts = [fold(digits, index, 5) for index in range(5)]
    rows = [{row.tobytes() for row in part.x_test} for part in parts]
    everything = {
        row.tobytes() for name in ("train", "val", "test") for row in getattr(digits, f"x_{name}")
    }
    assert set.union(*rows) == everything
    assert sum(len(part.x_test) for part in parts) == 1797
    for part, own in zip(parts, rows, strict=True):
        assert not own & {row.tobytes() for row in part.x_train}
        assert not own & {row.tobytes() for row in part.x_val}
        assert len(part.x_train) + len(part.x_val) + len(part.x_test) == 1797
        # The scaler of these data is fitted, so each fold has to fit its own.
        assert (part.scaler.mean == datasets.Scaler.fit(part.x_train).mean).all()


def test_network_that_does_not_fit_the_data(digits: datasets.Dataset) -> None:
    with pytest.raises(UserError, match="64 features and 10 classes, the network 16 inputs"):
        experiment.Experiment(digits_recipe({"layers": [16, 10]}), digits, None)


TABLES = {
    "edges": "tables",
    "weight_bits": 6,
    "act_bits": 4,
    "input_bits": 5,
    "activation": "hardtanh",
    "input_ranges": "per_feature",
}


@pytest.mark.parametrize("network", [TABLES, {"fold_batch_norm": True}], ids=["tables", "weights"])
def test_weights_that_are_no_numbers_are_said_to_be(network: dict) -> None:
    frames = blobs(600)
    target = torch.nn.functional.one_hot(frames.target, 3).float()
    target[7] = math.nan
    settings = TrainingSettings(epochs=2, batch_size=50)
    with pytest.raises(UserError, match="the loss is not a finite number in epoch 1"):
        train_one(blob_model(**network), Frames(frames.x, target), blobs(200, 1), settings)


@pytest.mark.parametrize("network", [TABLES, {"fold_batch_norm": True}], ids=["tables", "weights"])
def test_a_budget_of_luts_is_met_and_kept(network: dict) -> None:
    model = blob_model(**network)
    model.calibrate(blobs(600).x)
    full = pruning.total_luts(pruning.edge_prices(model))
    settings = TrainingSettings(epochs=10, batch_size=50, learning_rate=0.02, average=0.9)
    spent = []

    def watch(record: EpochRecord) -> None:
        spent.append((pruning.total_luts(pruning.edge_prices(model)), record.best))

    budget = round(0.4 * full)
    budgeted = PruningSettings(lut_budget=budget, start=0.2, end=0.7)
    history = train_one(model, blobs(600), blobs(200, 1), settings, budgeted, on_epoch=watch)
    assert history[0].pruned == 0 and history[-1].pruned > 0.3
    assert spent[0][0] > budget
    assert not any(best for _, best in spent[:6])
    assert all(luts <= 1.05 * budget for luts, _ in spent[7:])
    assert 0.5 * budget < pruning.total_luts(pruning.edge_prices(model)) <= budget
    match = rules.evaluate(model, blobs(200, 1).x).argmax(1) == blobs(200, 1).target
    assert float(match.float().mean()) > 0.75


def test_a_budget_takes_bits_of_codes_where_widths_are_learned() -> None:
    network = TABLES | {"code_widths": "learned", "input_bits": 7, "act_bits": 7}
    settings = {"name": "t", "network": {"layers": [4, 16, 3], **network}}
    made = recipe.from_dict(settings | {"pruning": {"lut_budget": 1}})
    model = rounds.initial_model(made)
    full = pruning.total_luts(pruning.edge_prices(model))
    job = Job(
        model,
        blobs(400),
        blobs(100, 1),
        TrainingSettings(epochs=6, batch_size=50, learning_rate=0.02, average=0.9),
        PruningSettings(lut_budget=round(0.3 * full), start=0.1, end=0.5),
    )
    train_many([job])
    assert pruning.total_luts(pruning.edge_prices(model)) <= 0.3 * full + 0.5
    kept = [layer.lines.dropped[layer.mask] for layer in model.linears]
    assert any((dropped > 0).any() for dropped in kept)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    again = rounds.initial_model(made)
    again.load_state_dict(state)
    x = blobs(50, 2).x
    assert torch.equal(rules.evaluate(again, x), rules.evaluate(model, x))


def test_prices_of_the_caller_decide_what_a_budget_leaves() -> None:
    model = blob_model(**TABLES)

    def dear(tables: np.ndarray) -> np.ndarray:
        return np.where(np.ptp(tables, axis=1) > 0, 10.0, 0.0)

    job = Job(
        model,
        blobs(400),
        blobs(100, 1),
        TrainingSettings(epochs=4, batch_size=50, learning_rate=0.02),
        PruningSettings(lut_budget=300, start=0.1, end=0.5),
    )
    train_many([job], edge_luts=dear)
    # Some of the 30 are of neurons that nothing reads any more.
    assert 15 <= sum(int(mask.sum()) for mask in model.masks()) <= 30


def test_the_mean_of_the_weights_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    call = Step.__call__

    def watched(self: Step, *args: object) -> None:
        call(self, *args)
        seen.append(self.stack.values.data.clone())

    monkeypatch.setattr(Step, "__call__", watched)
    model = blob_model(batch_norm="off")
    initial = blob_model(batch_norm="off")
    settings = TrainingSettings(epochs=2, batch_size=50, learning_rate=0.02, average=0.95)
    history = train_one(model, blobs(400), blobs(100, 1), settings)
    mean = seen[0].clone()
    initial.calibrate(blobs(400).x)
    mean[:] = Stack([initial]).values.data
    for step, values in enumerate(seen[: 8 * max(r.epoch for r in history if r.best)], 1):
        kept = min(0.95, (1 + step) / (10 + step))
        mean = kept * mean + (1 - kept) * values
    torch.testing.assert_close(Stack([model]).values.data, mean)


def test_a_budget_takes_the_place_of_a_share() -> None:
    for values in ({"share": 0.5}, {"schedule": "one_shot"}):
        with pytest.raises(UserError, match="lut_budget takes the place of share"):
            digits_recipe(pruning={"lut_budget": 100, **values})


def test_a_training_of_few_steps_is_said_to_be_one():
    large = TrainingSettings(epochs=40)
    assert "only 80 steps of the optimiser in 40 epochs, each on 1,024 of 2,100 frames" in (
        experiment.few_steps_line(large, 2100)
    )
    assert "each on 124 of 124 frames" in experiment.few_steps_line(large, 124)
    assert experiment.few_steps_line(large, 20_000) == ""
    assert experiment.few_steps_line(TrainingSettings(epochs=10, batch_size=32), 124) == ""


def test_learned_widths_need_tables_and_a_budget() -> None:
    with pytest.raises(UserError, match="learned is of a budget of LUTs"):
        blob_model(**TABLES | {"code_widths": "learned"})
    with pytest.raises(UserError, match="learned is of edges that are tables"):
        blob_model(code_widths="learned")
    with pytest.raises(UserError, match="code_widths: expected 'whole' or 'learned'"):
        blob_model(**TABLES | {"code_widths": 6})
