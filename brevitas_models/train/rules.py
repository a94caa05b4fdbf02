"""The training loop: tensors in, a trained model out.

Frames lie in tensors and a batch is a slice of a permutation; there is no loader. Whether a model
learns from labels or from a teacher shows only in the targets.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from brevitas_models import pruning
from brevitas_models.errors import UserError
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.pruning.settings import PruningSettings
from brevitas_models.train.settings import (
    TrainingSettings,
)


@dataclass(frozen=True)
class Frames:
    """Inputs and what the model is to answer.

    Attributes
    ----------
    x : Tensor
        Standardised features, float32 (n, n_features).
    target : Tensor
        Labels, int64 (n,), or a teacher's probabilities, float32 (n, n_classes).
    """

    x: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.x)

    @property
    def answers(self) -> Tensor:
        """The right class of each frame, or the teacher's first choice: int64 (n,)."""
        return self.target if self.target.ndim == 1 else self.target.argmax(dim=1)


@dataclass(frozen=True)
class EpochRecord:
    """What is known after an epoch.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    train_loss, validation_loss : float
        Mean loss over the epoch's batches (L1 term included), and over the validation frames.
    validation_match : float
        Share of the validation frames on which the model's class is the target's.
    rate : float
        Learning rate of the last step.
    pruned : float
        Share of all weights that is pruned, 0..1.
    best : bool
        Whether these weights are the best so far.
    seconds : float
        Wall time of the epoch, validation included.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    validation_match: float
    rate: float
    pruned: float
    best: bool
    seconds: float


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


OnEpoch = Callable[[EpochRecord], None]


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
    """Train a model in place and leave it with its best weights, in evaluation mode.

    The best weights are those with the smallest validation loss. While the pruned share still
    rises no weights count as best and patience does not run out, since less pruned weights would
    win. Pruned weights stay zero in every forward pass and after every step.

    Parameters
    ----------
    model : QuantMLP
        Pruned weights stay so.
    frames, validation : Frames
        What to learn from, and what to judge by.
    settings : TrainingSettings
    pruned : PruningSettings or None
        Of a gradual schedule; None: masks stay as they are.
    temperature : float
        Divides the logits; the loss is multiplied by its square, so that gradients keep their size
        (Hinton et al., arXiv 1503.02531, section 2.1).
    on_epoch : callable or None
        Told of every epoch.
    calibrate : bool
        Whether to set the ranges of the quantisers from `frames` first, as a fresh model needs it.

    Returns
    -------
    list of EpochRecord

    Raises
    ------
    UserError
        If there are no frames to learn from or to judge by, or the loss is no number any more.
    """
    pruned = pruned or PruningSettings()
    check_frames(frames, validation)
    # A last, shorter batch is left out: after the next permutation other frames are in it.
    batch = min(settings.batch_size, len(frames))
    steps = len(frames) // batch
    all_steps = steps * settings.epochs

    with one_thread():
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
                rate = learning_rate(state.step / all_steps, settings)
                chosen = order[start : start + batch]
                loss = loss_of(model(frames.x[chosen]), frames.target[chosen], temperature)
                if settings.l1 > 0:
                    loss = loss + settings.l1 * weight_norm(model)
                for group in state.optimizer.param_groups:
                    group["lr"] = rate
                state.optimizer.zero_grad()
                loss.backward()
                state.optimizer.step()
                state.step += 1
                prune(
                    model,
                    (state.step - 1) / all_steps,
                    state.step / all_steps,
                    pruned,
                    settings.seed,
                )
                total += loss.detach()

            logits = evaluate(model, validation.x, statistics=frames.x)
            validation_loss = float(loss_of(logits, validation.target, temperature))
            match = float((logits.argmax(dim=1) == validation.answers).float().mean())
            check_losses((float(total), validation_loss), epoch, settings)
            at_share = has_full_share(state.step / all_steps, pruned)
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
            if out_of_patience(state.best_epoch, settings, epoch):
                break

        model.load_state_dict(state.best_weights)
        model.freeze_statistics(frames.x)
    return state.history


def learning_rate(progress: float, settings: TrainingSettings) -> float:
    """Return the learning rate when the part `progress`, 0..1, of all steps has been made.

    Cosine annealing without restarts is that of Loshchilov and Hutter, arXiv 1608.03983.
    """
    if settings.schedule == "constant":
        return settings.learning_rate
    return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))


def prune(
    model: QuantMLP, before: float, now: float, settings: PruningSettings, seed: int = 0
) -> None:
    """Set the masks that belong to the part `now`, 0..1, of all steps of a gradual schedule.

    Parameters
    ----------
    model : QuantMLP
    before, now : float
        Parts of all steps made before and after the last one. Once `before` has reached the end
        of the schedule the masks stay as they are.
    settings : PruningSettings
    seed : int
        Of pruning by chance.
    """
    if settings.share == 0 or now < settings.start or before >= settings.end:
        return
    passed = (now - settings.start) / (settings.end - settings.start)
    share = pruning.cubic_share(passed, settings.share)
    model.set_masks(pruning.masks_for(model, share, settings, seed))


def loss_of(logits: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the mean cross entropy, shape (), of logits (n, n_classes) and `Frames.target`."""
    return F.cross_entropy(logits / temperature, target) * temperature**2


