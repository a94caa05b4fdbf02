"""What training and studies ask of the other packages, as functions that the caller passes in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from brevitas_models.datasets import ReadTable
from brevitas_models.pruning import RULES, Luts


class BuildRow(Protocol):
    """Builds a QONNX file and returns its hardware columns, for example ``{"lut": 1234}``."""

    def __call__(self, model: Path, board: str, synth: str, frames: int) -> dict[str, Any]:
        """Take the name of a board, what counts LUTs, and how many frames to verify."""
        ...


@dataclass(frozen=True)
class Hooks:
    """Functions of the build side; where one is needed and missing, training ends with an error.

    They speak QONNX files and plain values only. A study sends `luts` to other processes.
    """

    # ``layers``: estimated LUTs of each layer of a QONNX file; for ``pruning.cost: estimate``.
    # ``edges``: of integer tables of edges; for ``pruning.lut_budget``
    luts: Luts = RULES
    build_row: BuildRow | None = None  # hardware columns of a study; for ``--with-hardware``
    # Raises an error unless it knows the board of this name; comes with `build_row`
    check_board: Callable[[str], None] | None = None
    read_table: ReadTable | None = None  # reads users' data files, see `datasets.load`
