"""Runs an ordered list of steps, each once, and never trusts half-written work.

A step is a plain function ``step_x(result, ..., cfg) -> result``: it takes results of earlier
steps, found by their types (of several the last), and returns its own, or nothing. Only the runner
knows about timing, resuming, reuse, progress and the log. Its promises:

- A step whose inputs did not change is not run again. Its key is the digest of the key before it
  and of what it reads; with the key, the digests of all it wrote must still hold.
- A step gets its results from their files and a fresh view of the configuration, whether the steps
  before were run or reused. So an interrupted build that is run again gives what an undisturbed
  one gives.
- A step is recorded only once all it wrote is on the disk, and the build as whole only after its
  last step.
- A finished build is replaced as a whole, by one that is finished: until then the next one grows in
  a folder of its own inside (``.next``), where an interrupted or partial run leaves it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finn_builds.config.build import BuildConfig
from finn_builds.errors import UserError
from finn_builds.files import CHECKPOINTS, write_text
from finn_builds.run import state as disk
from finn_builds.run.capture import LOG_FILE, captured
from finn_builds.run.lock import LOCK_FILE, folder_lock
from finn_builds.run.pipeline import (
    TIMES,
    Step,
    check_ownership,
    class_name,
    first_key,
    owned,
    select,
    step_key,
    wanted_results,
)
from finn_builds.run.progress import Reporter
from finn_builds.tools import ToolMissing

__all__ = ["RunResult", "Step", "result_of", "run_steps"]

#: What the runner itself writes besides the steps' files.
_RUNNERS = (disk.STATE_FILE, disk.SCRATCH, disk.TRASH, disk.NEXT, LOG_FILE, LOCK_FILE)


@dataclass(frozen=True)
class RunResult:
    """What a run did."""

    out: Path
    """The folder with the results: the build folder, or an unfinished next build in it."""
    ran: tuple[str, ...]
    """Steps that were run."""
    reused: tuple[str, ...]
    """Steps that were taken from an earlier run."""
    seconds: dict[str, float]
    """Time of each step in s, whenever it was run."""
    complete: bool
    """Every step is finished: the folder holds a whole build."""
    strays: tuple[str, ...]
    """Files that steps wrote without owning them."""


def result_of(out: Path, kind: type[Any]) -> Any:
    """Return the last result of a class that a build folder holds.

    Raises UserError if no finished step has returned one.
    """
    maker = disk.State.load(out).maker_of(class_name(kind))
    if maker is None:
        raise UserError(f"{out} holds no {kind.__name__}: run the build to its end first")
    return kind.load(out, maker)


def run_steps(
    steps: Sequence[Step], cfg: BuildConfig, *, reporter: Reporter | None = None
) -> RunResult:
    """Bring a build folder to the state in which all steps are done.

    ``start_step`` and ``stop_step`` of the validated configuration select a range: steps before it
    must be finished, steps after it are left undone. Without a `reporter` no progress is shown.

    Raises UserError if a step name is unknown, the folder is in use or is not a build folder, steps
    before ``start_step`` are not finished, or a step raised it. A folder that this run has created
    is removed again, unless only a tool or room on the disk is missing.
    """
    run = _Run(list(steps), cfg, reporter or Reporter())
    created = disk.claim(cfg.out)
    try:
        with disk.disk_errors(cfg.out), folder_lock(cfg.out):
            return run.execute()
    finally:
        run.reporter.close()
        disk.remove_empty(created)


class _Run:
    """One run over one locked folder."""

    def __init__(self, steps: list[Step], cfg: BuildConfig, reporter: Reporter) -> None:
        check_ownership(steps)
        self.steps = steps
        self.names = [step.name for step in steps]
        self.outputs = {output for step in steps for output in step.outputs}
        self.cfg = cfg
        self.reporter = reporter
        self.first, self.last = select(steps, cfg)
        self.fields = cfg.field_digests()
        self.first_key = first_key(cfg)
        self.out = cfg.out  # the folder to work in
        self.state = disk.State()  # what is finished in it
        self.times: dict[str, float] = {}  # of earlier runs, in s
        self.strays: list[str] = []

    def execute(self) -> RunResult:
        """Run what is not finished yet; a first build that never can succeed leaves nothing."""
        first_build = not (self.cfg.out / disk.STATE_FILE).exists()
        try:
            return self._execute()
        except UserError as error:
            if first_build and not isinstance(error, ToolMissing | disk.DiskError):
                disk.empty(self.cfg.out)
            raise
        except KeyboardInterrupt:
            if first_build and not self.state.steps:
                disk.empty(self.cfg.out)
            raise

    def _execute(self) -> RunResult:
        done = self._begin()
        end = max(done, self.last + 1)
        if done > 0:
            self.reporter.reused(done, len(self.names))
        if done < end or list(self.state.steps) != self.names[:done]:
            self._forget(done)
        if done < end:
            with captured(self.out / LOG_FILE, append=done > 0):
                for index in range(done, end):
                    self._run(index)
        if len(self.state.steps) == len(self.names):
            self._finish()
        return RunResult(
            out=self.out,
            ran=tuple(self.names[done:end]),
            reused=tuple(self.names[:done]),
            seconds={name: record.seconds for name, record in self.state.steps.items()},
            complete=self.state.complete,
            strays=tuple(self.strays),
        )

    def _begin(self) -> int:
        """Choose the folder to work in, and return its number of steps that are not run again.

        That is the build folder itself, unless it holds a whole build that must run something
        again. Then it is the next build in it: the one that an earlier run has left, if more of
        that can be used, else a new one with the steps that can be kept.
        """
        final, next_ = self.cfg.out, self.cfg.out / disk.NEXT
        if disk.State.load(next_).complete:  # ended while it took the last build's place
            disk.adopt_next(final, self.outputs)
        disk.sweep(final)
        found, staged = disk.State.load(final), disk.State.load(next_)
        self.times = {
            name: record.seconds for name, record in [*found.steps.items(), *staged.steps.items()]
        }
        done, ready = self._count_reusable(final, found), self._count_reusable(next_, staged)
        if not found.complete or done == len(self.steps):
            self._check_start(done, found)
            disk.remove(final, disk.NEXT)
            self.state = found
            if not (final / disk.STATE_FILE).exists():
                found.save(final)  # from here on the folder is known as a build's
            return done
        self._check_start(max(done, ready), found)
        if ready <= done:
            staged = disk.State({name: found.steps[name] for name in self.names[:done]})
            disk.start_next(final, staged)
        self.out, self.state = next_, staged
        return max(done, ready)

    def _count_reusable(self, out: Path, found: disk.State) -> int:
        """Return the number of leading steps that a folder holds and that are not run again."""
        most = 0 if self.cfg.force else len(self.steps) if self.first is None else self.first
        before = self.first_key
        for index, step in enumerate(self.steps[:most]):
            record = found.steps.get(step.name)
            if record is None or not set(record.reads) <= set(self.fields):
                return index
            if record.key != self._key(before, step, record.reads) or not record.intact(out):
                return index
            before = record.key
        return most

    def _key(self, before: str, step: Step, reads: Sequence[str]) -> str:
        return step_key(before, step, {name: self.fields[name] for name in reads})

    def _check_start(self, done: int, found: disk.State) -> None:
        if self.first is None or done >= self.first:
            return
        missing = self.names[done]
        why = "is out of date or damaged" if missing in found.steps else "has not been run"
        raise UserError(
            f"cannot start at {self.names[self.first]}: the step {missing} before it {why} "
            f"in {self.cfg.out}; run without --start-step"
        )

    def _forget(self, done: int) -> None:
        """Record that only the first steps are done; then remove what belongs to any other."""
        recorded = self.state.outputs()
        self.state = disk.State({name: self.state.steps[name] for name in self.names[:done]})
        self.state.save(self.out)
        disk.sweep(self.out)
        checkpoints = {f"{CHECKPOINTS}/{path.name}" for path in (self.out / CHECKPOINTS).glob("*")}
        for output in sorted({TIMES} | self.outputs | recorded | checkpoints):
            if output not in self.state.outputs():
                disk.remove(self.out, output)
        (self.out / CHECKPOINTS).mkdir(exist_ok=True)

    def _run(self, index: int) -> None:
        """Run one step and record it."""
        step = self.steps[index]
        where = (index + 1, len(self.steps), step.name)
        self.reporter.started(*where, self.times.get(step.name))
        print(f"=== {time.strftime('%Y-%m-%d %H:%M:%S')} {step.name}")
        begin = time.perf_counter()
        before = _files(self.out)
        folders = {(self.out / output).parent for output in step.outputs}
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        kind, reads = self._call(step)
        for folder in folders - {self.out, self.out / CHECKPOINTS}:
            if not any(folder.iterdir()):  # of a step that had nothing to do
                folder.rmdir()
        self._check_writes(step, before)
        self._check_inputs()
        seconds = time.perf_counter() - begin
        last = list(self.state.steps.values())[-1:]
        key = self._key(last[0].key if last else self.first_key, step, reads)
        self.state.steps[step.name] = disk.record(
            self.out, step.name, key, reads, seconds, kind, step.outputs
        )
        self.state.save(self.out)
        self.reporter.finished(*where, seconds)

    def _call(self, step: Step) -> tuple[str | None, list[str]]:
        """Call a step and save its result; return the result's class and the fields it read."""
        function = step.load()
        results: dict[str, Any] = {}
        for parameter, (kind, optional) in wanted_results(function).items():
            maker = self.state.maker_of(class_name(kind))
            if maker is None and not optional:
                raise TypeError(f"the step {step.name} wants a {kind.__name__}, which none returns")
            # As a resumed build would get it, whether or not it is at hand.
            results[parameter] = None if maker is None else kind.load(self.out, maker)
        with disk.scratch(self.out) as scratch:
            view = self.cfg.view(self.reporter.progress, scratch, self.out)
            result = function(**results, cfg=view)
        if result is None:
            return None, view.reads
        result.save(self.out, step.name)
        return class_name(type(result)), view.reads

    def _check_writes(self, step: Step, before: dict[str, tuple[int, int]]) -> None:
        """Find what a step changed without owning it.

        Raises RuntimeError if the step changed another step's output, which would make that one's
        record untrue.
        """
        after = _files(self.out)
        mine = (*step.outputs, *disk.checkpoints_of(self.out, step.name))
        changed = {
            name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        }
        foreign = sorted(name for name in changed if not owned(name, mine))
        others = (CHECKPOINTS, *(name for other in self.steps for name in other.outputs))
        for name in foreign:
            if owned(name, others):
                raise RuntimeError(f"the step {step.name} changed {name}, which another step owns")
            print(f"the step {step.name} wrote {name}, which no step owns")
        self.strays += foreign

    def _check_inputs(self) -> None:
        """Refuse to record a step under a key that its inputs may no longer have.

        Raises UserError if a file that the build reads has changed since the build began.
        """
        try:
            same = self.cfg.field_digests() == self.fields
        except OSError:  # the file is gone
            same = False
        if not same:
            raise UserError(
                "the model, the data or another input file changed during the build: run it again"
            )

    def _finish(self) -> None:
        """Write the times, mark the folder as whole, and let it take the last build's place."""
        if not (self.state.complete and (self.out / TIMES).is_file()):
            times = {f"step_{name}": record.seconds for name, record in self.state.steps.items()}
            times["total_build_time"] = round(sum(times.values()), 3)
            (self.out / TIMES).parent.mkdir(exist_ok=True)
            write_text(self.out / TIMES, json.dumps(times, indent=2) + "\n")
            self.state.complete = True
            self.state.save(self.out)
        if self.out != self.cfg.out:
            disk.adopt_next(self.cfg.out, self.outputs)
            self.out = self.cfg.out


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return date (ns) and size of every file below a folder but the runner's own."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.is_symlink() and not name.startswith(_RUNNERS):
            status = path.stat()
            found[name] = (status.st_mtime_ns, status.st_size)
    return found