def weight_norm(model: QuantMLP) -> Tensor:
    """Return the sum of |w| over all weight tensors, shape (), that L1 regularisation takes."""
    return torch.stack([linear.weight.abs().sum() for linear in model.linears]).sum()


@torch.no_grad()
def evaluate(model: QuantMLP, x: Tensor, statistics: Tensor | None = None) -> Tensor:
    """Return logits (n, n_classes) for standardised features (n, n_features).

    Parameters
    ----------
    model : QuantMLP
        Left in evaluation mode.
    x : Tensor
    statistics : Tensor or None
        Training features, for a BatchNorm that keeps no running statistics.
    """
    model.eval()
    if statistics is not None and model.config.batch_norm == "no_running_stats":
        model.freeze_statistics(statistics)
    logits: Tensor = model(x)
    return logits


def check_frames(frames: Frames, validation: Frames) -> None:
    """Refuse to train on too few frames.

    Raises
    ------
    UserError
        If there are no frames to learn from or to judge by.
    """
    if len(frames) < 2 or len(validation) < 1:
        raise UserError(
            f"training: expected at least 2 training frames and 1 validation frame, found "
            f"{len(frames)} and {len(validation)}; give more frames, or splits that leave some"
        )


def check_losses(losses: Sequence[float], epoch: int, settings: TrainingSettings) -> None:
    """Refuse to go on with losses that are no numbers any more.

    Raises
    ------
    UserError
        If one of the losses of an epoch is infinite or NaN.
    """
    if not all(math.isfinite(loss) for loss in losses):
        raise UserError(
            f"the loss is not a finite number in epoch {epoch}; try a learning_rate below "
            f"{settings.learning_rate:g}, and look for infinite or missing features"
        )


def has_full_share(progress: float, pruned: PruningSettings) -> bool:
    """Return whether all that is to be pruned is, when the part `progress`, 0..1, is made."""
    return pruned.share == 0 or progress >= pruned.end


def out_of_patience(best_epoch: int, settings: TrainingSettings, epoch: int) -> bool:
    """Return whether the validation loss has not fallen for `settings.patience` epochs.

    Parameters
    ----------
    best_epoch : int
        The last epoch in which it fell; 0: none yet.
    settings : TrainingSettings
    epoch : int
    """
    if settings.patience is None or best_epoch == 0:
        return False
    return epoch - best_epoch >= settings.patience


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread.

    Layers this small gain nothing from a second one (measured: 1,024 frames a step are slower with
    two), and sums taken by one thread come out the same on a machine with any number of cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
