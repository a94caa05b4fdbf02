"""What can go wrong with an external program: it is missing, fails, or does not end."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from finn_builds.errors import UserError

#: Debian (and Ubuntu) packages of programs that are not called as their package is.
_PACKAGES: Mapping[str, str] = MappingProxyType({"vvp": "iverilog"})


class ToolError(Exception):
    """An external program is missing, failed, or did not end."""


class ToolMissing(ToolError, UserError):
    """A program or wheel that is needed is not installed: the user can fix that."""


class ToolFailed(ToolError):
    """A program ended with an error: a fault of this project, so it keeps its traceback.

    The exit status is negative for a signal, None if the program was stopped by a timeout.
    """

    def __init__(self, message: str, returncode: int | None = None, output: str = "") -> None:
        super().__init__(message)
        self.returncode = returncode
        self.output = output


class ToolTimeout(ToolFailed):
    """A program did not end in the time it was given and was stopped."""


def not_found(*programs: str) -> ToolMissing:
    """Return the one error for all programs that are not on the search path."""
    packages = sorted({_PACKAGES.get(p, p) for p in programs})
    names = " and ".join(f"`{p}`" for p in programs)
    verb = "is" if len(programs) == 1 else "are"
    return ToolMissing(
        f"{names} {verb} needed but not on the search path; on Debian or Ubuntu install "
        f"with `sudo apt install {' '.join(packages)}`"
    )
