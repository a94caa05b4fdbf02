"""What a build shows: plain lines, bars on a terminal, and the table of figures."""

from __future__ import annotations

import io
import os
import pty
import re
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from finn_builds.console import (
    PlainReporter,
    Reporter,
    TerminalReporter,
    left_text,
    reporter,
    show_error,
    show_summary,
    summary_table,
    time_left,
)
from finn_builds.run.capture import captured


def read_terminal(leader: int, terminal: TextIO) -> str:
    """Return all that was written to a terminal; what is written arrives a moment later."""
    end = "the end"
    print(end, file=terminal, flush=True)
    seen = b""
    while end.encode() not in seen:
        seen += os.read(leader, 65536)
    os.close(leader)
    return seen.decode().replace("\r\n", "\n").partition(end)[0]


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


DEVICE = {"LUT": 53200, "DSP": 220}
SUMMARY = {
    "accuracy": 0.7504,
    "accuracy_standard_error": 0.0193,
    "accuracy_frames": 501,
    "accuracy_source": "real jets; in five folds",
    "accuracy_without_input_quantizer": None,
    "clock_ns": 10.0,
    "frames_verified": 1000,
    "mismatches": 0,
    "latency_cycles": 203,
    "latency_ns": 2030.0,
    "interval_cycles": 32,
    "fps": 3125000.0,
    "resources": {"LUT": 5215.4, "DSP": 0, "kind": "estimated"},
    "device": DEVICE,
    "out_dir": "build/jets_Pynq-Z1",
    "files": ["stitched_ip", "report"],
}


def test_table() -> None:
    assert summary_table(SUMMARY).splitlines() == [
        "accuracy    75.0% ± 1.9% on 501 frames",
        "data        real jets",
        "verified    1,000 frames, 0 mismatches",
        "latency     203 cycles, 2,030 ns at a clock of 10 ns",
        "interval    32 cycles",
        "throughput  3,125,000 frames/s",
        "estimated   LUT 5,215 (9.8% of the board), DSP 0",
        "folder      build/jets_Pynq-Z1",
        "files       stitched_ip, report",
    ]


def test_shares_of_the_board_are_never_rounded_to_nothing() -> None:
    small = {"resources": {"LUT": 24, "DSP": 2, "URAM": 0}, "device": {**DEVICE, "URAM": 0}}
    assert summary_table(small) == "estimated  LUT 24 (<0.1% of the board), DSP 2 (0.9%)"


@pytest.mark.parametrize("missing", SUMMARY)
def test_table_leaves_out_what_is_not_known(missing: str) -> None:
    full = summary_table(SUMMARY)
    for summary in ({**SUMMARY, missing: None}, {k: v for k, v in SUMMARY.items() if k != missing}):
        text = summary_table(summary)
        assert "None" not in text
        assert (text == full) == (SUMMARY[missing] is None)


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


class TestOnATerminal:
    def test_the_table_keeps_to_the_width(self, monkeypatch: pytest.MonkeyPatch) -> None:
        long = {**SUMMARY, "accuracy_source": "surrogate, NOT real jets: " + "frames " * 20}
        seen = on_a_terminal(monkeypatch, lambda terminal: show_summary(long, terminal))
        lines = ESCAPE.sub("", seen).splitlines()
        assert max(map(len, lines)) <= 60
        assert len(lines) < 24, "one screen"
        words = " ".join(" ".join(lines).split())
        assert "203 cycles, 2,030 ns at a clock of 10 ns" in words
        assert words.count("frames") >= 20, "nothing is cut off"

    @pytest.mark.parametrize("no_color", [None, "1"])
    def test_colours_only_where_they_are_wanted(
        self, monkeypatch: pytest.MonkeyPatch, no_color: str | None
    ) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        if no_color:
            monkeypatch.setenv("NO_COLOR", no_color)
        warned = {**SUMMARY, "accuracy_surrogate": True, "mismatches": 3}

        def show(terminal: TextIO) -> None:
            show_summary(warned, terminal)
            show_error("it is wrong", terminal)

        seen = on_a_terminal(monkeypatch, show)
        assert "error: it is wrong" in ESCAPE.sub("", seen)
        colours = re.findall(r"\x1b\[[\d;]*3[0-9][\d;]*m", seen)
        assert (colours == []) == (no_color is not None)

    def test_an_error_is_never_broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So that it can be copied, and found in a log."""
        text = "expected [bold]a file[/bold] at /" + "x" * 100
        seen = on_a_terminal(monkeypatch, lambda terminal: show_error(text, terminal))
        assert f"error: {text}\n" == ESCAPE.sub("", seen)

    def test_time_left_of_a_step_that_ran_before(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def show(terminal: TextIO) -> None:
            shown = reporter(terminal)
            shown.started(1, 2, "measure", 100.0)
            shown.progress(0, 4, "compiling")
            shown.close()

        seen = ESCAPE.sub("", on_a_terminal(monkeypatch, show, columns=120))
        assert re.search(r"about (100 s|2 min) left", seen)


def test_no_colours_in_a_file() -> None:
    stream = io.StringIO()
    show_summary({**SUMMARY, "accuracy_surrogate": True}, stream)
    show_error("it is wrong", stream)
    assert stream.getvalue() == summary_table(SUMMARY) + "\nerror: it is wrong\n"


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


def test_table_of_nothing_is_empty() -> None:
    assert summary_table({}) == ""
