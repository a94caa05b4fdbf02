"""Which trainings a study asks for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from brevitas_models.errors import UserError
from brevitas_models.model.config import FLOAT_BITS
from brevitas_models.study.config import Grid, Study
from brevitas_models.train import recipe
from brevitas_models.train.recipe import Recipe

# Settings of a grid: where each stands in a recipe.
PLACES = {
    "bits": "network.weight_bits",
    "schedule": "pruning.schedule",
    "criterion": "pruning.criterion",
    "batch_norm": "network.batch_norm",
    "l1": "training.l1",
    "random_labels": "data.random_labels",
    "seed": "training.seed",
}


@dataclass(frozen=True)
class Point:
    """One training through all its rounds."""

    recipe: Recipe  # `data.folds` is that of the study; the point is one of them
    fold: int = 0  # from 0
    # ``grid``, ``bayes_trial`` or ``bayes``: the best sizes of a search, trained in full
    kind: str = "grid"
    trial: int | None = None
    # Settings by section and name that the study's grids vary beside those with a column of theirs
    varied: tuple[str, ...] = ()

    def columns(self) -> dict[str, Any]:
        """Return the settings in which this point differs from others, as columns of the table."""
        chosen = self.recipe
        weight, act = set(chosen.network.weight_widths), set(chosen.network.act_widths)
        widths = weight | act
        spread = f"{_joined(chosen.network.weight_widths)}/{_joined(chosen.network.act_widths)}"
        return {
            "kind": self.kind,
            **{name: _setting(chosen, place) for name, place in PLACES.items()},
            "bits": next(iter(widths)) if len(widths) == 1 else spread,
            "fold": self.fold,
            "layers": _joined(chosen.network.layers),
            "trial": self.trial,
            **{name: _plain(_setting(chosen, name)) for name in self.varied},
        }


def _setting(chosen: Recipe, name: str) -> Any:
    section, _, key = name.partition(".")
    return getattr(getattr(chosen, section), key, None)


def _plain(value: Any) -> Any:
    """Return a setting as a cell of the table."""
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else value


def _joined(numbers: tuple[int, ...]) -> str:
    return "-".join(str(number) for number in numbers)


def grid_points(study: Study) -> list[Point]:
    """Return the points of all grids of a study, each once, in the order of the file.

    Raises UserError if a value is not allowed where it goes; the message names the grid's key.
    """
    found: dict[Point, None] = {}
    varied = tuple(sorted({name for grid in study.grids for name in grid.settings}))
    for index, grid in enumerate(study.grids):
        for chosen in _recipes(study, grid, f"grids.{index}"):
            for fold in range(chosen.data.folds):
                found[Point(chosen, fold, varied=varied)] = None
    return list(found)


def _recipes(study: Study, grid: Grid, where: str) -> Iterator[Recipe]:
    values = {key: getattr(grid, key) for key in PLACES if getattr(grid, key)} | grid.settings
    for combination in itertools.product(*values.values()):
        chosen = study.base
        for key, value in zip(values, combination, strict=True):
            chosen = changed(chosen, key, value, f"{where}.{key}")
        yield chosen


def changed(base: Recipe, key: str, value: Any, where: str) -> Recipe:
    """Return a recipe with one setting of a grid changed: a key of `PLACES`, or ``section.name``.

    `where` is its key in the study's file, for the message of the `UserError`.
    """
    settings = base.to_dict()
    section, name = PLACES.get(key, key).split(".", 1)
    if not isinstance(settings.get(section), dict):
        known = ", ".join(part for part, held in settings.items() if isinstance(held, dict))
        raise UserError(f"{where}: no section {section!r} in base; expected one of {known}")
    settings[section][name] = value
    if key == "bits":
        settings["network"]["act_bits"] = value
        if value == FLOAT_BITS:
            settings["network"]["input_bits"] = FLOAT_BITS
    if key == "schedule" and value in ("gradual", "one_shot"):
        # These take one share: the largest of the rounds.
        shares = settings["pruning"].pop("shares", None)
        if shares:
            settings["pruning"]["share"] = max(shares)
    try:
        return recipe.from_dict(settings)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def bayes_point(
    study: Study, bits: int, sizes: tuple[int, ...], *, trial: int | None, fold: int = 0
) -> Point:
    """Return a training of a search: of one trial, or, with None, of the best sizes in full."""
    assert study.bayes is not None
    base = changed(study.base, "bits", bits, "bayes.bits")
    settings = base.to_dict()
    layers = base.network.layers
    settings["network"]["layers"] = [layers[0], *sizes, layers[-1]]
    settings["training"]["seed"] = study.bayes.seed
    settings["pruning"] = {}
    if trial is not None:
        settings["training"]["epochs"] = study.bayes.epochs
    kind = "bayes" if trial is None else "bayes_trial"
    return Point(recipe.from_dict(settings), fold, kind, trial)
