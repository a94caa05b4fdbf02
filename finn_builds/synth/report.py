"""What synthesis found, as it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finn_builds.files import SYNTHESIS_FILE, TOOL_KEY, WHOLE_KEY, read_json, write_json


@dataclass(frozen=True)
class Synthesised:
    """Figures of a synthesis tool.

    Attributes
    ----------
    report : mapping
        As ``report/synth_resources.json`` has it: ``(top)``, every block, and ``tool``. A block
        that was not synthesised has ``why`` alone.
    """

    report: Mapping[str, Any]

    @property
    def top(self) -> Mapping[str, Any]:
        """Figures of the whole design."""
        found: Mapping[str, Any] = self.report[WHOLE_KEY]
        return found

    @property
    def tool(self) -> Mapping[str, Any]:
        """What synthesised the design, and how."""
        found: Mapping[str, Any] = self.report[TOOL_KEY]
        return found

    def save(self, out: Path, step: str) -> None:
        """Write ``report/synth_resources.json``."""
        write_json(out / SYNTHESIS_FILE, self.report)

    @classmethod
    def load(cls, out: Path, step: str) -> Synthesised:
        """Read what `save` wrote."""
        return cls(read_json(out / SYNTHESIS_FILE))
