"""Losses of a stack of models on a batch, and their gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from brevitas_models.model.heads import Head
from brevitas_models.train.stacked.losses import losses
from brevitas_models.train.stacked.network import Network
from brevitas_models.train.stacked.passes import Passes


def gradients(
    network: Network,
    values: Tensor,
    keep: Tensor,
    statistics: list[tuple[Tensor, Tensor]],
    x: Tensor,
    in_scale: Tensor | None,
    target: Tensor,
    l1: Tensor | None,
    temperature: float = 1.0,
    heads: Sequence[Head] = (),
    dropped: Mapping[int, Tensor] | None = None,
) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]], list[Tensor]]:
    """Return losses and gradients of one batch.

    Parameters
    ----------
    values, keep : Tensor
        `Stack.values` (m, p) and `Stack.keep` (m, w).
    statistics : list of (Tensor, Tensor)
        Running mean and variance of each hidden layer, each (m, f); left alone.
    x : Tensor
        Quantised inputs (m, n, n_in), or (1, n, n_in) for all models the same.
    in_scale : Tensor or None
        Their scales (m, 1, 1); None if they are float.
    target : Tensor
        Probabilities of classes, or numbers, (m, n_out, n) or (1, n_out, n).
    l1 : Tensor or None
        Factor of the sum of |w| of each model (m, 1).
    heads : sequence of Head
        What the outputs are; empty: all together are classes.
    dropped : mapping or None
        `Stack.dropped`.

    Returns
    -------
    loss : Tensor
        (m,), L1 term included.
    grad : Tensor
        (m, p).
    statistics : list of (Tensor, Tensor)
        What the running statistics become.
    factors : list of Tensor
        Small tensors that every frame is computed with, of no use outside: what is returned
        the compiler works out once, anything else it may work out again for every frame.
    """
    m = network.models
    x = x.expand(m, -1, -1)
    weight = torch.where(keep, values[:, : network.masked], network.zero)
    passes = Passes(network, values, weight, statistics, dropped or {})
    loss, grad = losses(passes.run(x, in_scale), target, temperature, heads)
    by_weight, parts = passes.back(grad)
    if l1 is not None:
        loss = loss + weight.abs().sum(1) * l1.view(m)
        by_weight = torch.addcmul(by_weight, weight.sign(), l1)
    by_weight = torch.where(keep, by_weight, network.zero)
    return loss, torch.cat([by_weight, *parts], 1), passes.statistics, passes.factors
