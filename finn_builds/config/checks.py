"""Paths given by the user."""

from __future__ import annotations

import os
from pathlib import Path

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
        raise UserError(f"{what} {given}: no permission to read this file; change its permissions")
    return path
