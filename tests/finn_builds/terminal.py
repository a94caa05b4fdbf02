"""A terminal to write to, and what was written to it."""

from __future__ import annotations

import os
import pty
import re
from collections.abc import Callable
from typing import TextIO

import pytest


def read_terminal(leader: int, terminal: TextIO) -> str:
    """Return all that was written to a terminal; what is written arrives a moment later."""
    end = "the end"
    print(end, file=terminal, flush=True)
    seen = b""
    while end.encode() not in seen:
        seen += os.read(leader, 65536)
    os.close(leader)
    return seen.decode().replace("\r\n", "\n").partition(end)[0]


def on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, show: Callable[[TextIO], None], *, columns: int = 60
) -> str:
    """Return what a function writes to a terminal."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(columns))
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        show(terminal)
        return read_terminal(leader, terminal)


ESCAPE = re.compile(r"\x1b\[[\d;]*m")
