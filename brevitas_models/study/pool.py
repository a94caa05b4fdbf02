"""Where the work of a study is done: processes of this machine, or a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import joblib
import numpy as np

from brevitas_models.errors import UserError
from brevitas_models.study import work
from brevitas_models.study.work import Outcome, Task


class Lost(Exception):
    """Workers died, or the cluster is gone; what they worked on may be tried again."""


class Pool:
    """Runs tasks through joblib, here or elsewhere; the same code does both.

    `processes` are of this machine, and of no consequence with a cluster.
    """

    def __init__(self, processes: int, arrays: Sequence[np.ndarray]) -> None:
        self._processes, self._arrays = processes, arrays

    def map(self, tasks: Sequence[Task]) -> Iterator[list[Outcome]]:
        """Run tasks; give what each returns as soon as it does, in any order.

        Raises Lost if workers died more often than is retried.
        """
        parallel = joblib.Parallel(n_jobs=self._processes, return_as="generator_unordered")
        jobs = (joblib.delayed(_run)(*self._parts(task)) for task in tasks)
        try:
            yield from parallel(jobs)
        except GeneratorExit:
            raise
        except Exception as error:
            # `work.run` returns the errors of trainings: what arrives here is about workers.
            raise Lost(f"{type(error).__name__}: {error}") from error

    def _parts(self, task: Task) -> tuple[object, ...]:
        """Return a task and its arrays, as arguments: joblib sends large ones once."""
        needed = sorted({index for member in task.members for index in member.arrays})
        return (task, needed, *(self._arrays[index] for index in needed))


def _run(task: Task, needed: list[int], *arrays: np.ndarray) -> list[Outcome]:
    return work.run(task, dict(zip(needed, arrays, strict=True)))


@contextmanager
def where(processes: int | None, dask: str | None) -> Iterator[int]:
    """Choose where `Pool` works, and yield the number of processes to give it.

    That is by default one for each core; `dask` is the address of a Dask scheduler. Raises
    UserError if there is none at the address.
    """
    if dask is None:
        count = processes or len(os.sched_getaffinity(0))
        with joblib.parallel_config(backend="loky" if count > 1 else "sequential"):
            yield count
        return
    with _client(dask), joblib.parallel_config(backend="dask"):
        yield -1


def _client(address: str) -> AbstractContextManager[object]:
    # Imported here: it takes a second, and a study without a cluster does not need it.
    import distributed

    try:
        return distributed.Client(address, timeout=10)
    except (OSError, ValueError, TimeoutError) as error:
        raise UserError(
            f"--dask {address}: no scheduler answers there ({' '.join(str(error).split())}); start "
            f"one with dask scheduler, or give the address that it prints"
        ) from None
