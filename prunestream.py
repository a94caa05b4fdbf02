"""Command line: ``prunestream build --board Pynq-Z1``.

Reads the arguments, calls the packages and shows the result. ``build.py`` and ``train.py`` in the
root of a checkout are the same as ``prunestream build`` and ``prunestream train``. Only the
standard library is imported until a command runs.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from brevitas_models.train.hooks import Hooks
    from finn_builds.config.build import BuildConfig

_ROOT = Path(__file__).resolve().parent
_TRAINING = ("train", "study")  # what needs torch
_OWN = ("board_configs", "brevitas_models", "deploy", "finn_builds", "prunestream")


#: A disk that is full or can't be written, a path that it can't hold: for the user to change.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG)
#: Characters of a path that a message shows.
_SHOWN = 100


class _Stopped(KeyboardInterrupt):
    """A signal has asked the process to end: it cleans up as after Ctrl-C."""

    def __init__(self, signum: int) -> None:
        super().__init__()
        self.signum = signum


class _Parser(argparse.ArgumentParser):
    """Its errors end as every other mistake of the user does."""

    def error(self, message: str) -> NoReturn:
        """Raise a `UserError` instead of printing the usage and leaving."""
        from finn_builds.errors import UserError

        raise UserError(f"{message} (see --help)")


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
    elif "board" not in args and "fpga_part" not in args:
        parser.error(
            "--board is missing: name one of those that --list-boards shows, or give a --part"
        )
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

    print(f"{'board':<16}{'part':<25}{'LUT':>8}{'BRAM_18K':>10}{'DSP':>6}{'clock':>13}")
    for name in board_names():
        board = load_board(name)
        has = board.resources
        print(
            f"{name:<16}{board.part:<25}{has.LUT:>8}{has.BRAM_18K:>10}{has.DSP:>6}"
            f"{board.clock_ns:>10g} ns"
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


def train(words: Sequence[str], prog: str) -> None:
    """Train one model."""
    parser = _Parser(
        prog=prog,
        description="Train a quantised, pruned MLP and write its checkpoint and its QONNX.",
        epilog=f"{prog.removesuffix(' train')} study --help: many trainings, one table.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--model", required=True, metavar="NAME|FILE.yaml", help="a shipped model, or a recipe")
    add("--dataset", metavar="NAME|FILE", help="digits, jets, or a .npz or .csv file")
    add("--source", help="where the data come from: for jets openml, surrogate or a file")
    add("--classes", metavar="A,B,...", help="the classes of the file in the model's order")
    add("--teacher", type=Path, metavar="MODEL.onnx", help="learn from this QONNX classifier")
    add("--folds", type=int, metavar="K", help="measure on all frames by K siblings")
    add("--epochs", type=int, metavar="N", help="most passes over the training frames")
    add("--batch-size", type=int, metavar="N", help="frames of one optimiser step")
    add("--lr", type=float, metavar="RATE", help="learning rate at the start")
    add("--seed", type=int, metavar="S", help="seed of initial weights and order of frames")
    add("--lut-budget", type=int, metavar="N", help="prune until all edges cost N LUTs together")
    add(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="any setting of the recipe, e.g. pruning.schedule=lottery_ticket; may be repeated",
    )
    add("--out", type=Path, metavar="DIR", help="folder to write, default build/train_<name>")
    add("--compiled", action="store_true", help="let torch compile the steps (needs g++)")
    add("--quiet", action="store_true", help="print only the result")
    args = parser.parse_args(words)
    from brevitas_models import zoo

    is_file = args.model.endswith((".yaml", ".yml"))
    recipe_file = Path(args.model) if is_file else zoo.path(args.model, ".yaml")

    # Torch takes seconds to import; the mistakes above show at once.
    from brevitas_models.train import experiment, recipe, record
    from brevitas_models.train.progress import Reporter

    settings = recipe.load(recipe_file)
    if args.dataset is not None:
        # The source in the recipe is one of the recipe's own data set.
        settings = settings.replace("data", dataset=args.dataset, source=args.source, classes=None)
    elif args.source is not None:
        settings = settings.replace("data", source=args.source)
    if args.classes is not None:
        settings = settings.replace("data", classes=[c.strip() for c in args.classes.split(",")])
    if args.folds is not None:
        settings = settings.replace("data", folds=args.folds)
    overrides = {key: getattr(args, key) for key in ("epochs", "batch_size", "seed")}
    overrides["learning_rate"] = args.lr
    settings = settings.replace(
        "training", **{key: value for key, value in overrides.items() if value is not None}
    )
    if args.lut_budget is not None:
        # A budget takes the place of a share, and of how the weights of a share are chosen.
        instead = {"share": 0.0, "shares": None, "criterion": "magnitude", "scope": "global"}
        instead |= {"cost": "digits", "lut_budget": args.lut_budget}
        settings = settings.replace("pruning", **instead)
    settings = settings.override(args.set)
    experiment.run(
        settings,
        teacher=args.teacher,
        out=args.out or Path("build") / f"train_{settings.name}",
        command=record.recorded_command(words),
        reporter=Reporter(args.quiet),
        compiled=args.compiled,
        hooks=_hooks(),
    )


def study(words: Sequence[str], prog: str) -> None:
    """Train all points of a study."""
    parser = _Parser(
        prog=prog,
        description="Train all points of a study; write one table and the figures of it.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("config", type=Path, metavar="CONFIG.yaml", help="the study")
    add("--out", type=Path, required=True, metavar="DIR", help="its folder; taken up if there")
    add("--source", help="where the data come from: for jets openml, surrogate or a file")
    add("--teacher", type=Path, metavar="MODEL.onnx", help="learn from this QONNX classifier")
    add("--processes", type=int, metavar="N", help="of this machine; default: one for each core")
    add("--dask", metavar="ADDRESS", help="train on a Dask cluster, e.g. tcp://10.0.0.1:8786")
    add("--with-hardware", action="store_true", help="build rows: LUTs, FFs, latency, verified")
    add("--quiet", action="store_true", help="print only the result")
    args = parser.parse_args(words)
    if args.processes is not None and args.processes < 1:
        parser.error(
            f"--processes: expected 1 or more, found {args.processes}; "
            f"leave it out for one for each core"
        )
    from brevitas_models.study import config, runner
    from brevitas_models.train.progress import Reporter

    settings = config.load(args.config)
    if args.source is not None:
        base = settings.base.replace("data", source=args.source)
        settings = settings.model_copy(update={"base": base})
    runner.run(
        settings,
        args.out,
        teacher=args.teacher,
        dask=args.dask,
        processes=args.processes,
        with_hardware=args.with_hardware,
        reporter=Reporter(args.quiet),
        hooks=_hooks(),
    )


def _hooks() -> Hooks:
    from brevitas_models.pruning import Luts
    from brevitas_models.train.hooks import Hooks
    from deploy.tables import read_table
    from finn_builds import api

    return Hooks(Luts(layers=api.layer_luts), api.build_row, api.check_board, read_table)


COMMANDS: dict[str, Callable[[Sequence[str], str], None]] = {
    "build": build,
    "compare": compare,
    "train": train,
    "study": study,
}


def main(argv: Sequence[str] | None = None, script: str | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    argv
        Name of the command and its arguments; default those of the process.
    script
        Name of the script in the checkout that is called instead, for messages.

    Returns
    -------
    int
        0, 1 (a verification failed), 2 (a mistake of the user's, a disk that can't be written),
        130 (interrupted), 129 or 143 (ended by SIGHUP or SIGTERM), or 141 (the reader of the output
        has left).
    """
    if sys.version_info < (3, 11):
        found = ".".join(map(str, sys.version_info[:3]))
        print(f"error: Python 3.11 or newer is needed, found {found}", file=sys.stderr)
        return 2
    words = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    try:
        return _run(words, script)
    except ModuleNotFoundError as error:
        package = (error.name or _OWN[0]).partition(".")[0]
        if package in _OWN:
            raise
        print(f"error: {_not_installed(package, words[0])}", file=sys.stderr)
        return 2


