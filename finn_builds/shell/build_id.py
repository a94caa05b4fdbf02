"""The identifier of a build, by which a driver knows the bitfile of its package."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_HARDWARE = (".v", ".sv", ".dat")


def build_id(settings: Mapping[str, Any], rtl: Path, shell: Iterable[Path]) -> int:
    """Return 32 bits that follow from settings and sources, never zero.

    The sources are those of the accelerator in the folder `rtl`, and those of its shell.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    sources = sorted(path for path in rtl.iterdir() if path.suffix in _HARDWARE)
    for path in (*sources, *shell):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return int.from_bytes(digest.digest()[:4], "big") or 1
