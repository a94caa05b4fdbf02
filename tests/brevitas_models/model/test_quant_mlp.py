"""The network as a whole: masks, states, calibration, training."""

import itertools

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from brevitas_models.errors import UserError
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quant_mlp import QuantMLP


def make(seed=0, **settings):
    torch.manual_seed(seed)
    return QuantMLP(MLPConfig.from_dict({"layers": [6, 9, 7, 3]} | settings))


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(5)
    return (
        torch.randn(256, 6, generator=generator),
        torch.randint(0, 3, (256,), generator=generator),
    )


def train(model, data, steps, rate=1e-2):
    x, y = data
    optimizer = torch.optim.Adam(model.parameters(), rate)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return optimizer


def test_is_made_of_brevitas_layers():
    model = make(weight_bits=(8, 4, 2), act_bits=(3, 1), input_bits=5)
    assert [type(act) for act in model.acts] == [qnn.QuantReLU, qnn.QuantIdentity]
    assert all(isinstance(linear, qnn.QuantLinear) for linear in model.linears)
    assert [int(linear.weight_quant.bit_width()) for linear in model.linears] == [8, 4, 2]
    assert [int(act.act_quant.bit_width()) for act in model.acts] == [3, 1]
    assert int(model.input_quant.act_quant.bit_width()) == 5
    assert not model.acts[0].act_quant.is_signed
    hardtanh = make(activation="hardtanh")
    assert all(isinstance(act, qnn.QuantHardTanh) for act in hardtanh.acts)
    assert hardtanh.acts[0].act_quant.is_signed


@pytest.mark.parametrize("layers", [[6, 3], [6, 4, 3], [6, 4, 5, 4, 4, 3], [1, 1, 1]])
def test_any_layers(layers):
    model = make(layers=layers)
    x = torch.randn(11, layers[0])
    assert model(x).shape == (11, layers[-1])
    assert [tuple(linear.weight.shape) for linear in model.linears] == [
        (n_out, n_in) for n_in, n_out in itertools.pairwise(layers)
    ]


@pytest.mark.parametrize("bits", [*range(1, 9), 32])
def test_any_width_trains(bits, data):
    model = make(weight_bits=bits, act_bits=bits, input_bits=8)
    before = F.cross_entropy(model(data[0]), data[1]).item()
    train(model, data, 15)
    assert F.cross_entropy(model(data[0]), data[1]).item() < before


@pytest.mark.parametrize(
    "setting",
    [
        {"weight_bits": 3},
        {"act_bits": 3},
        {"input_bits": 2},
        {"input_bits": 32},
        {"batch_norm": "off"},
        {"batch_norm": "no_affine"},
        {"batch_norm": "no_running_stats"},
        {"scale": "free"},
        {"weight_scale": "per_channel"},
        {"activation": "hardtanh"},
        {"narrow_range": False},
        {"bias": False},
        {"fold_batch_norm": True},
    ],
)
def test_every_setting_does_something(setting, data):
    # Weights that show each choice: one row small, another with only negative large values.
    def outputs(**settings):
        model = make(**settings)
        with torch.no_grad():
            for linear in model.linears:
                weight = linear.parametrizations.weight.original
                weight[0] *= 0.1
                weight[1] = -weight[1].abs() * 1.9
            for norm in model.norms:
                if getattr(norm, "bias", None) is not None:
                    norm.bias.copy_(torch.linspace(-1, 1, len(norm.bias)))
        model.train()
        model(data[0])
        return model.eval()(data[0])

    # With power-of-two scales the most negative value is rarely reached.
    base = {"scale": "free"} if "narrow_range" in setting else {}
    assert not torch.allclose(outputs(**base), outputs(**base, **setting), atol=1e-4)


@pytest.mark.parametrize("fold_batch_norm", [True, False])
def test_masks_hold_in_training(data, fold_batch_norm):
    model = make(fold_batch_norm=fold_batch_norm)
    optimizer = train(model, data, 5)  # momentum that would move pruned weights
    masks = [torch.rand_like(linear.weight) > 0.6 for linear in model.linears]
    model.set_masks(masks)
    x, y = data
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        for linear, mask in zip(model.linears, masks, strict=True):
            assert torch.equal(linear.weight != 0, mask)
            assert (linear.quant_weight().value[~mask] == 0).all()
    assert all(map(torch.equal, model.masks(), masks))
    model.masks()[0].fill_(False)  # a copy
    assert all(map(torch.equal, model.masks(), masks))


