"""The bitstream of an open board and the script that loads it."""

from __future__ import annotations

import shutil
from pathlib import Path

from finn_builds.config.boards import AnyBoard
from finn_builds.config.open_boards import OpenBoard
from finn_builds.files import ROUTE_DIR
from finn_builds.route.nextpnr import BITSTREAM
from finn_builds.sparse.families import family_named

FOLDER = "bitfile"
SCRIPT = "flash.sh"

_SCRIPT = """\
#!/bin/sh
# Loads the bitstream into {board} with openFPGALoader (https://github.com/trabucayre/openFPGALoader),
# until the board loses power; with -f into its flash memory, from where it starts again.
set -eu
cd "$(dirname "$0")"
if ! command -v openFPGALoader > /dev/null; then
  echo "error: openFPGALoader is needed and was not found (Debian: apt install openfpgaloader)" >&2
  exit 2
fi
exec openFPGALoader -b {loader} "$@" {name}
"""


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
    script = path.parent / SCRIPT
    script.write_text(_SCRIPT.format(board=board.name, loader=board.loader, name=path.name))
    script.chmod(0o755)
