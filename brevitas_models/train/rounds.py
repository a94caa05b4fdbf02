"""Pruning round by round: train, prune, go on or go back, and take up again where it stopped.

Source: Hawks et al., "Ps and Qs" (2021), arXiv 2102.11289, section 3.2. Fine-tuning goes on from
the best weights of the round before; a lottery ticket goes back to its initial values (Frankle and
Carbin (2019), arXiv 1803.03635).
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from brevitas_models import pruning
from brevitas_models.errors import UserError
from brevitas_models.files import write_atomic
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.pruning import LayerLuts
from brevitas_models.pruning.settings import PruningSettings
from brevitas_models.train import rules
from brevitas_models.train.recipe import Recipe
from brevitas_models.train.rules import EpochRecord, Frames, OnEpoch
from brevitas_models.train.settings import (
    TrainingSettings,
)

State = dict[str, Tensor]
_FORMAT = "prunestream-rounds-1"


@dataclass(frozen=True)
class Round:
    """One training among those of a schedule.

    Attributes
    ----------
    index : int
        From 0.
    share : float
        Share of the prunable weights that is pruned in it, or by its end if `gradual`.
    rewind : bool
        Whether it starts from initial values instead of the weights of the round before.
    gradual : bool
        Whether the share rises during the training.
    """

    index: int
    share: float
    rewind: bool = False
    gradual: bool = False


@dataclass(frozen=True)
class RoundResult:
    """What a round ends with.

    Attributes
    ----------
    round : Round
    pruned : float
        Share of all weights that is pruned, 0..1.
    state : dict of str to Tensor
        Copy of the best weights, with masks, scales and statistics: a state of `QuantMLP`.
    history : tuple of EpochRecord
    """

    round: Round
    pruned: float
    state: State
    history: tuple[EpochRecord, ...]

    def model(self, network: MLPConfig) -> QuantMLP:
        """Return the trained model, in evaluation mode."""
        with torch.random.fork_rng(devices=[]):  # the initial weights are of no consequence
            model = QuantMLP(network)
        model.load_state_dict(self.state)
        return model.eval()


class Trainer(Protocol):
    """Whatever trains a model as `rules.train` does."""

    def __call__(
        self,
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
        """Train `model` in place and leave it with its best weights."""
        ...


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


def run_rounds(
    recipe: Recipe,
    frames: Frames,
    validation: Frames,
    *,
    state_file: Path | None = None,
    on_round: Callable[[RoundResult], None] | None = None,
    on_epoch: Callable[[Round, EpochRecord], None] | None = None,
    trainer: Trainer = rules.train,
    layer_luts: LayerLuts | None = None,
) -> list[RoundResult]:
    """Train a fresh model through all rounds of its schedule.

    Parameters
    ----------
    recipe : Recipe
        Its network, training, pruning and seed; the data are those given here.
    frames, validation : Frames
    state_file : Path or None
        Where finished rounds are kept, whole after each one; its folder must exist. With the file
        of an interrupted run the result is that of an undisturbed one, bit for bit on the same
        machine. It stays there at the end.
    on_round : callable or None
        Told of every round that is trained here, when it is in the file.
    on_epoch : callable or None
        Told of every epoch, and of its round.
    trainer : Trainer
        What trains a model.
    layer_luts : callable or None
        See `hooks.Hooks`.

    Returns
    -------
    list of RoundResult
        All rounds, those found in the file too.

    Raises
    ------
    UserError
        If the file belongs to another recipe or to other frames, or what `trainer` raises.
    """
    key = fingerprint(recipe, frames, validation)
    rounds = plan(recipe)
    results = [] if state_file is None else _read(state_file, key, rounds)
    model = initial_model(recipe)
    initial = copy_state(model)
    if results:
        model.load_state_dict(results[-1].state)
    temperature = recipe.distillation.temperature if recipe.distillation else 1.0
    for now in rounds[len(results) :]:
        start_round(model, now, initial, recipe, layer_luts)
        settings, gradual, calibrate = training_of(recipe, now)
        history = trainer(
            model,
            frames,
            validation,
            settings,
            gradual,
            temperature=temperature,
            on_epoch=None if on_epoch is None else _told(on_epoch, now),
            calibrate=calibrate,
        )
        pruned = pruning.pruned_share(model.masks())
        results.append(RoundResult(now, pruned, copy_state(model), tuple(history)))
        if state_file is not None:
            _write(state_file, key, results)
        if on_round is not None:
            on_round(results[-1])
    return results


def start_round(
    model: QuantMLP,
    now: Round,
    initial: State,
    recipe: Recipe,
    layer_luts: LayerLuts | None = None,
) -> None:
    """Prune for a round and, for a lottery ticket, go back to initial values.

    Parameters
    ----------
    model : QuantMLP
        With the weights of the round before; a fresh one for the first. Changed in place.
    now : Round
    initial : dict of str to Tensor
        State of the fresh model, from `copy_state`: a state dict as such holds the weights
        themselves, and going back to those would change nothing.
    recipe : Recipe
    layer_luts : callable or None
        See `hooks.Hooks`.
    """
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


def fingerprint(recipe: Recipe, frames: Frames, validation: Frames) -> str:
    """Return a checksum of all that decides what `run_rounds` returns."""
    settings = recipe.to_dict()
    # Where the frames came from does not matter: they are in the sum themselves.
    settings = {key: settings[key] for key in ("network", "training", "pruning", "distillation")}
    digest = hashlib.sha256(json.dumps([settings, torch.__version__], sort_keys=True).encode())
    for part in (frames, validation):
        for tensor in (part.x, part.target):
            digest.update(str((tensor.dtype, tuple(tensor.shape))).encode())
            digest.update(np.ascontiguousarray(tensor.numpy()))
    return digest.hexdigest()


def _told(
    on_epoch: Callable[[Round, EpochRecord], None], now: Round
) -> Callable[[EpochRecord], None]:
    return lambda record: on_epoch(now, record)


def _write(path: Path, key: str, results: list[RoundResult]) -> None:
    rows: list[dict[str, Any]] = [
        {
            "pruned": result.pruned,
            "state": result.state,
            "history": [dataclasses.asdict(record) for record in result.history],
        }
        for result in results
    ]
    buffer = io.BytesIO()
    torch.save({"format": _FORMAT, "key": key, "rounds": rows}, buffer)
    write_atomic(path, buffer.getvalue())


def _read(path: Path, key: str, rounds: tuple[Round, ...]) -> list[RoundResult]:
    if not path.exists():
        return []
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch raises a dozen kinds on a foreign file.
        raise UserError(
            f"{path}: expected the finished rounds of a training, found a file that can't be read "
            f"({type(error).__name__}); remove it to start anew"
        ) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise UserError(
            f"{path}: expected the finished rounds of a training, found something else; remove it "
            f"to start anew"
        )
    if content["key"] != key:
        raise UserError(
            f"{path}: the rounds in it are of another recipe, other frames or another version of "
            f"torch; remove it to start anew, or give another file"
        )
    return [
        RoundResult(
            round=now,
            pruned=row["pruned"],
            state=row["state"],
            history=tuple(EpochRecord(**record) for record in row["history"]),
        )
        for now, row in zip(rounds, content["rounds"], strict=False)
    ]
