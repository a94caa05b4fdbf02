"""What a build shows: its progress while it runs, a short table at the end, and what went wrong.

Colours and moving bars are for terminals; rich leaves the colours out where ``NO_COLOR`` is set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID


#: What summaries call an amount that no tool has counted.
ESTIMATED = "estimated"


class Reporter:
    """Follows a run of steps and shows nothing; the other reporters override what they show."""

    def reused(self, count: int, total: int) -> None:
        """Note that the first ``count`` of ``total`` steps are unchanged and were not run."""

    def started(self, index: int, total: int, name: str, expected: float | None = None) -> None:
        """Note that step ``index`` (from 1) of ``total`` begins.

        ``expected`` is how long it took in s when it last ran in this folder, if it did.
        """

    def progress(self, done: int, total: int, what: str = "") -> None:
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

    def progress(self, done: int, total: int, what: str = "") -> None:
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

    Parameters
    ----------
    elapsed : float
        Seconds since it began.
    share : float or None
        Share of its work that is done.
    expected : float or None
        Seconds that it took the last time, which says most until they are over.
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


def _console_on(stream: TextIO) -> Console | None:
    """Return rich's console on a terminal that can move its cursor, or None."""
    if not stream.isatty():
        return None
    from rich.console import Console

    console = Console(file=stream, highlight=False)
    return None if console.is_dumb_terminal else console


def show_summary(summary: Mapping[str, Any], stream: TextIO) -> None:
    """Write the table of a build's figures: on a terminal in its width, elsewhere line by line."""
    console = _console_on(stream)
    if console is None:
        print(summary_table(summary), file=stream)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    styles = {
        "data": "yellow" if summary.get("accuracy_surrogate") else "",
        "verified": "bold red" if summary.get("mismatches") else "green",
    }
    for name, text in _rows(summary):
        if text:
            table.add_row(name, Text(text, styles.get(name, "")))
    console.print(table)


def show_error(message: object, stream: TextIO) -> None:
    """Write what went wrong as one message."""
    console = _console_on(stream)
    if console is None:
        print(f"error: {message}", file=stream)
        return
    from rich.text import Text

    console.print(Text.assemble(("error: ", "bold red"), str(message)), soft_wrap=True)


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
    console = _console_on(own)
    return PlainReporter(own) if console is None else TerminalReporter(console)


def summary_table(summary: Mapping[str, Any]) -> str:
    """Return the short table of a build's figures.

    Parameters
    ----------
    summary
        ``BuildResult.summary``; figures that are absent or None are left out.
    """
    rows = [(name, text) for name, text in _rows(summary) if text]
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def _rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    get = summary.get
    accuracy = _text("{:.1%}", get("accuracy"))
    if accuracy:
        accuracy += _text(" ± {:.1%}", get("accuracy_standard_error"))
        accuracy += _text(" on {:,} frames", get("accuracy_frames"))
    verified = _text("{:,} frames", get("frames_verified"))
    if verified:
        verified += _text(", {:,} mismatches", get("mismatches"))
        verified += _text("; mapped netlist: {:,} frames", get("netlist_frames_verified") or None)
    latency = _text("{:,} cycles", get("latency_cycles"))
    if latency:
        latency += _text(", {:,.0f} ns", get("latency_ns"))
        latency += _text(" at a clock of {:g} ns", get("clock_ns"))
    synthesised = _resources(get("synthesised"), get("device"))
    path = _text("{:,.2f} ns before placement (estimated)", get("critical_path_ns"))
    return [
        ("accuracy", accuracy),
        # The whole of it is on the page; what matters here stands before the first semicolon.
        ("data", _text("{}", get("accuracy_source")).partition(";")[0]),
        ("unquantised", _text("{:.1%} with float inputs", get("accuracy_without_input_quantizer"))),
        ("verified", verified),
        ("latency", latency),
        ("interval", _interval(get("interval_cycles"))),
        ("throughput", _text("{:,.0f} frames/s", get("fps"))),
        ("synthesised", synthesised or _text("{}", get("not_synthesised"))),
        ("longest path", path),
        ("estimated", _resources(get("resources"), get("device"))),
        ("bitfile", _text("{}", get("bitfile"))),
        ("folder", _text("{}", get("out_dir"))),
        ("files", ", ".join(get("files") or ())),
    ]


def _interval(cycles: float | None) -> str:
    if cycles is None:
        return ""
    return "1 cycle" if cycles == 1 else f"{cycles:,.1f} cycles".replace(".0 ", " ")


def _resources(found: Mapping[str, Any] | None, device: Mapping[str, int] | None) -> str:
    """Return amounts, their shares of the device, and the tool that counted them.

    The tool stands before the first comma of ``kind``.
    """
    amounts = dict(found or {})
    kind = (amounts.pop("kind", None) or "").partition(",")[0]
    figures, of_what = [], " of the board"
    for name, value in amounts.items():
        has = (device or {}).get(name)
        if has == value == 0:
            continue  # the device has none
        share = ""
        if has and value:
            percent = f"{value / has:.1%}" if value / has >= 0.0005 else "<0.1%"
            share, of_what = f" ({percent}{of_what})", ""
        figures.append(f"{name} {value:,.0f}{share}")
    return ", ".join(figures) + (f"; by {kind}" if figures and kind not in ("", ESTIMATED) else "")


def _text(form: str, value: Any) -> str:
    return "" if value is None else form.format(value)


def _number(index: int, total: int) -> str:
    return f"[{index:>{len(str(total))}}/{total}]"


def _reused(count: int, total: int) -> str:
    return f"[1-{count}/{total}] reused: unchanged"
