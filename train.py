"""Train a quantised, pruned MLP: ``python train.py --model digits``."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from brevitas_models import zoo
from brevitas_models.errors import UserError
from deploy.errors import UserError as FileError

if TYPE_CHECKING:
    from brevitas_models.train.hooks import Hooks


class Parser(argparse.ArgumentParser):
    """A parser whose errors end as every other mistake of the user does."""

    def error(self, message: str) -> NoReturn:
        """Raise a `UserError` instead of printing the usage and leaving."""
        raise UserError(f"{message}; see python {self.prog} --help")


def parser() -> Parser:
    """Return the parser of the training command."""
    result = Parser(
        prog="train.py",
        description="Train a quantised, pruned MLP and write its checkpoint and its QONNX.",
        epilog="python train.py study --help: many trainings, one table and figures of it.",
        allow_abbrev=False,
    )
    add = result.add_argument
    add("--model", required=True, metavar="NAME|FILE.yaml", help="a shipped model, or a recipe")
    add("--dataset", metavar="NAME|FILE", help="digits, jets, or a .npz or .csv file")
    add("--source", help="where the data come from: for jets openml, surrogate or a file")
    add("--teacher", type=Path, metavar="MODEL.onnx", help="learn from this QONNX classifier")
    add("--folds", type=int, metavar="K", help="measure on all frames by K siblings")
    add("--epochs", type=int, metavar="N", help="most passes over the training frames")
    add("--batch-size", type=int, metavar="N", help="frames of one optimiser step")
    add("--lr", type=float, metavar="RATE", help="learning rate at the start")
    add("--seed", type=int, metavar="S", help="seed of initial weights and order of frames")
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
    return result


def train(arguments: Sequence[str]) -> None:
    """Train one model.

    Raises
    ------
    UserError
        For every mistake in the command line, or in what it names.
    """
    args = parser().parse_args(arguments)
    is_file = args.model.endswith((".yaml", ".yml"))
    recipe_file = Path(args.model) if is_file else zoo.recipe_path(args.model)

    # Torch takes seconds to import; mistakes above show at once.
    from brevitas_models.train import experiment, recipe, record
    from brevitas_models.train.progress import Reporter

    settings = recipe.load(recipe_file)
    if args.dataset is not None:
        # The source in the recipe is one of the recipe's own data set.
        settings = settings.replace("data", dataset=args.dataset, source=args.source)
    elif args.source is not None:
        settings = settings.replace("data", source=args.source)
    if args.folds is not None:
        settings = settings.replace("data", folds=args.folds)
    overrides = {key: getattr(args, key) for key in ("epochs", "batch_size", "seed")}
    overrides["learning_rate"] = args.lr
    settings = settings.replace(
        "training", **{key: value for key, value in overrides.items() if value is not None}
    )
    settings = settings.override(args.set)
    experiment.run(
        settings,
        teacher=args.teacher,
        out=args.out or Path("build") / f"train_{settings.name}",
        command=record.recorded_command(arguments),
        reporter=Reporter(args.quiet),
        compiled=args.compiled,
        hooks=_hooks(),
    )


def study_parser() -> Parser:
    """Return the parser of the command for studies."""
    result = Parser(
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


def study(arguments: Sequence[str]) -> None:
    """Run a study; raises as `train`."""
    args = study_parser().parse_args(arguments)
    if args.processes is not None and args.processes < 1:
        raise UserError(
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
    from brevitas_models.train.hooks import Hooks
    from deploy.tables import read_table
    from finn_builds import costs

    return Hooks(costs.layer_luts, costs.build_row, costs.check_board, read_table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings.catch_warnings():
            # Those of torch and qonnx are about their own insides: nothing a user could act on.
            warnings.simplefilter("ignore")
            if words[:1] == ["study"]:
                study(words[1:])
            else:
                train(words)
    except (UserError, FileError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "error: interrupted; finished rounds are kept, and the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
