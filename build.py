#!/usr/bin/env python3
"""Turn a trained model into a verified accelerator: ``.venv/bin/python build.py --board Pynq-Z1``.

This file reads the command line and shows the result; the work is done by
``finn_builds.build(BuildConfig(...))``, which scripts and notebooks call directly. Finished builds
are shown side by side with ``.venv/bin/python build.py compare build/a build/b``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import NoReturn


class _Parser(argparse.ArgumentParser):
    """Ends a mistake on the command line with one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message and leave with exit code 2."""
        self.exit(2, f"error: {message} (see --help)\n")


def _parser() -> argparse.ArgumentParser:
    from finn_builds.config.inputs import model_names

    parser = _Parser(
        prog="build.py",
        description="Build a verified streaming accelerator from a quantised MLP.",
        epilog="A build whose inputs did not change reuses its finished steps. "
        "build.py compare DIR DIR ... shows finished builds side by side.",
        allow_abbrev=False,
    )
    what = parser.add_argument_group("what to build")
    what.add_argument("--board", metavar="NAME", help="board to build for (see --list-boards)")
    what.add_argument(
        "--model",
        metavar="NAME|FILE",
        default="jets",
        help=f"model of the zoo ({', '.join(model_names())}), or path of a QONNX file "
        "(default: %(default)s)",
    )
    what.add_argument("--out", metavar="DIR", help="build folder (default: build/<model>_<board>)")
    what.add_argument("--top1", action="store_true", help="put out the class instead of the logits")
    what.add_argument(
        "--input-quant",
        metavar="TYPE",
        help="quantise the input of a model that doesn't do so itself, e.g. to INT8",
    )
    what.add_argument(
        "--input-scale",
        metavar="STEP",
        type=float,
        help="step of that quantiser (default: from the range of the data)",
    )
    how = parser.add_argument_group("how fast, how large")
    how.add_argument(
        "--clock-ns", metavar="NS", type=float, help="clock period (default: the board's)"
    )
    how.add_argument(
        "--target-fps",
        metavar="FPS",
        type=float,
        help="frames per second to reach (default: the most that fits the board)",
    )
    how.add_argument("--folding", metavar="FILE", help="FINN folding configuration (JSON)")
    how.add_argument(
        "--style",
        metavar="STYLE",
        default="auto",
        help="how layers are built: auto, folded or sparse (default: %(default)s)",
    )
    how.add_argument(
        "--latency-cycles",
        metavar="N",
        type=int,
        help="latency that sparse layers are pipelined for (default: as the clock demands)",
    )
    how.add_argument(
        "--synth",
        metavar="TOOL",
        default="auto",
        help="what counts the resources: yosys, vivado, none, or auto: vivado where it is "
        "installed, else yosys (default: %(default)s)",
    )
    how.add_argument(
        "--bitfile",
        action="store_true",
        help="run Vivado to the bitfile; without Vivado the build leaves a project for it",
    )
    check = parser.add_argument_group("how to check it")
    check.add_argument(
        "--data",
        metavar="NAME|FILE",
        help="data to verify with: a data set or an .npz or .csv file (default: the data set of a "
        "model of the zoo, else random inputs)",
    )
    check.add_argument(
        "--standardise",
        action="store_true",
        help="standardise the data before the model, for models that expect it so; a file then "
        "holds scaler_mean and scaler_scale",
    )
    check.add_argument(
        "--verify-frames",
        metavar="N",
        type=int,
        default=1000,
        help="frames to compare with the QONNX model (default: %(default)s)",
    )
    check.add_argument(
        "--seed", metavar="N", type=int, default=0, help="seed of the random inputs and stalls"
    )
    check.add_argument(
        "--trace", metavar="FORMAT", help="write a waveform of the simulation: vcd or fst"
    )
    run = parser.add_argument_group("how to run")
    run.add_argument("--start-step", metavar="STEP", help="run again from this step on")
    run.add_argument("--stop-step", metavar="STEP", help="stop after this step")
    run.add_argument("--force", action="store_true", help="run every step again")
    run.add_argument("--quiet", action="store_true", help="show no progress")
    run.add_argument("--json", action="store_true", help="print the result as JSON")
    run.add_argument("--list-steps", action="store_true", help="list the steps and leave")
    run.add_argument("--list-boards", action="store_true", help="list the boards and leave")
    return parser


def _compare_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="build.py compare",
        description="Show finished builds side by side, here and as a page.",
        allow_abbrev=False,
    )
    parser.add_argument("folders", metavar="DIR", nargs="+", help="build folders, two or more")
    parser.add_argument(
        "--out", metavar="FILE", help="the page to write (default: compare.html beside the first)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser


def _compare(args: argparse.Namespace) -> None:
    from finn_builds.report.compare import compare
    from finn_builds.report.compare_page import comparison_page, page_path
    from finn_builds.report.compare_table import text_table
    from finn_builds.run.state import disk_errors, write_text

    comparison = compare(args.folders)
    page = page_path(args.folders, args.out)
    with disk_errors(page.parent):
        write_text(page, comparison_page(comparison, page))
    if args.json:
        print(json.dumps({**comparison.as_json(), "page": str(page)}, indent=2))
    else:
        print(f"{text_table(comparison)}\n\npage: {page}")


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


def _build(args: argparse.Namespace) -> None:
    from finn_builds import build
    from finn_builds.config.build import BuildConfig
    from finn_builds.report.terminal import show_summary
    from finn_builds.run.progress import reporter

    cfg = BuildConfig(
        board=args.board,
        model=args.model,
        output_dir=args.out,
        synth_clk_period_ns=args.clock_ns,
        target_fps=args.target_fps,
        folding_config_file=args.folding,
        style=args.style,
        latency_cycles=args.latency_cycles,
        data=args.data,
        standardise=args.standardise,
        input_quant=args.input_quant,
        input_scale=args.input_scale,
        top1=args.top1,
        synth=args.synth,
        bitfile=args.bitfile,
        verify_frames=args.verify_frames,
        verify_seed=args.seed,
        trace=args.trace,
        start_step=args.start_step,
        stop_step=args.stop_step,
        force=args.force,
    )
    result = build(cfg, reporter=reporter(sys.stderr, quiet=args.quiet))
    if not result.summary:
        last = (*result.reused, *result.ran)[-1]
        stopped = {"stopped_after": last, "out_dir": str(result.out)}
        print(json.dumps(stopped, indent=2) if args.json else f"stopped after {last}: {result.out}")
    elif args.json:
        print(json.dumps(result.summary, indent=2, default=str))
    else:
        show_summary(result.summary, sys.stdout)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 (differs), 2 (user's mistake), 130 or 141."""
    words = sys.argv[1:] if argv is None else argv
    comparing = words[:1] == ["compare"]
    parser = _compare_parser() if comparing else _parser()
    args = parser.parse_args(words[1:] if comparing else words)
    from finn_builds.errors import UserError, VerificationError
    from finn_builds.report.terminal import show_error

    try:
        if comparing:
            _compare(args)
        elif args.list_boards:
            _list_boards()
        elif args.list_steps:
            _list_steps()
        elif args.board is None:
            parser.error("--board is missing: name one of those that --list-boards shows")
        else:
            _build(args)
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


if __name__ == "__main__":
    sys.exit(main())
