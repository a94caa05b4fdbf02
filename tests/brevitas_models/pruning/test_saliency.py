"""Saliencies against the loss that removing an edge really costs."""

import pytest
import torch
import torch.nn.functional as F

from brevitas_models import pruning
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.pruning.digits import integer_weights
from brevitas_models.pruning.prices import read_bits
from brevitas_models.pruning.saliency import option_losses

TABLES = {"edges": "tables", "weight_bits": 8, "act_bits": 8, "input_bits": 6}
WEIGHTS = {"weight_bits": 8, "act_bits": 8, "input_bits": 8}


def network(**settings: object) -> tuple[QuantMLP, torch.Tensor]:
    torch.manual_seed(1)
    base = {"layers": [5, 6, 4], "activation": "hardtanh"}
    model = QuantMLP(MLPConfig.from_dict(base | settings))
    x = torch.randn(2000, 5) * torch.tensor([1.0, 0.5, 0.1, 1.0, 0.0])
    model.calibrate(x)
    return model.eval(), x


@pytest.mark.parametrize("settings", [TABLES, WEIGHTS | {"batch_norm": "off"}], ids=str)
def test_follow_the_divergence_that_removal_causes(settings: dict) -> None:
    model, x = network(**settings)
    found = torch.cat([layer.flatten() for layer in pruning.saliencies(model, x)])
    with torch.no_grad():
        before = F.log_softmax(model(x), 1)
    costs = []
    for layer, mask in enumerate(model.masks()):
        for edge in range(mask.numel()):
            masks = model.masks()
            masks[layer].view(-1)[edge] = False
            own = model.linears[layer].bias
            kept, bias = model.masks(), own.detach().clone()
            with torch.no_grad():
                z = sums(model, layer, x)
                model.set_masks(masks)
                # The mean of the edge stays, in the bias of its neuron.
                own += (z - sums(model, layer, x)).mean(0)
                after = F.log_softmax(model(x), 1)
                costs.append(float(F.kl_div(after, before, log_target=True, reduction="batchmean")))
                own.copy_(bias)
            model.set_masks(kept)
    costs = torch.tensor(costs)
    ranks = [order.argsort().argsort().float() for order in (found, costs)]
    assert float(torch.corrcoef(torch.stack(ranks))[0, 1]) > 0.9
    # Half of it is the divergence, to second order.
    alive = costs > 1e-4
    ratio = (found[alive] / 2 / costs[alive]).log().median().exp()
    assert 0.5 < float(ratio) < 2.0


def test_narrower_codes_cost_the_divergence_that_they_cause() -> None:
    model, x = network(**TABLES | {"input_bits": 7, "act_bits": 6, "code_widths": "learned"})
    with torch.no_grad():  # rough tables: smooth ones hardly change
        for layer in model.linears:
            layer.parametrizations.weight.original += 0.5 * torch.randn_like(layer.learnt)
    first, second = option_losses(model, x)
    assert (first.shape, second.shape) == ((4, 6, 5), (3, 4, 6))
    assert not first[1].any() and (first[3] >= first[2] - 1e-9).all()
    with torch.no_grad():
        before = F.log_softmax(model(x), 1)
        z = [sums(model, layer, x) for layer in range(2)]
    found, costs = [], []
    for layer, losses in enumerate((first, second)):
        lines, shape = model.linears[layer].lines, losses.shape[1:]
        for edge in range(losses[0].numel()):
            dropped = torch.zeros(losses[0].numel(), dtype=torch.int64)
            dropped[edge] = len(losses) - 2
            lines.dropped.copy_(dropped.view(shape))
            own = model.linears[layer].bias
            with torch.no_grad():
                bias = own.clone()
                # The mean of the edge stays, in the bias of its neuron.
                own += (z[layer] - sums(model, layer, x)).mean(0)
                after = F.log_softmax(model(x), 1)
                own.copy_(bias)
            costs.append(float(F.kl_div(after, before, log_target=True, reduction="batchmean")))
            found.append(float(losses[-1].flatten()[edge]))
            lines.dropped.zero_()
    ranks = [torch.tensor(each).argsort().argsort().float() for each in (found, costs)]
    assert float(torch.corrcoef(torch.stack(ranks))[0, 1]) > 0.9


def test_neither_edges_nor_bits_of_codes_come_back() -> None:
    model, x = network(**TABLES | {"input_bits": 7, "act_bits": 6, "code_widths": "learned"})
    model.linears[0].drop(torch.full((6, 5), 1))
    model.set_masks([torch.rand(mask.shape) > 0.5 for mask in model.masks()])
    first, second = option_losses(model, x)
    assert first[1].isinf().all() and second[1].isfinite().equal(model.masks()[1])
    assert first[2].isfinite().equal(model.masks()[0])
    pruning.keep_budget(model, 40.0, x)
    assert pruning.total_luts(pruning.edge_prices(model)) <= 40.0
    assert (model.linears[0].lines.dropped >= 1).all()
    tables = [table for layer in integer_weights(model) for table in layer.flatten(0, 1)]
    alive = torch.stack([table for table in tables if len(table) == 128]).numpy()
    assert (read_bits(alive.astype(int)) <= 6).all()


def sums(model: QuantMLP, layer: int, x: torch.Tensor) -> torch.Tensor:
    x = model.quantised_inputs(x)
    for index in range(layer):
        x = model.acts[index](model.norms[index](model.preactivation(index, x)))
    return model.preactivation(layer, x)


@pytest.mark.parametrize("settings", [TABLES, WEIGHTS | {"fold_batch_norm": True}], ids=str)
def test_edges_without_effect_have_none_and_nothing_changes(settings: dict) -> None:
    model, x = network(**settings)
    masks = model.masks()
    masks[0][2] = False
    masks[1][:, 3] = False
    model.set_masks(masks)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    first, second = pruning.saliencies(model, x)
    assert not first[2].any() and not first[3].any()  # pruned; read by nobody
    assert not first[:, 4].any()  # of a feature that never changes
    assert not second[:, 3].any()
    assert (first[0, :4] > 0).all()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