def test_masks_change_what_comes_out(data):
    model = make(batch_norm="off").eval()
    before = model(data[0])
    masks = model.masks()
    masks[0][:, 0] = False
    model.set_masks(masks)
    assert not torch.equal(model(data[0]), before)
    moved = data[0].clone()
    moved[:, 0] += 100  # a feature that nothing reads any more
    assert torch.equal(model(moved), model(data[0]))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"fold_batch_norm": True},
        {"batch_norm": "off"},
        {"scale": "free", "weight_scale": "per_channel"},
    ],
)
@pytest.mark.parametrize("layer", [0, 1, 2, None])
def test_empty_layers_stay_finite(settings, layer, data):
    model = make(**settings)
    model.set_masks(
        [
            torch.full_like(mask, layer not in (index, None))
            for index, mask in enumerate(model.masks())
        ]
    )
    train(model, data, 3)
    logits = model.eval()(data[0])
    assert logits.isfinite().all()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert (logits == logits[0]).all()  # nothing of the input gets through


def test_bipolar_layers_refuse_pruning():
    model = make(weight_bits=(4, 1, 4))
    assert model.prunable() == [True, False, True]
    masks = model.masks()
    masks[0][0] = False
    model.set_masks(masks)
    masks[1][0, 0] = False
    masks[2][0, 0] = False
    with pytest.raises(UserError, match=r"layer 1 .*1-bit"):
        model.set_masks(masks)
    assert model.masks()[2].all()  # refused as a whole


def test_wrong_masks_are_refused():
    model = make()
    masks = model.masks()
    for wrong in (masks[:2], [masks[0].t(), *masks[1:]], [masks[0].float(), *masks[1:]]):
        with pytest.raises(ValueError, match="mask"):
            model.set_masks(wrong)


@pytest.mark.parametrize("settings", [{}, {"fold_batch_norm": True}, {"weight_bits": 1}])
def test_state_holds_everything(settings, data):
    model = make(**settings)
    if model.prunable()[0]:
        model.set_masks([torch.rand_like(linear.weight) > 0.5 for linear in model.linears])
    model.calibrate(data[0])
    train(model, data, 5)
    other = make(seed=1, **settings)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.eval()(data[0]), model.eval()(data[0]))
    assert all(map(torch.equal, other.masks(), model.masks()))


def test_loading_keeps_the_parameters_of_an_optimizer(data):
    model = make()
    before = [id(parameter) for parameter in model.parameters()]
    model.load_state_dict(make(seed=1).state_dict())
    assert [id(parameter) for parameter in model.parameters()] == before


def test_calibration_fits_ranges_and_nothing_else(data):
    x = data[0] * 40
    model = make(batch_norm="off")
    state = {key: value.clone() for key, value in model.state_dict().items()}
    error = (model.input_quant(x) - x).square().mean()
    model.calibrate(x)
    assert (model.input_quant(x) - x).square().mean() < error / 100
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, state[k])}
    assert all("scaling_impl" in key for key in changed)
    assert {key.split(".")[0] for key in changed} == {"input_quant", "acts"}
    again = make(batch_norm="off")
    again.calibrate(x)
    assert torch.equal(again(x), model(x))


@pytest.mark.parametrize("fold_batch_norm", [True, False])
def test_calibration_leaves_running_statistics(data, fold_batch_norm):
    model = make(fold_batch_norm=fold_batch_norm)
    model.calibrate(data[0])
    norms = [linear.norm for linear in model.linears[:2]] if fold_batch_norm else model.norms
    for norm in norms:
        assert not norm.running_mean.any()


def test_input_range_is_not_trained(data):
    model = make()
    before = model.input_scale(0)
    train(model, data, 5)
    assert torch.equal(model.input_scale(0), before)
    assert not torch.equal(model.acts[0].act_quant.scale(), torch.zeros(()))


def test_statistics_of_the_training_set(data):
    x = data[0]
    model = make(batch_norm="no_running_stats", weight_bits=32, act_bits=32, input_bits=32)
    train(model, data, 3)
    whole = model(x)  # in training mode: the statistics of exactly these rows
    model.freeze_statistics(x)
    assert not model.training
    torch.testing.assert_close(model(x), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(x[:1]), whole[:1], rtol=1e-4, atol=1e-5)
    model.train()
    model.eval()
    assert not torch.allclose(model(x[:8]), whole[:8], atol=1e-3)


def test_evaluation_agrees_with_training_arithmetic(data):
    model = make(batch_norm="off", scale="free", weight_scale="per_channel", act_bits=8)
    torch.testing.assert_close(model.train()(data[0]), model.eval()(data[0]), atol=2e-2, rtol=0)


@pytest.mark.parametrize("settings", [{}, {"fold_batch_norm": True}])
def test_learns_digits_with_two_bits(settings):
    x, y = load_digits(return_X_y=True)
    x = torch.tensor((x - x.mean(0)) / np.maximum(x.std(0), 1e-3), dtype=torch.float32)
    y = torch.tensor(y)
    model = make(layers=[64, 24, 10], weight_bits=2, act_bits=2, input_bits=3, **settings)
    model.calibrate(x[:1400])
    for _ in range(5):
        for rows in range(0, 1400, 100):
            train(model, (x[rows : rows + 100], y[rows : rows + 100]), 1, rate=1e-2)
    accuracy = (model.eval()(x[1400:]).argmax(1) == y[1400:]).float().mean()
    assert accuracy > 0.8
