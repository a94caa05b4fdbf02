"""What a study has finished: one file for each point, with its rounds so far."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from brevitas_models.errors import UserError
from brevitas_models.files import write_atomic
from brevitas_models.study.work import Outcome, State

_FORMAT = "prunestream-study-point-1"


@dataclass(frozen=True)
class Finished:
    """A finished round: its figures and the model's state at its end."""

    row: dict[str, Any]
    state: State


class Store:
    """The folder of a study.

    Parameters
    ----------
    out : Path
        Made if it is not there.

    Attributes
    ----------
    table, failures, figures : Path
    """

    def __init__(self, out: Path) -> None:
        self.out, self.points = out, out / "points"
        self.table, self.failures = out / "table.csv", out / "failures.csv"
        self.figures = out / "figures"
        try:
            self.points.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"--out {out}: expected a folder to write to, found that it can't be written "
                f"({error.strerror or error}); choose another"
            ) from None
        self._rounds: dict[str, list[Finished]] = {}

    def rounds(self, key: str) -> list[Finished]:
        """Return the finished rounds of a point, in order.

        Raises
        ------
        UserError
            If its file is damaged.
        """
        if key not in self._rounds:
            self._rounds[key] = self._read(self.points / f"{key}.pt")
        return self._rounds[key]

    def add(self, outcome: Outcome) -> bool:
        """Keep a finished round, on disk before this returns; False if it was there already."""
        rounds = self.rounds(outcome.point)
        if outcome.round != len(rounds):
            return False
        rounds.append(Finished(outcome.row, outcome.state))
        self._write(outcome.point)
        return True

    def add_columns(self, key: str, index: int, columns: dict[str, Any]) -> None:
        """Add figures to a finished round."""
        rounds = self.rounds(key)
        rounds[index] = Finished({**rounds[index].row, **columns}, rounds[index].state)
        self._write(key)

    def fail(self, key: str, index: int, error: str) -> None:
        """Record that a round could not be trained."""
        row = [datetime.now(UTC).isoformat(timespec="seconds"), key, index, error]
        before = ["time", "point", "round", "error"]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if self.failures.exists():
            text.write(self.failures.read_text(encoding="utf-8"))
        else:
            writer.writerow(before)
        writer.writerow(row)
        write_atomic(self.failures, text.getvalue().encode())

    def _write(self, key: str) -> None:
        content = {
            "format": _FORMAT,
            "rows": json.dumps([item.row for item in self._rounds[key]]),
            "states": [item.state for item in self._rounds[key]],
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomic(self.points / f"{key}.pt", buffer.getvalue())

    def _read(self, path: Path) -> list[Finished]:
        if not path.exists():
            return []
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            if content["format"] != _FORMAT:
                raise ValueError("another format")
            rows = json.loads(content["rows"])
            return [Finished(*pair) for pair in zip(rows, content["states"], strict=True)]
        except Exception as error:
            # torch raises a dozen kinds on a foreign file.
            raise UserError(
                f"{path}: expected the finished rounds of a study, found a file that can't be "
                f"read ({type(error).__name__}); remove it to train the point again"
            ) from error
