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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from finn_builds.config.fingerprint import tree_digest
from finn_builds.errors import UserError
from finn_builds.files import CHECKPOINTS, replace, write_text
from finn_builds.run.capture import LOG_FILE
from finn_builds.run.lock import LOCK_FILE
from finn_builds.tools import ToolFailed

STATE_FILE = "build_state.json"
FORMAT = 3

#: Where the next build grows in the folder of a finished one, until it can take its place.
NEXT = ".next"
#: In it: the last build is removed, and what is still there has to move.
_MOVING = "moving"

SCRATCH = ".scratch-"
TRASH = ".trash-"
SWEEPS = 20


#: How programs say that they could not write.
_FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS))


class DiskError(UserError):
    """The disk is full or can't be written: the same command continues once that is fixed."""


@dataclass(frozen=True)
class Record:
    """One finished step."""

    key: str
    """Digest of everything that decides the step's result."""
    reads: list[str]
    """Fields of the configuration that the step has read."""
    seconds: float
    """How long the step took."""
    result: str | None
    """Class of what the step returned, ``module:name``; None if it returned nothing."""
    outputs: dict[str, str | None]
    """SHA-256 of each file or folder of the step; None for one it did not write."""

    def intact(self, folder: Path) -> bool:
        """Return whether all that the step wrote is still there, unchanged."""
        return all(_digest(folder / output) == was for output, was in self.outputs.items())


@dataclass
class State:
    """The finished steps of a folder, in their order, and whether the build is whole."""

    steps: dict[str, Record] = field(default_factory=dict)
    complete: bool = False

    @classmethod
    def load(cls, folder: Path) -> State:
        """Read a folder's record; an unreadable one is empty.

        Of one in another format only ``complete`` counts: nothing of it can be reused, but it
        must not be lost to a build that fails.
        """
        try:
            content = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
            known = content["steps"] if content["format"] == FORMAT else {}
            steps = {name: Record(**record) for name, record in known.items()}
            return cls(steps, bool(content["complete"]))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def save(self, folder: Path) -> None:
        """Replace the folder's record as a whole."""
        steps = {name: asdict(record) for name, record in self.steps.items()}
        content = {"format": FORMAT, "complete": self.complete, "steps": steps}
        write_text(folder / STATE_FILE, json.dumps(content, indent=1) + "\n")

    def outputs(self) -> set[str]:
        """Return the files and folders of all finished steps."""
        return {output for record in self.steps.values() for output in record.outputs}

    def maker_of(self, result: str) -> str | None:
        """Return the last step that returned a result of a class, or None."""
        makers = [name for name, record in self.steps.items() if record.result == result]
        return makers[-1] if makers else None


def record(
    folder: Path,
    name: str,
    key: str,
    reads: list[str],
    seconds: float,
    result: str | None,
    outputs: Sequence[str],
) -> Record:
    """Describe a step that has just finished, from what lies in the folder."""
    files = [*outputs, *checkpoints_of(folder, name)]
    return Record(
        key=key,
        reads=reads,
        seconds=round(seconds, 3),
        result=result,
        outputs={output: _digest(folder / output) for output in files},
    )


def checkpoints_of(folder: Path, step: str) -> list[str]:
    """Return the checkpoints of a step, relative to the build folder."""
    found = sorted((folder / CHECKPOINTS).glob(f"{step}.*"))
    return [f"{CHECKPOINTS}/{path.name}" for path in found]


def is_ours(folder: Path) -> bool:
    """Tell a build folder, or an empty one, from a folder that holds something else."""
    names = {path.name for path in folder.iterdir()}
    runners = {STATE_FILE, f"{STATE_FILE}.tmp", LOCK_FILE}
    return STATE_FILE in names or names <= runners


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
    with ExitStack() as stack:
        for _ in range(2):  # a signal may end the first time in the midst of it
            stack.callback(_sweep, path)
        yield path


def _sweep(trash: Path) -> None:
    for _ in range(SWEEPS):
        shutil.rmtree(trash, ignore_errors=True)
        if not trash.exists():
            return
        time.sleep(0.1)  # something appeared in it meanwhile


def check_relative(output: str) -> None:
    """Refuse a path that is not strictly below the build folder.

    Raises ValueError if the path is absolute, empty or climbs out of the folder.
    """
    parts = PurePosixPath(output).parts
    if not parts or output.startswith("/") or ".." in parts:
        raise ValueError(f"{output!r} is no path below the build folder")


def claim(out: Path) -> list[Path]:
    """Make the build folder and return the folders that had to be made, the innermost first.

    Raises UserError if the folder holds something that is not a build, or can't be made.
    """
    try:
        created = [path for path in (out, *out.parents) if not path.exists()]
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # a path that is too long, a file system of the kernel
        raise DiskError(
            f"cannot make the output folder {out}: {error.strerror}; choose another folder (--out)"
        ) from error
    with disk_errors(out):
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


def start_next(folder: Path, kept: State) -> None:
    """Make the folder of the next build in that of a finished one; it begins with some steps.

    Their files are links to those of the finished build: no step changes what another one wrote.
    The log is added to, so it is copied.
    """
    work = folder / NEXT
    remove(folder, NEXT)
    work.mkdir()
    for output in kept.outputs():
        source, target = folder / output, work / output
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=_link)
        elif source.exists():
            _link(source, target)
    if kept.steps and (folder / LOG_FILE).exists():
        shutil.copy2(folder / LOG_FILE, work / LOG_FILE)
    kept.save(work)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)


def adopt_next(folder: Path, outputs: Iterable[str]) -> None:
    """Put the finished next build in the place of the last one; files of no step stay.

    Ended in the middle, it is done to its end by the next run: the last build counts as incomplete
    from the first moment on, and the next one is there until all of it has moved. `outputs` is what
    the steps own; what the last build's record names goes as well.
    """
    work = folder / NEXT
    if not (work / _MOVING).exists():
        last = State.load(folder)
        last.complete = False
        last.save(folder)
        for output in sorted({CHECKPOINTS, *outputs, *last.outputs()}):
            remove(folder, output)
        sweep(work)
        write_text(work / _MOVING, "")
    for path in sorted(work.iterdir()):
        if path.name not in (STATE_FILE, _MOVING):
            _move(path, folder / path.name)
    replace(work / STATE_FILE, folder / STATE_FILE)
    remove(folder, NEXT)


def _move(source: Path, target: Path) -> None:
    """Rename a file or folder; what lies in a folder of that name and has another name stays."""
    if source.is_dir() and target.is_dir():
        for path in sorted(source.iterdir()):
            _move(path, target / path.name)
    else:
        if target.is_dir() or (source.is_dir() and target.exists()):
            remove(target.parent, target.name)
        os.replace(source, target)


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
    except ToolFailed as error:  # what a compiler says, of the folder that it works in
        said = next((text for text in _FULL if text in error.output), None)
        if said is None:
            raise
        raise DiskError(
            f"cannot write to {out}: {said}; make room there, or choose another folder"
        ) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        refused = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
        file = Path(str(error.filename))
        if full or (refused and (file.is_relative_to(out) or out.is_relative_to(file))):
            raise DiskError(
                f"cannot write to {out}: {error.strerror}; make room there, or choose another "
                "folder"
            ) from error
        raise


def _digest(path: Path) -> str | None:
    return tree_digest(path) if path.exists() else None
