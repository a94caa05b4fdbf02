"""The engine's own backward pass against autograd, plain and compiled.

    python benchmarks/bench_autograd.py [--steps 40] [--repeats 5]

Both compute the same forward pass of the same stack; for autograd the quantisers of
`brevitas_models.train.stacked` round and clip with straight-through gradients. Each is a whole
optimiser step with 1,024 frames, in turns; gradients are compared first. Prints the median and
range over the turns of the ratio *time with autograd / time with the written-out pass*, in
processor and in wall time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch
from torch import Tensor

from benchmarks.record import machine
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.model.quantizers import SCALE_FLOOR
from brevitas_models.train.stacked import step as step_module
from brevitas_models.train.stacked.acts import ActQuant
from brevitas_models.train.stacked.gradients import gradients
from brevitas_models.train.stacked.network import Network
from brevitas_models.train.stacked.passes import Passes
from brevitas_models.train.stacked.stack import Stack
from brevitas_models.train.stacked.step import FramePool, Step, rates
from brevitas_models.train.stacked.weights import WeightQuant

NETWORKS = {
    "paper": {"weight_bits": 6, "act_bits": 6},
    "jets": {"weight_bits": 4, "act_bits": 4, "fold_batch_norm": True},
}


class Rounded(torch.autograd.Function):
    """Rounding with a straight-through gradient."""

    @staticmethod
    def forward(value: Tensor) -> Tensor:
        """Return the nearest integers."""
        return value.round()

    @staticmethod
    def setup_context(*_: object) -> None:
        """Keep nothing."""

    @staticmethod
    def backward(_: object, grad: Tensor) -> Tensor:
        """Return the gradient as it is."""
        return grad


class RoundedUp(Rounded):
    """Rounding up with a straight-through gradient."""

    @staticmethod
    def forward(value: Tensor) -> Tensor:
        """Return the next integers."""
        return value.ceil()


class Clipped(torch.autograd.Function):
    """Clipping with a straight-through gradient."""

    @staticmethod
    def forward(value: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Return the clipped values."""
        return torch.clamp(value, low, high)

    @staticmethod
    def setup_context(*_: object) -> None:
        """Keep nothing."""

    @staticmethod
    def backward(_: object, grad: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient as it is."""
        return grad, None, None


class Weights(WeightQuant):
    """Integer quantiser of weights for autograd."""

    def forward(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return values, and what the snapping of offsets needs."""
        rows = self._shaped(weight)
        if self.in_rows:
            parts = [rows.abs()]
        else:
            parts = [rows.abs()[:, a:b].unflatten(1, (n, -1)) for a, b, n in self.spans]
        found = torch.cat([part.amax(2) for part in parts], 1)
        exponent = torch.where(found > 0, found, 1.0).clamp_min(SCALE_FLOOR).log2()
        scale = torch.pow(2.0, RoundedUp.apply(exponent)) / self.threshold
        each = self._spread(scale)
        # Weights pass gradients where they are clipped too.
        whole = Clipped.apply(Rounded.apply(rows / each), self.lowest, self.highest)
        return (whole * each).view(len(weight), -1), Scale(scale.detach())


class Scale:
    """What `Passes` reads of a quantiser's result."""

    def __init__(self, scale: Tensor) -> None:
        self.scale = scale


class Acts(ActQuant):
    """Integer quantiser of activations for autograd."""

    def scale(self, value: Tensor | None) -> Tensor:
        """Return the scale of the output (m, 1, 1)."""
        value = value[:, None, None]
        return torch.pow(2.0, Rounded.apply(value)) / self.threshold

    def forward(self, steps: Tensor) -> Tensor:
        """Quantise pre-activations; ReLU in front, as Brevitas has it."""
        steps = steps.relu()
        return torch.clamp(Rounded.apply(steps), self.lowest, self.highest)


class Forward(Passes):
    """The forward pass with a snapping that lets gradients through."""

    def _snapped(self, offset: Tensor, step: Tensor) -> Tensor:
        step = step.detach()
        grid = offset / step - 0.25
        return (Rounded.apply(grid) + 0.25) * step


def autograd(
    network: Network,
    values: Tensor,
    keep: Tensor,
    statistics: list[tuple[Tensor, Tensor]],
    x: Tensor,
    in_scale: Tensor | None,
    target: Tensor,
    l1: Tensor | None,
    temperature: float = 1.0,
) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]], list[Tensor]]:
    """Return what `gradients` returns, by autograd."""
    m, n = network.models, x.shape[1]
    x = x.expand(m, -1, -1)

    def loss_of(values: Tensor) -> tuple[Tensor, tuple[Tensor, list[tuple[Tensor, Tensor]]]]:
        weight = torch.where(keep, values[:, : network.masked], 0.0)
        passes = Forward(network, values, weight, statistics)
        log_p = torch.log_softmax(passes.run(x, in_scale) * (1.0 / temperature), 1)
        loss = (log_p * target).sum((1, 2)) * (-(temperature**2) / n)
        if l1 is not None:
            loss = loss + weight.abs().sum(1) * l1.view(m)
        return loss.sum(), (loss, passes.statistics)

    grad, (loss, seen) = torch.func.grad(loss_of, has_aux=True)(values)
    return loss, grad, [(a.detach(), b.detach()) for a, b in seen], []


