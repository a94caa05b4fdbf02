"""The recipe of a model: one YAML with its network, its data and its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, model_validator

from brevitas_models import yaml_file
from brevitas_models.errors import UserError
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.heads import heads_of, learns_classes
from brevitas_models.pruning.settings import PruningSettings
from brevitas_models.train.settings import (
    DataSettings,
    DistillationSettings,
    TrainingSettings,
)
from brevitas_models.yaml_file import Section


class Recipe(Section):
    """Everything that decides what a trained model becomes, apart from the data itself."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    network: MLPConfig
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    pruning: PruningSettings = PruningSettings()
    distillation: DistillationSettings | None = None  # None: the model learns from labels

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        heads = heads_of(self.network, self.training.loss)
        if not learns_classes(heads):
            for setting, there in (
                ("distillation", self.distillation is not None),
                ("data.random_labels", self.data.random_labels > 0),
                # What an edge is worth is measured on the classes that the network draws.
                ("pruning.lut_budget", self.pruning.lut_budget is not None),
            ):
                if there:
                    found = f"training.loss {self.training.loss!r}"
                    found += f" and {len(heads)} outputs" if len(heads) > 1 else ""
                    raise ValueError(
                        f"{setting}: is for classes alone, of a single output, found {found}; "
                        "leave one of them out"
                    )
        if self.network.code_widths == "learned" and self.pruning.lut_budget is None:
            raise ValueError(
                "network.code_widths: learned is of a budget of LUTs, which bits are left out for, "
                "and there is none; give pruning.lut_budget, or take whole"
            )
        return self

    def replace(self, section: str, **values: Any) -> Recipe:
        """Return a recipe with some settings of one section changed and checked.

        Raises UserError if a value is out of range; the message names section and key.
        """
        settings = self.to_dict()
        settings[section] = {**(settings[section] or {}), **values}
        return from_dict(settings)

    def override(self, assignments: Sequence[str]) -> Recipe:
        """Return a recipe with some settings changed, as ``--set`` writes them.

        Each is ``section.key=VALUE`` with a YAML value, e.g. ``network.weight_bits=[6, 4, 4, 6]``,
        or ``name=VALUE`` for the name. They are checked together, when all are made. Raises
        UserError if one is not written so, or there is no such setting or value.
        """
        settings = self.to_dict()
        sections = [section for section in settings if section != "name"]
        for assignment in assignments:
            key, given, text = assignment.partition("=")
            section, dot, name = key.strip().partition(".")
            if not given or not (section in sections if dot else section == "name"):
                raise UserError(
                    f"--set {assignment}: expected section.key=value with a section of "
                    f"{', '.join(sections)}"
                )
            try:
                value = yaml.safe_load(text)
            except yaml.YAMLError:
                raise UserError(
                    f"--set {assignment}: the value is not valid YAML; write e.g. training.epochs=5"
                ) from None
            settings[section] = {**(settings[section] or {}), name: value} if dot else value
        return from_dict(settings)

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain values, defaults included; `from_dict` reads them back."""
        return self.model_dump(mode="json")


def load(path: Path) -> Recipe:
    """Read and check a recipe; a file that gives no `name` gets its own.

    Raises UserError if the file can't be read, is no YAML or holds a wrong setting.
    """
    return yaml_file.load(path, "model", lambda values: from_dict(_named(values, path.stem)))


def from_dict(values: object) -> Recipe:
    """Check what a YAML file holds and make a recipe of it; errors as of `yaml_file.check`."""
    return yaml_file.check(Recipe, values)


def _named(values: object, name: str) -> object:
    return {"name": name, **values} if isinstance(values, Mapping) else values
