"""The shell around an accelerator: two DMAs, soft reset, measurement; its text, compiled or not."""

from finn_builds.shell.compile import compile_shell
from finn_builds.shell.spec import ShellSpec
from finn_builds.shell.top import TOP, shell_files, shell_sources

__all__ = [
    "TOP",
    "ShellSpec",
    "compile_shell",
    "shell_files",
    "shell_sources",
]
