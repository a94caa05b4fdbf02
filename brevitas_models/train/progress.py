"""How a training run shows what it is doing: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from brevitas_models.train.rounds import Round
    from brevitas_models.train.rules import EpochRecord

# Lines that one training prints where there is no terminal: enough to see that it lives.
_PLAIN_LINES = 10
# Seconds between two lines of a count.
_LINE_EVERY = 2.0


class Reporter:
    """Prints what happens, on the standard output; if quiet, nothing but what `result` is given."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = Console(highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print one line, unless quiet."""
        if not self._quiet:
            self.result(text)

    def result(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, markup=False)

    @contextmanager
    def rounds(
        self, title: str, rounds: Sequence[Round], epochs: int
    ) -> Iterator[Callable[[Round, EpochRecord], None]]:
        """Follow the trainings of a schedule; what is yielded takes every epoch and its round."""
        if len(rounds) == 1:
            with self.training(title, epochs) as report:
                yield lambda now, record: report(record)
            return
        with ExitStack() as stack:
            followed: dict[int, Callable[[EpochRecord], None]] = {}

            def report_round(now: Round, record: EpochRecord) -> None:
                if now.index not in followed:
                    stack.close()
                    name = f"{title}, round {now.index + 1} of {len(rounds)}"
                    followed[now.index] = stack.enter_context(self.training(name, epochs))
                followed[now.index](record)

            yield report_round

    @contextmanager
    def training(self, title: str, epochs: int) -> Iterator[Callable[[EpochRecord], None]]:
        """Follow one training.

        What is yielded is to be called after every epoch, also of each of several models trained
        side by side, of which the first to end an epoch is shown.
        """
        shown = 0

        def first(show: Callable[[EpochRecord], None]) -> Callable[[EpochRecord], None]:
            def report(record: EpochRecord) -> None:
                nonlocal shown
                if record.epoch > shown:
                    shown = record.epoch
                    show(record)

            return report

        if self._quiet:
            yield lambda record: None
        elif self._console.is_terminal:
            with self._bar() as bar:
                task = bar.add_task(title, total=epochs, state="")
                yield first(
                    lambda record: bar.update(task, completed=record.epoch, state=describe(record))
                )
        else:
            every = -(-epochs // _PLAIN_LINES)
            self.note(f"{title}: up to {epochs} epochs")

            def line(record: EpochRecord) -> None:
                if record.epoch % every == 0 or record.epoch == epochs:
                    self.note(f"{title}: epoch {record.epoch}/{epochs}, {describe(record)}")

            yield first(line)

    @contextmanager
    def counted(
        self, what: str, total: int, done: int = 0, *, clock: Callable[[], float] = time.monotonic
    ) -> Iterator[Callable[[int], None]]:
        """Follow work that is counted, of which `done` parts were there before it began.

        What is yielded takes the number of parts that are done. A terminal shows a bar, anything
        else a line at once and then every few seconds; both with the time left, by the pace so far.
        """
        if self._quiet:
            yield lambda now: None
        elif self._console.is_terminal:
            with self._bar() as bar:
                task = bar.add_task(what, total=total, completed=done, state="")
                yield lambda now: bar.update(task, completed=now)
        else:
            began = shown = clock()
            self.note(f"{done} of {total} {what}")

            def line(now: int) -> None:
                nonlocal shown
                if clock() - shown < _LINE_EVERY and now < total:
                    return
                shown = clock()
                text = f"{now} of {total} {what}"
                if done < now < total:
                    seconds = (shown - began) * (total - now) / (now - done)
                    text += f", about {_time(seconds)} left"
                self.note(text)

            yield line

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
            console=self._console,
        )


def _time(seconds: float) -> str:
    """Return a time as one number and its unit."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def describe(record: EpochRecord) -> str:
    """Return an epoch's figures in one line."""
    pruned = f", {record.pruned:.1%} pruned" if record.pruned else ""
    match, rmse = record.validation_match, record.validation_rmse
    regret = record.validation_regret
    judged = [] if match is None else [f"{match:.1%} right"]
    judged += [] if regret is None else [f"soft regret {100 * regret:.2f} points"]
    judged += [] if rmse is None else [f"RMSE {rmse:.4g}"]
    return (
        f"loss {record.train_loss:.4f}, validation {record.validation_loss:.4f} "
        f"({', '.join(judged)}){pruned}, {record.seconds:.1f} s"
    )
