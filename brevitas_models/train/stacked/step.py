"""One optimiser step of a stack of models: frames gathered, gradients, Adam, running statistics.

All of it is one function of tensors, which `torch.compile` makes one piece of code of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from brevitas_models.model.heads import Head
from brevitas_models.train.stacked.gradients import gradients
from brevitas_models.train.stacked.network import Network
from brevitas_models.train.stacked.stack import Stack

# Adam as torch has it by default (Kingma and Ba, arXiv 1412.6980).
BETA_1, BETA_2, EPS = 0.9, 0.999, 1e-8
# For `torch.compile`. What a frame is worked out from is cheaper to work out again in the backward
# pass than to store: only what many frames have in common is kept (see `Network`). Calls from C++
# rather than from Python.
OPTIONS: dict[str, str | int | bool | object] = {
    "realize_reads_threshold": 16,
    "realize_opcount_threshold": 200,
    "cpp_wrapper": True,
}


@dataclass(frozen=True)
class FramePool:
    """The frames that a stack learns from, each once."""

    x: Tensor  # quantised inputs (k, n_in) of all models' frames, one model's after the other's
    target: Tensor  # classes, int64 (k,), or probabilities and numbers (k, n_out)
    starts: tuple[int, ...]  # row of each model's first frame

    @staticmethod
    def of(inputs: Sequence[Tensor], targets: Sequence[Tensor]) -> FramePool:
        """Gather what each model has; of models with the same tensors they are taken once."""
        seen: dict[tuple[int, int], int] = {}
        parts: list[tuple[Tensor, Tensor]] = []
        starts, rows = [], 0
        for x, target in zip(inputs, targets, strict=True):
            name = (id(x), id(target))
            if name not in seen:
                seen[name] = rows
                parts.append((x, target))
                rows += len(x)
            starts.append(seen[name])
        x, target = parts[0]
        if len(parts) > 1:
            x, target = torch.cat([x for x, _ in parts]), torch.cat([t for _, t in parts])
        return FramePool(x, target, tuple(starts))


def rates(learning_rate: float, step: int) -> tuple[float, float]:
    """Return what Adam multiplies step number `step`, from 1, and its second moment's root by."""
    size = learning_rate / (1.0 - BETA_1**step)
    return size, 1.0 / math.sqrt(1.0 - BETA_2**step)


class Step:
    """One step of all models of a stack, in place.

    Attributes
    ----------
    first, second : Tensor
        Adam's moments, each (m, p).
    total : Tensor
        Losses summed since it was set to zero, (m,).
    """

    def __init__(
        self, stack: Stack, temperature: float, compiled: bool, heads: Sequence[Head] = ()
    ) -> None:
        self.stack, self.temperature, self.compiled = stack, temperature, compiled
        self.heads = tuple(heads)
        self.network = Network(stack.configs)
        self.first = torch.zeros_like(stack.values.data)
        self.second = torch.zeros_like(stack.values.data)
        self.total = torch.zeros(len(stack.models))
        self.classes = torch.arange(stack.configs[0].layers[-1])[:, None]
        self._run = self._step
        if compiled:
            self.network.generalise()
            self._run = torch.compile(self._step, dynamic=False, fullgraph=True, options=OPTIONS)

    def __call__(
        self,
        pool: FramePool,
        order: Tensor,
        in_scale: Tensor | None,
        l1: Tensor | None,
        rates: Tensor,
    ) -> None:
        """Make a step.

        Parameters
        ----------
        order : Tensor
            Rows of the batch in the pool, int64 (m, n), or (1, n) for all models the same.
        in_scale : Tensor or None
            Scales of the inputs (m, 1, 1); None if they are float.
        l1 : Tensor or None
            Factor of the sum of |w| of each model (m, 1).
        rates : Tensor
            What `rates` returns, (2,).
        """
        stack = self.stack
        if self.compiled:
            # One piece of code for any number of frames.
            torch._dynamo.maybe_mark_dynamic(pool.x, 0)
            torch._dynamo.maybe_mark_dynamic(pool.target, 0)
        self._run(
            stack.values.data,
            stack.keep,
            stack.statistics,
            self.first,
            self.second,
            self.total,
            pool.x,
            pool.target,
            order,
            in_scale,
            l1,
            rates,
            stack.dropped,
        )

    def _step(
        self,
        values: Tensor,
        keep: Tensor,
        statistics: list[tuple[Tensor, Tensor]],
        first: Tensor,
        second: Tensor,
        total: Tensor,
        frames: Tensor,
        targets: Tensor,
        order: Tensor,
        in_scale: Tensor | None,
        l1: Tensor | None,
        rates: Tensor,
        dropped: dict[int, Tensor],
    ) -> list[Tensor]:
        rows, batch = order.flatten(), tuple(order.shape)
        x = frames.index_select(0, rows).unflatten(0, batch)
        chosen = targets.index_select(0, rows).unflatten(0, batch)
        if chosen.ndim == 2:
            target = (chosen[:, None] == self.classes).float()
        else:
            target = chosen.mT.contiguous()
        loss, grad, seen, factors = gradients(
            self.network,
            values,
            keep,
            statistics,
            x,
            in_scale,
            target,
            l1,
            self.temperature,
            self.heads,
            dropped,
        )
        for pair, now in zip(statistics, seen, strict=bool(seen)):
            for running, value in zip(pair, now, strict=True):
                running.copy_(value)
        first.lerp_(grad, 1.0 - BETA_1)
        second.mul_(BETA_2).addcmul_(grad, grad, value=1.0 - BETA_2)
        root = (second.sqrt() * rates[1]).add_(EPS)
        values.sub_(first / root * rates[0])
        total.add_(loss)
        return factors
