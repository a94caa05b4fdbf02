"""Runs a study: hands out the work, keeps what comes back, writes table and figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import filelock

from brevitas_models.errors import UserError
from brevitas_models.files import write_atomic
from brevitas_models.study import hardware, table
from brevitas_models.study.config import Study
from brevitas_models.study.data import StudyData
from brevitas_models.study.plans import Plan, Progress, Step, check, plans
from brevitas_models.study.points import Point, grid_points
from brevitas_models.study.pool import Lost, Pool, where
from brevitas_models.study.store import Store
from brevitas_models.study.table import Row
from brevitas_models.study.work import Member, Task
from brevitas_models.train import rounds
from brevitas_models.train.hooks import Hooks
from brevitas_models.train.progress import Reporter

# Seconds between two writings of the table while the study runs.
_TABLE_EVERY = 2.0


class Incomplete(UserError):
    """Some trainings or builds of a study failed; all else is in the table."""

    exit_code = 1


def run(
    study: Study,
    out: Path,
    *,
    teacher: Path | None = None,
    dask: str | None = None,
    processes: int | None = None,
    with_hardware: bool = False,
    reporter: Reporter | None = None,
    hooks: Hooks | None = None,
) -> Path:
    """Run what is missing of a study and write its table and its figures.

    Parameters
    ----------
    out : Path
        Folder of the study. What an earlier run finished there is kept.
    dask : str or None
        Address of a Dask scheduler; None: processes of this machine.
    processes : int or None
        Of this machine; None: one for each core.

    Raises
    ------
    UserError
        For anything in the study, the data, the teacher or `out` that does not fit; if another
        run works in `out`.
    Incomplete
        If trainings failed as often as they are tried, or rows could not be built.
    """
    reporter, hooks = reporter or Reporter(quiet=True), hooks or Hooks()
    grid = grid_points(study)
    frames = StudyData(study, teacher, hooks.read_table)
    reporter.note(f"data: {frames.about}")
    check(study, frames, grid)
    if with_hardware:
        hardware.check(study.hardware, hooks)
    store = Store(out)
    try:
        lock = filelock.FileLock(out / ".lock", timeout=0)
        with lock, where(processes, dask) as count:
            progress = Progress(store, frames, study.compute.attempts, hooks.luts)
            todo = plans(study, grid, frames)
            _train(study, todo, progress, Pool(count, frames.arrays), reporter)
            unbuilt = 0
            if with_hardware:
                built = _points(todo, progress)
                unbuilt = hardware.add(study, built, progress, hooks, reporter)
            rows = write_table(todo, progress)
    except filelock.Timeout:
        raise UserError(
            f"{out}: another run of a study works there; wait for it, or choose another --out"
        ) from None
    _draw(store, rows, reporter)
    reporter.result(f"{len(rows)} rows in {store.table}, figures in {store.figures}")
    _complain(progress, todo, unbuilt)
    return store.table


def _train(
    study: Study, todo: Sequence[Plan], progress: Progress, pool: Pool, reporter: Reporter
) -> None:
    """Train until no plan has a step left."""
    total = sum(_rounds(study, plan, progress) for plan in todo)
    with reporter.counted("rounds", total, len(write_table(todo, progress))) as count:
        _train_counted(study, todo, progress, pool, reporter, count)


def _train_counted(
    study: Study,
    todo: Sequence[Plan],
    progress: Progress,
    pool: Pool,
    reporter: Reporter,
    count: Callable[[int], None],
) -> None:
    losses = 0
    written = 0.0
    while steps := [step for plan in todo for step in plan.steps(progress)]:
        tasks = {step: _task(study, step, progress) for step in steps}
        try:
            for outcomes in pool.map(list(tasks.values())):
                for outcome in outcomes:
                    if outcome.result is None:
                        times = progress.failed.get(outcome.point, 0) + 1
                        progress.failed[outcome.point] = times
                        progress.store.fail(outcome.point, outcome.round, str(outcome.error))
                        reporter.note(f"failed ({times}): {outcome.point}: {outcome.error}")
                    else:
                        progress.store.add(outcome.point, outcome.result)
                if time.monotonic() - written > _TABLE_EVERY:
                    count(len(write_table(todo, progress)))
                    written = time.monotonic()
        except Lost as error:
            losses += 1
            for step in steps:
                for point in step.points:
                    if progress.done(point) == step.round:
                        progress.store.fail(progress.key(point), step.round, str(error))
            reporter.note(f"workers lost: {error}")
            if losses >= study.compute.attempts:
                write_table(todo, progress)
                raise Incomplete(
                    f"workers were lost {losses} times ({error}); what is finished is kept: run "
                    f"the same command again"
                ) from error


def _rounds(study: Study, plan: Plan, progress: Progress) -> int:
    points = plan.points(progress)
    if points and points[0].kind != "grid":
        assert study.bayes is not None
        return study.bayes.trials + study.base.data.folds
    return sum(len(rounds.plan(point.recipe)) for point in points)


def _task(study: Study, step: Step, progress: Progress) -> Task:
    members = []
    for point in step.points:
        finished = progress.store.rounds(progress.key(point))
        before = finished[step.round - 1].state if step.round else None
        arrays = progress.frames.of(point)
        members.append(Member(progress.key(point), point.recipe, before, arrays))
    names = tuple(progress.frames.data.class_names)
    return Task(tuple(members), step.round, names, study.compute.compiled, progress.luts)


def _points(todo: Sequence[Plan], progress: Progress) -> list[Point]:
    return [point for plan in todo for point in plan.points(progress)]


def write_table(todo: Sequence[Plan], progress: Progress) -> list[Row]:
    """Write all finished rounds, in the order of the study's file, and return them."""
    surrogate = progress.frames.data.surrogate
    rows: list[Row] = []
    for point in _points(todo, progress):
        key = progress.key(point)
        rows += [
            {
                "point": key,
                **point.columns(),
                "surrogate": int(surrogate),
                **table.columns(finished),
            }
            for finished in progress.store.rounds(key)
        ]
    table.write(progress.store.table, rows)
    return rows


def _draw(store: Store, rows: Sequence[Row], reporter: Reporter) -> None:
    from brevitas_models.study import figures, summary

    if rows:
        found = table.read(store.table)
        for path in figures.draw(found, store.figures):
            reporter.note(f"figure: {path}")
        write_atomic(store.out / "summary.md", summary.page(found).encode())


def _complain(progress: Progress, todo: Sequence[Plan], unbuilt: int) -> None:
    missing = [
        point
        for point in _points(todo, progress)
        if progress.done(point) < len(rounds.plan(point.recipe))
    ]
    parts = [
        f"{count} {what} failed"
        for count, what in ((len(missing), "trainings"), (unbuilt, "builds"))
        if count
    ]
    if parts:
        raise Incomplete(
            f"{' and '.join(parts)}; {progress.store.failures} says why. All that was finished is "
            f"in the table; run the same command again to retry"
        )
