"""Masked and folded Linear layers, BatchNorm: against torch's own and against arithmetic."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from brevitas_models.model.layers import FoldedLinear, MaskedLinear, Norm
from brevitas_models.model.quantizers import weight_quantizer


def quantizer(bits, scale="power_of_two", weight_scale="per_tensor"):
    return weight_quantizer(bits, scale=scale, weight_scale=weight_scale, narrow_range=True)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def norms():
    """Return our BatchNorm and torch's with the same parameters."""
    ours, theirs = Norm(6, affine=True, running=True), nn.BatchNorm1d(6)
    with torch.no_grad():
        for norm in (ours, theirs):
            norm.weight.copy_(random(6, seed=1))
            norm.bias.copy_(random(6, seed=2))
    return ours, theirs


def test_norm_is_batch_norm(norms):
    ours, theirs = norms
    for step in range(3):
        x = random(50, 6, seed=10 + step) * 5 + 3
        torch.testing.assert_close(ours(x), theirs(x))
    for norm in norms:
        norm.eval()
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    assert ours.frozen


def test_norm_observes_as_torch_does(norms):
    ours, theirs = norms
    for step in range(3):
        x = random(50, 6, seed=20 + step) * 2 - 1
        mean, var = ours.observe(x)
        theirs(x)
        torch.testing.assert_close(mean, x.mean(0))
        torch.testing.assert_close(var, x.var(0, unbiased=False))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)


def test_norm_without_affine_has_no_parameters():
    norm = Norm(6, affine=False, running=True).eval()
    assert not list(norm.parameters())
    x = random(9, 6)
    torch.testing.assert_close(norm(x), x / np.sqrt(1 + norm.eps))


def test_norm_of_a_neuron_that_never_changes_is_exactly_its_shift():
    norm = Norm(3, affine=True, running=False)
    with torch.no_grad():
        norm.bias.copy_(torch.tensor([0.0, 0.3, -7.0]))
    x = torch.full((1000, 3), 0.1) * torch.tensor([1.0, 3.0, 1e4])
    norm.eval().freeze(x)
    assert torch.equal(norm(x[:1]), norm.bias.detach()[None])


def test_norm_without_running_statistics():
    norm = Norm(4, affine=True, running=False)
    x, y = random(200, 4, seed=1) * 3 + 1, random(30, 4, seed=2)
    by_batch = F.batch_norm(y, None, None, norm.weight, norm.bias, True)
    torch.testing.assert_close(norm(y), by_batch)
    norm.eval()
    torch.testing.assert_close(norm(y), by_batch)  # nothing fixed yet: the batch at hand
    norm.freeze(x)
    wanted = (y - x.mean(0)) / torch.sqrt(x.var(0, unbiased=False) + norm.eps)
    torch.testing.assert_close(norm(y), wanted)
    torch.testing.assert_close(norm(y[:1]), wanted[:1])  # one frame alone
    norm.train().eval()
    torch.testing.assert_close(norm(y), by_batch)  # training made them out of date


def test_freezing_leaves_running_statistics_alone(norms):
    ours, _ = norms
    ours.freeze(random(20, 6) + 5)
    assert not ours.running_mean.any()


@pytest.mark.parametrize("scale", ["free", "power_of_two"])
@pytest.mark.parametrize("weight_scale", ["per_tensor", "per_channel"])
@pytest.mark.parametrize("bits", [1, 2, 5, 8, 32])
@pytest.mark.parametrize("bias", [True, False])
def test_evaluation_is_training_done_exactly(bits, scale, weight_scale, bias):
    layer = MaskedLinear(20, 7, bias=bias, weight_quant=quantizer(bits, scale, weight_scale))
    step = torch.tensor(0.37 if scale == "free" else 0.25)
    x = torch.randint(-8, 8, (50, 20), generator=torch.Generator().manual_seed(3)) * step
    torch.testing.assert_close(layer.train()(x), layer.eval()(x, step))
    if bits == 32:
        return
    weight, total_scale, offset = layer.integers(step)
    assert torch.equal(weight, weight.round())
    # In integers the product is the same whatever the order of the inputs.
    order = torch.randperm(20, generator=torch.Generator().manual_seed(4))
    shuffled = (torch.round(x / step)[:, order] @ weight[:, order].t()) * total_scale
    shuffled = shuffled if offset is None else shuffled + offset
    assert torch.equal(shuffled, layer(x, step))


