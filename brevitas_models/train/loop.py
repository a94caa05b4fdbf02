"""The training loop: models trained side by side, each as it would be alone.

The best weights of a model are those with the smallest validation loss. While the pruned share
still rises no weights count as best and patience does not run out, since less pruned weights would
win. Pruned weights stay zero in every forward pass and after every step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from brevitas_models import pruning
from brevitas_models.model.heads import heads_of
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.pruning import EdgeLuts
from brevitas_models.pruning.settings import PruningSettings
from brevitas_models.train import losses, rules
from brevitas_models.train.rules import EpochRecord, Frames, OnEpoch
from brevitas_models.train.settings import TrainingSettings
from brevitas_models.train.stacked.compiling import Compiled, decided
from brevitas_models.train.stacked.stack import Stack
from brevitas_models.train.stacked.step import FramePool, Step
from brevitas_models.train.stacked.step import rates as step_rates

# Settings in which the models of one stack must agree; seed, patience and L1 factor are their own.
SHARED = ("epochs", "batch_size", "learning_rate", "schedule", "average", "loss")
# Steps from one pruning to a budget to the next: prices of edges take as long as a few steps.
BUDGET_STEPS = 50


@dataclass
class Job:
    """One model to train."""

    # Trained in place; left with its best weights, in evaluation mode. Pruned weights stay so
    model: QuantMLP
    frames: Frames
    validation: Frames
    settings: TrainingSettings
    pruned: PruningSettings | None = None  # of a gradual schedule; None: masks stay as they are
    on_epoch: OnEpoch | None = None
    # Whether to set the ranges of the quantisers from `frames` first, as a fresh model needs it
    calibrate: bool = True


def train_many(
    jobs: Sequence[Job],
    *,
    temperature: float = 1.0,
    compiled: Compiled = False,
    edge_luts: EdgeLuts | None = None,
) -> list[list[EpochRecord]]:
    """Train models side by side, each as it would be alone.

    Parameters
    ----------
    jobs : sequence of Job
        Models of one `stackable` key, with equal `steps_of`, and settings that agree in `SHARED`.
    temperature : float
        Divides the logits; the loss is multiplied by its square, so that gradients keep their size
        (Hinton et al., arXiv 1503.02531, section 2.1).
    compiled : bool or "auto"
        Let torch compile the steps. That takes a quarter of a minute (seconds in a later process,
        if torch may keep files, for the same kind of network and number of models) and needs g++;
        a step then takes about half the time. ``auto``: where there is a compiler and it pays.
    edge_luts : callable or None
        Prices of edges, for ``pruning.lut_budget``; see `pruning.edge_prices`.

    Returns
    -------
    list of list of EpochRecord
        The history of each model. `seconds` is that of the whole stack divided by the number of
        models in it.

    Raises
    ------
    UserError
        If there are no frames to learn from or to judge by, or a loss is NaN or infinite.
    ValueError
        If the jobs don't fit together.
    """
    _check(jobs)
    with rules.one_thread(), torch.no_grad():
        for job in jobs:
            if job.calibrate:
                job.model.calibrate(job.frames.x, job.frames.origin)
        run = _Run(jobs, temperature, compiled, edge_luts)
        for epoch in range(1, run.settings.epochs + 1):
            if not run.active:
                break
            with run.numbers(epoch):
                run.epoch(epoch)
        run.finish()
    return [state.history for state in run.states]


def _check(jobs: Sequence[Job]) -> None:
    for job in jobs:
        rules.check_frames(job.frames, job.validation)
    for key in SHARED:
        found = {getattr(job.settings, key) for job in jobs}
        if len(found) != 1:
            raise ValueError(f"{key}: models of one stack must agree, found {found}")
    if len({steps_of(job.settings, len(job.frames)) for job in jobs}) != 1:
        raise ValueError("models of one stack need equally many steps of equally many frames")


def steps_of(settings: TrainingSettings, frames: int) -> tuple[int, int]:
    """Return the frames of a step, and the steps of an epoch."""
    # A last, shorter batch is left out: after the next permutation other frames are in it.
    batch = min(settings.batch_size, frames)
    return batch, frames // batch if batch else 0


class _State:
    """What is known of one model while the stack trains."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.pruned = job.pruned or PruningSettings()
        self.shuffle = torch.Generator().manual_seed(job.settings.seed)
        self.order = torch.empty(0, dtype=torch.int64)
        self.history: list[EpochRecord] = []
        self.best_loss, self.best_epoch = math.inf, 0
        self.best_weights: dict[str, Any] = {}
        self.target = job.frames.target
        self.in_scale = job.model.input_scale(0)
        self.full_luts = 0.0
        self.x = torch.empty(0)

    def same_frames(self, other: _State) -> bool:
        """Return whether the quantised frames are the same for both models."""
        return (
            self.job.frames.x is other.job.frames.x
            and self.job.frames.target is other.job.frames.target
            and self.job.model.config.input_bits == other.job.model.config.input_bits
            and (self.in_scale is None or torch.equal(self.in_scale, other.in_scale))
            and self.job.model.same_ranges(other.job.model)
        )

    def same_batches(self, other: _State) -> bool:
        """Return whether every batch is the same for both models."""
        return self.same_frames(other) and self.job.settings.seed == other.job.settings.seed


