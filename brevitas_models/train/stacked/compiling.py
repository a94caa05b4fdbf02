"""Whether torch can compile the training steps here, and whether that pays."""

from __future__ import annotations

import shutil
from typing import Literal

from brevitas_models.errors import UserError

# What a study or a caller may ask for.
Compiled = bool | Literal["auto"]

# Steps, times the models of the stack, from which compiling pays: a step is about half a
# millisecond shorter for each model, and compiling takes a quarter of a minute the first time, some
# seconds in a process that finds the code of an earlier one.
WORTH = 30_000


def has_compiler() -> bool:
    """Return whether there is what torch compiles with."""
    return shutil.which("g++") is not None


def check_compiler(what: str, otherwise: str) -> None:
    """Refuse to compile without a compiler."""
    if not has_compiler():
        raise UserError(
            f"{what}: torch compiles with g++, which was not found; install it, or {otherwise}"
        )


def decided(compiled: Compiled, steps: int) -> bool:
    """Return whether to compile.

    `steps` is the most that the training can take, times the models of the stack.
    """
    if compiled == "auto":
        return steps >= WORTH and has_compiler()
    return bool(compiled)
