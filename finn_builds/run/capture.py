"""Sends everything a build's libraries print into the build's log."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

LOG_FILE = "build.log"


@contextmanager
def captured(log: Path, *, append: bool) -> Iterator[None]:
    """Write to a log what Python and C code print, warn and log, instead of to the terminal.

    FINN and qonnx print and warn much; simulators and solvers print from C, past Python's
    ``sys.stdout``. So the file descriptors 1 and 2 themselves point to the log meanwhile; what must
    reach the terminal needs a descriptor of its own (``progress.reporter`` takes one).
    """
    with log.open("a" if append else "w", buffering=1, encoding="utf-8", errors="replace") as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root = logging.getLogger()
        root.addHandler(handler)
        try:
            with _descriptors_to(file.fileno()), redirect_stdout(file), redirect_stderr(file):
                try:
                    yield
                except BaseException:
                    traceback.print_exc()
                    raise
        finally:
            root.removeHandler(handler)


@contextmanager
def _descriptors_to(target: int) -> Iterator[None]:
    """Point the process' file descriptors 1 and 2 to another file."""
    _flush()
    saved: dict[int, int] = {}
    for descriptor in (1, 2):
        try:
            saved[descriptor] = os.dup(descriptor)
        except OSError:  # closed, as in a daemon: nothing to save
            continue
        os.dup2(target, descriptor)
    try:
        yield
    finally:
        _flush()
        for descriptor, copy in saved.items():
            os.dup2(copy, descriptor)
            os.close(copy)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    ctypes.CDLL(None).fflush(None)  # what C code has printed but not yet written
