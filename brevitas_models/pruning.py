"""Which weights to prune: rankings that give masks, and schedules that give shares.

Pure functions on tensors and numbers; `QuantMLP.set_masks` applies what they return.

Source: Hawks et al., "Ps and Qs: Quantization-Aware Pruning for Efficient Low Latency Neural
Network Inference" (2021), arXiv 2102.11289, section 3.2: unstructured, all Linear layers ranked
together, smallest magnitude first, biases never.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from brevitas_models.errors import UserError

SCOPES = ("global", "per_layer")


def magnitude_masks(
    weights: Sequence[Tensor],
    share: float,
    scope: str = "global",
    prunable: Sequence[bool] | None = None,
) -> list[Tensor]:
    """Return masks that prune the weights of smallest magnitude.

    Weights that are zero, so also those pruned before, go first: with shares that never fall, a
    pruned weight stays pruned. Of equal magnitudes the first in memory goes first.

    Parameters
    ----------
    weights : sequence of Tensor
        Float weights of each layer, any shape.
    share : float
        Share of all weights to prune, 0..1; the number is rounded to the nearest.
    scope : {"global", "per_layer"}
        Rank all layers together, or prune the same share of each.
    prunable : sequence of bool, optional
        Layers to take part; the others are neither ranked nor counted. Default: all.

    Returns
    -------
    list of Tensor
        A mask for each layer, bool, of its weights' shape: false where pruned.

    Raises
    ------
    UserError
        If `share` is not in 0..1, `scope` is unknown, or no layer can be pruned.
    """
    _check_share(share)
    if scope not in SCOPES:
        raise UserError(f"pruning scope: expected one of {', '.join(SCOPES)}, found {scope!r}")
    chosen = [True] * len(weights) if prunable is None else list(prunable)
    ranked = [weight.detach().abs().flatten() for weight in weights]
    taking_part = [scores for scores, part in zip(ranked, chosen, strict=True) if part]
    if share > 0 and not taking_part:
        raise UserError(
            f"pruning {share:.1%} of the weights: every layer has bipolar (1-bit) weights, which "
            f"have no zero; expected at least one layer with weight_bits of 2 or more"
        )
    if scope == "global" and taking_part:
        kept = _largest(torch.cat(taking_part), share).split([len(s) for s in taking_part])
    else:
        kept = tuple(_largest(scores, share) for scores in taking_part)
    parts = iter(kept)
    return [
        next(parts).view(weight.shape) if part else torch.ones_like(weight, dtype=torch.bool)
        for weight, part in zip(weights, chosen, strict=True)
    ]


def cubic_share(progress: float, final: float, initial: float = 0.0) -> float:
    """Return the share to have pruned at a point of a gradual schedule.

    ``s = s_f + (s_i - s_f) (1 - t)^3``: fast at first, slow at the end. Source: Zhu and Gupta, "To
    prune, or not to prune" (2017), arXiv 1710.01878, equation 1.

    Parameters
    ----------
    progress : float
        Part of the schedule that has passed; below 0 counts as 0, above 1 as 1.
    final, initial : float
        Shares at its end and at its beginning, 0..1.

    Raises
    ------
    UserError
        If a share is not in 0..1 or `final` is below `initial`.
    """
    _check_share(initial)
    _check_share(final)
    if final < initial:
        raise UserError(
            f"gradual pruning: expected a final share of at least the initial one ({initial:g}), "
            f"found {final:g}"
        )
    rest = 1.0 - min(max(progress, 0.0), 1.0)
    return final + (initial - final) * rest**3


def pruned_share(masks: Sequence[Tensor]) -> float:
    """Return the share of all weights that `masks` prune, 0..1."""
    total = sum(mask.numel() for mask in masks)
    return 1.0 - sum(int(mask.sum()) for mask in masks) / total


def _largest(scores: Tensor, share: float) -> Tensor:
    # Stable, so that equal magnitudes are told apart the same way on every machine.
    order = torch.argsort(scores, stable=True)
    kept = torch.ones(len(scores), dtype=torch.bool, device=scores.device)
    kept[order[: round(share * len(scores))]] = False
    return kept


def _check_share(share: float) -> None:
    if not 0.0 <= share <= 1.0:
        raise UserError(f"share of pruned weights: expected a number in 0..1, found {share!r}")