class _Run:
    """The stack that is being trained; it shrinks as models run out of patience."""

    def __init__(
        self,
        jobs: Sequence[Job],
        temperature: float,
        compiled: Compiled,
        edge_luts: EdgeLuts | None,
    ) -> None:
        self.edge_luts = edge_luts
        self.states = [_State(job) for job in jobs]
        for index, state in enumerate(self.states):
            twins = (other for other in self.states[:index] if state.same_frames(other))
            twin = next(twins, None)
            # Inputs are not trained: they are quantised here, once.
            state.x = (
                state.job.model.quantised_inputs(state.job.frames.x) if twin is None else twin.x
            )
        self.settings = jobs[0].settings
        self.temperature = temperature
        self.heads = heads_of(jobs[0].model.config, self.settings.loss)
        self.batch, self.steps = steps_of(self.settings, len(jobs[0].frames))
        self.compiled = decided(compiled, len(jobs) * self.steps * self.settings.epochs)
        self.step = 0
        self.active: list[_State] = []
        self._restack(self.states)

    def _restack(self, active: list[_State]) -> None:
        kept = [index for index, state in enumerate(self.active) if state in active]
        before = self.active and self.one_step
        self.active = active
        if not active:
            return
        self.stack = Stack([state.job.model for state in active])
        self.one_step = Step(self.stack, self.temperature, self.compiled, self.heads)
        self.mean = self.stack.values.data.clone() if not before else self.mean[kept]
        if before:
            self.one_step.first.copy_(before.first[kept])
            self.one_step.second.copy_(before.second[kept])
        l1 = torch.tensor([[state.job.settings.l1] for state in active])
        self.l1 = l1 if bool(l1.any()) else None
        self.in_scale = None
        if active[0].in_scale is not None:
            scales = [state.in_scale for state in active if state.in_scale is not None]
            self.in_scale = torch.stack(scales).view(-1, 1, 1)
        # One gathering of frames serves all models that see the same batches.
        alike = all(state.same_batches(active[0]) for state in active)
        self.sources = active[:1] if alike else active
        self.pool = FramePool.of([s.x for s in self.sources], [s.target for s in self.sources])

    def _order(self) -> Tensor:
        """Return the rows of the pool that each step of an epoch takes, (steps, models, batch)."""
        used = self.steps * self.batch
        starts = zip(self.sources, self.pool.starts, strict=True)
        rows = [state.order[:used].view(self.steps, self.batch) + start for state, start in starts]
        return torch.stack(rows, 1)

    @contextmanager
    def numbers(self, epoch: int) -> Iterator[None]:
        """Raise UserError, as for a loss, where something fails because a weight is not a number.

        A table has no entry for a code that is NaN; which operation finds that out depends on the
        network.
        """
        try:
            yield
        except (RuntimeError, IndexError):
            if not self.stack.values.data.isfinite().all():
                rules.check_losses([math.nan], epoch, self.settings)
            raise

    def epoch(self, epoch: int) -> None:
        """Train all active models for an epoch and judge them."""
        started, count = time.perf_counter(), len(self.active)
        all_steps = self.steps * self.settings.epochs
        for state in self.active:
            state.job.model.train()
            frames = len(state.job.frames)
            state.order = torch.randperm(frames, generator=state.shuffle)
        order = self._order()
        ahead = range(self.step, self.step + self.steps)
        learning = [rules.learning_rate(step / all_steps, self.settings) for step in ahead]
        rates = torch.tensor([step_rates(r, at + 1) for r, at in zip(learning, ahead, strict=True)])
        self.one_step.total.zero_()
        pruning_now = [state for state in self.active if state.pruned.prunes]
        for index in range(self.steps):
            self.one_step(self.pool, order[index], self.in_scale, self.l1, rates[index])
            self.step += 1
            self._average()
            before, now = (self.step - 1) / all_steps, self.step / all_steps
            for state in pruning_now:
                if state.pruned.lut_budget is not None:
                    self._keep_budget(state, now, last=index == self.steps - 1)
                    continue
                rules.prune(state.job.model, before, now, state.pruned, state.job.settings.seed)
        if self.one_step.network.counts_batches:
            self.stack.counts += self.steps
        means = (self.one_step.total / self.steps).tolist()
        trained = self.stack.values.data.clone()
        if self.settings.average:
            self.stack.values.data.copy_(self.mean)
        spent = time.perf_counter() - started
        for state, loss_value in zip(self.active, means, strict=True):
            self._judge(state, epoch, loss_value, learning[-1], spent / count)
        self.stack.values.data.copy_(trained)
        going = [
            state
            for state in self.active
            if not rules.out_of_patience(state.best_epoch, state.job.settings, epoch)
        ]
        if len(going) < len(self.active):
            self._restack(going)

    def _average(self) -> None:
        """Let the mean of the weights follow them, the faster the fewer steps there were."""
        if self.settings.average:
            kept = min(self.settings.average, (1 + self.step) / (10 + self.step))
            self.mean.lerp_(self.stack.values.data, 1.0 - kept)

    def _keep_budget(self, state: _State, now: float, *, last: bool) -> None:
        """Prune to a budget: every few steps while it falls, then at the end of each epoch."""
        model, settings = state.job.model, state.pruned
        due = self.step % BUDGET_STEPS == 0 and now <= settings.end
        if now < settings.start or not (due or last):
            return
        if not state.full_luts:
            state.full_luts = pruning.total_luts(pruning.edge_prices(model, self.edge_luts))
        frames = state.job.frames.x
        rules.prune_to_budget(model, now, settings, state.full_luts, frames, self.edge_luts)

    def _judge(
        self, state: _State, epoch: int, train_loss: float, rate: float, seconds: float
    ) -> None:
        started, job = time.perf_counter(), state.job
        found = rules.evaluate(job.model, job.validation.x, statistics=job.frames.x)
        target = job.validation.target
        loss = float(losses.loss_of(found, target, self.temperature, self.heads))
        rules.check_losses((train_loss, loss), epoch, job.settings)
        progress = self.step / (self.steps * self.settings.epochs)
        full_share = rules.has_full_share(progress, state.pruned)
        best = full_share and loss < state.best_loss
        if best:
            state.best_loss, state.best_epoch = loss, epoch
            # Clones: a deep copy of a view would copy the buffers of the whole stack.
            state.best_weights = {
                key: value.clone() for key, value in job.model.state_dict().items()
            }
        record = EpochRecord(
            epoch=epoch,
            train_loss=train_loss,
            validation_loss=loss,
            validation_match=losses.share_right(found, target, self.heads),
            validation_rmse=losses.rmse_of(found, target, job.validation.unit, self.heads),
            validation_regret=losses.regret_of(found, target, self.temperature, self.heads),
            rate=rate,
            pruned=pruning.pruned_share(job.model.masks()),
            best=best,
            seconds=seconds + time.perf_counter() - started,
        )
        state.history.append(record)
        if job.on_epoch is not None:
            job.on_epoch(record)

    def finish(self) -> None:
        """Leave every model with its best weights, in tensors of its own."""
        for state in self.states:
            release(state.job.model)
            state.job.model.load_state_dict(state.best_weights)
            state.job.model.freeze_statistics(state.job.frames.x)


def release(model: QuantMLP) -> None:
    """Give a model tensors of its own again, so that it doesn't keep a stack's buffers alive."""
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
        parameter.grad = None
    for module in model.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, buffer.clone())
