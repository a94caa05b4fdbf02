"""An option of a build, described once.

`option` describes a field of ``BuildConfig``: type and range, default, help, group and flag. The
command line, the messages about wrong values, the table in ``docs/options.md`` and the command on
the report page are all made from this description.
"""

from __future__ import annotations

import argparse
import difflib
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt
from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo

from finn_builds.config.inputs import is_path


def option(
    flag: str,
    default: Any,
    help: str,
    *,
    group: str,
    unset: str = "",
    expected: str = "",
    **limits: Any,
) -> Any:
    """Describe one field.

    `flag` is the option of the command line and the name of its value there, as ``"--out DIR"``;
    empty for a field that Python alone sets. Where the values are a list, they need no name.
    `group` is the heading under which it is shown, `unset` what a default of None means, `expected`
    the allowed values in words (by default from type and limits); `limits` are those of
    ``pydantic.Field``: ``gt``, ``ge``, ``pattern``.
    """
    words: dict[str, Any] = {"flag": flag, "group": group, "unset": unset, "expected": expected}
    return Field(default, description=help, json_schema_extra={"option": words}, **limits)


@dataclass(frozen=True)
class Option:
    """What is known of one field of a configuration."""

    name: str  # the field's name; FINN's where FINN has the field
    kind: type  # ``bool``, ``int``, ``float`` or ``str``
    default: Any
    default_text: str  # the default in words, empty for a switch that is off
    help: str
    group: str
    flag: str  # option of the command line, or empty
    metavar: str | None  # name of the value on the command line
    expected: str  # the allowed values in words

    @property
    def called(self) -> str:
        """The name in messages: that of the field, and the flag where it is another word."""
        plain = self.flag in ("", "--" + self.name.replace("_", "-"))
        return self.name if plain else f"{self.name} ({self.flag})"


def options_of(config: type) -> tuple[Option, ...]:
    """Return the options of a pydantic dataclass whose fields are made with `option`."""
    fields: dict[str, FieldInfo] = config.__pydantic_fields__  # type: ignore[attr-defined]
    return tuple(_option(name, info) for name, info in fields.items())


def _option(name: str, info: FieldInfo) -> Option:
    extra: Any = info.json_schema_extra
    words = extra["option"]
    kind: Any = info.annotation
    while typing.get_origin(kind) in (typing.Union, types.UnionType, typing.Annotated):
        kind = typing.get_args(kind)[0]  # what stands beside it is None, or a path given as Path
    choices = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()
    kind = str if choices else kind
    flag, _, metavar = words["flag"].partition(" ")
    shown = words["unset"] if info.default is None else "" if kind is bool else str(info.default)
    return Option(
        name=name,
        kind=kind,
        default=info.default,
        default_text=shown,
        help=info.description or "",
        group=words["group"],
        flag=flag,
        metavar=metavar or "|".join(choices) or None,
        expected=words["expected"] or _expected(kind, choices, info.metadata),
    )


def _expected(kind: type, choices: Sequence[str], limits: Iterable[Any]) -> str:
    if choices:
        return " or ".join(choices)
    words = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}[kind]
    for limit in limits:
        if isinstance(limit, Gt):
            words += f" above {limit.gt}"
        elif isinstance(limit, Ge):
            words += f" of at least {limit.ge}"
    return words


def fault(error: ValidationError, options: Sequence[Option], foreign: Iterable[str] = ()) -> str:
    """Return what is wrong with the first wrong value, in one line.

    `foreign` are FINN's fields that this flow does not read: a setting without effect would
    mislead.
    """
    problem = error.errors(include_url=False)[0]
    name = str(problem["loc"][0])
    described = {item.name: item for item in options}
    if name in described:
        item = described[name]
        return f"{item.called}: expected {item.expected}, found {problem['input']!r}; change it"
    if name in foreign:
        return f"FINN's option {name} has no effect in this flow: leave it out"
    near = difflib.get_close_matches(name, described, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{name}: no such option; {hint}Known are {', '.join(described)}"


def add_arguments(parser: argparse.ArgumentParser, options: Sequence[Option]) -> None:
    """Add the options to a command line; those that are not given do not appear in its result."""
    groups: dict[str, Any] = {}
    for item in options:
        if not item.flag:
            continue
        if item.group not in groups:
            groups[item.group] = parser.add_argument_group(item.group)
        text = f"{item.help} (default: {item.default_text})" if item.default_text else item.help
        how: dict[str, Any] = (
            {"action": "store_true"}
            if item.kind is bool
            else {"type": item.kind, "metavar": item.metavar}
        )
        groups[item.group].add_argument(
            item.flag,
            dest=item.name,
            default=argparse.SUPPRESS,
            help=text.replace("%", "%%"),
            **how,
        )


def command_words(options: Sequence[Option], values: typing.Mapping[str, Any]) -> list[str]:
    """Return options of the command line that give some values, with their flags."""
    words = []
    for item in options:
        if not item.flag or item.name not in values:
            continue
        words.append(item.flag)
        if item.kind is not bool:
            words.append(_text(values[item.name]))
    return words


def _text(value: Any) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    path = Path(str(value))
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        text = str(path.relative_to(Path.cwd()))
        return text if is_path(text) else f"./{text}"  # alone, it would be taken for a name
    return str(value)


def table(options: Sequence[Option]) -> str:
    """Return the page ``docs/options.md``: a Markdown table for each group of options."""
    lines = [
        "# Options of a build",
        "",
        "`make docs` writes this page from `finn_builds/config/build.py`.",
        "",
    ]
    for group in dict.fromkeys(item.group for item in options):
        lines += [f"## {group.capitalize()}", "| option | in Python | value | meaning |"]
        lines += ["|---|---|---|---|"]
        for item in options:
            if item.group != group:
                continue
            flag = f"`{item.flag}`" if item.flag else "-"
            text = item.help + (f"; default: {item.default_text}" if item.default_text else "")
            lines.append(f"| {flag} | `{item.name}` | {item.expected} | {text} |")
        lines.append("")
    return "\n".join(lines).replace("<", "&lt;")
