"""The script that loads an open board's bitstream."""

from __future__ import annotations

FLASH = "flash.sh"

_SCRIPT = """\
#!/bin/sh
# Loads the bitstream into {board} with openFPGALoader (https://github.com/trabucayre/openFPGALoader),
# until the board loses power; with -f into its flash memory, from where it starts again.
set -eu
cd "$(dirname "$(readlink -f "$0")")"
if ! command -v openFPGALoader > /dev/null; then
  echo "error: openFPGALoader is needed and was not found (Debian: apt install openfpgaloader)" >&2
  exit 2
fi
exec openFPGALoader -b {loader} "$@" {name}
"""


def flash_script(board: str, loader: str, name: str) -> str:
    """Return the script for a bitstream called `name` in the same folder.

    `loader` is what openFPGALoader calls the board.
    """
    return _SCRIPT.format(board=board, loader=loader, name=name)
