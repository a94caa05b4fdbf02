"""How a build shows its progress: plain lines, bars on a terminal, the time left."""

from __future__ import annotations

import io
import os
import pty
import re
from pathlib import Path
from typing import TextIO

import pytest

from finn_builds.run.capture import captured
from finn_builds.run.progress import (
    PlainReporter,
    Reporter,
    TerminalReporter,
    left_text,
    reporter,
    time_left,
)
from tests.finn_builds.terminal import ESCAPE, on_a_terminal, read_terminal


def run(shown: Reporter) -> None:
    shown.reused(4, 14)
    shown.started(5, 14, "create_stitched_ip")
    shown.progress(1, 2, "files")
    shown.finished(5, 14, "create_stitched_ip", 1.234)
    shown.started(6, 14, "measure")
    shown.close()


def test_plain_lines() -> None:
    stream = io.StringIO()
    run(PlainReporter(stream))
    assert stream.getvalue().splitlines() == [
        "[1-4/14] reused: unchanged",
        "[ 5/14] create_stitched_ip ... 1.2 s",
        "[ 6/14] measure ... ",
    ]


def test_a_file_gets_plain_lines_even_while_output_is_captured(tmp_path: Path) -> None:
    with (tmp_path / "out.txt").open("w+") as file:
        shown = reporter(file)
        assert isinstance(shown, PlainReporter)
        with captured(tmp_path / "build.log", append=False):
            run(shown)
            print("noise")
        file.seek(0)
        assert "create_stitched_ip ... 1.2 s" in file.read()
    assert (tmp_path / "build.log").read_text() == "noise\n"


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        shown = reporter(terminal)
        assert isinstance(shown, TerminalReporter)
        run(shown)
        seen = read_terminal(leader, terminal)
    assert "[1-4/14] reused: unchanged" in seen
    assert re.search(r"\[ 5/14\] create_stitched_ip +1\.2 s\n", seen)
    assert "files" in seen


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        assert isinstance(reporter(terminal), PlainReporter)
    os.close(leader)


def test_quiet_and_streams_without_a_file() -> None:
    assert type(reporter(io.StringIO(), quiet=True)) is Reporter
    stream = io.StringIO()
    run(reporter(stream))
    assert "create_stitched_ip" in stream.getvalue()


def test_time_left_of_a_step_that_ran_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def show(terminal: TextIO) -> None:
        shown = reporter(terminal)
        shown.started(1, 2, "measure", 100.0)
        shown.progress(0, 4, "compiling")
        shown.close()

    seen = ESCAPE.sub("", on_a_terminal(monkeypatch, show, columns=120))
    assert re.search(r"about (100 s|2 min) left", seen)


@pytest.mark.parametrize(
    ("elapsed", "share", "expected", "left"),
    [
        (2, None, None, None),
        (2, 0.0, None, None),
        (2, 0.25, None, 6),
        (2, 1.0, None, None),
        (2, 0.25, 10, 8),
        (12, 0.75, 10, 4),
        (12, None, 10, None),
    ],
)
def test_time_left(
    elapsed: float, share: float | None, expected: float | None, left: float | None
) -> None:
    assert time_left(elapsed, share, expected) == left


def test_time_left_in_words() -> None:
    assert left_text(None) == left_text(0.5) == ""
    assert left_text(7.4) == "about 7 s left"
    assert left_text(150) == "about 2 min left"
