"""The work of a study: one round of some points, trained side by side, in any process.

A pure function of its arguments, so that it can run here, in another process or on a cluster, and
again where a worker was lost.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from brevitas_models import metrics, pruning
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.pruning import LayerLuts
from brevitas_models.train import recipe, rounds
from brevitas_models.train.loop import Job, train_many
from brevitas_models.train.rules import Frames
from brevitas_models.train.stacked.compiling import Compiled

State = dict[str, Tensor]


@dataclass(frozen=True)
class Member:
    """One point in a `Task`.

    Attributes
    ----------
    point : str
        Its key.
    recipe : dict
        Of its recipe.
    before : dict of str to Tensor or None
        State at the end of the round before; None for the first round.
    arrays : tuple of int
        Which of the task's arrays are its features and targets to learn from, features and targets
        to judge by, and features and true classes of the test set.
    """

    point: str
    recipe: dict[str, Any]
    before: State | None
    arrays: tuple[int, int, int, int, int, int]


@dataclass(frozen=True)
class Task:
    """One round of some points of a kind that can be stacked.

    Attributes
    ----------
    members : tuple of Member
    round : int
    class_names : tuple of str
    compiled : bool or "auto"
        As in `loop.train_many`.
    layer_luts : callable or None
        See `hooks.Hooks`.
    """

    members: tuple[Member, ...]
    round: int
    class_names: tuple[str, ...]
    compiled: Compiled
    layer_luts: LayerLuts | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a round of one point: figures and state, or an error.

    Attributes
    ----------
    point : str
    round : int
    row : dict
        Figures of the round: columns of the table.
    state : dict of str to Tensor
    error : str or None
    """

    point: str
    round: int
    row: dict[str, Any]
    state: State
    error: str | None = None


def run(task: Task, arrays: Mapping[int, np.ndarray]) -> list[Outcome]:
    """Train a round of some points.

    Parameters
    ----------
    task : Task
    arrays : mapping of int to array
        Features, targets and classes that the members refer to.

    Returns
    -------
    list of Outcome
        One for each member. Where training them together fails, each is tried alone, so that
        one that can't be trained does not take the others with it.
    """
    with warnings.catch_warnings():
        # Those of torch and Brevitas are about their own insides: nothing a user could act on.
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        # Arrays that come through shared memory can't be written to, which torch warns of.
        tensors = {index: torch.from_numpy(array) for index, array in arrays.items()}
        try:
            return _train(task, task.members, tensors)
        except Exception as error:
            if len(task.members) == 1:
                return [_failed(task, task.members[0], error)]
        outcomes = []
        for member in task.members:
            try:
                outcomes += _train(task, (member,), tensors)
            except Exception as error:
                outcomes.append(_failed(task, member, error))
        return outcomes


def _failed(task: Task, member: Member, error: Exception) -> Outcome:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return Outcome(member.point, task.round, {}, {}, text)


def _train(task: Task, members: tuple[Member, ...], tensors: Mapping[int, Tensor]) -> list[Outcome]:
    recipes = [recipe.from_dict(member.recipe) for member in members]
    models, jobs = [], []
    pairs: dict[tuple[int, int], Frames] = {}
    for member, settings in zip(members, recipes, strict=True):
        now = rounds.plan(settings)[task.round]
        model = rounds.initial_model(settings)
        initial = rounds.copy_state(model)
        if member.before is not None:
            model.load_state_dict(member.before)
        rounds.start_round(model, now, initial, settings, task.layer_luts)
        training, gradual, calibrate = rounds.training_of(settings, now)
        x, target, x_val, target_val, _, _ = member.arrays
        # Equal frames as one object: the stack then gathers each batch once.
        frames = pairs.setdefault((x, target), Frames(tensors[x], tensors[target]))
        judged = pairs.setdefault((x_val, target_val), Frames(tensors[x_val], tensors[target_val]))
        jobs.append(Job(model, frames, judged, training, gradual, calibrate=calibrate))
        models.append(model)
    first = recipes[0].distillation
    histories = train_many(
        jobs, temperature=first.temperature if first else 1.0, compiled=task.compiled
    )
    outcomes = []
    for member, settings, model, history in zip(members, recipes, models, histories, strict=True):
        now = rounds.plan(settings)[task.round]
        best = next(record for record in reversed(history) if record.best)
        row = {
            "round": task.round,
            "share": now.share,
            "pruned": pruning.pruned_share(model.masks()),
            "epochs": len(history),
            "best_epoch": best.epoch,
            "train_loss": best.train_loss,
            "validation_loss": best.validation_loss,
            "validation_match": best.validation_match,
            **_measured(model, member, tensors, task.class_names),
        }
        outcomes.append(Outcome(member.point, task.round, row, rounds.copy_state(model)))
    return outcomes


def _measured(
    model: QuantMLP, member: Member, tensors: Mapping[int, Tensor], names: tuple[str, ...]
) -> dict[str, float]:
    x, truth = tensors[member.arrays[4]], tensors[member.arrays[5]].numpy()
    return metrics.measure(model, x, truth, names)
