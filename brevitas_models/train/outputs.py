"""The folder that a training run writes: whole or not there at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brevitas_models.errors import UserError


def file_names(name: str) -> set[str]:
    """Return the names of the files in the folder of a model."""
    return {f"{name}.pt", f"{name}.onnx", f"{name}.yaml", "history.csv"}


def check(out: Path, name: str) -> None:
    """Find out before the training whether its result can be written.

    Raises UserError if `out` is a file, a folder with anything but an earlier result of the same
    model, or lies where nothing may be written.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: expected a folder to write to, found a file; choose another --out")
    if out.is_dir():
        strange = sorted({entry.name for entry in out.iterdir()} - file_names(name))
        if strange:
            raise UserError(
                f"{out}: expected a new folder or one of an earlier training of {name}, found "
                f"{', '.join(strange[:3])} in it; choose another --out"
            )
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UserError(
            f"{out}: can't be written, {above} is not a writable folder; choose another --out"
        )


def unfinished(out: Path) -> Path:
    """Return the folder, beside `out`, that keeps the finished rounds of a training under way."""
    return out.absolute().with_name(f".{out.absolute().name}.unfinished")


@contextmanager
def folder(out: Path, name: str) -> Iterator[Path]:
    """Give an empty folder beside `out` that takes the place of `out` when all is written.

    `out` is checked again with `check`; its missing parents are made. After an exception the folder
    is gone and `out` is as it was.
    """
    check(out, name)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{out.name}-", dir=out.parent, ignore_cleanup_errors=True
    ) as scratch:
        stage, old = Path(scratch) / "new", Path(scratch) / "old"
        stage.mkdir()
        yield stage
        # A training takes minutes: what lies there now need not be what did at the start.
        check(out, name)
        if out.exists():
            out.rename(old)
        try:
            stage.rename(out)
        except OSError:
            if old.exists():
                shutil.move(old, out)
            raise
