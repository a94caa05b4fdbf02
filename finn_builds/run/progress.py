"""How far a build is: nothing, a line a step, or moving bars, as the stream suits.

Colours and moving bars are for terminals; rich leaves the colours out where ``NO_COLOR`` is set.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

from finn_builds.run.terminal import console_on

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID


class Reporter:
    """Follows a run of steps and shows nothing; the other reporters override what they show."""

    def reused(self, count: int, total: int) -> None:
        """Note that the first ``count`` of ``total`` steps are unchanged and were not run."""

    def started(self, index: int, total: int, name: str, expected: float | None = None) -> None:
        """Note that step ``index`` (from 1) of ``total`` begins.

        ``expected`` is how long it took in s when it last ran in this folder, if it did.
        """

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Note that the running step has done a part of its work."""

    def finished(self, index: int, total: int, name: str, seconds: float) -> None:
        """Note that step ``index`` is finished."""

    def close(self) -> None:
        """Note that the run is over, whatever its end."""


class PlainReporter(Reporter):
    """One line a step, for files and pipes: ``[ 5/14] create_stitched_ip ... 1.2 s``."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._open = False

    def reused(self, count: int, total: int) -> None:
        """Say how many steps were not needed."""
        self._write(_reused(count, total) + "\n")

    def started(self, index: int, total: int, name: str, expected: float | None = None) -> None:
        """Begin the step's line."""
        self._write(f"{_number(index, total)} {name} ... ")
        self._open = True

    def finished(self, index: int, total: int, name: str, seconds: float) -> None:
        """End the step's line."""
        self._write(f"{seconds:.1f} s\n")
        self._open = False

    def close(self) -> None:
        """End the line of a step that did not finish."""
        if self._open:
            self._write("\n")
            self._open = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class TerminalReporter(Reporter):
    """A line per finished step, and a moving bar for the one that runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Progress | None = None
        self._task: TaskID | None = None

    def reused(self, count: int, total: int) -> None:
        """Say how many steps were not needed."""
        self._console.print(_reused(count, total), markup=False, style="dim")

    def started(self, index: int, total: int, name: str, expected: float | None = None) -> None:
        """Show the step with its clock running, and the time left where it can be known."""
        from rich.markup import escape
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._live = Progress(
            TextColumn(escape(f"{_number(index, total)} {name}")),
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            _time_left_column(expected),
            TextColumn("{task.fields[what]}", markup=False, style="dim"),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._live.add_task(name, total=None, what="")
        self._live.start()

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Move the bar."""
        if self._live is not None and self._task is not None:
            self._live.update(self._task, completed=done, total=total, what=what)

    def finished(self, index: int, total: int, name: str, seconds: float) -> None:
        """Replace the bar by a line that stays."""
        self.close()
        line = f"{_number(index, total)} {name:<34}{seconds:7.1f} s"
        self._console.print(line, markup=False)

    def close(self) -> None:
        """Take the bar away."""
        if self._live is not None:
            self._live.stop()
        self._live = self._task = None


def time_left(elapsed: float, share: float | None, expected: float | None) -> float | None:
    """Return the seconds that a step probably still takes, or None where that can't be known.

    `elapsed` are those since it began, `share` is that of its work that is done. The seconds that
    it took the last time, `expected`, say most until they are over.
    """
    if expected is not None and expected > elapsed:
        return expected - elapsed
    if share is not None and 0 < share < 1:
        return elapsed * (1 - share) / share
    return None


def left_text(seconds: float | None) -> str:
    """Return a remaining time in words; less than a second is not worth any."""
    if seconds is None or seconds < 1:
        return ""
    return f"about {seconds:.0f} s left" if seconds < 90 else f"about {seconds / 60:.0f} min left"


def _time_left_column(expected: float | None) -> ProgressColumn:
    """Return the column of a bar that shows the time left."""
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        def render(self, task: Task) -> Text:
            share = None if not task.total else task.completed / task.total
            return Text(left_text(time_left(task.elapsed or 0.0, share, expected)))

    return TimeLeft()


def reporter(stream: TextIO, *, quiet: bool = False) -> Reporter:
    """Return what suits a stream: bars on a terminal, plain lines elsewhere, or nothing.

    The reporter writes through a descriptor of its own, so that it reaches the stream while the
    build's own output goes to the log.
    """
    if quiet:
        return Reporter()
    try:
        own = os.fdopen(os.dup(stream.fileno()), "w", encoding="utf-8", errors="replace")
    except (OSError, ValueError):  # no file behind the stream, as in a notebook
        return PlainReporter(stream)
    console = console_on(own)
    return PlainReporter(own) if console is None else TerminalReporter(console)


def _number(index: int, total: int) -> str:
    return f"[{index:>{len(str(total))}}/{total}]"


def _reused(count: int, total: int) -> str:
    return f"[1-{count}/{total}] reused: unchanged"
