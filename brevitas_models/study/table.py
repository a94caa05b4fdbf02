"""The table of a study: one row for each finished round."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brevitas_models.errors import UserError
from brevitas_models.files import write_atomic
from brevitas_models.train.rounds import RoundResult

Row = dict[str, Any]
# Of columns that are text; all others are numbers, or empty.
TEXT = ("point", "kind", "schedule", "criterion", "batch_norm", "layers", "hardware_board")


def columns(result: RoundResult) -> Row:
    """Return the columns of a finished round."""
    best = result.best
    return {
        "round": result.round.index,
        "share": result.round.share,
        "pruned": result.pruned,
        "epochs": len(result.history),
        "best_epoch": best.epoch,
        "train_loss": best.train_loss,
        "validation_loss": best.validation_loss,
        "validation_match": best.validation_match,
        **result.figures,
    }


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV, all or nothing; columns in the order in which rows bring them up.

    Raises ValueError if two rows are of the same round of the same point.
    """
    names = [(row["point"], row["round"]) for row in rows]
    if len(set(names)) != len(names):
        raise ValueError("a round of a point is there twice")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _text(value) for key, value in row.items()} for row in rows)
    write_atomic(path, text.getvalue().encode())


def read(path: Path) -> list[Row]:
    """Read a table; numbers are floats, what is empty is None.

    Raises UserError if there is no such file.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                {key: _value(key, text) for key, text in row.items()}
                for row in csv.DictReader(file)
            ]
    except OSError as error:
        raise UserError(
            f"{path}: expected the table of a study, which can't be read "
            f"({error.strerror or error}); run train.py study again to write it"
        ) from None


def _text(value: Any) -> Any:
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else value


def _value(key: str, text: str) -> Any:
    if text == "":
        return None
    if key in TEXT:
        return text
    try:
        return float(text)
    except ValueError:
        return text
