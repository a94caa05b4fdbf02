"""What weights are ranked by: magnitude, chance, whole neurons, or the logic that they cost."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from brevitas_models.errors import UserError
from brevitas_models.model.config import WIDEST_BUILT
from brevitas_models.model.export import export_bare
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.model.tables import TableEdges
from brevitas_models.pruning.digits import integer_weights, signed_digit_counts
from brevitas_models.pruning.prices import (
    EdgeLuts,
    LayerLuts,
    edge_prices,
    live_masks,
    option_prices,
    options_within,
    table_luts,
    total_luts,
)
from brevitas_models.pruning.ranking import magnitude_masks, masks_of_scores, neuron_masks
from brevitas_models.pruning.saliency import option_losses
from brevitas_models.pruning.settings import PruningSettings


@torch.no_grad()
def masks_for(
    model: QuantMLP,
    share: float,
    settings: PruningSettings,
    seed: int = 0,
    layer_luts: LayerLuts | None = None,
) -> list[Tensor]:
    """Return the masks with which a share of a model's weights is pruned.

    The masks, bool (n_out, n_in) of each layer, are false where pruned. `share`, 0..1, is that of
    all prunable weights; a pruned weight stays pruned as long as it never falls. `seed` is that of
    the criterion ``random``; the cost ``estimate`` needs `layer_luts`.
    """
    weights = [linear.sizes() for linear in model.linears]
    prunable = model.prunable()
    if settings.criterion == "magnitude":
        return magnitude_masks(weights, share, settings.scope, prunable)
    if settings.criterion == "neurons":
        _refuse_bipolar(share, prunable)
        found = neuron_masks(weights, share, settings.scope)
        # The nearest number of neurons may be one less than before.
        return [old & new for old, new in zip(model.masks(), found, strict=True)]
    if settings.criterion == "random":
        scores = random_scores(weights, model.masks(), seed)
    else:
        scores = hardware_scores(weights, model.masks(), _costs(model, settings.cost, layer_luts))
    return masks_of_scores(scores, share, settings.scope, prunable)


def random_scores(weights: Sequence[Tensor], masks: Sequence[Tensor], seed: int) -> list[Tensor]:
    """Return a score in [0, 1) by chance for each weight; -1 for those that are pruned already.

    Always the same for the same seed, so a share that grows takes further weights and gives none
    back.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.rand(weight.shape, generator=generator) for weight in weights]
    return [torch.where(mask, score, -1.0) for mask, score in zip(masks, drawn, strict=True)]


def hardware_scores(
    weights: Sequence[Tensor], masks: Sequence[Tensor], costs: Sequence[Tensor]
) -> list[Tensor]:
    """Return the magnitude of each weight, as its layer sees it, per LUT that is saved without it.

    The magnitude is w^2 over the sum of w'^2 of the weights of the layer that are at least as
    large: Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning" (2021), arXiv
    2010.07611, equation 4. With |w| alone a layer whose inputs are wide would be emptied as a
    whole, for its weights all cost more; here the last weights of a layer count most.

    Of each layer, (n_out, n_in), are given the size of the edge, false where it is pruned, and
    positive LUTs. Scores are 0 or more, -1 for weights that are pruned already.
    """
    return [
        torch.where(mask, _layer_magnitudes(weight) / cost, -1.0)
        for weight, mask, cost in zip(weights, masks, costs, strict=True)
    ]


def _layer_magnitudes(weight: Tensor) -> Tensor:
    squares = weight.flatten() ** 2
    order = torch.argsort(squares, descending=True, stable=True)
    sums = squares[order].cumsum(0).clamp_min(torch.finfo(squares.dtype).tiny)
    found = torch.empty_like(squares)
    found[order] = squares[order] / sums
    return found.view(weight.shape)


@torch.no_grad()
def keep_budget(
    model: QuantMLP, budget: float, features: Tensor, edge_luts: EdgeLuts | None = None
) -> None:
    """Prune a model until its edges cost at most `budget` LUTs, see `edge_prices`.

    Edges go, and low bits of their codes where widths are learned, by what that costs in
    `option_losses` on `features`, standardised (n, n_in), for each LUT that it saves. What has gone
    does not come back.
    """
    if not all(model.prunable()):
        raise UserError(
            "pruning.lut_budget: 1-bit weights, which are -1 or +1, can't be pruned; expected "
            "weight_bits of 2 or more in every layer, or pruning.share"
        )
    prices = option_prices(model, edge_luts)
    if total_luts(edge_prices(model, edge_luts)) <= budget:
        return
    options = options_within(option_losses(model, features), prices, budget)
    for layer, option in zip(model.linears, options, strict=True):
        if isinstance(layer, TableEdges):
            layer.drop(option - 1)
    model.set_masks(live_masks([option > 0 for option in options]))


def _costs(model: QuantMLP, cost: str, layer_luts: LayerLuts | None) -> list[Tensor]:
    """Return what each edge is taken to cost.

    A weight costs as many additions as its integer has non-zero signed digits; one that is
    quantised to zero costs nothing, and for it the cost of one addition is taken.
    """
    found = []
    each = _luts_per_digit(model, cost, layer_luts)
    for layer, whole, luts in zip(model.linears, integer_weights(model), each, strict=True):
        if isinstance(layer, TableEdges):
            tables = whole.flatten(0, 1).numpy().astype(np.int64)
            price = torch.from_numpy(table_luts(tables)).float().view(layer.mask.shape)
            found.append(price.clamp_min(1.0))
        else:
            found.append(signed_digit_counts(whole).clamp_min(1) * luts)
    return found


def _luts_per_digit(model: QuantMLP, cost: str, layer_luts: LayerLuts | None) -> list[float]:
    if cost == "digits":
        # An adder is about as wide as what comes into it.
        return [float(bits) for bits in model.config.input_widths]
    if layer_luts is None:
        raise UserError(
            "pruning.cost: estimate: needs a function that estimates LUTs, as train.py brings the "
            "build's own; pass one as Hooks.luts, or choose digits"
        )
    if not model.config.buildable:
        found = sorted({*model.config.weight_widths, *model.config.input_widths})
        raise UserError(
            f"pruning.cost: estimate: expected weights, activations and inputs of 1..{WIDEST_BUILT}"
            f" bits, which a build takes, found {', '.join(map(str, found))}; change the widths, "
            f"or choose digits"
        )
    with tempfile.TemporaryDirectory() as folder:
        luts = layer_luts(export_bare(model, Path(folder) / "model.onnx"))
    digits = [int(signed_digit_counts(layer).sum()) for layer in integer_weights(model)]
    return [max(have, 1) / max(count, 1) for have, count in zip(luts, digits, strict=True)]


def _refuse_bipolar(share: float, prunable: Sequence[bool]) -> None:
    if share > 0 and not all(prunable):
        raise UserError(
            "pruning.criterion: neurons: a pruned neuron takes weights out of two layers, and "
            "1-bit weights, which are -1 or +1, can't be pruned; expected weight_bits of 2 or more "
            "in every layer, or another criterion"
        )
