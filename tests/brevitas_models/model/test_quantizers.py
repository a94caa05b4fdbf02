"""Quantisers against their definition in numpy."""

import brevitas.nn as qnn
import numpy as np
import pytest
import torch

from brevitas_models.model.quantizers import (
    SCALE_FLOOR,
    act_quantizer,
    fit_range,
    input_quantizer,
    tensor_quantizer,
    unit_act_quantizer,
    unit_weight_quantizer,
    weight_quantizer,
)


def linear(weight, bits, *, scale="free", weight_scale="per_tensor", narrow_range=True):
    quantizer = weight_quantizer(
        bits, scale=scale, weight_scale=weight_scale, narrow_range=narrow_range
    )
    layer = qnn.QuantLinear(*reversed(weight.shape), bias=False, weight_quant=quantizer)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(weight))
    return layer


def quantised(weight, bits, **options):
    """Return the quantised weight and its scale, float64."""
    result = linear(weight, bits, **options).quant_weight()
    return result.value.detach().double().numpy(), result.scale.detach().double().numpy()


def activation(quantizer, *, signed):
    return (qnn.QuantHardTanh if signed else qnn.QuantReLU)(act_quant=quantizer)


@pytest.fixture
def weight():
    weight = np.random.default_rng(1).normal(size=(5, 40)).astype(np.float32)
    return weight * np.float32([[1], [0.1], [3], [20], [0.01]])


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("narrow_range", [True, False])
@pytest.mark.parametrize("weight_scale", ["per_tensor", "per_channel"])
def test_integer_weights(weight, bits, narrow_range, weight_scale):
    largest = np.abs(weight).max(None if weight_scale == "per_tensor" else 1, keepdims=True)
    top = 2 ** (bits - 1) - 1
    for scale in ("free", "power_of_two"):
        values, step = quantised(
            weight, bits, scale=scale, weight_scale=weight_scale, narrow_range=narrow_range
        )
        if scale == "free":
            wanted = largest / (top + (not narrow_range))
            np.testing.assert_allclose(step, wanted.reshape(step.shape), rtol=1e-6)
        else:
            wanted = 2.0 ** np.ceil(np.log2(largest)) / 2 ** (bits - 1)
            np.testing.assert_array_equal(step, wanted.reshape(step.shape))
        bottom = -top - (not narrow_range)
        integers = np.clip(np.round(weight / np.float32(step)), bottom, top)
        np.testing.assert_allclose(values, integers * step, rtol=1e-6)


@pytest.mark.parametrize("weight_scale", ["per_tensor", "per_channel"])
def test_bipolar_weights(weight, weight_scale):
    weight[0, 0] = 0.0
    mean = np.abs(weight).mean(None if weight_scale == "per_tensor" else 1, keepdims=True)
    values, step = quantised(weight, 1, weight_scale=weight_scale)
    np.testing.assert_allclose(values, np.where(weight >= 0, 1, -1) * mean, rtol=1e-5)
    _, step = quantised(weight, 1, weight_scale=weight_scale, scale="power_of_two")
    np.testing.assert_array_equal(step, 2.0 ** np.round(np.log2(mean)).reshape(step.shape))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("scale", ["free", "power_of_two"])
@pytest.mark.parametrize("weight_scale", ["per_tensor", "per_channel"])
def test_nothing_left_gives_a_harmless_scale(bits, scale, weight_scale):
    weight = np.zeros((3, 4), np.float32)
    options = {"scale": scale, "weight_scale": weight_scale}
    values, step = quantised(weight, bits, **options)
    assert np.isfinite(values).all()
    assert (step >= 1 / 128).all()
    if bits > 1:
        assert (values == 0).all()
    weight[1] = 0.5  # one neuron alive
    values, step = quantised(weight, bits, **options)
    assert (step >= 0.5 / 128).all()
    assert (values[1] > 0).all()


