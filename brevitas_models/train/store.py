"""Finished rounds of trainings, kept in files, and the trainings that go on from them."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brevitas_models.errors import UserError
from brevitas_models.files import write_atomic
from brevitas_models.pruning import RULES, Luts
from brevitas_models.train.recipe import Recipe
from brevitas_models.train.rounds import Round, RoundResult, Trainee, plan, train_round
from brevitas_models.train.rules import EpochRecord
from brevitas_models.train.stacked.compiling import Compiled

_FORMAT = "prunestream-rounds-2"


def digest(*arrays: npt.NDArray[Any]) -> str:
    """Return a checksum of arrays: types, shapes and contents."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(str((array.dtype, array.shape)).encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def key(recipe: Recipe, frames: str, *label: object) -> str:
    """Return a name for a training that changes with all that decides its result.

    `frames` is the `digest` of the frames; what the recipe says of where they come from does not
    matter. Plain values as `label` keep trainings apart that are the same otherwise.
    """
    settings = recipe.model_dump(mode="json", exclude={"name", "data"})
    text = json.dumps([settings, torch.__version__, frames, label], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class RoundStore:
    """The finished rounds of trainings, each training's in a file of its own.

    `folder` is made when something is written; None: rounds are kept in memory alone.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._rounds: dict[str, list[RoundResult]] = {}

    def rounds(self, key: str) -> list[RoundResult]:
        """Return the finished rounds of a training, in order; UserError if its file is damaged."""
        if key not in self._rounds:
            self._rounds[key] = [] if self.folder is None else _read(self.folder / f"{key}.pt")
        return self._rounds[key]

    def add(self, key: str, result: RoundResult) -> bool:
        """Keep a finished round, on disk before this returns; False if it was there already."""
        rounds = self.rounds(key)
        if result.round.index != len(rounds):
            return False
        rounds.append(result)
        self._write(key)
        return True

    def add_figures(self, key: str, index: int, figures: dict[str, Any]) -> None:
        """Add figures to a finished round."""
        rounds = self.rounds(key)
        rounds[index] = dataclasses.replace(
            rounds[index], figures={**rounds[index].figures, **figures}
        )
        self._write(key)

    def _write(self, key: str) -> None:
        if self.folder is None:
            return
        rounds = self._rounds[key]
        # What is not a tensor as JSON: dataclasses would be pickled.
        plain = [dataclasses.asdict(dataclasses.replace(item, state={})) for item in rounds]
        states = [item.state for item in rounds]
        buffer = io.BytesIO()
        torch.save({"format": _FORMAT, "rounds": json.dumps(plain), "states": states}, buffer)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomic(self.folder / f"{key}.pt", buffer.getvalue())


def _read(path: Path) -> list[RoundResult]:
    if not path.exists():
        return []
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] != _FORMAT:
            raise ValueError("another format")
        return [
            RoundResult(
                round=Round(**item["round"]),
                pruned=item["pruned"],
                state=state,
                history=tuple(EpochRecord(**record) for record in item["history"]),
                figures=item["figures"],
            )
            for item, state in zip(json.loads(content["rounds"]), content["states"], strict=True)
        ]
    except Exception as error:
        # torch raises a dozen kinds on a foreign file.
        raise UserError(
            f"{path}: expected the finished rounds of a training, found a file that can't be read "
            f"({type(error).__name__}); remove it to train them again"
        ) from error


def run_rounds(
    trainees: Sequence[Trainee],
    store: RoundStore | None = None,
    *,
    compiled: Compiled = False,
    luts: Luts = RULES,
    on_epoch: Callable[[Round, EpochRecord], None] | None = None,
) -> list[list[RoundResult]]:
    """Train fresh models side by side through all rounds of their schedules.

    The trainees are of one `kind`, with different keys if there are several. Returns all rounds of
    each, those found in the store too. The store keeps each round as it is finished: with that of
    an interrupted run the result is that of an undisturbed one, bit for bit on the same machine.
    """
    store = RoundStore() if store is None else store
    finished = [store.rounds(one.key) for one in trainees]
    while (index := min(map(len, finished))) < len(plan(trainees[0].recipe)):
        # All take part in a round that one of them lacks, also those that have it: each is trained
        # in the company that it had in an undisturbed run, so sums come out the same.
        before = [rounds[index - 1].state if index else None for rounds in finished]
        results = train_round(
            trainees, index, before, compiled=compiled, luts=luts, on_epoch=on_epoch
        )
        for one, result in zip(trainees, results, strict=True):
            store.add(one.key, result)
    return finished
