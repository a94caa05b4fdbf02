"""External programs that a build calls: found, run and stopped in this place only.

Nothing else in the project starts a process. A program that is not there ends in one sentence
that says what to install; a program that fails ends in an internal error with the tail of its log.
"""

from finn_builds.tools.errors import ToolError, ToolFailed, ToolMissing, ToolTimeout
from finn_builds.tools.processes import Command, outcomes, run, run_all, run_each
from finn_builds.tools.programs import (
    icarus,
    require,
    verilator_command,
    verilator_json,
    verilator_root,
    versions,
    yosys_command,
)

__all__ = [
    "Command",
    "ToolError",
    "ToolFailed",
    "ToolMissing",
    "ToolTimeout",
    "icarus",
    "outcomes",
    "require",
    "run",
    "run_all",
    "run_each",
    "verilator_command",
    "verilator_json",
    "verilator_root",
    "versions",
    "yosys_command",
]
