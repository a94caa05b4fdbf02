"""Writes Tcl: values into a text, numbers as Tcl and Vivado read them."""

from __future__ import annotations

import re

__all__ = ["fill", "number"]


def fill(text: str, **values: object) -> str:
    """Return a text with every ``@name@`` replaced; every value has to be used.

    Tcl is full of braces and dollars, so that neither `str.format` nor `string.Template` fits.
    """
    names = set(re.findall(r"@(\w+)@", text))
    if names != set(values):
        raise ValueError(f"the text has {sorted(names)}, given were {sorted(values)}")
    return re.sub(r"@(\w+)@", lambda found: str(values[found[1]]), text)


def number(value: float) -> str:
    """Return a number with at most six decimals and no needless zeros."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
