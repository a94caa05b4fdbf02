"""Hardware columns: rows of a study as verified accelerators."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brevitas_models.errors import UserError
from brevitas_models.model import checkpoint
from brevitas_models.model.export import export_qonnx
from brevitas_models.study.config import Hardware, Study
from brevitas_models.study.plans import Progress
from brevitas_models.study.points import Point
from brevitas_models.train.hooks import Hooks
from brevitas_models.train.progress import Reporter
from brevitas_models.train.record import checkpoint_info
from brevitas_models.train.rounds import RoundResult


def check(settings: Hardware, hooks: Hooks) -> None:
    """Find out before anything is trained whether rows can be built.

    Raises UserError if there is nothing that builds; also what `Hooks.check_board` raises.
    """
    if hooks.build_row is None or hooks.check_board is None:
        raise UserError(
            "--with-hardware: needs functions that build and that know the boards, as train.py "
            "brings the build's own; pass them as Hooks.build_row and Hooks.check_board, or leave "
            "the option out"
        )
    hooks.check_board(settings.board)


def add(
    study: Study,
    points: Sequence[Point],
    progress: Progress,
    hooks: Hooks,
    reporter: Reporter,
) -> int:
    """Build the rows that are wanted, can be built, and have not been; return how many failed.

    A row that can't be built, or whose LUTs and FFs were to be counted and were not, is recorded
    with the failures, and the others go on.
    """
    settings = study.hardware
    todo = [
        (point, index, finished)
        for point in points
        for index, finished in enumerate(progress.store.rounds(progress.key(point)))
        if wanted(settings, point, finished.round.share) and not _built(finished.figures, settings)
    ]
    failed = 0
    with reporter.counted("rows built", len(todo)) as count:
        for number, (point, index, finished) in enumerate(todo, 1):
            key = progress.key(point)
            try:
                columns = figures(settings, point, finished, progress, hooks)
            except Exception as error:
                text = " ".join(f"{type(error).__name__}: {error}".split())
                progress.store.fail(key, index, f"hardware: {text}")
                row = f"{point.columns()['bits']} bit, {finished.pruned:.1%} pruned"
                reporter.note(f"not built: {row}: {text}")
                failed += 1
            else:
                progress.store.add_figures(key, index, columns)
            count(number)
    return failed


def wanted(settings: Hardware, point: Point, share: float) -> bool:
    """Return whether a row is to be built: of the chosen shares, seeds and folds, 1 to 8 bits."""
    if not point.recipe.network.buildable or point.kind == "bayes_trial":
        return False
    return (
        (settings.shares is None or any(abs(share - s) < 1e-9 for s in settings.shares))
        and (settings.seeds is None or point.recipe.training.seed in settings.seeds)
        and (settings.folds is None or point.fold in settings.folds)
    )


def _built(row: dict[str, Any], settings: Hardware) -> bool:
    if settings.synth != "none" and row.get("ff") is None:
        return False
    same = (settings.board, settings.synth, settings.frames)
    return (row.get("hardware_board"), row.get("hardware_synth"), row.get("wanted_frames")) == same


def figures(
    settings: Hardware, point: Point, finished: RoundResult, progress: Progress, hooks: Hooks
) -> dict[str, Any]:
    """Export a model, have it built, and return its columns with what was asked for."""
    assert hooks.build_row is not None
    with tempfile.TemporaryDirectory(prefix="study-") as scratch:
        model = Path(scratch) / "model.onnx"
        _export(point, finished, progress, model)
        found = hooks.build_row(model, settings.board, settings.synth, settings.frames)
    return {
        **found,
        "hardware_board": settings.board,
        "hardware_synth": settings.synth,
        "wanted_frames": settings.frames,
    }


def _export(point: Point, finished: RoundResult, progress: Progress, path: Path) -> None:
    named = point.recipe.model_copy(update={"name": "study"})
    data = progress.frames.fold(point)
    info = checkpoint_info(named, data, progress.frames.teacher, finished, {}, "study")
    export_qonnx(finished.model(named.network), checkpoint.plain(info, "info"), path)
