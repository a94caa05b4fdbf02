"""Stacked training: Brevitas' values and gradients, and the same models as one at a time."""

import shutil
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from brevitas_models.errors import UserError
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.pruning.settings import PruningSettings
from brevitas_models.train import losses, recipe, rounds
from brevitas_models.train.loop import Job, train_many
from brevitas_models.train.rules import EpochRecord, Frames
from brevitas_models.train.settings import TrainingSettings
from brevitas_models.train.stacked.gradients import gradients
from brevitas_models.train.stacked.network import Network
from brevitas_models.train.stacked.stack import Stack, stackable
from tests.brevitas_models.train import reference
from tests.brevitas_models.train.reference import train_one

LAYERS = [16, 24, 20, 18, 5]
FLOAT = {"weight_bits": 32, "act_bits": 32}
TABLES: dict[str, Any] = {
    "edges": "tables",
    "weight_bits": [6, 7, 5, 6],
    "act_bits": [5, 4, 5],
    "input_bits": 6,
    "activation": "hardtanh",
}
SKIPS: dict[str, Any] = {"layers": [16, 16, 16, 16, 5], "skip": [[0, 1], [1, 2], [1, 3], [0, 3]]}
SKIPPED: list[dict[str, Any]] = [
    {"act_bits": [3, 5, 4]},
    {"fold_batch_norm": True, "activation": "hardtanh"},
    {"batch_norm": "off", "act_bits": [1, 32, 4]},
    {**FLOAT, "input_bits": 32},
    {**TABLES, "edges": ["tables", "weights", "weights", "weights"]},
]
# Every kind of quantiser, BatchNorm and layer, alone and mixed. Rounding can put a value on the
# other side of a quantiser's step, which changes a whole gradient; these cases have no such ties.
NETWORKS: list[dict[str, Any]] = [
    {},
    {"weight_scale": "per_channel"},
    {"scale": "free", "weight_scale": "per_channel", "act_bits": 32},
    {"scale": "free", "batch_norm": "off"},
    {**FLOAT, "input_bits": 32},
    {"activation": "hardtanh", "act_bits": 5},
    {"activation": "hardtanh", "act_bits": 32},
    {"act_bits": 1, "weight_bits": 32, "batch_norm": "off"},
    {"weight_bits": 1, "act_bits": 4},
    {"weight_bits": 1, "scale": "free", "weight_scale": "per_channel", "batch_norm": "off"},
    {"weight_bits": [8, 4, 1, 32], "act_bits": [2, 32, 1], "batch_norm": "off"},
    {"batch_norm": "off"},
    {"batch_norm": "no_affine"},
    {"batch_norm": "no_running_stats"},
    {"bias": False, "narrow_range": False, "weight_bits": 3},
    {"fold_batch_norm": True},
    {"fold_batch_norm": True, "batch_norm": "no_affine", "weight_scale": "per_channel"},
    {"fold_batch_norm": True, "bias": False, "weight_bits": [4, 32, 1, 3], "act_bits": [4, 32, 3]},
    {"fold_batch_norm": True, "input_bits": 32},
    {"weight_bits": 12, "act_bits": 12, "input_bits": 12},
    {"edges": "tables", "weight_bits": 6, "act_bits": 5, "input_bits": 5, "table_knots": 9},
    {**TABLES, "input_ranges": "per_feature", "table_knots": 256, "bias": False},
    {**TABLES, "edges": ["weights", "tables", "weights", "tables"]},
    {**TABLES, "edges": ["tables", "weights", "tables", "weights"], "fold_batch_norm": True},
    {**TABLES, "edges": ["tables", "weights", "weights", "tables"], "batch_norm": "off"},
    {**TABLES, "edges": ["weights", "tables", "tables", "weights"], "scale": "free"},
    {**TABLES, "code_widths": "learned", "input_bits": 7, "act_bits": [6, 5, 8]},
    *({**SKIPS, **other} for other in SKIPPED),
]


def model_of(network: dict[str, Any], seed: int = 0) -> QuantMLP:
    settings = {"name": "t", "network": {"layers": LAYERS, **network}, "training": {"seed": seed}}
    if network.get("code_widths") == "learned":
        settings["pruning"] = {"lut_budget": 1000}
    return rounds.initial_model(recipe.from_dict(settings))


