"""Runs programs, alone or side by side, and stops them with all that they have started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from finn_builds.tools.errors import ToolFailed, ToolTimeout, not_found

_LOG_TAIL = 25
_GRACE_SECONDS = 2.0
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Command:
    """One call of a program.

    Attributes
    ----------
    argv
        Program and arguments.
    cwd
        Folder to run in.
    log
        File that takes standard output and standard error; None keeps them in memory only.
    timeout
        Seconds until the program is stopped; None waits for ever.
    env
        Variables added to those of this process for the child alone.
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
            self._sink = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `result`
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

    def ended(self) -> bool:
        """Return whether the program has ended; stop it if its time is up."""
        if self._process.poll() is not None:
            return True
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.stop()
            output = self._read()
            raise ToolTimeout(
                f"{self.program} did not end within {self.command.timeout:g} s and was stopped"
                + _tail(output, self.command.log),
                output=output,
            )
        return False

    def wait(self, seconds: float) -> None:
        """Sleep until the program ends, at most so long."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def stop(self) -> None:
        """End the program and everything it started, politely at first."""
        for sig in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, sig)
            except ProcessLookupError:
                break
            try:
                self._process.wait(_GRACE_SECONDS)
                if sig is signal.SIGTERM:  # the leader went: take what it left behind too
                    continue
            except subprocess.TimeoutExpired:
                continue
        self._process.wait()

    def close(self) -> None:
        """Let go of the output file."""
        self._sink.close()

    def result(self) -> subprocess.CompletedProcess[str]:
        """Return what the ended program printed, or raise `ToolFailed`."""
        output = self._read()
        code = self._process.returncode
        if code:
            how = f"exit status {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
            raise ToolFailed(
                f"{self.program} failed ({how}) in {self.command.cwd}"
                + _tail(output, self.command.log),
                code,
                output,
            )
        return subprocess.CompletedProcess(self.argv, code, output, "")

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
    """Run a program to its end.

    Parameters
    ----------
    cmd
        Program and arguments.
    cwd
        Folder to run in.
    log
        File that takes standard output and standard error.
    timeout
        Seconds until the program and its children are stopped.
    env
        Variables for the child alone.

    Returns
    -------
    subprocess.CompletedProcess[str]
        `stdout` holds standard output and standard error as they came.

    Raises
    ------
    ToolMissing
        The program is not installed.
    ToolFailed
        It ended with a non-zero status (`ToolTimeout`: it did not end in time).
    """
    return run_all([Command(cmd, cwd, log, timeout, env)], jobs=1)[0]


def run_all(
    commands: Sequence[Command], *, jobs: int | None = None
) -> list[subprocess.CompletedProcess[str]]:
    """Run programs side by side, in the order given, a few at a time.

    The first failure, a timeout or an interrupt stops all that still run.

    Parameters
    ----------
    commands
        What to run; the calls must not depend on each other.
    jobs
        How many at a time; by default one for each core this process may use.

    Returns
    -------
    list of subprocess.CompletedProcess
        In the order of `commands`.
    """
    done: dict[int, subprocess.CompletedProcess[str]] = {}

    def finish(index: int, job: _Job) -> None:
        done[index] = job.result()

    _side_by_side(commands, jobs, finish)
    return [done[i] for i in range(len(commands))]


def run_each(
    commands: Sequence[Command],
    *,
    jobs: int | None = None,
    ended: Callable[[int], None] | None = None,
) -> list[subprocess.CompletedProcess[str] | ToolFailed]:
    """Run programs side by side, each to its own end: a failure does not stop the others.

    Parameters
    ----------
    commands
        What to run; the calls must not depend on each other.
    jobs
        How many at a time; by default one for each core this process may use.
    ended
        Called with the number of programs that have ended, whenever one has.

    Returns
    -------
    list of subprocess.CompletedProcess or ToolFailed
        In the order of `commands`; the exception of a program that failed or ran out of time.
    """
    done: dict[int, subprocess.CompletedProcess[str] | ToolFailed] = {}

    def finish(index: int, job: _Job) -> None:
        try:
            done[index] = job.result()
        except ToolFailed as error:
            done[index] = error
        if ended is not None:
            ended(len(done))

    def late(index: int, error: ToolTimeout) -> None:
        done[index] = error
        if ended is not None:
            ended(len(done))

    _side_by_side(commands, jobs, finish, late)
    return [done[i] for i in range(len(commands))]


def _side_by_side(
    commands: Sequence[Command],
    jobs: int | None,
    finish: Callable[[int, _Job], None],
    late: Callable[[int, ToolTimeout], None] | None = None,
) -> None:
    """Run programs, a few at a time; whatever is raised stops all that still run."""
    width = jobs if jobs is not None else len(os.sched_getaffinity(0))
    waiting = list(enumerate(commands))
    running: dict[int, _Job] = {}
    try:
        while waiting or running:
            while waiting and len(running) < width:
                index, command = waiting.pop(0)
                running[index] = _Job(command)
            for index, job in list(running.items()):
                try:
                    if not job.ended():
                        continue
                    finish(index, job)
                except ToolTimeout as error:
                    if late is None:
                        raise
                    late(index, error)
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
