"""How much a network's answers would change without an edge: its Fisher information."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.model.tables import TableEdges

# Frames that saliencies are measured on; of more an evenly spread part is taken.
FRAMES = 2048
# How much more a loss by narrower codes counts than one by edges that go. What an edge did is
# learnt by others; what all of them round off is lost, and edges of one code round alike. At 1
# nearly all codes end at their narrowest, which is worse than none narrower (measured:
# docs/study/README.md).
ROUNDED = 10.0


def saliencies(model: QuantMLP, features: Tensor, seed: int = 0) -> list[Tensor]:
    """Return the saliency of each edge, (n_out, n_in) of each layer; 0 where it is pruned.

    It is the variance that the edge gives its neuron times the mean square of the derivative of the
    loss by what comes into the neuron, for classes drawn by the network's own probabilities: to
    second order, and taking the two as independent, the loss that removing the edge costs when its
    mean is kept (Theis et al., "Faster gaze prediction with dense networks and Fisher pruning"
    (2018), arXiv 1801.05787, equation 5).

    It is measured on standardised features (n, n_in); `seed` is that of the drawn classes.
    """
    return [losses[0] for losses in option_losses(model, features, seed)]


def option_losses(model: QuantMLP, features: Tensor, seed: int = 0) -> list[Tensor]:
    """Return what it costs to have each edge in other ways, (options, n_out, n_in) of each layer.

    Option 0 is to be without the edge, whose loss is its saliency (see `saliencies`). Option 1 + k
    is to leave out k low bits of its codes; the variance is that of the difference to the edge as
    it is, times `ROUNDED`. Options that would give an edge back, or bits of its codes, are
    infinite.
    """
    x = features[:: -(-len(features) // FRAMES)]
    with torch.enable_grad():
        inputs, sums = _run(model, model.quantised_inputs(x).detach())
        p = torch.softmax(sums[-1].detach(), 1)
        drawn = torch.multinomial(p, 1, generator=torch.Generator().manual_seed(seed))
        loss = F.cross_entropy(sums[-1], drawn[:, 0], reduction="sum")
        grads = torch.autograd.grad(loss, sums)
    with torch.no_grad():
        found = []
        for layer, (came, grad) in enumerate(zip(inputs, grads, strict=True)):
            taken, allowed = _differences(model, layer, came.detach())
            losses = taken * grad.square().mean(0)[:, None]
            losses[2:] *= ROUNDED
            found.append(torch.where(allowed, losses, math.inf))
        return found


def _run(model: QuantMLP, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return what comes into each layer, and its sums, with gradients; no statistics change."""
    inputs: list[Tensor] = [x]
    sums = []
    for index, layer in enumerate(model.linears):
        z = layer.with_batch_statistics(x, model.input_scale(index))
        sums.append(z)
        if index < len(model.acts):
            norm = model.norms[index]
            normed = getattr(norm, "with_batch_statistics", norm)(z)
            x = model.joined(model.acts[index](normed), inputs)
    return inputs, sums


def _differences(model: QuantMLP, index: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the variance over the frames of what each option takes off what an edge gives.

    And whether there is the option: both (options, n_out, n_in).
    """
    layer, scale = model.linears[index], model.input_scale(index)
    always = torch.ones_like(layer.mask)
    if not isinstance(layer, TableEdges):
        weight = layer.quantized(layer.effective(scale)[0])
        gone = torch.where(layer.mask, weight.square() * x.var(0, correction=0), 0.0)
        return torch.stack([gone, torch.zeros_like(gone)]), torch.stack([always, layer.mask])
    rows = layer.index(torch.round(x / scale))
    counts = torch.bincount(rows.flatten(), minlength=layer.in_features * layer.codes)
    share = counts.view(layer.in_features, layer.codes) / len(x)
    now, dropped = layer.narrowed(0), layer.lines.dropped
    taken, allowed = [_variance(now, share)], [always]
    for bits in range(layer.lines.droppable + 1):
        taken.append(_variance(now - layer.narrowed(bits), share))
        allowed.append(layer.mask if dropped is None else layer.mask & (dropped <= bits))
    return torch.stack(taken), torch.stack(allowed)


def _variance(tables: Tensor, share: Tensor) -> Tensor:
    """Return the variance of entries (n_out, n_in, q) of which each comes up a share (n_in, q)."""
    mean = (tables * share).sum(2, keepdim=True)
    return ((tables - mean).square() * share).sum(2)
