"""The recipe of a model: one YAML with its network, its data and its training."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from brevitas_models.config import MLPConfig
from brevitas_models.errors import UserError


class _Settings(BaseModel):
    """Settings that refuse unknown keys and can't be changed once checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSettings(_Settings):
    """What the model learns from; the keys are the arguments of `datasets.load`.

    Attributes
    ----------
    dataset : str
        Name of a built-in data set, or the path of a file.
    source : str or None
        Where a built-in data set comes from, if it has several sources.
    seed : int
        Seed of the split into training, validation and test frames. It is apart from the seed of
        the training, so that models trained with several seeds see the same frames.
    """

    dataset: str = "digits"
    source: str | None = None
    seed: int = Field(0, ge=0)


class TrainingSettings(_Settings):
    """How the loop runs.

    Attributes
    ----------
    epochs : int
        Largest number of passes over the training frames.
    batch_size : int
        Frames of one optimiser step.
    learning_rate : float
        Rate of Adam at the start.
    schedule : str
        ``cosine``: the rate falls to zero over all steps; ``constant``: it stays.
    patience : int or None
        Epochs without a better validation loss after which training stops; null: never.
    l1 : float
        Factor of the sum of |w| over all weight tensors in the loss (1e-4 in Hawks et al. 2021).
    seed : int
        Seed of the initial weights and of the order of the frames.
    """

    epochs: int = Field(100, ge=1)
    batch_size: int = Field(1024, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    patience: int | None = Field(None, ge=1)
    l1: float = Field(0.0, ge=0)
    seed: int = Field(0, ge=0)


class PruningSettings(_Settings):
    """Gradual magnitude pruning while training.

    The pruned share rises from 0 to `share` between two points of the training, both given as
    parts of all its steps; what is left of the training is for the surviving weights.

    Attributes
    ----------
    share : float
        Share of all weights that is zero in the end, 0 <= share < 1.
    start, end : float
        Where the share starts to rise and where it is reached, 0 <= start < end <= 1.
    scope : str
        ``global``: all layers are ranked together; ``per_layer``: each loses the same share.
    """

    share: float = Field(0.0, ge=0, lt=1)
    start: float = Field(0.1, ge=0, lt=1)
    end: float = Field(0.6, gt=0, le=1)
    scope: Literal["global", "per_layer"] = "global"

    @model_validator(mode="after")
    def _in_order(self) -> PruningSettings:
        if self.start >= self.end:
            raise ValueError(f"expected start below end, found {self.start} and {self.end}")
        return self


class DistillationSettings(_Settings):
    """How a teacher's answers are learnt.

    Attributes
    ----------
    samples : int
        Inputs to mix around the training frames (see `distill.mix_neighbours`); 0: the training
        frames themselves are the inputs.
    neighbours, along, across, noise
        Arguments of `distill.mix_neighbours`.
    temperature : float
        Temperature of the softmax of both teacher and student (Hinton et al., arXiv 1503.02531).
    teacher_inputs : str
        ``raw``: the teacher takes the features as they are in the data set; ``standardised``: as
        scaled by the data set's scaler; ``auto``: raw if the file says that it standardises (every
        model exported by this project does), else standardised.
    teacher_name : str
        Public name of the teacher, for people who have to find it.
    """

    samples: int = Field(0, ge=0)
    neighbours: int = Field(12, ge=2)
    along: tuple[float, float] = (0.0, 1.2)
    across: tuple[float, float] = (-0.2, 1.0)
    noise: float = Field(0.08, ge=0)
    temperature: float = Field(1.0, gt=0)
    teacher_inputs: Literal["auto", "raw", "standardised"] = "auto"
    teacher_name: str = ""

    @model_validator(mode="after")
    def _in_order(self) -> DistillationSettings:
        for low, high in (self.along, self.across):
            if low > high:
                raise ValueError(f"expected lower ends below upper ones, found {low} and {high}")
        return self


class _Sections(_Settings):
    """The sections of the file; `network` is checked by `MLPConfig` itself."""

    name: str | None = Field(None, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    network: dict[str, Any]
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    pruning: PruningSettings = PruningSettings()
    distillation: DistillationSettings | None = None


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides what a trained model becomes, apart from the data itself.

    Attributes
    ----------
    name : str
        Name of the model and of its files.
    network : MLPConfig
    data : DataSettings
    training : TrainingSettings
    pruning : PruningSettings
    distillation : DistillationSettings or None
        None: the model learns from labels.
    """

    name: str
    network: MLPConfig
    data: DataSettings
    training: TrainingSettings
    pruning: PruningSettings
    distillation: DistillationSettings | None

    def replace(self, section: str, **values: Any) -> Recipe:
        """Return a recipe with some settings of one section changed and checked.

        Parameters
        ----------
        section : {"data", "training", "pruning", "distillation"}
        **values
            New settings.

        Raises
        ------
        UserError
            If a value is out of range; the message names section and key.
        """
        settings = self.to_dict()
        settings[section] = {**(settings[section] or {}), **values}
        return from_dict(settings)

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain values, defaults included; `from_dict` reads them back."""
        distillation = self.distillation.model_dump(mode="json") if self.distillation else None
        return {
            "name": self.name,
            "network": self.network.to_dict(),
            "data": self.data.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "pruning": self.pruning.model_dump(mode="json"),
            "distillation": distillation,
        }


def load(path: Path) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path : Path
        A YAML file. Where it gives no `name`, the file's own name is taken.

    Raises
    ------
    UserError
        If the file can't be read, is no YAML or holds a wrong setting.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected the YAML of a model") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read as a YAML file ({error})") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if isinstance(values, Mapping):
        values = {"name": path.stem, **values}
    try:
        return from_dict(values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def from_dict(values: object) -> Recipe:
    """Check what a YAML file holds and make a recipe of it.

    Raises
    ------
    UserError
        For a missing section, an unknown key or a wrong value; one line with every fault found.
    """
    if not isinstance(values, Mapping):
        raise UserError(
            f"expected the sections {', '.join(_Sections.model_fields)}, found {values!r:.80}"
        )
    try:
        sections = _Sections.model_validate(dict(values))
    except ValidationError as error:
        raise UserError("; ".join(_fault(item) for item in error.errors())) from None
    if sections.name is None:
        raise UserError("name: missing; expected the name of the model, e.g. name: jets")
    try:
        network = MLPConfig.from_dict(sections.network)
    except UserError as error:
        raise UserError(f"network.{error}") from None
    return Recipe(
        name=sections.name,
        network=network,
        data=sections.data,
        training=sections.training,
        pruning=sections.pruning,
        distillation=sections.distillation,
    )


def _fault(item: Any) -> str:
    """Turn one finding of pydantic into our words.

    Parameters
    ----------
    item : dict
        An entry of `ValidationError.errors()`.
    """
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = _known_keys(item["loc"])
        near = difflib.get_close_matches(str(item["loc"][-1]), known, 1)
        hint = f"; did you mean {near[0]}?" if near else ";"
        return f"{where}: no such setting{hint} Known: {', '.join(known)}"
    if item["type"] == "missing":
        return f"{where}: missing"
    text = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if item["type"] == "value_error":
        return f"{where}: {text}"
    return f"{where}: expected {text}, found {item['input']!r:.80}"


def _known_keys(location: tuple[Any, ...]) -> list[str]:
    sections: dict[str, type[_Settings]] = {
        "data": DataSettings,
        "training": TrainingSettings,
        "pruning": PruningSettings,
        "distillation": DistillationSettings,
    }
    section = _Sections if len(location) == 1 else sections[location[0]]
    return list(section.model_fields)
