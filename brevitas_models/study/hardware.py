"""Hardware columns: rows of a study as verified accelerators."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brevitas_models.errors import UserError
from brevitas_models.model import checkpoint
from brevitas_models.model.export import export_qonnx
from brevitas_models.study.config import Hardware, Study
from brevitas_models.study.plans import Progress
from brevitas_models.study.points import Point, renamed
from brevitas_models.study.store import Finished
from brevitas_models.train import rounds
from brevitas_models.train.progress import Reporter
from brevitas_models.train.record import checkpoint_info
from brevitas_models.train.rounds import RoundResult
from brevitas_models.train.rules import EpochRecord


def add(study: Study, points: Sequence[Point], progress: Progress, reporter: Reporter) -> int:
    """Build the rows that are wanted, can be built, and have not been.

    A row that can't be built, or whose LUTs and FFs were to be counted and were not, is recorded
    with the failures, and the others go on.

    Returns
    -------
    int
        How many could not be built.

    Raises
    ------
    UserError
        If `finn_builds` is not installed, or there is no such board.
    """
    settings = study.hardware
    _check(settings)
    todo = [
        (point, index, finished)
        for point in points
        for index, finished in enumerate(progress.store.rounds(progress.key(point)))
        if wanted(settings, point, finished.row) and not _built(finished.row, settings)
    ]
    failed = 0
    for count, (point, index, finished) in enumerate(todo, 1):
        key = progress.key(point)
        reporter.note(
            f"hardware {count} of {len(todo)}: {point.columns()['bits']} bit, "
            f"{finished.row['pruned']:.1%} pruned"
        )
        try:
            columns = figures(settings, point, finished, progress)
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            progress.store.fail(key, index, f"hardware: {text}")
            reporter.note(f"not built: {text}")
            failed += 1
            continue
        progress.store.add_columns(key, index, columns)
    return failed


def wanted(settings: Hardware, point: Point, row: dict[str, Any]) -> bool:
    """Return whether a row is to be built: of the chosen shares, seeds and folds, 1 to 8 bits."""
    if not point.recipe.network.buildable or point.kind == "bayes_trial":
        return False
    return (
        (settings.shares is None or any(abs(row["share"] - s) < 1e-9 for s in settings.shares))
        and (settings.seeds is None or point.recipe.training.seed in settings.seeds)
        and (settings.folds is None or point.fold in settings.folds)
    )


def _built(row: dict[str, Any], settings: Hardware) -> bool:
    if settings.synth != "none" and row.get("ff") is None:
        return False
    same = (settings.board, settings.synth, settings.frames)
    return (row.get("hardware_board"), row.get("hardware_synth"), row.get("wanted_frames")) == same


def _check(settings: Hardware) -> None:
    try:
        from finn_builds.config.boards import load_board
    except ImportError as error:
        raise UserError(
            f"--with-hardware: needs the build side of this project ({error}); install it, or "
            f"leave the option out"
        ) from None
    from finn_builds.errors import UserError as BuildError

    try:
        load_board(settings.board)
    except BuildError as error:
        raise UserError(f"hardware.board: {error}") from None


def figures(
    settings: Hardware, point: Point, finished: Finished, progress: Progress
) -> dict[str, Any]:
    """Export a model, build it in the sparse style, verify it, and return its columns.

    Returns
    -------
    dict
        ``lut``, ``ff``, ``latency_cycles``, ``verified_frames``, ``mismatches``,
        ``hardware_tool``: what counted LUTs and FFs, and what was asked for.
    """
    from finn_builds import BuildConfig, build

    with tempfile.TemporaryDirectory(prefix="study-") as scratch:
        folder = Path(scratch)
        model = folder / "model.onnx"
        _export(point, finished, progress, model)
        config = BuildConfig(
            board=settings.board,
            model=str(model),
            style="sparse",
            synth=settings.synth,
            verify_frames=settings.frames,
            output_dir=folder / "build",
        )
        # A build tells what it does to the terminal; a study has its own lines.
        with contextlib.redirect_stdout(None):
            summary = build(config).summary
        found = columns(summary, settings.synth)
    return {
        **found,
        "hardware_board": settings.board,
        "hardware_synth": settings.synth,
        "wanted_frames": settings.frames,
    }


def _export(point: Point, finished: Finished, progress: Progress, path: Path) -> None:
    with_name, row = renamed(point, "study"), finished.row
    best = EpochRecord(
        epoch=row["best_epoch"],
        train_loss=row["train_loss"],
        validation_loss=row["validation_loss"],
        validation_match=row["validation_match"],
        rate=0.0,
        pruned=row["pruned"],
        best=True,
        seconds=0.0,
    )
    now = rounds.plan(point.recipe)[row["round"]]
    last = RoundResult(now, row["pruned"], finished.state, (best,))
    info = checkpoint_info(
        with_name.recipe, progress.frames.fold(point), progress.frames.teacher, last, {}, "study"
    )
    export_qonnx(last.model(with_name.recipe.network), checkpoint.plain(info, "info"), path)


def columns(summary: dict[str, Any], synth: str) -> dict[str, Any]:
    """Return the columns that a build's summary gives.

    Parameters
    ----------
    summary : dict
    synth : str
        What was asked for. ``none``: LUTs are those that the build estimates; it does not estimate
        FFs.

    Raises
    ------
    UserError
        If LUTs and FFs were to be counted and were not: a synthesis that is too slow is stopped,
        and an estimate among counted figures would be taken for one of them.
    """
    counted = summary.get("synthesised")
    if counted is None and synth != "none":
        raise UserError(
            f"LUTs and FFs were to be counted by {synth} and were not "
            f"({summary.get('not_synthesised', 'no reason given')}); run the same command again on "
            f"a less busy machine, or take estimates with hardware.synth: none"
        )
    resources = counted or summary["resources"]
    return {
        "lut": resources["LUT"],
        "ff": resources.get("FF"),
        "latency_cycles": summary["latency_cycles"],
        "verified_frames": summary["frames_verified"],
        "mismatches": summary["mismatches"],
        "hardware_tool": resources["kind"],
    }
