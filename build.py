#!/usr/bin/env python3
"""Turn a trained model into a verified accelerator: ``.venv/bin/python build.py --board Pynq-Z1``.

The same as ``prunestream build``; the work is done by ``finn_builds.build(BuildConfig(...))``,
which scripts and notebooks call directly. ``build.py compare build/a build/b`` shows finished
builds side by side.
"""

from __future__ import annotations

import sys

import prunestream


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    comparing = words[:1] == ["compare"]
    return prunestream.main(words if comparing else ["build", *words], script="build.py")


if __name__ == "__main__":
    sys.exit(main())
