"""What pydantic finds wrong in a YAML file, in this project's words."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any


def fault(item: Any, known_keys: Callable[[tuple[Any, ...]], list[str]]) -> str:
    """Return one finding as a clause that names the key, what was expected and what was found.

    Parameters
    ----------
    item : dict
        An entry of `ValidationError.errors()`.
    known_keys : callable
        Gives the keys that are known where an unknown one lies, from its location.
    """
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = known_keys(item["loc"])
        near = difflib.get_close_matches(str(item["loc"][-1]), known, 1)
        hint = f"; did you mean {near[0]}?" if near else ";"
        return f"{where}: no such setting{hint} Known: {', '.join(known)}"
    if item["type"] == "missing":
        return f"{where}: missing; expected this setting, add it"
    text = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if item["type"] == "value_error":
        return f"{where}: {text}"
    return f"{where}: expected {text}, found {item['input']!r:.80}"
