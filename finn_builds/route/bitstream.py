"""The bitstream of an open board and the script that loads it."""

from __future__ import annotations

import shutil
from pathlib import Path

from finn_builds.config.boards import AnyBoard
from finn_builds.config.open_boards import OpenBoard
from finn_builds.files import ROUTE_DIR
from finn_builds.route.nextpnr import BITSTREAM
from finn_builds.shell.flash import FLASH, flash_script
from finn_builds.sparse.families import family_named

FOLDER = "bitfile"


def bitstream_path(out: Path, board: AnyBoard) -> Path:
    """Return where the bitstream of an open board lies."""
    router = family_named(board.family).router
    assert router is not None
    return out / FOLDER / f"{board.name}{router.bitstream}"


def write_bitstream(out: Path, board: AnyBoard) -> None:
    """Copy the bitstream of a placement to ``bitfile/`` and write ``flash.sh`` beside it."""
    assert isinstance(board, OpenBoard)
    path = bitstream_path(out, board)
    path.parent.mkdir(parents=True)
    shutil.copyfile(out / ROUTE_DIR / BITSTREAM, path)
    script = path.parent / FLASH
    script.write_text(flash_script(board.name, board.loader, path.name))
    script.chmod(0o755)
