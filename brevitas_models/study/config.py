"""The YAML of a study, checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from brevitas_models import yaml_file
from brevitas_models.train.recipe import Recipe
from brevitas_models.yaml_file import Section

Width = Annotated[int, Field(ge=1, le=32)]
Range = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


class Grid(Section):
    """Trainings to make: every combination of the values given.

    Any other setting of a recipe is named with its section, e.g. ``training.learning_rate:
    [1.0e-3, 1.0e-2]``; these are in `settings`.
    """

    # Width of weights and activations: 1 to 16, or 32 for float. A network with 32 bits has no
    # input quantiser either.
    bits: tuple[Width, ...] = Field((), min_length=0)
    # As in a recipe's pruning
    schedule: tuple[str, ...] = ()
    criterion: tuple[str, ...] = ()
    batch_norm: tuple[str | bool, ...] = ()  # as in a recipe's network
    l1: tuple[float, ...] = ()  # as in a recipe's training
    random_labels: tuple[float, ...] = ()  # as in a recipe's data
    seed: tuple[int, ...] = ()  # of initial weights and order of frames
    settings: dict[str, tuple[Any, ...]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _by_section(cls, values: object) -> object:
        if not isinstance(values, Mapping):
            return values
        named = {key: held for key, held in values.items() if "." in str(key)}
        for key, held in named.items():
            if not isinstance(held, list | tuple) or not held:
                raise ValueError(f"{key}: expected a list of values, found {held!r:.80}")
        plain = {key: held for key, held in values.items() if key not in named}
        return {**plain, "settings": {**plain.get("settings", {}), **named}}


class Bayes(Section):
    """Search of layer sizes by Bayesian optimisation, to compare pruning with.

    Hawks et al. (2021), section 3.3: fc1 in 8..128, fc2 and fc3 in 4..64, 20 trials of 25 epochs,
    least validation loss, no pruning; the best sizes are trained again in full.
    """

    bits: tuple[Width, ...] = Field((32,), min_length=1)  # a search for each width
    trials: int = Field(20, ge=1)
    epochs: int = Field(25, ge=1)  # of a trial
    # Trials with random sizes, before there is something to learn from
    startup: int = Field(5, ge=1)
    # Smallest and largest size of each hidden layer
    sizes: tuple[Range, ...] = ((8, 128), (4, 64), (4, 64))
    seed: int = Field(0, ge=0)  # of the search and of its trainings

    @model_validator(mode="after")
    def _in_order(self) -> Bayes:
        for low, high in self.sizes:
            if low > high:
                raise ValueError(f"expected smallest sizes first, found {low} and {high}")
        return self


class Hardware(Section):
    """Which rows are built with ``--with-hardware``, and how."""

    board: str = "Pynq-Z1"
    frames: int = Field(1000, ge=3)  # verified in simulation; a build takes three or more
    # As in a build: ``yosys`` counts LUTs and FFs; ``none`` takes the build's estimate of LUTs, and
    # there is none of FFs
    synth: Literal["none", "yosys"] = "yosys"
    # Rows with these shares pruned; None: all that can be built
    shares: tuple[float, ...] | None = None
    # Rows of these seeds and folds; None: all
    seeds: tuple[int, ...] | None = None
    folds: tuple[int, ...] | None = None


class Compute(Section):
    """How the trainings are made; changes results in the last bits at most."""

    width: int = Field(2, ge=1)  # networks of one kind that are trained side by side
    # Let torch compile the steps; ``auto``: those of rounds long enough for it to pay, where there
    # is g++
    compiled: bool | Literal["auto"] = "auto"
    attempts: int = Field(2, ge=1)  # how often a training that fails is tried


class Study(Section):
    """The settings of a study."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    base: Recipe  # what all trainings have in common; it needs no name
    grids: tuple[Grid, ...] = ()
    bayes: Bayes | None = None
    hardware: Hardware = Hardware()
    compute: Compute = Compute()

    @field_validator("base", mode="before")
    @classmethod
    def _named(cls, base: object) -> object:
        return {"name": "base", **base} if isinstance(base, Mapping) else base

    @model_validator(mode="after")
    def _whole(self) -> Study:
        if not self.grids and self.bayes is None:
            raise ValueError("grids: missing; expected a list of grids, or a section bayes")
        hidden = len(self.base.network.layers) - 2
        if self.bayes is not None and len(self.bayes.sizes) != hidden:
            raise ValueError(
                f"bayes.sizes: expected {hidden} ranges, one for each hidden layer of "
                f"base.network.layers, found {len(self.bayes.sizes)}; give each as [least, most]"
            )
        return self


def load(path: Path) -> Study:
    """Read and check a study."""
    return yaml_file.load(path, "study", lambda values: from_dict(values, path.stem))


def from_dict(values: object, name: str = "study") -> Study:
    """Check what a YAML file holds; `name` is taken where it gives none. See `yaml_file.check`."""
    if isinstance(values, Mapping):
        values = {"name": name, **values}
    return yaml_file.check(Study, values)
