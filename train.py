#!/usr/bin/env python3
"""Train a quantised, pruned MLP: ``.venv/bin/python train.py --model digits``.

The same as ``prunestream train``; ``train.py study CONFIG.yaml`` runs a study.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import prunestream


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    studying = words[:1] == ["study"]
    return prunestream.main(words if studying else ["train", *words], script="train.py")


if __name__ == "__main__":
    sys.exit(main())
