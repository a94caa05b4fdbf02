"""What a study has finished: one file for each point, with its rounds so far."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

from brevitas_models.errors import UserError
from brevitas_models.files import write_atomic
from brevitas_models.train.store import RoundStore


class Store(RoundStore):
    """The folder of a study."""

    def __init__(self, out: Path) -> None:
        super().__init__(out / "points")
        self.out = out
        self.table, self.failures = out / "table.csv", out / "failures.csv"
        self.figures = out / "figures"
        try:
            (out / "points").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"--out {out}: expected a folder to write to, found that it can't be written "
                f"({error.strerror or error}); choose another"
            ) from None

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
