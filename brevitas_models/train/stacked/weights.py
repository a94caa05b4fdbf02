"""Weight quantisers of a stack of models, forward and backward, on flat weights.

The values and gradients are those of `quantizers.IntWeight` and `quantizers.BipolarWeight`: the
straight-through estimator for rounding and clipping, and the exact gradient of a scale that is a
statistic (largest or mean magnitude) of the weights themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from brevitas_models.model.config import FLOAT_BITS, MLPConfig
from brevitas_models.model.quantizers import SCALE_FLOOR


@dataclass(frozen=True)
class Saved:
    """What the backward pass needs of the forward pass; weights as `WeightQuant` shapes them."""

    weight: Tensor
    size: Tensor
    top: Tensor
    alive: Tensor
    scale: Tensor
    each_scale: Tensor
    steps: Tensor
    whole: Tensor


class WeightQuant:
    """The weight quantisers of some layers, which must be of one kind, for all models of a stack.

    The Linear layers are in order of their place in the flat weights. `groups` is the number of
    scales of each model: one for a layer, or one for each neuron.
    """

    def __init__(self, configs: Sequence[MLPConfig], layers: Sequence[int]) -> None:
        first = configs[0]
        bits = [[config.weight_widths[layer] for layer in layers] for config in configs]
        self.kind = kind_of(bits[0][0])
        self.power_of_two = first.scale == "power_of_two"
        shapes = [(first.layers[layer + 1], first.layers[layer]) for layer in layers]
        per_row = first.weight_scale == "per_channel"
        # Scales: (start, stop, rows of that many weights) of each layer in the flat weights.
        self.spans: list[tuple[int, int, int]] = []
        rows, start = [], 0
        for n_out, n_in in shapes:
            count = n_out if per_row else 1
            self.spans.append((start, start + n_out * n_in, count))
            rows += [n_in if per_row else n_out * n_in] * count
            start += n_out * n_in
        self.groups = len(rows)
        # Weights of one layer are rows of equal length; of several layers they stay flat, and
        # every weight looks its scale up.
        self.in_rows = len(layers) == 1
        self.sizes = torch.tensor(rows)
        self.group_of = torch.repeat_interleave(torch.arange(self.groups), self.sizes)
        self.sizes = self.sizes.float()
        self.member = torch.zeros(start, self.groups)
        self.member[torch.arange(start), self.group_of] = 1.0
        counts = [count for _, _, count in self.spans]
        spread = torch.tensor(bits).repeat_interleave(torch.tensor(counts), dim=1)  # (m, groups)
        self.zero, self.one = torch.zeros(()), torch.ones(())
        if self.kind != "int":
            return
        highest = 2.0 ** (spread - 1) - 1
        lowest = -highest if first.narrow_range else -highest - 1
        self.threshold = 2.0 ** (spread - 1) if self.power_of_two else -lowest
        self.lowest, self.highest = self._spread(lowest), self._spread(highest)

    def _shaped(self, weight: Tensor) -> Tensor:
        """Return flat weights (m, n) as (m, groups, n / groups) where they are rows."""
        return weight.unflatten(1, (self.groups, -1)) if self.in_rows else weight

    def _spread(self, each: Tensor) -> Tensor:
        """Return what belongs to each group (m, groups) so that it meets every weight."""
        return each[:, :, None] if self.in_rows else each.index_select(1, self.group_of)

    def _sum(self, weights: Tensor) -> Tensor:
        """Return the sum over each group, (m, groups)."""
        return weights.sum(2) if self.in_rows else weights @ self.member

    def scales(self, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return clamped statistic, where it is not of zeros alone, and scale, each (m, groups).

        `size` are the magnitudes of the masked weights, as `_shaped`.
        """
        if self.in_rows:
            parts = [size]
        else:
            parts = [size[:, a:b].unflatten(1, (count, -1)) for a, b, count in self.spans]
        if self.kind == "bipolar":
            found = torch.cat([part.mean(2) for part in parts], 1)
        else:
            found = torch.cat([part.amax(2) for part in parts], 1)
        alive = found > 0
        top = torch.where(alive, found, self.one).clamp_min(SCALE_FLOOR)
        scale = top
        if self.power_of_two:
            exponent = top.log2()
            exponent = exponent.round() if self.kind == "bipolar" else exponent.ceil()
            scale = torch.pow(2.0, exponent).clamp_min(SCALE_FLOOR)
        return top, alive, scale if self.kind == "bipolar" else scale / self.threshold

    def forward(self, weight: Tensor) -> tuple[Tensor, Saved | None]:
        """Quantise flat, masked weights (m, n): values (m, n), and what `backward` needs."""
        if self.kind == "float":
            return weight, None
        weight = self._shaped(weight)
        size = weight.abs()
        top, alive, scale = self.scales(size)
        each = self._spread(scale)
        if self.kind == "bipolar":
            steps = whole = torch.where(weight >= 0, self.one, -self.one)
        else:
            steps = weight / each
            whole = torch.clamp(steps.round(), self.lowest, self.highest)
        values = (whole * each).view(len(weight), -1)
        return values, Saved(weight, size, top, alive, scale, each, steps, whole)

    def backward(self, grad: Tensor, saved: Saved | None) -> Tensor:
        """Return the gradient of masked weights (m, n) for that of the quantised ones."""
        if saved is None:
            return grad
        grad = self._shaped(grad)
        if self.kind == "bipolar":
            by_scale = self._sum(grad * saved.whole)
            shared, grad = 1.0 / self.sizes, grad * saved.each_scale
            hit = saved.weight.sign()
        else:
            by_scale = self._sum(grad * (saved.whole - saved.steps))
            # All weights of the largest magnitude have an equal share of its gradient.
            largest = saved.size >= self._spread(saved.top)
            hit = saved.weight.sign() * largest
            shared = 1.0 / self._sum(largest.float()).clamp_min(1.0)
        if self.power_of_two:
            by_top = by_scale * saved.scale / saved.top
        else:
            by_top = by_scale if self.kind == "bipolar" else by_scale / self.threshold
        each = torch.where(saved.alive, by_top * shared, self.zero)
        return torch.addcmul(grad, hit, self._spread(each)).view(len(grad), -1)


def kind_of(bits: int) -> str:
    """Return ``float``, ``bipolar`` or ``int``: quantisers of one kind can be stacked."""
    return {FLOAT_BITS: "float", 1: "bipolar"}.get(bits, "int")
