"""What the models of a stack compute in training: losses and gradients of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from brevitas_models.config import MLPConfig
from brevitas_models.stacked.acts import ActQuant
from brevitas_models.stacked.passes import Passes
from brevitas_models.stacked.stack import Layout
from brevitas_models.stacked.weights import WeightQuant, kind_of


class Network:
    """What the models of a stack compute, in training.

    Nothing here holds values that change: they are passed in, as the buffers of a `Stack`.

    Parameters
    ----------
    configs : sequence of MLPConfig
        One for each model; of one `stackable` key.
    momentum, eps : float
        Of BatchNorm.
    """

    def __init__(
        self, configs: Sequence[MLPConfig], momentum: float = 0.1, eps: float = 1e-5
    ) -> None:
        first, layout = configs[0], Layout(configs[0])
        self.configs = tuple(configs)
        self.sizes, self.models = first.layers, len(configs)
        self.layers = range(len(self.sizes) - 1)
        self.hidden = range(len(self.sizes) - 2)
        self.fold = first.fold_batch_norm
        self.norm = first.batch_norm
        self.running = first.batch_norm in ("on", "no_affine")
        self.momentum, self.eps = momentum, eps
        self.weights, self.biases = layout.weights, layout.biases
        self.gammas, self.betas, self.scales = layout.gammas, layout.betas, layout.scales
        self.masked = layout.masked
        self.zero = torch.zeros(())  # a number would be made a tensor in every call
        kinds = {kind_of(bits) for bits in first.weight_widths}
        together = not self.fold and len(kinds) == 1
        # Layers whose weights are quantised in one go.
        self.groups = [list(self.layers)] if together else [[layer] for layer in self.layers]
        self.quants = [WeightQuant(configs, group) for group in self.groups]
        self.acts = [ActQuant(configs, index) for index in self.hidden]

    @property
    def counts_batches(self) -> bool:
        """Whether every batch is counted; torch's own BatchNorm does, where it keeps statistics."""
        return self.running and not self.fold

    def generalise(self) -> None:
        """Take the form that compiles to the fastest code, and to the same for all bit widths."""
        self.groups = [[layer] for layer in self.layers]
        self.quants = [WeightQuant(self.configs, group) for group in self.groups]
        for act in self.acts:
            act.limits = None

    def gradients(
        self,
        values: Tensor,
        keep: Tensor,
        statistics: list[tuple[Tensor, Tensor]],
        x: Tensor,
        in_scale: Tensor | None,
        target: Tensor,
        l1: Tensor | None,
        temperature: float = 1.0,
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
            Probabilities (m, n_classes, n), or (1, n_classes, n).
        l1 : Tensor or None
            Factor of the sum of |w| of each model (m, 1).
        temperature : float
            As in `training.train`.

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
            the compiler works out once, anything else it may work out anew for every frame.
        """
        m, n = self.models, x.shape[1]
        x = x.expand(m, -1, -1)
        weight = torch.where(keep, values[:, : self.masked], self.zero)
        passes = Passes(self, values, weight, statistics)
        logits = passes.run(x, in_scale)
        log_p = torch.log_softmax(logits * (1.0 / temperature), 1)
        loss = (log_p * target).sum((1, 2)) * (-(temperature**2) / n)
        grad = (log_p.exp() - target) * (temperature / n)
        by_weight, parts = passes.back(grad)
        if l1 is not None:
            loss = loss + weight.abs().sum(1) * l1.view(m)
            by_weight = torch.addcmul(by_weight, weight.sign(), l1)
        by_weight = torch.where(keep, by_weight, self.zero)
        return loss, torch.cat([by_weight, *parts], 1), passes.statistics, passes.factors
