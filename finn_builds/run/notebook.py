"""How far a build is, in a notebook: one line with a bar that is drawn again and again."""

from __future__ import annotations

import html
import sys
import time
from typing import Any

from finn_builds.run.progress import Reporter, left_text, time_left

#: Seconds between two drawings of a bar.
_PAUSE = 0.2


def notebook_reporter() -> Reporter | None:
    """Return a reporter for the notebook that this process is the kernel of, or None."""
    ipython = sys.modules.get("IPython")
    if "ipykernel" not in sys.modules or ipython is None or ipython.get_ipython() is None:
        return None
    return NotebookReporter(ipython.display.display)


class NotebookReporter(Reporter):
    """Draws the steps that are done and the one that runs.

    `display` is that of IPython: it shows an object and returns a handle that can show another one
    in its place.
    """

    def __init__(self, display: Any) -> None:
        self._display, self._handle = display, None
        self._line, self._index, self._total = "", 0, 1
        self._began = self._drawn = 0.0
        self._expected: float | None = None

    def reused(self, count: int, total: int) -> None:
        """Note that the first steps need not run again."""
        self._index, self._total = count, total
        self._draw(f"{count} of {total} steps reused: unchanged")

    def started(self, index: int, total: int, name: str, expected: float | None = None) -> None:
        """Show the step that begins."""
        self._index, self._total, self._line = index - 1, total, f"{index}/{total} {name}"
        self._began, self._expected = time.perf_counter(), expected
        self._draw(self._line)

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Move the bar, though not at any rate."""
        now = time.perf_counter()
        if now - self._drawn < _PAUSE:
            return
        share = done / total if total else 0.0
        left = left_text(time_left(now - self._began, share, self._expected))
        words = (self._line, what, left)
        self._draw(" · ".join(word for word in words if word), share)

    def finished(self, index: int, total: int, name: str, seconds: float) -> None:
        """Count the step."""
        self._index = index
        done = (
            f"{total} steps done" if index == total else f"{index}/{total} {name}: {seconds:.1f} s"
        )
        self._draw(done)

    def _draw(self, text: str, part: float = 0.0) -> None:
        self._drawn = time.perf_counter()
        value = (self._index + part) / max(1, self._total)
        page = _Page(
            f'<progress max="1" value="{value:.3f}" style="width:16rem"></progress> '
            f"<code>{html.escape(text)}</code>"
        )
        if self._handle is None:
            self._handle = self._display(page, display_id=True)
        else:
            self._handle.update(page)


class _Page:
    """What IPython shows as HTML."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_html_(self) -> str:
        return self.text
