"""Losses of the heads of a stack of models, forward and backward; those of `train.losses`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from brevitas_models.model.heads import Head


def losses(
    outputs: Tensor, target: Tensor, temperature: float, heads: Sequence[Head]
) -> tuple[Tensor, Tensor]:
    """Return losses (m,) and their gradients by the outputs.

    Outputs and targets are (m, n_out, n); targets may be (1, n_out, n). Without `heads` all outputs
    together are classes.
    """
    if len(heads) < 2:
        return _one(outputs, target, temperature, heads[0].loss if heads else "cross_entropy")
    parts = [
        _one(outputs[:, head.values], target[:, head.values], temperature, head.loss)
        for head in heads
    ]
    loss = parts[0][0]
    for other, _ in parts[1:]:
        loss = loss + other
    return loss, torch.cat([grad for _, grad in parts], 1)


def _one(outputs: Tensor, target: Tensor, temperature: float, loss: str) -> tuple[Tensor, Tensor]:
    size, n = outputs.shape[1:]
    if loss == "cross_entropy":
        log_p = torch.log_softmax(outputs * (1.0 / temperature), 1)
        total = (log_p * target).sum((1, 2)) * (-(temperature**2) / n)
        return total, (log_p.exp() - target) * (temperature / n)
    off = outputs - target
    each = 1.0 / (size * n)
    if loss == "mse":
        return (off * off).sum((1, 2)) * each, off * (2.0 * each)
    slope = off.clamp(-1.0, 1.0)
    return (slope * (off - 0.5 * slope)).sum((1, 2)) * each, slope * each
