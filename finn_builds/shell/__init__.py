"""The shell around an accelerator: DMAs, soft reset, measurement. Its text and its compilation."""

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
