"""YAML files of settings: read, checked by pydantic, faults in this project's words."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from brevitas_models.errors import UserError

Made = TypeVar("Made")


class Section(BaseModel):
    """Settings that refuse unknown keys and can't be changed once checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


AnySection = TypeVar("AnySection", bound=Section)


def load(path: Path, what: str, make: Callable[[object], Made]) -> Made:
    """Read a YAML file and make of it what it describes.

    `make` checks what the file holds; its errors get the file's name. Raises UserError too if the
    file can't be read or is not YAML.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; expected the YAML of a {what}, check the path"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read as a YAML file ({error}); save it again") from None
    except yaml.YAMLError as error:
        raise UserError(
            f"{path}: not valid YAML ({' '.join(str(error).split())}); fix it"
        ) from None
    try:
        return make(values)
    except UserError as error:
        raise UserError(f"{path}: {error}; fix it there") from None


def check(file: type[AnySection], values: object) -> AnySection:
    """Check what a file holds; the `UserError` names every fault found, in one line."""
    if not isinstance(values, Mapping):
        raise UserError(
            f"expected a mapping with the keys {', '.join(file.model_fields)}, found "
            f"{values!r:.80}; write each as a key with its settings below"
        )
    try:
        return file.model_validate(dict(values))
    except ValidationError as error:
        raise UserError("; ".join(_fault(item, file) for item in error.errors())) from None


def _fault(item: Any, file: type[Section]) -> str:
    """Return one of `ValidationError.errors()` as a clause: key, expected, found."""
    location = item["loc"]
    where = ".".join(str(part) for part in location)
    if item["type"] == "extra_forbidden":
        known = list(_section_at(file, location).model_fields)
        near = difflib.get_close_matches(str(location[-1]), known, 1)
        hint = f"; did you mean {near[0]}?" if near else ";"
        return f"{where}: no such setting{hint} Known: {', '.join(known)}"
    if item["type"] == "missing":
        return f"{where}: missing; expected this setting, add it"
    if item["type"] in ("model_type", "dict_type"):
        known = ", ".join(_section_at(file, (*location, "")).model_fields)
        return f"{where}: expected settings below it ({known}), found {item['input']!r:.80}"
    if item["type"] in ("tuple_type", "list_type"):
        return f"{where}: expected a list, found {item['input']!r:.80}"
    text = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if item["type"] == "value_error":
        return f"{where}: {text}" if where else text
    return f"{where}: expected {text}, found {item['input']!r:.80}"


def _section_at(file: type[Section], location: Sequence[str | int]) -> type[Section]:
    """Return the section that holds the last key of a location."""
    for key in location[:-1]:
        kinds = [file.model_fields[key].annotation] if isinstance(key, str) else []
        while kinds:
            kind = kinds.pop()
            if isinstance(kind, type) and issubclass(kind, Section):
                file = kind
                break
            kinds += get_args(kind)
    return file