def test_mask_is_exact_and_stops_gradients():
    layer = MaskedLinear(4, 3, bias=False, weight_quant=quantizer(4))
    layer.mask[0, :2] = False
    assert (layer.weight[0, :2] == 0).all()
    assert not torch.signbit(layer.weight[0, :2]).any()
    layer(random(8, 4)).square().sum().backward()
    gradient = layer.parametrizations.weight.original.grad
    assert (gradient[0, :2] == 0).all()
    assert (gradient[layer.mask] != 0).all()


def folded(bits, *, bias=True, weight_scale="per_tensor", affine=True):
    norm = Norm(7, affine=affine, running=True)
    layer = FoldedLinear(
        20,
        7,
        bias=bias,
        weight_quant=quantizer(bits, weight_scale=weight_scale),
        norm=norm,
    )
    with torch.no_grad():
        norm.running_mean.copy_(random(7, seed=4))
        norm.running_var.copy_(random(7, seed=5).square() + 0.1)
        if affine:
            norm.weight.copy_(random(7, seed=6))
            norm.bias.copy_(random(7, seed=7))
    return layer


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_folding_float_weights_is_batch_norm(bias, affine):
    layer = folded(32, bias=bias, affine=affine)
    x = random(64, 20) * 2
    z = F.linear(x, layer.weight, layer.bias)
    norm = layer.norm
    wanted = F.batch_norm(z, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    torch.testing.assert_close(layer.eval()(x, None), wanted, rtol=1e-4, atol=1e-5)
    in_batch = F.batch_norm(z, None, None, norm.weight, norm.bias, True)
    torch.testing.assert_close(layer.with_batch_statistics(x, None), in_batch, rtol=1e-4, atol=1e-5)
    running = norm.running_mean.clone()
    torch.testing.assert_close(layer.train()(x, None), in_batch, rtol=1e-4, atol=1e-5)
    assert not torch.equal(norm.running_mean, running)


@pytest.mark.parametrize("weight_scale", ["per_tensor", "per_channel"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_folded_offset_lies_between_accumulator_values(bits, weight_scale):
    layer = folded(bits, weight_scale=weight_scale)
    step = torch.tensor(0.25)
    _, scale, offset = layer.integers(step)
    steps = (offset / scale).double()
    assert torch.equal(steps - steps.floor(), torch.full_like(steps, 0.25))
    norm = layer.norm
    free = (layer.bias - norm.running_mean) * norm.factor(norm.running_var) + norm.bias
    assert ((offset - free).abs() <= 0.5 * scale * 1.001).all()


@pytest.mark.parametrize("act_shift", [-1, 0, 1, 4])
def test_folded_activation_is_add_shift_clip(act_shift):
    """Every accumulator value gives clip((acc + c) >> n): no threshold is off by one at a tie."""
    layer = folded(4)
    step = torch.tensor(0.25)
    _, scale, offset = layer.integers(step)
    out_step = scale * 2.0**act_shift
    acc = torch.arange(-500.0, 500.0)[:, None]
    codes = torch.round((acc * scale + offset) / out_step).clamp(0, 15)
    whole = torch.floor(offset / scale)
    half = 2.0 ** (act_shift - 1) if act_shift >= 1 else 0.0
    wanted = torch.floor((acc + whole + half) / 2.0**act_shift)
    assert torch.equal(codes, wanted.clamp(0, 15))


def test_folded_layer_trains_through_the_fold():
    layer = folded(4)
    layer(random(64, 20), torch.tensor(0.25)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        # A bias in front of BatchNorm has no effect, so its gradient vanishes.
        moved = parameter.grad.abs().max() > 1e-3
        assert moved == (name != "bias"), name
