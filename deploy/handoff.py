"""What a bitfile's hardware handoff, ``.hwh``, says, read from the file itself.

pynq reads it too, but may answer from what it kept of another overlay (its issue 1652). An access
to an address without registers can stop a processor for good, so addresses are compared first.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

__all__ = ["addresses"]


def addresses(handoff: Path) -> dict[str, int]:
    """Return the first address of every block of registers, by the block's name.

    Raises `OSError` if the file can't be read and `ValueError` if it is not a hardware handoff.
    """
    found = {}
    try:
        for place in ElementTree.parse(handoff).iter("MEMRANGE"):
            name, base = place.get("INSTANCE"), place.get("BASEVALUE")
            if place.get("MEMTYPE") == "REGISTER" and name and base:
                found[name] = int(base, 16)
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"{handoff} is not a hardware handoff: {error}") from error
    return found
