"""Looks for FINN, which folded layers need and no resolver can install beside today's numpy."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from finn_builds.errors import UserError

#: The versions that the project is tested with: a link to the file in the root of the checkout.
PINS = Path(__file__).resolve().parent / "constraints.txt"


def require_finn() -> None:
    """Make sure that FINN can be imported; the UserError otherwise says how to install it."""
    if importlib.util.find_spec("finn") is None:
        raise UserError(
            "a folded layer needs FINN, which is not installed: install it with "
            f'`pip install -c {PINS} "prunestream[folded]"` and then '
            f"`pip install --no-deps finn-plus=={pinned('finn-plus')}`, or build with --style "
            "sparse"
        )


def pinned(package: str) -> str:
    """Return the version of a package that the project is tested with."""
    found = re.search(rf"^{re.escape(package)}==(\S+)$", PINS.read_text(encoding="utf-8"), re.M)
    if found is None:
        raise ValueError(f"{PINS} has no version of {package}")
    return found[1]
