"""The usual way of training, which the engine is compared with: Brevitas' layers and autograd."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from brevitas_models import pruning
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.pruning.settings import PruningSettings
from brevitas_models.train import losses, rules
from brevitas_models.train.loop import Job, train_many
from brevitas_models.train.rules import EpochRecord, Frames
from brevitas_models.train.settings import TrainingSettings


def train_one(
    model: QuantMLP,
    frames: Frames,
    validation: Frames,
    settings: TrainingSettings,
    pruned: PruningSettings | None = None,
    *,
    on_epoch: rules.OnEpoch | None = None,
) -> list[EpochRecord]:
    """Train one model with the engine."""
    return train_many([Job(model, frames, validation, settings, pruned, on_epoch)])[0]


@dataclass
class TrainState:
    """All that changes while a model trains, so that it could be stored and taken up again."""

    model: QuantMLP
    optimizer: torch.optim.Optimizer
    shuffle: torch.Generator
    step: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0
    best_weights: dict[str, Any] = field(default_factory=dict)
    history: list[EpochRecord] = field(default_factory=list)


def train(
    model: QuantMLP,
    frames: Frames,
    validation: Frames,
    settings: TrainingSettings,
    pruned: PruningSettings | None = None,
    *,
    temperature: float = 1.0,
    on_epoch: rules.OnEpoch | None = None,
    calibrate: bool = True,
) -> list[EpochRecord]:
    """Train a model in place and leave it with its best weights; arguments as of `Job`."""
    pruned = pruned or PruningSettings()
    rules.check_frames(frames, validation)
    # A last, shorter batch is left out: after the next permutation other frames are in it.
    batch = min(settings.batch_size, len(frames))
    steps = len(frames) // batch
    all_steps = steps * settings.epochs

    with rules.one_thread():
        if calibrate:
            model.calibrate(frames.x)
        state = TrainState(
            model=model,
            optimizer=torch.optim.Adam(
                [p for p in model.parameters() if p.requires_grad],
                lr=settings.learning_rate,
                fused=True,
            ),
            shuffle=torch.Generator().manual_seed(settings.seed),
        )
        for epoch in range(1, settings.epochs + 1):
            started = time.perf_counter()
            total = torch.zeros(())
            model.train()
            order = torch.randperm(len(frames), generator=state.shuffle)
            for start in range(0, steps * batch, batch):
                rate = rules.learning_rate(state.step / all_steps, settings)
                chosen = order[start : start + batch]
                loss = losses.loss_of(model(frames.x[chosen]), frames.target[chosen], temperature)
                if settings.l1 > 0:
                    loss = loss + settings.l1 * weight_norm(model)
                for group in state.optimizer.param_groups:
                    group["lr"] = rate
                state.optimizer.zero_grad()
                loss.backward()
                state.optimizer.step()
                state.step += 1
                rules.prune(
                    model,
                    (state.step - 1) / all_steps,
                    state.step / all_steps,
                    pruned,
                    settings.seed,
                )
                total += loss.detach()

            logits = rules.evaluate(model, validation.x, statistics=frames.x)
            validation_loss = float(losses.loss_of(logits, validation.target, temperature))
            match = losses.share_right(logits, validation.target)
            rules.check_losses((float(total), validation_loss), epoch, settings)
            at_share = rules.has_full_share(state.step / all_steps, pruned)
            best = at_share and validation_loss < state.best_loss
            if best:
                state.best_loss, state.best_epoch = validation_loss, epoch
                state.best_weights = copy.deepcopy(model.state_dict())
            state.history.append(
                EpochRecord(
                    epoch=epoch,
                    train_loss=float(total) / steps,
                    validation_loss=validation_loss,
                    validation_match=match,
                    rate=rate,
                    pruned=pruning.pruned_share(model.masks()),
                    best=best,
                    seconds=time.perf_counter() - started,
                )
            )
            if on_epoch is not None:
                on_epoch(state.history[-1])
            if rules.out_of_patience(state.best_epoch, settings, epoch):
                break

        model.load_state_dict(state.best_weights)
        model.freeze_statistics(frames.x)
    return state.history


def weight_norm(model: QuantMLP) -> Tensor:
    """Return the sum of |w| over all weight tensors, shape (), that L1 regularisation takes."""
    return torch.stack([linear.learnt.abs().sum() for linear in model.linears]).sum()
