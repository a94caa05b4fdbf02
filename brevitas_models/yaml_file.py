"""YAML files of settings: read, checked by pydantic, faults in this project's words."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

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
        found = [(_place(file, item["loc"]), item) for item in error.errors()]
        raise UserError("; ".join(_faults(found))) from None


@dataclass(frozen=True)
class _Place:
    """Where an error is."""

    path: tuple[str | int, ...]  # keys of settings and places in lists
    union: tuple[str | int, ...] | None  # the setting around it that may be of several kinds
    section: type[Section]  # that holds the last key
    kind: Any  # the type that is expected there

    def __str__(self) -> str:
        return ".".join(map(str, self.path))


def _place(file: type[Section], location: Sequence[str | int]) -> _Place:
    """Return the place of an error, without the names that pydantic gives to kinds of a setting."""
    path: list[str | int] = []
    union, section, kind = None, file, _bare(file)
    for part in location:
        if get_origin(kind) in (Union, UnionType):
            union = tuple(path)
            several = [k for k in get_args(kind) if get_origin(k) not in (None, Literal)]
            kind = _bare(several[0]) if several else str
            continue
        path.append(part)
        if isinstance(kind, type) and issubclass(kind, Section):
            section = kind
            kind = section.model_fields[str(part)].annotation if part in section.model_fields else 0
        else:
            inner = get_args(kind) or (0,)
            kind = inner[part] if isinstance(part, int) and part < len(inner) else inner[-1]
            kind = inner[0] if kind is ... else kind
        kind = _bare(kind)
    return _Place(tuple(path), union, section, kind)


def _bare(kind: Any) -> Any:
    """Return a type without what limits it further, and without None."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        others = [k for k in get_args(kind) if k is not NoneType]
        return _bare(others[0]) if len(others) == 1 else kind
    return kind


def _faults(found: Sequence[tuple[_Place, Any]]) -> list[str]:
    """Return errors with their places as clauses; of a setting of several kinds, what fits best."""
    clauses: dict[str, None] = {}
    for place, item in found:
        kin = [one for one in found if place.union is not None and one[0].union == place.union]
        inside = [other for other, _ in kin if other.path != place.union]
        if inside and place.path == place.union:
            continue  # it is of another kind, which has a fault inside
        kinds = [_wanted(other) for _, other in kin] if kin and not inside else None
        clauses[_fault(place, item, kinds)] = None
    return list(clauses)


def _fault(place: _Place, item: Any, kinds: Sequence[str] | None) -> str:
    """Return one of `ValidationError.errors()` as a clause: key, expected, found."""
    where = str(place)
    if item["type"] == "extra_forbidden":
        known = list(place.section.model_fields)
        near = difflib.get_close_matches(str(place.path[-1]), known, 1)
        hint = f"; did you mean {near[0]}?" if near else ";"
        return f"{where}: no such setting{hint} Known: {', '.join(known)}"
    if item["type"] == "missing":
        return f"{where}: missing; expected this setting, add it"
    if item["type"] == "model_type":
        known = list(place.kind.model_fields)
        return (
            f"{where}: expected settings below it ({', '.join(known)}), found {item['input']!r:.80}"
        )
    if item["type"] == "value_error":
        text = item["msg"].removeprefix("Value error, ")
        return f"{where}: {text}" if where else text
    wanted = ", or ".join(kinds or [_wanted(item)])
    return f"{where}: expected {wanted}, found {item['input']!r:.80}"


def _wanted(item: Any) -> str:
    """Return what an error expects, in this project's words."""
    match item["type"]:
        case "tuple_type" | "list_type":
            return "a list"
        case "dict_type":
            return "keys with values below it"
        case "too_short":
            return f"at least {item['ctx']['min_length']} of them"
        case "string_pattern_mismatch":
            return f"a name that matches {item['ctx']['pattern']}"
        case _:
            text: str = item["msg"]
            return text.removeprefix("Input should be ")
