"""Activation quantisers of a stack of models, forward and backward.

Values and gradients are those of `quantizers.UnsignedAct`, `SignedAct`, `BipolarAct`. What passes
from layer to layer are the quantised values in steps of their scale: the scale itself is left to
the weights after it, which are fewer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quantizers import SCALE_FLOOR
from brevitas_models.train.stacked.weights import kind_of


class ActQuant:
    """Activation of one hidden layer for all models of a stack."""

    def __init__(self, configs: Sequence[MLPConfig], index: int) -> None:
        first = configs[0]
        bits = torch.tensor([config.act_widths[index] for config in configs]).float()[:, None, None]
        self.kind = kind_of(first.act_widths[index])
        self.signed = first.activation == "hardtanh"
        self.power_of_two = first.scale == "power_of_two"
        # Tables see codes alone; their scale, and that of what follows tables, does not matter.
        self.to_tables = first.edge_kinds[index + 1] == "tables"
        steps = [config.table_steps[index] for config in configs]
        known = [step for step in steps if step is not None]
        self.fixed = torch.tensor(known)[:, None, None] if known else None
        levels = 2.0 ** (bits - 1) if self.signed else 2.0**bits
        self.highest = levels - 1
        self.lowest = -levels if self.signed else torch.zeros_like(levels)
        self.threshold = levels if self.signed or self.power_of_two else levels - 1
        # A gradient passes where the rounded steps are inside; of two equally near integers
        # rounding takes the even one, which is outside above, and inside below.
        self.above = self.highest + 0.5
        below = torch.nextafter(self.lowest - 0.5, torch.tensor(-math.inf))
        self.below = below if self.signed else self.lowest  # ReLU: nothing passes at zero
        self.zero, self.one = torch.zeros(()), torch.ones(())
        # One number for all models makes for faster operations.
        self.limits: tuple[float, float, float, float] | None = None
        if len({config.act_widths[index] for config in configs}) == 1:
            ends = (self.lowest, self.highest, self.below, self.above)
            self.limits = tuple(float(end.flatten()[0]) for end in ends)  # type: ignore[assignment]

    def scale(self, value: Tensor | None) -> Tensor | None:
        """Return the scale of the output (m, 1, 1) for learned values (m,).

        It is 1 for a bipolar activation; None for a float one, which has no steps.
        """
        if self.kind == "float":
            return None
        if self.kind == "bipolar":
            return torch.ones_like(self.highest)
        if self.fixed is not None:
            return self.fixed
        assert value is not None
        value = value[:, None, None]
        if self.power_of_two:
            size = torch.pow(2.0, value.round()).clamp_min(SCALE_FLOOR)
        else:
            size = value.abs().clamp_min(SCALE_FLOOR)
        return size / self.threshold

    def forward(self, steps: Tensor) -> Tensor:
        """Quantise pre-activations (m, n, f) in steps of the scale: integers, unless float."""
        if self.kind == "float":
            return steps.clamp(-1.0, 1.0) if self.signed else steps.clamp_min(0.0)
        if self.kind == "bipolar":
            return torch.where(steps >= 0, self.one, -self.one)
        if self.limits is not None:
            return steps.round().clamp_(self.limits[0], self.limits[1])
        return torch.clamp(steps.round(), self.lowest, self.highest)

    def backward(
        self, grad: Tensor, steps: Tensor, whole: Tensor, scale: Tensor | None, value: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the gradients of the steps (m, n, f) and of the learned value (m,)."""
        if self.kind == "float":
            if self.signed:
                return torch.ops.aten.hardtanh_backward(grad, steps, -1.0, 1.0), None
            return torch.ops.aten.threshold_backward(grad, steps, 0.0), None
        if self.kind == "bipolar":
            return torch.where(steps.abs() <= 1.0, grad, self.zero), None
        if self.limits is not None:
            passed = torch.ops.aten.hardtanh_backward(grad, steps, *self.limits[2:])
        else:
            passed = torch.where((steps > self.below) & (steps < self.above), grad, self.zero)
        if value is None:
            return passed, None
        assert scale is not None
        # Clipped values depend on the scale alone, the others by their rounding only. Of the code
        # itself, the clipped do not depend on it.
        of_value = torch.zeros_like(grad) if self.to_tables else grad * whole
        by_size = of_value.addcmul_(passed, steps, value=-1.0).sum(1).sum(1)
        if self.power_of_two:
            return passed, by_size * math.log(2.0)
        sign = torch.where(value >= 0, self.one, -self.one)
        m = len(value)
        return passed, by_size * sign / (self.threshold.view(m) * scale.view(m))