def _open_streams() -> None:
    """Give output that was closed, as with ``>&-``, a place: else files would get its number."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_WRONLY)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, "w", closefd=False))


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end what runs as Ctrl-C does, so that it can clean up."""

    def stop(signum: int, frame: object) -> NoReturn:
        signal.signal(signum, signal.SIG_IGN)  # cleaning up has begun
        raise _Stopped(signum)

    signals = [signal.SIGTERM, signal.SIGHUP]
    if threading.current_thread() is not threading.main_thread():
        signals = []
    # One that is ignored, as SIGHUP is after nohup, stays so.
    old = {number: signal.getsignal(number) for number in signals}
    old = {number: how for number, how in old.items() if how is not signal.SIG_IGN}
    for number in old:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, how in old.items():
            signal.signal(number, how)


def _run(words: list[str], script: str | None) -> int:
    from brevitas_models.errors import UserError as TrainingError
    from finn_builds.errors import UserError, VerificationError
    from finn_builds.run.terminal import show_error

    try:
        parser = _Parser(prog="prunestream", description="Pruned networks to FPGA designs.")
        parser.add_argument("command", choices=COMMANDS, help="its --help says more")
        command = parser.parse_args(words[:1]).command
        prog = f"prunestream {command}"
        if script is not None:
            prog = script if command in ("build", "train") else f"{script} {command}"
        with _stoppable(), warnings.catch_warnings():
            if command in _TRAINING:
                # Those of torch and qonnx are about their own insides: nothing a user could act on.
                warnings.simplefilter("ignore")
            COMMANDS[command](words[1:], prog)
        sys.stdout.flush()
    except (UserError, VerificationError) as error:
        show_error(error, sys.stderr)
        return error.exit_code
    except TrainingError as error:
        show_error(" ".join(str(error).split()), sys.stderr)
        return error.exit_code
    except _Stopped as stopped:
        name = signal.Signals(stopped.signum).name
        print(f"stopped by {name}: run the command again to go on from there", file=sys.stderr)
        return 128 + stopped.signum
    except KeyboardInterrupt:
        print("interrupted: run the command again to go on from there", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in _DISK:
            raise
        path = str(error.filename or "a file")
        path = path if len(path) <= _SHOWN else f"...{path[-_SHOWN:]}"
        show_error(
            f"cannot write {path}: {error.strerror}; make room there and run the same command "
            "again, or name another place",
            sys.stderr,
        )
        return 2
    return 0


def _not_installed(package: str, command: str) -> str:
    """Return what to do about a Python package that is not installed."""
    if not (_ROOT / "Makefile").is_file():
        how = "pip install " + ('"prunestream[train]"' if command in _TRAINING else "prunestream")
    elif command == "build":
        how = "make build BOARD=Pynq-Z1` or, once that has run, `.venv/bin/python build.py"
    else:
        how = "make setup` and then `.venv/bin/prunestream"
    return f"the Python package {package} is not installed for {sys.executable}: use `{how}`"


if __name__ == "__main__":
    sys.exit(main())