def jets(n: int, seed: int = 0) -> Frames:
    """Five overlapping clouds in sixteen dimensions."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 5
    centres = torch.randn(5, 16, generator=torch.Generator().manual_seed(7))
    return Frames(centres[y] + torch.randn(n, 16, generator=generator), y)


def pruned(models: list[QuantMLP], share: float = 0.3) -> None:
    generator = torch.Generator().manual_seed(3)
    for model in models:
        draws = [torch.rand(mask.shape, generator=generator) for mask in model.masks()]
        model.set_masks(
            [
                (draw > share) | (not part)
                for draw, part in zip(draws, model.prunable(), strict=True)
            ]
        )
        for layer, linear in enumerate(model.linears):
            if most := model.config.droppable(layer):
                linear.drop(torch.randint(most + 1, linear.mask.shape, generator=generator))


def state_of(model: QuantMLP) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def distance(one: QuantMLP, other: QuantMLP) -> float:
    a, b = one.state_dict(), other.state_dict()
    assert a.keys() == b.keys()
    return max(float((a[key].double() - b[key].double()).abs().max()) for key in a)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_gradients_are_those_of_brevitas(network: dict[str, Any]) -> None:
    frames = jets(400)
    models = [model_of(network, seed) for seed in range(2)]
    pruned(models)
    wanted = []
    for model in models:
        model.calibrate(frames.x)
        before = state_of(model)
        model.train()
        loss = losses.loss_of(model(frames.x), frames.target, 2.0)
        (loss + 1e-3 * reference.weight_norm(model)).backward()
        grads = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
        value = float(loss.detach() + 1e-3 * reference.weight_norm(model).detach())
        wanted.append((value, grads, {k: v.clone() for k, v in model.named_buffers()}))
        model.load_state_dict(before)
    stack = Stack(models)
    x = torch.stack([model.quantised_inputs(frames.x) for model in models]).detach()
    scales = [model.input_scale(0) for model in models]
    in_scale = None if scales[0] is None else torch.stack(scales).view(-1, 1, 1).detach()
    with torch.no_grad():
        loss, grad, statistics, _ = gradients(
            Network(stack.configs),
            stack.values,
            stack.keep,
            stack.statistics,
            x,
            in_scale,
            F.one_hot(frames.target, 5).float().t()[None],
            torch.full((2, 1), 1e-3),
            2.0,
            dropped=stack.dropped,
        )
    for at, (model, (value, grads, buffers)) in enumerate(zip(models, wanted, strict=True)):
        assert float(loss[at]) == pytest.approx(value, rel=1e-5)
        for name, parameter in model.named_parameters():
            if name not in grads:
                continue
            start = parameter.storage_offset() - at * stack.values.shape[1]
            found = grad[at, start : start + parameter.numel()].view(parameter.shape)
            # Sums over frames are taken in another order; those of a bias cancel to noise.
            close = 2e-4 * float(grads[name].abs().max()) + 4e-6
            assert float((found - grads[name]).abs().max()) <= close, name
        names = [name.removesuffix("running_mean") for name in buffers if "running_mean" in name]
        if statistics:
            for name, (mean, var) in zip(names, statistics, strict=True):
                torch.testing.assert_close(
                    mean[at], buffers[f"{name}running_mean"], atol=1e-6, rtol=1e-4
                )
                torch.testing.assert_close(
                    var[at], buffers[f"{name}running_var"], atol=1e-6, rtol=1e-4
                )
        else:
            assert not any(models[0].config.normed) or network["batch_norm"] == "no_running_stats"


@pytest.mark.parametrize(
    "network", [{**FLOAT, "batch_norm": "off"}, FLOAT, {}, {"fold_batch_norm": True}], ids=str
)
def test_one_model_trains_as_with_brevitas(network: dict[str, Any]) -> None:
    settings = TrainingSettings(epochs=4, batch_size=100, learning_rate=0.003, l1=1e-4)
    share = PruningSettings(share=0.5, start=0.1, end=0.6)
    classical, ours = model_of(network), model_of(network)
    old = reference.train(classical, jets(1000), jets(400, 1), settings, share)
    new = train_one(ours, jets(1000), jets(400, 1), settings, share)
    for one, other in zip(old, new, strict=True):
        assert (one.epoch, one.rate, one.best) == (other.epoch, other.rate, other.best)
        assert one.pruned == other.pruned
        assert other.train_loss == pytest.approx(one.train_loss, rel=0.01)
        assert other.validation_loss == pytest.approx(one.validation_loss, rel=0.01)
    if network == {**FLOAT, "batch_norm": "off"}:  # without steps, errors of rounding stay small
        assert distance(classical, ours) < 1e-4
    assert not ours.training
    for key, value in classical.state_dict().items():
        if "num_batches" in key or "frozen" in key:
            assert torch.equal(value, ours.state_dict()[key]), key


@pytest.mark.parametrize("network", NETWORKS[:8:2] + NETWORKS[12::2], ids=str)
def test_stacked_training_is_that_of_each_alone(network: dict[str, Any]) -> None:
    # Seeds, masks, L1 and labels differ; so do widths, where they are integers.
    def job(at: int) -> Job:
        own = dict(network)
        if own.get("act_bits", 4) in (4, 5) and "edges" not in own:
            own["act_bits"] = (4, 5, 6)[at]
        model = model_of(own, seed=at)
        pruned([model], 0.2 * at)
        settings = TrainingSettings(
            epochs=3, batch_size=64, learning_rate=0.01, seed=at, l1=(0, 1e-3, 0)[at]
        )
        frames = jets(700)
        labels = torch.where(torch.arange(700) < 100 * at, frames.target.flip(0), frames.target)
        return Job(model, Frames(frames.x, labels), jets(200, 1), settings)

    alone, together = [job(at) for at in range(3)], [job(at) for at in range(3)]
    before = [state_of(each.model) for each in alone]
    histories = [train_many([each])[0] for each in alone]
    stacked_histories = train_many(together)
    for at in range(3):
        moved = max(
            float((alone[at].model.state_dict()[k].double() - v.double()).abs().max())
            for k, v in before[at].items()
        )
        assert moved > 0.01
        assert distance(alone[at].model, together[at].model) < 1e-4
        for one, other in zip(histories[at], stacked_histories[at], strict=True):
            assert other.validation_loss == pytest.approx(one.validation_loss, abs=1e-4)
    assert distance(together[0].model, together[1].model) > 0.01


def test_a_model_out_of_patience_leaves_and_the_others_go_on() -> None:
    def jobs() -> list[Job]:
        kind = {"epochs": 12, "batch_size": 50, "learning_rate": 0.2, "schedule": "constant"}
        return [
            Job(
                model_of(FLOAT, seed),
                jets(400),
                jets(100, 1),
                TrainingSettings(seed=seed, patience=patience, **kind),
            )
            for seed, patience in ((0, None), (1, 1), (2, 2))
        ]

    first, second = jobs(), jobs()
    alone = [train_many([job])[0] for job in first]
    together = train_many(second)
    assert [len(history) for history in together] == [len(history) for history in alone]
    assert len({len(history) for history in together}) > 1
    for one, other in zip(first, second, strict=True):
        assert distance(one.model, other.model) < 1e-3


def test_masks_hold_and_set_masks_reaches_the_stack() -> None:
    models = [model_of({}, seed) for seed in range(2)]
    stack = Stack(models)
    pruned(models, 0.6)
    for at, model in enumerate(models):
        flat = torch.cat([mask.flatten() for mask in model.masks()])
        assert torch.equal(flat, stack.keep[at]) and not bool(flat.all())
    shares: list[float] = []

    def watch(record: EpochRecord) -> None:
        shares.append(record.pruned)
        for model in models:
            for linear in model.linears:
                assert not linear.weight[~linear.mask].any()

    kept = [model.masks() for model in models]
    settings = TrainingSettings(epochs=2, batch_size=50)
    train_many([Job(model, jets(200), jets(50, 1), settings, on_epoch=watch) for model in models])
    assert len(shares) == 4
    for model, masks in zip(models, kept, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(model.masks(), masks, strict=True))
        storages = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        assert stack.values.untyped_storage().data_ptr() not in storages
        assert len(storages) == len(list(model.parameters()))


def test_what_may_be_stacked() -> None:
    base = MLPConfig(layers=(16, 8, 5))
    assert stackable(base) == stackable(MLPConfig(layers=(16, 8, 5), weight_bits=6, act_bits=3))
    for other in ({"weight_bits": 32}, {"act_bits": 1}, {"batch_norm": "off"}, {"bias": False}):
        assert stackable(base) != stackable(MLPConfig(layers=(16, 8, 5), **other))
    with pytest.raises(ValueError, match="2 kinds"):
        Stack([model_of({}), model_of(FLOAT)])
    with pytest.raises(ValueError, match="learning_rate"):
        train_many(
            [
                Job(model_of({}), jets(90), jets(9), TrainingSettings(epochs=1, learning_rate=rate))
                for rate in (0.1, 0.2)
            ]
        )
    with pytest.raises(ValueError, match="equally many steps"):
        settings = TrainingSettings(epochs=1)
        train_many([Job(model_of({}), jets(n), jets(9), settings) for n in (80, 90)])


def test_errors_are_those_of_training() -> None:
    with pytest.raises(UserError, match="at least 2 training frames"):
        train_one(model_of({}), jets(1), jets(1), TrainingSettings(epochs=1))
    broken = jets(100)
    broken.x[3, 3] = float("nan")
    with pytest.raises(UserError, match="not a finite number in epoch 1"):
        train_one(model_of(FLOAT | {"input_bits": 32}), broken, jets(9), TrainingSettings(epochs=1))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with g++, not found")
@pytest.mark.parametrize(
    "network",
    [
        {},
        {"fold_batch_norm": True},
        {"edges": "tables", "weight_bits": 6, "act_bits": 4, "input_bits": 5, "table_knots": 9},
    ],
    ids=str,
)
def test_compiled_training_agrees(network: dict[str, Any]) -> None:
    def jobs() -> list[Job]:
        settings = [
            TrainingSettings(epochs=2, batch_size=50, seed=seed, l1=1e-4) for seed in range(2)
        ]
        models = [
            model_of({"layers": [16, 12, 5], "act_bits": 3 + s.seed, **network}, s.seed)
            for s in settings
        ]
        return [Job(m, jets(400), jets(99, 1), s) for m, s in zip(models, settings, strict=True)]

    plain, fast = jobs(), jobs()
    wanted = train_many(plain)
    found = train_many(fast, compiled=True)
    for one, other in zip(wanted, found, strict=True):
        assert other[-1].validation_loss == pytest.approx(one[-1].validation_loss, rel=0.01)
    for one, other in zip(plain, fast, strict=True):
        assert distance(one.model, other.model) < 0.05
