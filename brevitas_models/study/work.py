"""The work of a study: one round of some points, trained side by side, in any process.

A pure function of its arguments, so that it can run here, in another process or on a cluster, and
again where a worker was lost.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from brevitas_models import metrics
from brevitas_models.pruning import RULES, Luts
from brevitas_models.train.recipe import Recipe
from brevitas_models.train.rounds import RoundResult, State, Trainee, train_round
from brevitas_models.train.rules import Frames
from brevitas_models.train.stacked.compiling import Compiled


@dataclass(frozen=True)
class Member:
    """One point in a `Task`."""

    point: str
    recipe: Recipe
    before: State | None  # state at the end of the round before; None for the first round
    # Which of the task's arrays are its features and targets to learn from, features and targets to
    # judge by, features and true classes of the test set, frames that the features to learn from
    # were mixed from, and, if there is a teacher, its probabilities of the test set
    arrays: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """One round of some points of a kind that can be stacked."""

    members: tuple[Member, ...]
    round: int
    class_names: tuple[str, ...]
    compiled: Compiled
    luts: Luts = RULES


@dataclass(frozen=True)
class Outcome:
    """What became of a round of one point: its result, with figures, or an error."""

    point: str
    round: int
    result: RoundResult | None
    error: str | None = None


def run(task: Task, arrays: Mapping[int, np.ndarray]) -> list[Outcome]:
    """Train a round of some points; return the outcome of each.

    Where training them together fails, each is tried alone, so that one that can't be trained does
    not take the others with it.
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
    return Outcome(member.point, task.round, None, text)


def _train(task: Task, members: tuple[Member, ...], tensors: Mapping[int, Tensor]) -> list[Outcome]:
    # Equal frames as one object: the stack then gathers each batch once.
    pairs: dict[tuple[int, int], Frames] = {}

    def frames(x: int, target: int, origin: int | None = None) -> Frames:
        found = Frames(tensors[x], tensors[target], None if origin is None else tensors[origin])
        return pairs.setdefault((x, target), found)

    trainees = [
        Trainee(
            member.recipe, frames(*member.arrays[:2], member.arrays[6]), frames(*member.arrays[2:4])
        )
        for member in members
    ]
    results = train_round(
        trainees,
        task.round,
        [member.before for member in members],
        compiled=task.compiled,
        luts=task.luts,
    )
    outcomes = []
    for member, result in zip(members, results, strict=True):
        x, truth, _, *teacher = (tensors[index] for index in member.arrays[4:])
        model = result.model(member.recipe.network)
        asked = teacher[0].numpy() if teacher else None
        figures = metrics.measure(model, x, truth.numpy(), task.class_names, asked)
        result = dataclasses.replace(result, figures=figures)
        outcomes.append(Outcome(member.point, task.round, result))
    return outcomes
