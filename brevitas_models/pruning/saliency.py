"""How much a network's answers would change without an edge: its Fisher information."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.model.tables import TableEdges

# Frames that saliencies are measured on; of more an evenly spread part is taken.
FRAMES = 2048


def saliencies(model: QuantMLP, features: Tensor, seed: int = 0) -> list[Tensor]:
    """Return the saliency of each edge, (n_out, n_in) of each layer; 0 where it is pruned.

    It is the variance that the edge gives its neuron times the mean square of the derivative of the
    loss by what comes into the neuron, for classes drawn by the network's own probabilities: to
    second order, and taking the two as independent, the loss that removing the edge costs when its
    mean is kept (Theis et al., "Faster gaze prediction with dense networks and Fisher pruning"
    (2018), arXiv 1801.05787, equation 5).

    It is measured on standardised features (n, n_in); `seed` is that of the drawn classes.
    """
    x = features[:: -(-len(features) // FRAMES)]
    with torch.enable_grad():
        inputs, sums = _run(model, model.quantised_inputs(x).detach())
        p = torch.softmax(sums[-1].detach(), 1)
        drawn = torch.multinomial(p, 1, generator=torch.Generator().manual_seed(seed))
        loss = F.cross_entropy(sums[-1], drawn[:, 0], reduction="sum")
        grads = torch.autograd.grad(loss, sums)
    with torch.no_grad():
        return [
            _variances(model, layer, came.detach()) * grad.square().mean(0)[:, None]
            for layer, (came, grad) in enumerate(zip(inputs, grads, strict=True))
        ]


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


def _variances(model: QuantMLP, index: int, x: Tensor) -> Tensor:
    """Return the variance over the frames of what each edge of a layer gives, (n_out, n_in)."""
    layer, scale = model.linears[index], model.input_scale(index)
    if not isinstance(layer, TableEdges):
        weight = layer.quantized(layer.effective(scale)[0])
        return torch.where(layer.mask, weight.square() * x.var(0, correction=0), 0.0)
    tables = layer.tables(layer.quantized(layer.weight))
    rows = layer.index(torch.round(x / scale))
    counts = torch.bincount(rows.flatten(), minlength=layer.in_features * layer.codes)
    share = counts.view(layer.in_features, layer.codes) / len(x)
    mean = (tables * share).sum(2, keepdim=True)
    return ((tables - mean).square() * share).sum(2)
