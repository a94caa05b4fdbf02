"""What a build folder holds: which steps are finished, and what each of them wrote.

The record is one JSON file that is replaced as a whole, so it is always that of some moment: a
step is in it only after everything the step wrote is on the disk. It carries digests, and a step
counts as finished only while they still hold.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from finn_builds.config.fingerprint import file_digest, tree_digest
from finn_builds.errors import UserError
from finn_builds.run.lock import LOCK_FILE

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper

STATE_FILE = "build_state.json"
CHECKPOINTS = "intermediate_models"
FORMAT = 1

SCRATCH = ".scratch-"
TRASH = ".trash-"
SWEEPS = 20


@dataclass(frozen=True)
class Record:
    """One finished step."""

    key: str
    """Digest of everything that decides the step's result."""
    seconds: float
    """How long the step took."""
    checkpoint: str
    """SHA-256 of the step's checkpoint."""
    outputs: dict[str, str | None]
    """SHA-256 of each file or folder the step owns; None for one it did not write."""

    def intact(self, folder: Path, name: str) -> bool:
        """Tell whether all that the step wrote is still there, unchanged."""
        path = checkpoint_path(folder, name)
        if not path.is_file() or file_digest(path) != self.checkpoint:
            return False
        return all(_digest(folder / output) == was for output, was in self.outputs.items())


@dataclass
class State:
    """The finished steps of a folder, in their order, and whether the build is whole."""

    steps: dict[str, Record] = field(default_factory=dict)
    complete: bool = False

    @classmethod
    def load(cls, folder: Path) -> State:
        """Read a folder's record; an unreadable one, or one of another format, is empty."""
        try:
            content = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                return cls()
            steps = {name: Record(**record) for name, record in content["steps"].items()}
            return cls(steps, bool(content["complete"]))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def save(self, folder: Path) -> None:
        """Replace the folder's record as a whole."""
        steps = {name: asdict(record) for name, record in self.steps.items()}
        content = {"format": FORMAT, "complete": self.complete, "steps": steps}
        write_text(folder / STATE_FILE, json.dumps(content, indent=1) + "\n")


def record(folder: Path, name: str, key: str, seconds: float, outputs: tuple[str, ...]) -> Record:
    """Describe a step that has just finished, from what lies in the folder."""
    return Record(
        key=key,
        seconds=round(seconds, 3),
        checkpoint=file_digest(checkpoint_path(folder, name)),
        outputs={output: _digest(folder / output) for output in outputs},
    )


def checkpoint_path(folder: Path, name: str) -> Path:
    """Return where the model lies as it was after a step."""
    return folder / CHECKPOINTS / f"{name}.onnx"


def checkpoint(folder: Path, name: str) -> ModelWrapper:
    """Read the model as it was after a step."""
    from qonnx.core.modelwrapper import ModelWrapper

    return ModelWrapper(str(checkpoint_path(folder, name)))


def is_ours(folder: Path) -> bool:
    """Tell a build folder, or an empty one, from a folder that holds something else."""
    names = {path.name for path in folder.iterdir()}
    runners = {STATE_FILE, f"{STATE_FILE}.tmp", LOCK_FILE}
    return STATE_FILE in names or names <= runners


def write_text(path: Path, text: str) -> None:
    """Write a file so that it has either its old content or the new one, never a part."""
    partial = path.with_name(f"{path.name}.tmp")
    partial.write_text(text, encoding="utf-8")
    replace(partial, path)


def replace(partial: Path, path: Path) -> None:
    """Bring a finished file to the disk, then under its name."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove(folder: Path, output: str) -> None:
    """Remove a file or folder below the build folder, if it is there; follow no link."""
    check_relative(output)
    path = folder / output
    if path.is_dir() and not path.is_symlink():
        # Out of the way first: a compiler that outlived a killed build may still write there.
        trash = Path(tempfile.mkdtemp(prefix=TRASH, dir=folder))
        os.replace(path, trash)
        _sweep(trash)
    else:
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Delete the scratch folders of killed runs, and what they had begun to delete."""
    for prefix in (SCRATCH, TRASH):
        for trash in folder.glob(f"{prefix}*"):
            _sweep(trash)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Make a folder for the time of one step."""
    path = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=folder))
    try:
        yield path
    finally:
        _sweep(path)


def _sweep(trash: Path) -> None:
    for _ in range(SWEEPS):
        shutil.rmtree(trash, ignore_errors=True)
        if not trash.exists():
            return
        time.sleep(0.1)  # something appeared in it meanwhile


def check_relative(output: str) -> None:
    """Refuse a path that is not strictly below the build folder.

    Raises
    ------
    ValueError
        The path is absolute, empty or climbs out of the folder.
    """
    parts = PurePosixPath(output).parts
    if not parts or output.startswith("/") or ".." in parts:
        raise ValueError(f"{output!r} is no path below the build folder")


def claim(out: Path) -> list[Path]:
    """Make the build folder and return the folders that had to be made, the innermost first.

    Raises
    ------
    UserError
        The folder holds something that is not a build, or can't be made.
    """
    created = [path for path in (out, *out.parents) if not path.exists()]
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        if not is_ours(out):
            raise UserError(
                f"output folder {out} holds files that are not of a build: "
                f"choose an empty folder or a new one (--out)"
            )
    return created


def empty(folder: Path) -> None:
    """Remove everything in a folder that held nothing before."""
    for path in list(folder.iterdir()):
        if not path.name.startswith((SCRATCH, TRASH)):
            remove(folder, path.name)
    sweep(folder)


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove the folders that this run has made, as far as nothing is in them."""
    for folder in folders:
        if folder.exists():
            try:
                folder.rmdir()
            except OSError:
                return


@contextmanager
def disk_errors(out: Path) -> Iterator[None]:
    """Turn a disk that is full, or a build folder that can't be written, into a `UserError`."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        refused = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
        file = Path(str(error.filename))
        if full or (refused and (file.is_relative_to(out) or out.is_relative_to(file))):
            raise UserError(
                f"cannot write to {out}: {error.strerror}; make room there, or choose another "
                "folder"
            ) from error
        raise


def _digest(path: Path) -> str | None:
    return tree_digest(path) if path.exists() else None
