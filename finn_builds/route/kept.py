"""Finished placements that are kept, so that a netlist is not placed twice."""

from __future__ import annotations

import shutil
from pathlib import Path

from finn_builds.config.fingerprint import file_digest
from finn_builds.files import read_json, write_json
from finn_builds.route.nextpnr import BITSTREAM, LOG, PINS, PLACED, REPORT

#: Digests of the files of a placement, by which a damaged one is known.
DIGESTS = "digests.json"


def keep(folder: Path, kept: Path) -> None:
    """Copy what matters of a finished placement; `kept` gets its name once it is complete."""
    fresh = kept.with_name(kept.name + ".part")
    for old in (fresh, kept):
        shutil.rmtree(old, ignore_errors=True)
    fresh.mkdir(parents=True)
    digests = {}
    for name in (PLACED, REPORT, PINS, LOG, BITSTREAM):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, fresh / name)
            digests[name] = file_digest(fresh / name)
    write_json(fresh / DIGESTS, digests)
    fresh.rename(kept)


def is_whole(kept: Path) -> bool:
    """Return whether a placement is kept, and its files are as they were written."""
    try:
        digests = read_json(kept / DIGESTS)
        return bool(digests) and all(file_digest(kept / n) == was for n, was in digests.items())
    except (OSError, ValueError, AttributeError):
        return False


def copy(kept: Path, to: Path) -> None:
    """Copy a kept placement to a new folder."""
    shutil.copytree(kept, to, ignore=shutil.ignore_patterns(DIGESTS))
