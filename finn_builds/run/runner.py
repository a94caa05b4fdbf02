"""Runs an ordered list of steps, each once, and never trusts half-written work.

A step is a plain function ``step_x(model, cfg) -> model``. Only the runner knows about
checkpoints, timing, resuming, reuse, progress and the log. Its promises:

- A step whose inputs did not change is not run again. Its key is the digest of the key before it
  and of what it reads; with the key, the digests of all it wrote must still hold.
- A step gets its model from the checkpoint before it and a fresh view of the configuration, whether
  the step before was run or reused. So an interrupted build that is run again gives what an
  undisturbed one gives.
- A step is recorded only once all it wrote is on the disk, and the build as whole only after its
  last step. What belongs to steps that must run again is removed before anything runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finn_builds.config.build import DECLARED_FIELDS, BuildConfig
from finn_builds.errors import UserError
from finn_builds.run import state as disk
from finn_builds.run.capture import LOG_FILE, captured
from finn_builds.run.lock import LOCK_FILE, folder_lock
from finn_builds.run.pipeline import (
    LOAD_READS,
    TIMES,
    Step,
    check_ownership,
    owned,
    select,
    step_keys,
)
from finn_builds.run.progress import Reporter

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper

__all__ = ["RunResult", "Step", "run_steps"]

_RUNNERS = (disk.STATE_FILE, disk.SCRATCH, disk.TRASH, LOG_FILE, LOCK_FILE)


@dataclass(frozen=True)
class RunResult:
    """What a run did."""

    out: Path
    """The build folder."""
    checkpoint: Path
    """The model after the last step of this run."""
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

    @property
    def model(self) -> ModelWrapper:
        """The model after the last step of this run, read from its checkpoint."""
        from qonnx.core.modelwrapper import ModelWrapper

        return ModelWrapper(str(self.checkpoint))


def run_steps(
    steps: Sequence[Step],
    cfg: BuildConfig,
    load: Callable[[BuildConfig], ModelWrapper],
    *,
    reporter: Reporter | None = None,
) -> RunResult:
    """Bring a build folder to the state in which all steps are done.

    Parameters
    ----------
    steps
        The steps in their order.
    cfg
        A validated configuration. ``start_step`` and ``stop_step`` select a range: steps before
        it must be finished, steps after it are left undone.
    load
        Returns the model that the first step gets; it may read the fields of ``LOAD_READS``.
    reporter
        Shows the progress; default nothing.

    Raises
    ------
    UserError
        A step name is unknown, the folder is in use or is not a build folder, steps before
        ``start_step`` are not finished, or a step raised it. A folder that this run has created is
        removed again.
    """
    reporter = reporter or Reporter()
    run = _Run(list(steps), cfg, load, reporter)
    created = disk.claim(cfg.out)
    try:
        with disk.disk_errors(cfg.out), folder_lock(cfg.out):
            first_build = not (cfg.out / disk.STATE_FILE).exists()
            try:
                with disk.disk_errors(cfg.out):
                    return run.execute()
            except (UserError, KeyboardInterrupt) as error:
                # A first build that never can succeed, or has not got anywhere, leaves nothing.
                if first_build and (isinstance(error, UserError) or not run.state.steps):
                    disk.empty(cfg.out)
                raise
            finally:
                reporter.close()
    finally:
        disk.remove_empty(created)


class _Run:
    """One run over one locked folder."""

    def __init__(
        self,
        steps: list[Step],
        cfg: BuildConfig,
        load: Callable[[BuildConfig], ModelWrapper],
        reporter: Reporter,
    ) -> None:
        self.steps = steps
        self.cfg = cfg
        self.load = load
        self.reporter = reporter
        self.state = disk.State()
        self.strays: list[str] = []
        check_ownership(steps)
        self.first, self.last = select(steps, cfg)
        self.fields = cfg.field_digests()
        self.keys = step_keys(steps, cfg)

    def execute(self) -> RunResult:
        """Find what is finished already, and run the rest."""
        found = disk.State.load(self.cfg.out)
        if not (self.cfg.out / disk.STATE_FILE).exists():
            self.state.save(self.cfg.out)  # from here on the folder is known as a build's
        done = 0 if self.cfg.force else self._count_finished(found)
        if self.first is not None:
            self._check_start(done, found)
            done = self.first
        names = [step.name for step in self.steps]
        self.state = disk.State({name: found.steps[name] for name in names[:done]})
        self.state.complete = found.complete and list(found.steps) == names[:done] == names
        end = max(done, self.last + 1)
        if done > 0:
            self.reporter.reused(done, len(names))
        if done < end:
            with captured(self.cfg.out / LOG_FILE, append=done > 0):
                self._run_from(done, found)
        elif list(found.steps) != names[:done]:
            self._forget(done, found)  # steps that are damaged, or not in the list any more
        if len(self.state.steps) == len(names):
            self._finish()
        return RunResult(
            out=self.cfg.out,
            checkpoint=disk.checkpoint_path(self.cfg.out, names[self.last]),
            ran=tuple(names[done:end]),
            reused=tuple(names[:done]),
            seconds={name: record.seconds for name, record in self.state.steps.items()},
            complete=self.state.complete,
            strays=tuple(self.strays),
        )

    def _count_finished(self, found: disk.State) -> int:
        """Return how many leading steps need not be run again."""
        for index, (step, key) in enumerate(zip(self.steps, self.keys, strict=True)):
            record = found.steps.get(step.name)
            if record is None or record.key != key or not record.intact(self.cfg.out, step.name):
                return index
        return len(self.steps)

    def _check_start(self, done: int, found: disk.State) -> None:
        assert self.first is not None
        if done >= self.first:
            return
        missing = self.steps[done].name
        why = "is out of date or damaged" if missing in found.steps else "has not been run"
        raise UserError(
            f"cannot start at {self.steps[self.first].name}: the step {missing} before it {why} "
            f"in {self.cfg.out}; run without --start-step"
        )

    def _run_from(self, done: int, found: disk.State) -> None:
        from qonnx.core.modelwrapper import ModelWrapper

        out = self.cfg.out
        if done == 0:  # before anything is removed: the model may be unreadable
            with disk.scratch(out) as scratch:
                view = self.cfg.view(LOAD_READS, self.reporter.progress, scratch)
                model = self.load(view)
        self._forget(done, found)
        for index in range(done, self.last + 1):
            step = self.steps[index]
            if index > 0:
                # As a resumed build would get it, whether or not it is at hand.
                model = disk.checkpoint(out, self.steps[index - 1].name)
            last = found.steps.get(step.name)
            expected = None if last is None else last.seconds
            self.reporter.started(index + 1, len(self.steps), step.name, expected)
            print(f"=== {time.strftime('%Y-%m-%d %H:%M:%S')} {step.name}")
            begin = time.perf_counter()
            before = _files(out)
            with disk.scratch(out) as scratch:
                model = step.load()(model, self._view(index, scratch))
            if not isinstance(model, ModelWrapper):
                raise TypeError(f"the step {step.name} returned {type(model).__name__}, no model")
            path = disk.checkpoint_path(out, step.name)
            partial = path.with_name(f"{path.name}.tmp")
            model.save(str(partial))
            disk.replace(partial, path)
            self._check_writes(step, before)
            self._check_inputs()
            seconds = time.perf_counter() - begin
            record = disk.record(out, step.name, self.keys[index], seconds, step.outputs)
            self.state.steps[step.name] = record
            self.state.save(out)
            self.reporter.finished(index + 1, len(self.steps), step.name, seconds)

    def _view(self, index: int, scratch: Path) -> BuildConfig:
        """Return the configuration as the step may see it: its reads and those before it."""
        allowed = set(LOAD_READS)
        for step in self.steps[: index + 1]:
            allowed.update(DECLARED_FIELDS if step.reads is None else step.reads)
        return self.cfg.view(allowed, self.reporter.progress, scratch)

    def _forget(self, done: int, found: disk.State) -> None:
        """Record that only the first steps are done; then remove what belongs to any other."""
        out = self.cfg.out
        self.state.complete = False
        self.state.save(out)
        disk.sweep(out)
        outputs = {TIMES}
        for step in self.steps[done:]:
            outputs.update(step.outputs)
        for name, record in found.steps.items():
            if name not in self.state.steps:
                outputs.update(record.outputs)
        for output in sorted(outputs):
            disk.remove(out, output)
        (out / disk.CHECKPOINTS).mkdir(exist_ok=True)
        kept = {f"{name}.onnx" for name in self.state.steps}
        for path in (out / disk.CHECKPOINTS).iterdir():
            if path.name not in kept:
                disk.remove(out, f"{disk.CHECKPOINTS}/{path.name}")
        for step in self.steps[done:]:
            for output in step.outputs:
                (out / output).parent.mkdir(parents=True, exist_ok=True)

    def _check_writes(self, step: Step, before: dict[str, tuple[int, int]]) -> None:
        """Find what a step changed without owning it.

        Raises
        ------
        RuntimeError
            The step changed another step's output, which would make that one's record untrue.
        """
        after = _files(self.cfg.out)
        mine = (*step.outputs, f"{disk.CHECKPOINTS}/{step.name}.onnx")
        changed = {
            name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        }
        foreign = sorted(name for name in changed if not owned(name, mine))
        others = (disk.CHECKPOINTS, *(name for other in self.steps for name in other.outputs))
        for name in foreign:
            if owned(name, others):
                raise RuntimeError(f"the step {step.name} changed {name}, which another step owns")
            print(f"the step {step.name} wrote {name}, which no step owns")
        self.strays += foreign

    def _check_inputs(self) -> None:
        """Refuse to record a step under a key that its inputs may no longer have.

        Raises
        ------
        UserError
            A file that the build reads has changed since the build began.
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
        """Write the times and mark the folder as whole."""
        out = self.cfg.out
        if self.state.complete and (out / TIMES).is_file():
            return
        times = {f"step_{name}": record.seconds for name, record in self.state.steps.items()}
        times["total_build_time"] = round(sum(times.values()), 3)
        (out / TIMES).parent.mkdir(exist_ok=True)
        disk.write_text(out / TIMES, json.dumps(times, indent=2) + "\n")
        self.state.complete = True
        self.state.save(out)


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return date (ns) and size of every file below a folder but the runner's own."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.is_symlink() and not name.startswith(_RUNNERS):
            status = path.stat()
            found[name] = (status.st_mtime_ns, status.st_size)
    return found
