"""The headline figures of a build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finn_builds.files import SUMMARY_FILE, read_json, write_json


@dataclass(frozen=True)
class Summary:
    """Figures by name, each said to be measured or estimated: ``report/summary.json``."""

    figures: Mapping[str, Any]

    def save(self, out: Path, step: str) -> None:
        """Write the figures."""
        write_json(out / SUMMARY_FILE, self.figures)

    @classmethod
    def load(cls, out: Path, step: str) -> Summary:
        """Read what `save` wrote."""
        return cls(read_json(out / SUMMARY_FILE))
