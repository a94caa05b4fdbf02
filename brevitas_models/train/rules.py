"""What a training is made of: frames, epochs, learning rate, loss, and when it ends.

Frames lie in tensors and a batch is a slice of a permutation; there is no loader. Whether a model
learns from labels or from a teacher shows only in the targets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from brevitas_models import pruning
from brevitas_models.errors import UserError
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.pruning import EdgeLuts
from brevitas_models.pruning.settings import PruningSettings
from brevitas_models.train.settings import TrainingSettings

# Part of a budget of LUTs that pruning goes down to: entries of tables go on growing afterwards,
# and an edge that has to go late is missed most.
HEADROOM = 0.97


@dataclass(frozen=True)
class Frames:
    """Inputs and what the model is to answer."""

    x: Tensor  # standardised features, float32 (n, n_features)
    # Labels, int64 (n,), or float32 (n, n_out): a teacher's probabilities, or the targets of all
    # outputs, numbers standardised
    target: Tensor
    # The frames that `x` was mixed from, which features' ranges are set by; None: `x` itself
    origin: Tensor | None = None
    # What standardised targets are multiplied by to be numbers as users know them, (n_out,)
    unit: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class EpochRecord:
    """What is known after an epoch."""

    epoch: int  # counted from 1
    # Mean loss over the epoch's batches (L1 term included), and over the validation frames
    train_loss: float
    validation_loss: float
    # Share of the validation frames on which the model's class is the target's; None if it gives no
    # classes
    validation_match: float | None
    rate: float  # learning rate of the last step
    pruned: float  # share of all weights that is pruned, 0..1
    best: bool
    seconds: float  # wall time of the epoch, validation included
    # Root of the mean square error of the numbers that the model gives, in the units of the
    # targets; None if it gives none
    validation_rmse: float | None = None
    # Soft regret on the validation frames, 0 or less; None without a teacher
    validation_regret: float | None = None


OnEpoch = Callable[[EpochRecord], None]


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

    `before` and `now` are the parts of all steps made before and after the last one. Once `before`
    has reached the end of the schedule the masks stay as they are.
    """
    if settings.share == 0 or now < settings.start or before >= settings.end:
        return
    passed = (now - settings.start) / (settings.end - settings.start)
    share = pruning.cubic_share(passed, settings.share)
    model.set_masks(pruning.masks_for(model, share, settings, seed))


def prune_to_budget(
    model: QuantMLP,
    now: float,
    settings: PruningSettings,
    full: float,
    features: Tensor,
    edge_luts: EdgeLuts | None = None,
) -> None:
    """Prune a model to what its edges may cost when the part `now`, 0..1, of all steps is made.

    Before anything was pruned they cost `full` LUTs. What edges do is measured on standardised
    training features (n, n_in).
    """
    assert settings.lut_budget is not None
    if now < settings.start:
        return
    passed = (now - settings.start) / (settings.end - settings.start)
    if passed > 1.0:
        budget = float(settings.lut_budget)
    else:
        # The share of what is too much that has gone, as the share of weights of other schedules.
        excess = max(full - HEADROOM * settings.lut_budget, 0.0)
        budget = full - pruning.cubic_share(passed, 1.0) * excess
    pruning.keep_budget(model, budget, features, edge_luts)


@torch.no_grad()
def evaluate(model: QuantMLP, x: Tensor, statistics: Tensor | None = None) -> Tensor:
    """Return logits (n, n_classes) for standardised features (n, n_features).

    The model is left in evaluation mode. `statistics` are training features, for a BatchNorm that
    keeps no running statistics.
    """
    model.eval()
    if statistics is not None and model.config.batch_norm == "no_running_stats":
        model.freeze_statistics(statistics)
    logits: Tensor = model(x)
    return logits


def check_frames(frames: Frames, validation: Frames) -> None:
    """Refuse to train on too few frames."""
    if len(frames) < 2 or len(validation) < 1:
        raise UserError(
            f"training: expected at least 2 training frames and 1 validation frame, found "
            f"{len(frames)} and {len(validation)}; give more frames, or splits that leave some"
        )


def check_losses(losses: Sequence[float], epoch: int, settings: TrainingSettings) -> None:
    """Raise UserError if a loss is NaN or infinite."""
    if not all(math.isfinite(loss) for loss in losses):
        raise UserError(
            f"the loss is not a finite number in epoch {epoch}; try a learning_rate below "
            f"{settings.learning_rate:g}, and look for infinite or missing features"
        )


def has_full_share(progress: float, pruned: PruningSettings) -> bool:
    """Return whether all that is to be pruned is, when the part `progress`, 0..1, is made."""
    return not pruned.prunes or progress >= pruned.end


def out_of_patience(best_epoch: int, settings: TrainingSettings, epoch: int) -> bool:
    """Return whether the validation loss has not fallen for `settings.patience` epochs.

    `best_epoch` is the last in which it fell; 0: none yet.
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
