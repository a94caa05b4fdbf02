"""Checks of single options; each names the option, what was expected and what was found."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from finn_builds.errors import UserError


def is_path(text: str) -> bool:
    """Tell a path (it has a suffix or a separator) from a name."""
    return bool(Path(text).suffix) or "/" in text


def existing_file(what: str, given: str | Path) -> Path:
    """Return the absolute path of a file, or raise UserError if there is none to read."""
    path = Path(given).expanduser().absolute()
    if not path.is_file():
        found = "this is a folder" if path.is_dir() else "there is no such file"
        raise UserError(f"{what} {given}: {found}; expected a file, check the path")
    if not os.access(path, os.R_OK):
        raise UserError(
            f"{what} {given}: this file may not be read; expected one that may, see its permissions"
        )
    return path


def number(name: str, value: Any) -> None:
    """Raise UserError unless a value is a finite number above 0."""
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or value <= 0:
        raise UserError(f"{name}: expected a number above 0, found {value!r}; change it")


def integer(name: str, value: Any, *, least: int) -> None:
    """Raise UserError unless a value is a whole number of at least so much."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(
            f"{name}: expected a whole number of at least {least}, found {value!r}; change it"
        )


def choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Raise UserError unless a value is one of those allowed."""
    if value not in allowed:
        raise UserError(
            f"{name}: expected {' or '.join(allowed)}, found {value!r}; choose one of them"
        )