def made(network: str, models: int, compiled: bool, written: bool) -> Step:
    """Return a step of fresh models."""
    config = MLPConfig(layers=(16, 64, 32, 32, 5), **NETWORKS[network])
    stack = []
    for seed in range(models):
        torch.manual_seed(seed)
        stack.append(QuantMLP(config))
        stack[-1].calibrate(torch.randn(1024, 16))
    step_module.gradients = gradients if written else autograd
    step = Step(Stack(stack), 1.0, compiled)
    if not written:
        for quant in step.network.quants:
            quant.__class__ = Weights
        for act in step.network.acts:
            act.__class__ = Acts
    return step


def turn(network: str, models: int, compiled: bool, count: int, repeats: int) -> str:
    """Measure both ways in turns; return a line of figures."""
    x, y = torch.randn(8192, 16).mul(8).round() / 16, torch.arange(8192) % 5
    pool, now = FramePool(x, y, (0,)), torch.tensor(rates(1e-4, 1))
    order, scale = torch.randperm(8192)[None, :1024], torch.full((models, 1, 1), 1 / 16)
    steps = {written: made(network, models, compiled, written) for written in (True, False)}

    def run(written: bool, times: int = 1) -> tuple[float, float]:
        # Where it is not compiled, a step looks its gradients up in every call.
        step_module.gradients = gradients if written else autograd
        begun = time.process_time(), time.perf_counter()
        with torch.no_grad():
            for _ in range(times):
                steps[written](pool, order, scale, None, now)
        return time.process_time() - begun[0], time.perf_counter() - begun[1]

    for written in steps:
        run(written)  # compiles
    one, other = steps[True].first, steps[False].first
    far = float((one - other).abs().max() / one.abs().max())
    turns = [{written: run(written, count) for written in steps} for _ in range(repeats)]
    cpu, wall = ([spent[False][i] / spent[True][i] for spent in turns] for i in (0, 1))
    rate = statistics.median(count * 1024 * models / spent[True][0] for spent in turns)
    return (
        f"{network}, {models} models, {'compiled' if compiled else 'plain'}: {rate:,.0f} samples/s "
        f"of processor time; autograd takes {statistics.median(cpu):.2f} ({min(cpu):.2f}.."
        f"{max(cpu):.2f}) times the processor time, {statistics.median(wall):.2f} of the wall "
        f"time; gradients differ by {far:.1e} of the largest"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(machine(), torch.__version__)
    for network in NETWORKS:
        for models in (1, 16):
            for compiled in (False, True):
                found = turn(network, models, compiled, options.steps, options.repeats)
                print(found, flush=True)


if __name__ == "__main__":
    main()
