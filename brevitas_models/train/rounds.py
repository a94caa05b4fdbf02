"""Pruning round by round: train, prune, go on or go back, and take up again where it stopped.

Source: Hawks et al., "Ps and Qs" (2021), arXiv 2102.11289, section 3.2. Fine-tuning goes on from
the best weights of the round before; a lottery ticket goes back to its initial values (Frankle and
Carbin (2019), arXiv 1803.03635).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from brevitas_models import pruning
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.pruning import RULES, LayerLuts, Luts
from brevitas_models.pruning.settings import PruningSettings
from brevitas_models.train.loop import SHARED, Job, steps_of, train_many
from brevitas_models.train.recipe import Recipe
from brevitas_models.train.rules import EpochRecord, Frames
from brevitas_models.train.settings import TrainingSettings
from brevitas_models.train.stacked.compiling import Compiled
from brevitas_models.train.stacked.stack import stackable

State = dict[str, Tensor]


@dataclass(frozen=True)
class Round:
    """One training among those of a schedule."""

    index: int  # from 0
    share: float  # share of the prunable weights that is pruned in it, or by its end if `gradual`
    # Whether it starts from initial values instead of the weights of the round before
    rewind: bool = False
    gradual: bool = False  # whether the share rises during the training


@dataclass(frozen=True, eq=False)
class RoundResult:
    """What a round ends with."""

    round: Round
    pruned: float  # share of all weights that is pruned, 0..1
    # Copy of the best weights, with masks, scales and statistics: a state of `QuantMLP`
    state: State
    history: tuple[EpochRecord, ...]
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> EpochRecord:
        """The epoch that the weights are of."""
        return next(record for record in reversed(self.history) if record.best)

    def model(self, network: MLPConfig) -> QuantMLP:
        """Return the trained model, in evaluation mode."""
        with torch.random.fork_rng(devices=[]):  # the initial weights are of no consequence
            model = QuantMLP(network)
        model.load_state_dict(self.state)
        return model.eval()


@dataclass(frozen=True, eq=False)
class Trainee:
    """A recipe with what it learns from (`frames`) and is judged by (`validation`).

    `key` is its name in a store. Frames that are the same for several should be one object: a stack
    of models then gathers each batch once.
    """

    recipe: Recipe
    frames: Frames
    validation: Frames
    key: str = ""


def plan(recipe: Recipe) -> tuple[Round, ...]:
    """Return the rounds of a recipe's schedule, in order."""
    settings = recipe.pruning
    if settings.schedule == "gradual":
        return (Round(0, settings.share, gradual=True),)
    if settings.schedule == "one_shot":
        return (Round(0, 0.0), Round(1, settings.share))
    shares = settings.shares or pruning.shares_up_to(settings.share)
    back = settings.schedule == "lottery_ticket"
    return tuple(Round(i, share, rewind=back and i > 0) for i, share in enumerate(shares))


def kind(recipe: Recipe, frames: int) -> Hashable:
    """Return a key: recipes of equal keys with this number of frames can be side by side."""
    chosen = recipe.training
    return (
        stackable(recipe.network),
        len(plan(recipe)),
        steps_of(chosen, frames),
        tuple(getattr(chosen, key) for key in SHARED),
        _temperature(recipe),
    )


def side_by_side(trainees: Sequence[Trainee]) -> list[list[int]]:
    """Return the indices of trainees in groups that can be trained side by side, in order."""
    groups: dict[Hashable, list[int]] = {}
    for index, one in enumerate(trainees):
        groups.setdefault(kind(one.recipe, len(one.frames)), []).append(index)
    return list(groups.values())


def train_round(
    trainees: Sequence[Trainee],
    index: int,
    before: Sequence[State | None],
    *,
    compiled: Compiled = False,
    luts: Luts = RULES,
    on_epoch: Callable[[Round, EpochRecord], None] | None = None,
) -> list[RoundResult]:
    """Train one round of some trainees, of one `kind`, side by side.

    `before` is the state of each at the end of the round before; None for the first round.
    """
    jobs, plans = [], [plan(one.recipe)[index] for one in trainees]
    for one, now, state in zip(trainees, plans, before, strict=True):
        model = initial_model(one.recipe)
        initial = copy_state(model)
        if state is not None:
            model.load_state_dict(state)
        _start(model, now, initial, one.recipe, luts.layers)
        settings, gradual, calibrate = training_of(one.recipe, now)
        watch = None if on_epoch is None else partial(on_epoch, now)
        jobs.append(Job(model, one.frames, one.validation, settings, gradual, watch, calibrate))
    temperature = _temperature(trainees[0].recipe)
    histories = train_many(jobs, temperature=temperature, compiled=compiled, edge_luts=luts.edges)
    return [
        RoundResult(
            now, pruning.pruned_share(job.model.masks()), copy_state(job.model), tuple(history)
        )
        for now, job, history in zip(plans, jobs, histories, strict=True)
    ]


def _start(
    model: QuantMLP, now: Round, initial: State, recipe: Recipe, layer_luts: LayerLuts | None
) -> None:
    """Prune for a round and, for a lottery ticket, go back to initial values."""
    if now.gradual:
        return
    masks = model.masks()
    if now.share > 0:
        seed = recipe.training.seed
        masks = pruning.masks_for(model, now.share, recipe.pruning, seed, layer_luts)
    if now.rewind:
        model.load_state_dict(initial)
    model.set_masks(masks)


def training_of(
    recipe: Recipe, now: Round
) -> tuple[TrainingSettings, PruningSettings | None, bool]:
    """Return how a round is trained.

    Returns
    -------
    settings : TrainingSettings
        With a seed of the round's own, so that each takes the frames in another order.
    gradual : PruningSettings or None
        What to prune while training.
    calibrate : bool
        Whether ranges are set from the data: where weights are initial ones.
    """
    settings = recipe.training
    if now.index > 0:
        words = np.random.SeedSequence([settings.seed, now.index]).generate_state(1)
        settings = settings.model_copy(update={"seed": int(words[0])})
    fresh = now.index == 0 or now.rewind
    return settings, recipe.pruning if now.gradual else None, fresh


def initial_model(recipe: Recipe) -> QuantMLP:
    """Return an untrained model with the initial weights of the recipe's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        return QuantMLP(recipe.network)


def copy_state(model: QuantMLP) -> State:
    """Return a copy of all that `model` holds, which its further training does not change."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _temperature(recipe: Recipe) -> float:
    return recipe.distillation.temperature if recipe.distillation else 1.0
