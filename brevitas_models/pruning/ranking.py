"""Rankings that give masks: the weights, or whole neurons, with the smallest scores go first.

Pure functions on tensors and numbers; `QuantMLP.set_masks` applies what they return.

Source: Hawks et al., "Ps and Qs: Quantization-Aware Pruning for Efficient Low Latency Neural
Network Inference" (2021), arXiv 2102.11289, section 3.2: unstructured, all Linear layers ranked
together, smallest magnitude first, biases never.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from brevitas_models.errors import UserError


def magnitude_masks(
    weights: Sequence[Tensor],
    share: float,
    scope: str = "global",
    prunable: Sequence[bool] | None = None,
) -> list[Tensor]:
    """Return masks that prune the weights of smallest magnitude; see `masks_of_scores`.

    Weights that are zero, so also those pruned before, go first: with shares that never fall, a
    pruned weight stays pruned.
    """
    return masks_of_scores([weight.detach().abs() for weight in weights], share, scope, prunable)


def masks_of_scores(
    scores: Sequence[Tensor],
    share: float,
    scope: str = "global",
    prunable: Sequence[bool] | None = None,
) -> list[Tensor]:
    """Return masks that prune the weights with the smallest scores.

    Of equal scores the first in memory goes first. The masks have the shapes of the scores, one for
    each weight of each layer, and are false where pruned. The number of weights that `share`, 0..1,
    comes to is rounded to the nearest. `scope` is ``global``, which ranks all layers together, or
    ``per_layer``: the same share of each. Layers that are not `prunable` are neither ranked nor
    counted. Raises UserError if no layer can be pruned.
    """
    chosen = [True] * len(scores) if prunable is None else list(prunable)
    taking_part = [layer.flatten() for layer, part in zip(scores, chosen, strict=True) if part]
    if share > 0 and not taking_part:
        raise UserError(
            f"pruning {share:.1%} of the weights: every layer has bipolar (1-bit) weights, which "
            f"have no zero; expected at least one layer with weight_bits of 2 or more: widen one, "
            f"or prune nothing"
        )
    if scope == "global" and taking_part:
        kept = _largest(torch.cat(taking_part), share).split([len(s) for s in taking_part])
    else:
        kept = tuple(_largest(layer, share) for layer in taking_part)
    parts = iter(kept)
    return [
        next(parts).view(layer.shape) if part else torch.ones_like(layer, dtype=torch.bool)
        for layer, part in zip(scores, chosen, strict=True)
    ]


def neuron_masks(weights: Sequence[Tensor], share: float, scope: str = "global") -> list[Tensor]:
    """Return masks that prune whole hidden neurons, with all that comes in and all that goes out.

    Neurons go in the order of the mean magnitude of the weights that come into them (the L1 norm
    of Li et al., "Pruning Filters for Efficient ConvNets" (2017), arXiv 1608.08710, section 3.1,
    divided by their number so that layers can be compared). As many go as bring the share of pruned
    weights nearest to `share`, 0..1; inputs and classes stay. The float weights (n_out, n_in) come
    input side first, pruned ones zero. The `scope` ``global`` ranks the neurons of all hidden
    layers together; ``per_layer`` takes the share `share` of the neurons of each (rounded to the
    nearest), which may prune more weights. Raises UserError if there is no hidden layer.
    """
    if share > 0 and len(weights) < 2:
        raise UserError(
            "pruning.criterion: neurons: needs a network with a hidden layer, found layers of one "
            "weight matrix; choose magnitude"
        )
    scores = [weight.detach().abs().mean(dim=1) for weight in weights[:-1]]
    if scope == "per_layer":
        alive = [_largest(layer, share) for layer in scores]
        return _masks_of_neurons(weights, alive)
    sizes = [len(layer) for layer in scores]
    layer = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes, dtype=torch.long))
    order = torch.argsort(torch.cat(scores), stable=True) if scores else layer
    # Neurons of each hidden layer that are left when the first 0, 1, 2, ... have gone.
    gone = F.one_hot(layer[order], max(len(sizes), 1)).cumsum(0)
    left = torch.tensor(sizes) - F.pad(gone, (0, 0, 1, 0))[:, : len(sizes)]
    left = F.pad(left, (1, 0), value=weights[0].shape[1])
    left = F.pad(left, (0, 1), value=len(weights[-1]))
    kept = (left[:, 1:] * left[:, :-1]).sum(1)
    number = int((kept[0] - kept - share * kept[0]).abs().argmin())
    alive = torch.ones(len(order), dtype=torch.bool)
    alive[order[:number]] = False
    return _masks_of_neurons(weights, alive.split(sizes))


def pruned_share(masks: Sequence[Tensor]) -> float:
    """Return the share of all weights that `masks` prune, 0..1."""
    total = sum(mask.numel() for mask in masks)
    return 1.0 - sum(int(mask.sum()) for mask in masks) / total


def _masks_of_neurons(weights: Sequence[Tensor], alive: Sequence[Tensor]) -> list[Tensor]:
    everything = [
        torch.ones(weights[0].shape[1], dtype=torch.bool),
        *alive,
        torch.ones(len(weights[-1]), dtype=torch.bool),
    ]
    return [out[:, None] & into[None, :] for into, out in itertools.pairwise(everything)]


def _largest(scores: Tensor, share: float) -> Tensor:
    # Stable, so that ties of magnitudes are broken the same way on every machine.
    order = torch.argsort(scores, stable=True)
    kept = torch.ones(len(scores), dtype=torch.bool, device=scores.device)
    kept[order[: round(share * len(scores))]] = False
    return kept
