"""What a build's steps are, which of them to run, and what decides the result of each."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from finn_builds.config.fingerprint import digest
from finn_builds.errors import UserError
from finn_builds.files import CHECKPOINTS
from finn_builds.run import state as disk
from finn_builds.run.capture import LOG_FILE
from finn_builds.run.lock import LOCK_FILE

if TYPE_CHECKING:
    from finn_builds.config.build import BuildConfig


class Result(Protocol):
    """What a step returns: it writes itself to the build folder, and reads itself from there."""

    def save(self, out: Path, step: str) -> None:
        """Write files that the step owns, or checkpoints ``intermediate_models/<step>.*``."""

    @classmethod
    def load(cls, out: Path, step: str) -> Self:
        """Read what `save` wrote."""


#: ``step_x(result, ..., cfg) -> result``: the results of earlier steps are found by their types.
StepFunction = Callable[..., "Result | None"]

TIMES = "report/time_per_step.json"


@dataclass(frozen=True)
class Step:
    """One step of a build and what the runner must know of it."""

    function: str | StepFunction
    """The function ``step_x``, or ``"module:step_x"``: then its module is imported only when the
    step runs, and a build that reuses every step imports next to nothing."""

    outputs: tuple[str, ...] = ()
    """Files and folders below the build folder that belong to this step alone. They are removed
    before the step runs; their parent folders are there when it does."""

    def __post_init__(self) -> None:
        for output in self.outputs:
            disk.check_relative(output)

    @property
    def name(self) -> str:
        """The function's name without ``step_``."""
        function = self.function
        full = function.rpartition(":")[2] if isinstance(function, str) else function.__name__
        return full.removeprefix("step_")

    def load(self) -> StepFunction:
        """Return the function."""
        if not isinstance(self.function, str):
            return self.function
        module, _, name = self.function.partition(":")
        function: StepFunction = getattr(importlib.import_module(module), name)
        return function


def class_name(kind: type) -> str:
    """Return a class as records name it."""
    return f"{kind.__module__}:{kind.__qualname__}"


def wanted_results(function: StepFunction) -> dict[str, tuple[type[Result], bool]]:
    """Return the parameters of a step but ``cfg``: class of each, and whether it may be None."""
    hints = typing.get_type_hints(function)
    names = [name for name in inspect.signature(function).parameters if name != "cfg"]
    untyped = [name for name in names if name not in hints]
    if untyped:
        raise TypeError(f"{function.__name__}: the parameter {untyped[0]} has no type")
    found = {}
    for name in names:
        kinds = typing.get_args(hints[name]) or (hints[name],)
        found[name] = (kinds[0], type(None) in kinds)
    return found


def first_key(cfg: BuildConfig) -> str:
    """Return the first link of the chain of keys: sources, versions, and the folder's name."""
    return digest({"folder": str(cfg.out), **cfg.environment()})


def step_key(before: str, step: Step, read: Mapping[str, Any]) -> str:
    """Return the digest of all that decides a step's result.

    A step's result follows from the results of earlier steps and from the fields of the
    configuration that it reads. Which these are is known once it has run; while they have the same
    values, it would read the same ones again and give the same result. `before` is the key of the
    step in front of it, `read` the digest of each field that it has read.
    """
    return digest([before, step.name, list(step.outputs), dict(read)])


def select(steps: Sequence[Step], cfg: BuildConfig) -> tuple[int | None, int]:
    """Return the indices of the step to start at (None: wherever needed) and of the last step.

    Raises UserError if there is no such step, or the first comes after the last.
    """
    first = None if cfg.start_step is None else _index(steps, cfg.start_step)
    last = len(steps) - 1 if cfg.stop_step is None else _index(steps, cfg.stop_step)
    if first is not None and first > last:
        raise UserError(
            f"the step {steps[first].name} to start at comes after {steps[last].name} to stop at: "
            "expected it before; swap them"
        )
    return first, last


def _index(steps: Sequence[Step], given: str) -> int:
    names = [step.name for step in steps]
    name = given.removeprefix("step_")
    if name not in names:
        raise UserError(
            f"unknown step {given!r}: the steps are {', '.join(names)}; choose one of them"
        )
    return names.index(name)


def check_ownership(steps: Sequence[Step]) -> None:
    """Refuse two steps of one name, and two that own the same file or one inside the other.

    Raises ValueError if the list of steps contradicts itself.
    """
    names = [step.name for step in steps]
    if len(set(names)) != len(names):
        raise ValueError(f"two steps have one name: {names}")
    outputs = [output for step in steps for output in step.outputs]
    reserved = (TIMES, CHECKPOINTS, disk.STATE_FILE, disk.NEXT, LOG_FILE, LOCK_FILE)
    for index, output in enumerate(outputs):
        others = (*outputs[:index], *outputs[index + 1 :], *reserved)
        if owned(output, others):
            raise ValueError(f"{output} is owned twice")


def owned(name: str, outputs: Sequence[str]) -> bool:
    """Tell whether a file is one of some outputs, or lies in one."""
    return any(name == output or name.startswith(f"{output}/") for output in outputs)
