"""The YAML of a study, checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from brevitas_models import yaml_file
from brevitas_models.train.recipe import Recipe
from brevitas_models.yaml_file import Section

Width = Annotated[int, Field(ge=1, le=32)]
Range = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


class Grid(Section):
    """Trainings to make: every combination of the values given.

    Attributes
    ----------
    bits : tuple of int
        Width of weights and activations: 1 to 16, or 32 for float. A network with 32 bits has no
        input quantiser either.
    schedule, criterion : tuple of str
        As in a recipe's pruning.
    batch_norm : tuple of str or bool
        As in a recipe's network.
    l1 : tuple of float
        As in a recipe's training.
    random_labels : tuple of float
        As in a recipe's data.
    seed : tuple of int
        Of initial weights and order of frames.
    """

    bits: tuple[Width, ...] = Field((), min_length=0)
    schedule: tuple[str, ...] = ()
    criterion: tuple[str, ...] = ()
    batch_norm: tuple[str | bool, ...] = ()
    l1: tuple[float, ...] = ()
    random_labels: tuple[float, ...] = ()
    seed: tuple[int, ...] = ()


class Bayes(Section):
    """Search of layer sizes by Bayesian optimisation, to compare pruning with.

    Hawks et al. (2021), section 3.3: fc1 in 8..128, fc2 and fc3 in 4..64, 20 trials of 25 epochs,
    least validation loss, no pruning; the best sizes are trained again in full.

    Attributes
    ----------
    bits : tuple of int
        A search for each width.
    epochs : int
        Of a trial.
    startup : int
        Trials with random sizes, before there is something to learn from.
    sizes : tuple of (int, int)
        Smallest and largest size of each hidden layer.
    seed : int
        Of the search and of its trainings.
    """

    bits: tuple[Width, ...] = Field((32,), min_length=1)
    trials: int = Field(20, ge=1)
    epochs: int = Field(25, ge=1)
    startup: int = Field(5, ge=1)
    sizes: tuple[Range, ...] = ((8, 128), (4, 64), (4, 64))
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> Bayes:
        for low, high in self.sizes:
            if low > high:
                raise ValueError(f"expected smallest sizes first, found {low} and {high}")
        return self


class Hardware(Section):
    """Which rows are built with ``--with-hardware``, and how.

    Attributes
    ----------
    frames : int
        Verified in simulation; a build takes three or more.
    synth : str
        As in a build: ``yosys`` counts LUTs and FFs; ``none`` takes the build's estimate of LUTs,
        and there is none of FFs.
    shares : tuple of float or None
        Rows with these shares pruned; None: all that can be built.
    seeds, folds : tuple of int or None
        Rows of these seeds and folds; None: all.
    """

    board: str = "Pynq-Z1"
    frames: int = Field(1000, ge=3)
    synth: Literal["none", "yosys"] = "yosys"
    shares: tuple[float, ...] | None = None
    seeds: tuple[int, ...] | None = None
    folds: tuple[int, ...] | None = None


class Compute(Section):
    """How the trainings are made; changes results in the last bits at most.

    Attributes
    ----------
    width : int
        Networks of one kind that are trained side by side.
    compiled : bool or "auto"
        Let torch compile the steps; ``auto``: those of rounds long enough for it to pay, where
        there is g++.
    attempts : int
        How often a training that fails is tried.
    """

    width: int = Field(2, ge=1)
    compiled: bool | Literal["auto"] = "auto"
    attempts: int = Field(2, ge=1)


class Study(Section):
    """The settings of a study.

    Attributes
    ----------
    base : Recipe
        What all trainings have in common; it needs no name.
    """

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    base: Recipe
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
