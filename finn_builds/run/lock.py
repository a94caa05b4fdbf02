"""Keeps two builds out of one folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finn_builds.errors import UserError

LOCK_FILE = ".build.lock"


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a build folder for this process alone; the lock vanishes with the process.

    The folder must exist. Raises UserError if another process holds it, or has just removed it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"another build is running in {folder}: wait for it, or choose another folder (--out)"
        ) from None
    except FileNotFoundError:
        raise UserError(
            f"another build that failed has just removed {folder}: run the command again"
        ) from None
    try:
        yield
    finally:
        lock.release()
