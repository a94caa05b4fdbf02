"""Runs programs, alone or side by side, and stops them with all that they have started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from finn_builds.tools.errors import ToolFailed, ToolTimeout, not_found

_LOG_TAIL = 25
_GRACE_SECONDS = 2.0
_POLL_SECONDS = 0.01

Outcome = subprocess.CompletedProcess[str] | ToolFailed


@dataclass(frozen=True)
class Command:
    """One call of a program; its output goes to `log`, or stays in memory.

    It is stopped after `timeout` seconds; `env` is added to the variables of this process.
    """

    argv: Sequence[str | os.PathLike[str]]
    cwd: Path
    log: Path | None = None
    timeout: float | None = None
    env: Mapping[str, str] | None = None


class _Job:
    """A running `Command`, in a process group of its own so that all of it can be stopped."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.argv = [os.fspath(a) for a in command.argv]
        self.program = Path(self.argv[0]).name
        self._deadline = None if command.timeout is None else time.monotonic() + command.timeout
        if shutil.which(self.argv[0]) is None:
            raise not_found(self.program)
        self._sink: IO[bytes]
        if command.log is None:
            self._sink = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        else:
            command.log.parent.mkdir(parents=True, exist_ok=True)
            self._sink = command.log.open("w+b")
        try:
            self._process = subprocess.Popen(
                self.argv,
                cwd=command.cwd,
                env={**os.environ, **(command.env or {})},
                stdin=subprocess.DEVNULL,
                stdout=self._sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except BaseException:
            self._sink.close()
            raise

    def outcome(self) -> Outcome | None:
        """Return what came of the program, None while it runs; stop it if its time is up."""
        if self._process.poll() is None:
            if self._deadline is None or time.monotonic() <= self._deadline:
                return None
            self.stop()
            output = self._read()
            return ToolTimeout(
                f"{self.program} did not end within {self.command.timeout:g} s and was stopped"
                + _tail(output, self.command.log),
                output=output,
            )
        output, code = self._read(), self._process.returncode
        if code == 0:
            return subprocess.CompletedProcess(self.argv, code, output, "")
        how = f"exit status {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
        return ToolFailed(
            f"{self.program} failed ({how}) in {self.command.cwd}"
            + _tail(output, self.command.log),
            code,
            output,
        )

    def wait(self, seconds: float) -> None:
        """Sleep until the program ends, at most for this time in s."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def stop(self) -> None:
        """End the program and everything it started: SIGTERM first, then SIGKILL."""
        for sig in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, sig)
            except ProcessLookupError:
                break
            # Even if the leader has ended: the second signal ends processes that it has left.
            self.wait(_GRACE_SECONDS)
        self._process.wait()

    def close(self) -> None:
        """Close the output file."""
        self._sink.close()

    def _read(self) -> str:
        self._sink.seek(0)
        return self._sink.read().decode(errors="replace")


def run(
    cmd: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path,
    log: Path | None = None,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; arguments are those of `Command`.

    `stdout` of what is returned holds standard output and standard error as they came. Raises
    ToolMissing if the program is not installed, ToolFailed if it ended with a non-zero status, and
    ToolTimeout, which is one of these, if it did not end in time.
    """
    return run_all([Command(cmd, cwd, log, timeout, env)], jobs=1)[0]


def run_all(
    commands: Sequence[Command], *, jobs: int | None = None
) -> list[subprocess.CompletedProcess[str]]:
    """Run programs that do not depend on each other side by side; outcomes come in their order.

    `jobs` run at a time, by default one for each core this process may use. The first failure, a
    timeout or an interrupt stops all that still run, and is raised as in `run`.
    """
    done: dict[int, subprocess.CompletedProcess[str]] = {}
    with closing(outcomes(commands, jobs)) as results:
        for index, outcome in results:
            if isinstance(outcome, ToolFailed):
                raise outcome
            done[index] = outcome
    return [done[index] for index in range(len(commands))]


def run_each(
    commands: Sequence[Command],
    *,
    jobs: int | None = None,
    ended: Callable[[int], None] | None = None,
) -> list[Outcome]:
    """Run programs side by side, each to its own end: a failure does not stop the others.

    Arguments are those of `run_all`; `ended` is called with the number of programs that have ended,
    whenever one has. A program that failed or ran out of time gives its exception.
    """
    done: dict[int, Outcome] = {}
    with closing(outcomes(commands, jobs)) as results:
        for index, outcome in results:
            done[index] = outcome
            if ended is not None:
                ended(len(done))
    return [done[index] for index in range(len(commands))]


def outcomes(
    commands: Sequence[Command], jobs: int | None = None
) -> Generator[tuple[int, Outcome], None, None]:
    """Run programs, a few at a time, and yield the place and outcome of each as it ends.

    Whatever ends the generator, be it an error or that it is closed, stops all that still run.
    """
    width = jobs if jobs is not None else len(os.sched_getaffinity(0))
    waiting = list(enumerate(commands))
    running: dict[int, _Job] = {}
    try:
        while waiting or running:
            while waiting and len(running) < width:
                index, command = waiting.pop(0)
                running[index] = _Job(command)
            for index, job in list(running.items()):
                outcome = job.outcome()
                if outcome is not None:
                    yield index, outcome
                    running.pop(index).close()
            if running and (len(running) == width or not waiting):
                next(iter(running.values())).wait(_POLL_SECONDS)
    finally:
        for job in running.values():
            job.stop()
            job.close()


def _tail(output: str, log: Path | None) -> str:
    lines = output.rstrip().splitlines()
    where = f" (all of it in {log})" if log is not None else ""
    if not lines:
        return f"; it printed nothing{where}"
    return f"; its last lines{where}:\n  " + "\n  ".join(lines[-_LOG_TAIL:])
