"""The command line of studies: ``python train.py study CONFIG.yaml --out DIR``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from brevitas_models.errors import UserError

if TYPE_CHECKING:
    from brevitas_models.train.hooks import Hooks


class Interrupted(UserError):
    """The study was stopped by its user."""

    exit_code = 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see python train.py study --help")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    result = _Parser(
        prog="train.py study",
        description="Train all points of a study; write one table and the figures of it.",
        allow_abbrev=False,
    )
    add = result.add_argument
    add("config", type=Path, metavar="CONFIG.yaml", help="the study")
    add("--out", type=Path, required=True, metavar="DIR", help="its folder; taken up if there")
    add("--source", help="where the data come from: for jets openml, surrogate or a file")
    add("--teacher", type=Path, metavar="MODEL.onnx", help="learn from this QONNX classifier")
    add("--processes", type=int, metavar="N", help="of this machine; default: one for each core")
    add("--dask", metavar="ADDRESS", help="train on a Dask cluster, e.g. tcp://10.0.0.1:8786")
    add("--with-hardware", action="store_true", help="build rows: LUTs, FFs, latency, verified")
    add("--quiet", action="store_true", help="print only the result")
    return result


def run(arguments: Sequence[str], hooks: Hooks) -> None:
    """Follow one command line.

    Raises
    ------
    UserError
        For every mistake in it, or in what it names.
    """
    args = parser().parse_args(arguments)
    if args.processes is not None and args.processes < 1:
        raise UserError(
            f"--processes: expected 1 or more, found {args.processes}; "
            f"leave it out for one for each core"
        )

    # Torch takes seconds to import; mistakes above show at once.
    from brevitas_models.study import config, runner
    from brevitas_models.train.progress import Reporter

    study = config.load(args.config)
    if args.source is not None:
        base = study.base.replace("data", source=args.source)
        study = study.model_copy(update={"base": base})
    try:
        runner.run(
            study,
            args.out,
            teacher=args.teacher,
            dask=args.dask,
            processes=args.processes,
            with_hardware=args.with_hardware,
            reporter=Reporter(args.quiet),
            hooks=hooks,
        )
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; finished rounds are kept in {args.out}, the same command goes on"
        ) from None
