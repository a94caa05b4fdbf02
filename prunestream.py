"""Command line: ``prunestream build --board Pynq-Z1``.

Reads the arguments, calls the packages and shows the result. ``build.py`` in the root of a checkout
is the same as ``prunestream build``. Only the standard library is imported until a command runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from finn_builds.config.build import BuildConfig

_ROOT = Path(__file__).resolve().parent
_OWN = ("board_configs", "brevitas_models", "deploy", "finn_builds", "prunestream")


class _Parser(argparse.ArgumentParser):
    """Ends a mistake on the command line with one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message and leave with exit code 2."""
        self.exit(2, f"error: {message} (see --help)\n")


def build(words: Sequence[str], prog: str) -> None:
    """Build an accelerator, or list boards or steps."""
    from finn_builds.config.build import OPTIONS, BuildConfig
    from finn_builds.config.options import add_arguments

    parser = _Parser(
        prog=prog,
        description="Build a verified streaming accelerator from a quantised MLP.",
        epilog="A build whose inputs did not change reuses its finished steps. "
        f"{prog.removesuffix(' build')} compare DIR DIR ... shows finished builds side by side.",
        allow_abbrev=False,
    )
    add_arguments(parser, OPTIONS)
    show = parser.add_argument_group("what to show")
    show.add_argument("--quiet", action="store_true", help="show no progress")
    show.add_argument("--json", action="store_true", help="print the result as JSON")
    show.add_argument("--list-steps", action="store_true", help="list the steps and leave")
    show.add_argument("--list-boards", action="store_true", help="list the boards and leave")
    args = parser.parse_args(words)
    if args.list_boards:
        _list_boards()
    elif args.list_steps:
        _list_steps()
    elif "board" not in args:
        parser.error("--board is missing: name one of those that --list-boards shows")
    else:
        given = {item.name: getattr(args, item.name) for item in OPTIONS if item.name in args}
        _build(BuildConfig(**given), quiet=args.quiet, as_json=args.json)


def _build(cfg: BuildConfig, *, quiet: bool, as_json: bool) -> None:
    import finn_builds
    from finn_builds.run.progress import reporter
    from finn_builds.run.terminal import show_summary

    result = finn_builds.build(cfg, reporter=reporter(sys.stderr, quiet=quiet))
    if not result.summary:
        last, finished = (*result.reused, *result.ran)[-1], result.finished_out
        if as_json:
            stopped = {"stopped_after": last, "out_dir": result.out, "finished_build": finished}
            print(json.dumps(stopped, indent=2, default=str))
        else:
            stays = f"; the finished build in {finished} stays as it is" if finished else ""
            print(f"stopped after {last}: {result.out}{stays}")
    elif as_json:
        print(json.dumps(result.summary, indent=2, default=str))
    else:
        show_summary(result.summary, sys.stdout)


def _list_boards() -> None:
    from finn_builds.config.boards import board_names, load_board

    print(f"{'board':<12}{'part':<25}{'LUT':>8}{'BRAM_18K':>10}{'DSP':>6}{'clock':>10}")
    for name in board_names():
        board = load_board(name)
        has = board.resources
        print(
            f"{name:<12}{board.part:<25}{has.LUT:>8}{has.BRAM_18K:>10}{has.DSP:>6}"
            f"{board.clock_ns:>7g} ns"
        )


def _list_steps() -> None:
    from finn_builds.flow.steps import STEPS

    for step in STEPS:
        print(step.name)


def compare(words: Sequence[str], prog: str) -> None:
    """Show finished builds side by side."""
    parser = _Parser(
        prog=prog,
        description="Show finished builds side by side, here and as a page.",
        allow_abbrev=False,
    )
    parser.add_argument("folders", metavar="DIR", nargs="+", help="build folders, two or more")
    parser.add_argument(
        "--out", metavar="FILE", help="the page to write (default: compare.html beside the first)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args(words)
    from finn_builds.files import write_text
    from finn_builds.report.compare import compare as comparison_of
    from finn_builds.report.compare_page import comparison_page, page_path
    from finn_builds.report.compare_table import text_table
    from finn_builds.run.state import disk_errors

    comparison = comparison_of(args.folders)
    page = page_path(args.folders, args.out)
    with disk_errors(page.parent):
        write_text(page, comparison_page(comparison, page))
    if args.json:
        print(json.dumps({**comparison.as_json(), "page": str(page)}, indent=2))
    else:
        print(f"{text_table(comparison)}\n\npage: {page}")


COMMANDS: dict[str, Callable[[Sequence[str], str], None]] = {"build": build, "compare": compare}


def main(argv: Sequence[str] | None = None, script: str | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    argv
        Name of the command and its arguments; default those of the process.
    script
        Name of the script in the checkout that stands for ``prunestream build``, for messages.

    Returns
    -------
    int
        0, 1 (a verification failed), 2 (a mistake of the user's), 130 (interrupted), or 141 (the
        reader of the output has left).
    """
    if sys.version_info < (3, 11):
        found = ".".join(map(str, sys.version_info[:3]))
        print(f"error: Python 3.11 or newer is needed, found {found}", file=sys.stderr)
        return 2
    words = sys.argv[1:] if argv is None else argv
    parser = _Parser(prog="prunestream", description="Pruned networks to verified FPGA designs.")
    parser.add_argument("command", choices=COMMANDS, help="prunestream COMMAND --help says more")
    command = parser.parse_args(words[:1]).command
    prog = f"prunestream {command}"
    if script is not None:
        prog = script if command == "build" else f"{script} {command}"
    try:
        return _run(COMMANDS[command], words[1:], prog)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in _OWN:
            raise
        print(f"error: {_not_installed(error.name, command)}", file=sys.stderr)
        return 2


def _run(command: Callable[[Sequence[str], str], None], words: Sequence[str], prog: str) -> int:
    from finn_builds.errors import UserError, VerificationError
    from finn_builds.run.terminal import show_error

    try:
        command(words, prog)
        sys.stdout.flush()
    except (UserError, VerificationError) as error:
        show_error(error, sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted: run the command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


def _not_installed(module: str, command: str) -> str:
    """Return what to do about a Python package that is not installed."""
    if not (_ROOT / "Makefile").is_file():
        how = "pip install prunestream"
    elif command == "build":
        how = "make build BOARD=Pynq-Z1` or, once that has run, `.venv/bin/python build.py"
    else:
        how = "make setup` and then `.venv/bin/prunestream"
    return f"the Python package {module} is not installed for {sys.executable}: use `{how}`"


if __name__ == "__main__":
    sys.exit(main())
