"""What the models of a stack have in common: sizes, quantisers, places of their parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from brevitas_models.model.config import MLPConfig
from brevitas_models.train.stacked.acts import ActQuant
from brevitas_models.train.stacked.stack import Layout
from brevitas_models.train.stacked.tables import TableQuant
from brevitas_models.train.stacked.weights import WeightQuant, kind_of


class Network:
    """What the models of a stack compute in training; `gradients` and `passes` do it.

    Nothing here holds values that change: they are passed in, as the buffers of a `Stack`. The
    configs, one for each model, are of one `stackable` key; `momentum` and `eps` are BatchNorm's.
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
        # Layers of tables, with their quantisers; and the place of each BatchNorm among all.
        self.tables = {
            layer: TableQuant(configs, layer)
            for layer, kind in enumerate(first.edge_kinds)
            if kind == "tables"
        }
        self.normed = first.normed
        self.norm_at = [sum(self.normed[:layer]) for layer in self.hidden]
        # Places whose values are added to those of a place, see `MLPConfig.skip`.
        self.joins = {place: first.skips_to(place) for place in self.layers}
        kinds = {kind_of(bits) for bits in first.weight_widths}
        together = not self.fold and not self.tables and len(kinds) == 1
        # Layers whose weights are quantised in one go.
        self.groups = [list(self.layers)] if together else self._alone()
        self.quants = [WeightQuant(configs, group) for group in self.groups]
        self.acts = [ActQuant(configs, index) for index in self.hidden]

    @property
    def counts_batches(self) -> bool:
        """Whether every batch is counted; torch's own BatchNorm does, where it keeps statistics."""
        return self.running and not self.fold and any(self.normed)

    def _alone(self) -> list[list[int]]:
        return [[layer] for layer in self.layers if layer not in self.tables]

    def quant(self, layer: int) -> WeightQuant:
        """Return the quantiser of a layer of weights that is quantised alone."""
        return self.quants[self.groups.index([layer])]

    def generalise(self) -> None:
        """Take the form that compiles to the fastest code, and to the same for all bit widths."""
        self.groups = self._alone()
        self.quants = [WeightQuant(self.configs, group) for group in self.groups]
        for act in self.acts:
            act.limits = None
