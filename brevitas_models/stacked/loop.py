"""The training loop for a stack of models: `training.train` for many models at once."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from brevitas_models import pruning, training
from brevitas_models.errors import UserError
from brevitas_models.quant_mlp import QuantMLP
from brevitas_models.recipe import PruningSettings, TrainingSettings
from brevitas_models.stacked.network import Network
from brevitas_models.stacked.stack import Stack
from brevitas_models.training import EpochRecord, Frames, OnEpoch

# Settings in which the models of one stack must agree; seed, patience and L1 factor are their own.
SHARED = ("epochs", "batch_size", "learning_rate", "schedule")


@dataclass
class Job:
    """One model to train, with what `training.train` takes; see there.

    Attributes
    ----------
    model, frames, validation, settings, pruned, on_epoch, calibrate
        As the arguments of `training.train`.
    """

    model: QuantMLP
    frames: Frames
    validation: Frames
    settings: TrainingSettings
    pruned: PruningSettings | None = None
    on_epoch: OnEpoch | None = None
    calibrate: bool = True


def train(
    model: QuantMLP,
    frames: Frames,
    validation: Frames,
    settings: TrainingSettings,
    pruned: PruningSettings | None = None,
    *,
    temperature: float = 1.0,
    on_epoch: OnEpoch | None = None,
    calibrate: bool = True,
) -> list[EpochRecord]:
    """Train one model as `training.train` does, several times faster.

    Batches, masks and rules are the same; sums are taken in another order, so that the results
    agree up to rounding only.
    """
    job = Job(model, frames, validation, settings, pruned, on_epoch, calibrate)
    return train_many([job], temperature=temperature)[0]


def train_many(
    jobs: Sequence[Job], *, temperature: float = 1.0, compiled: bool = False
) -> list[list[EpochRecord]]:
    """Train models side by side, each as it would be alone.

    Parameters
    ----------
    jobs : sequence of Job
        Models of one `stackable` key, with equally many frames, and settings that agree in
        `SHARED`.
    temperature : float
        As in `training.train`.
    compiled : bool
        Let torch compile forward and backward. That takes up to a minute (once for a kind of
        network and a number of models, if torch may keep files) and needs g++; a step then takes
        about two thirds of the time.

    Returns
    -------
    list of list of EpochRecord
        The history of each model. `seconds` is that of the whole stack divided by the number of
        models in it.

    Raises
    ------
    UserError
        As `training.train`.
    ValueError
        If the jobs don't fit together.
    """
    _check(jobs)
    with training.one_thread(), torch.no_grad():
        for job in jobs:
            if job.calibrate:
                job.model.calibrate(job.frames.x)
        run = _Run(jobs, temperature, compiled)
        for epoch in range(1, run.settings.epochs + 1):
            if not run.active:
                break
            run.epoch(epoch)
        run.finish()
    return [state.history for state in run.states]


def _check(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if len(job.frames) < 2 or len(job.validation) < 1:
            raise UserError(
                f"training needs at least 2 training frames and 1 validation frame, found "
                f"{len(job.frames)} and {len(job.validation)}"
            )
    for key in SHARED:
        found = {getattr(job.settings, key) for job in jobs}
        if len(found) != 1:
            raise ValueError(f"{key}: models of one stack must agree, found {found}")
    if len({len(job.frames) for job in jobs}) != 1:
        raise ValueError("models of one stack need equally many training frames")


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
        n_classes = job.model.config.layers[-1]
        target = job.frames.target
        self.target = target if target.ndim == 2 else F.one_hot(target, n_classes).float()
        self.x: Tensor = job.model.input_quant(job.frames.x)
        self.in_scale = job.model.input_scale(0)

    def same_inputs(self, other: _State) -> bool:
        """Return whether every batch is the same for both models."""
        return (
            self.job.frames.x is other.job.frames.x
            and self.job.frames.target is other.job.frames.target
            and self.job.settings.seed == other.job.settings.seed
            and self.job.model.config.input_bits == other.job.model.config.input_bits
            and (self.in_scale is None or torch.equal(self.in_scale, other.in_scale))
        )


class _Run:
    """The stack that is being trained; it shrinks as models run out of patience."""

    def __init__(self, jobs: Sequence[Job], temperature: float, compiled: bool) -> None:
        self.states = [_State(job) for job in jobs]
        self.settings = jobs[0].settings
        self.temperature, self.compiled = temperature, compiled
        # A last, shorter batch is left out: after the next permutation other frames are in it.
        self.batch = min(self.settings.batch_size, len(jobs[0].frames))
        self.steps = len(jobs[0].frames) // self.batch
        self.step = 0
        self.active: list[_State] = []
        self._restack(self.states)

    def _restack(self, active: list[_State]) -> None:
        kept = [index for index, state in enumerate(self.active) if state in active]
        optimizer = getattr(self, "optimizer", None)
        self.active = active
        if not active:
            return
        self.stack = Stack([state.job.model for state in active])
        self.network = Network(self.stack.configs)
        if self.compiled:
            self.network.generalise()
            self.gradients = torch.compile(self.network.gradients, dynamic=False, fullgraph=True)
        else:
            self.gradients = self.network.gradients
        before = optimizer.state_dict()["state"] if optimizer is not None else {}
        self.optimizer = torch.optim.Adam(
            [self.stack.values], lr=self.settings.learning_rate, fused=True
        )
        if before:
            rows = {key: v[kept] if v.ndim else v for key, v in before[0].items()}
            self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": {0: rows}})
        l1 = torch.tensor([[state.job.settings.l1] for state in active])
        self.l1 = l1 if bool(l1.any()) else None
        self.in_scale = None
        if active[0].in_scale is not None:
            scales = [state.in_scale for state in active if state.in_scale is not None]
            self.in_scale = torch.stack(scales).view(-1, 1, 1)
        # One gathering of frames serves all models that see the same batches.
        self.alike = all(state.same_inputs(active[0]) for state in active)

    def _batch(self, start: int) -> tuple[Tensor, Tensor]:
        sources = self.active[:1] if self.alike else self.active
        chosen = [state.order[start : start + self.batch] for state in sources]
        pairs = list(zip(sources, chosen, strict=True))
        x = [state.x.index_select(0, order) for state, order in pairs]
        target = [state.target.index_select(0, order).t() for state, order in pairs]
        if len(pairs) == 1:
            return x[0][None], target[0].contiguous()[None]
        return torch.stack(x), torch.stack(target)

    def epoch(self, epoch: int) -> None:
        """Train all active models for an epoch and judge them."""
        started, count = time.perf_counter(), len(self.active)
        all_steps = self.steps * self.settings.epochs
        for state in self.active:
            state.job.model.train()
            frames = len(state.job.frames)
            state.order = torch.randperm(frames, generator=state.shuffle)
        total = torch.zeros(count)
        values, keep, statistics = self.stack.values, self.stack.keep, self.stack.statistics
        running = [tensor for pair in statistics for tensor in pair]
        rate = self.settings.learning_rate
        for start in range(0, self.steps * self.batch, self.batch):
            rate = training.learning_rate(self.step / all_steps, self.settings)
            x, target = self._batch(start)
            loss, values.grad, seen = self.gradients(
                values.data, keep, statistics, x, self.in_scale, target, self.l1, self.temperature
            )
            if seen:
                torch._foreach_copy_(running, [tensor for pair in seen for tensor in pair])
            self.optimizer.param_groups[0]["lr"] = rate
            self.optimizer.step()
            self.step += 1
            for state in self.active:
                before, now = (self.step - 1) / all_steps, self.step / all_steps
                training.prune(state.job.model, before, now, state.pruned, state.job.settings.seed)
            total += loss
        if self.network.counts_batches:
            self.stack.counts += self.steps
        losses = (total / self.steps).tolist()
        spent = time.perf_counter() - started
        for state, loss_value in zip(self.active, losses, strict=True):
            self._judge(state, epoch, loss_value, rate, spent / count)
        going = [state for state in self.active if not self._stopped(state, epoch)]
        if len(going) < len(self.active):
            self._restack(going)

    def _judge(
        self, state: _State, epoch: int, train_loss: float, rate: float, seconds: float
    ) -> None:
        started, job = time.perf_counter(), state.job
        logits = training.evaluate(job.model, job.validation.x, statistics=job.frames.x)
        loss = float(training.loss_of(logits, job.validation.target, self.temperature))
        match = float((logits.argmax(dim=1) == job.validation.answers).float().mean())
        if not math.isfinite(loss) or not math.isfinite(train_loss):
            raise UserError(
                f"the loss is not a finite number in epoch {epoch}; try a learning_rate "
                f"below {job.settings.learning_rate:g}"
            )
        progress = self.step / (self.steps * self.settings.epochs)
        full_share = state.pruned.share == 0 or progress >= state.pruned.end
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
            validation_match=match,
            rate=rate,
            pruned=pruning.pruned_share(job.model.masks()),
            best=best,
            seconds=seconds + time.perf_counter() - started,
        )
        state.history.append(record)
        if job.on_epoch is not None:
            job.on_epoch(record)

    def _stopped(self, state: _State, epoch: int) -> bool:
        patience = state.job.settings.patience
        if patience is None or state.best_epoch == 0:
            return False
        return epoch - state.best_epoch >= patience

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