def test_tiny_weights_keep_the_scale_above_the_floor():
    _, step = quantised(np.full((2, 3), 1e-30, np.float32), 8)
    assert step >= SCALE_FLOOR / 128


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("scale", ["free", "power_of_two"])
def test_activations(bits, signed, scale):
    act = activation(act_quantizer(bits, scale=scale, signed=signed), signed=signed)
    step = act.act_quant.scale().item()
    if scale == "power_of_two":
        assert np.log2(step) == np.round(np.log2(step))
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    # Halves of a step: ties, to be rounded to even.
    x = np.arange(-2 * high - 5, 2 * high + 5).astype(np.float32) / 2 * np.float32(step)
    wanted = np.clip(np.round(x / np.float32(step)), low, high) * step
    np.testing.assert_allclose(act(torch.from_numpy(x)).detach().numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize("signed", [True, False])
def test_activation_range_is_trained(signed):
    act = activation(act_quantizer(4, scale="free", signed=signed), signed=signed)
    (start,) = (p.clone() for p in act.parameters())
    x = torch.full((8,), 100.0)  # far above the range: it has to grow
    (act(x) - 100).square().mean().backward()
    (parameter,) = act.parameters()
    assert parameter.grad < 0
    assert torch.equal(start, parameter)


def test_sign_activation():
    act = qnn.QuantIdentity(act_quant=act_quantizer(1, scale="free", signed=True))
    x = torch.tensor([-2.0, -0.5, -0.0, 0.0, 0.5, 2.0], requires_grad=True)
    y = act(x)
    assert y.tolist() == [-1, -1, 1, 1, 1, 1]
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 1, 0]


def test_float_has_no_quantiser():
    assert act_quantizer(32, scale="free", signed=True) is None
    assert input_quantizer(32, scale="free") is None
    assert unit_act_quantizer(32, signed=True) is None
    assert unit_weight_quantizer(32, narrow_range=True) is None
    act = qnn.QuantIdentity(act_quant=None)
    assert tensor_quantizer(act) is None
    fit_range(act, torch.ones(3))


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("scale", ["free", "power_of_two"])
def test_fitted_range_is_the_best(bits, signed, scale):
    x = torch.randn(4000, generator=torch.Generator().manual_seed(bits)) * 7
    wanted = x if signed else x.clamp_min(0)
    act = activation(act_quantizer(bits, scale=scale, signed=signed), signed=signed)

    def error():
        return (act(x) - wanted).square().mean().item()

    before = error()
    fit_range(act, x)
    fitted = error()
    assert fitted < before
    (parameter,) = act.parameters()
    with torch.no_grad():
        # Powers of two: every neighbouring exponent. Free: within the resolution of the search.
        for change in (-2, -1, 1, 2):
            value = parameter.clone()
            parameter.copy_(
                value + change if scale == "power_of_two" else value * 2 ** (change / 6)
            )
            assert error() >= fitted
            parameter.copy_(value)


def test_range_of_silence_stays():
    act = activation(act_quantizer(4, scale="free", signed=False), signed=False)
    before = act.act_quant.scale().item()
    fit_range(act, torch.full((10,), -3.0))
    assert act.act_quant.scale().item() == before


@pytest.mark.parametrize("bits", range(1, 9))
def test_unit_quantisers_keep_integers(bits):
    for narrow_range in (True, False):
        low, high = -(2 ** (bits - 1)) + narrow_range, 2 ** (bits - 1) - 1
        weight = np.float32([[-1, 1]] if bits == 1 else [np.arange(low, high + 1)])
        layer = qnn.QuantLinear(
            weight.shape[1],
            1,
            bias=False,
            weight_quant=unit_weight_quantizer(bits, narrow_range=narrow_range),
        )
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight))
        assert layer.quant_weight().value.tolist() == weight.tolist()
        assert float(layer.quant_weight().scale) == 1
    if bits > 1:
        for signed in (True, False):
            act = activation(unit_act_quantizer(bits, signed=signed), signed=signed)
            low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
            x = torch.arange(low - 3.0, high + 4.0)
            assert act(x).tolist() == x.clamp(low, high).tolist()
