"""What a build shows: plain lines, bars on a terminal, and the table of figures."""

from __future__ import annotations

import io
import os
import pty
import re
from pathlib import Path

import pytest

from finn_builds.capture import captured
from finn_builds.console import PlainReporter, Reporter, TerminalReporter, reporter, summary_table


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
    os.set_blocking(leader, False)
    seen = os.read(leader, 65536).decode()
    os.close(leader)
    assert "[1-4/14] reused: unchanged" in seen
    assert re.search(r"\[ 5/14\] create_stitched_ip +1\.2 s\r\n", seen)
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


SUMMARY = {
    "accuracy": 0.7504,
    "accuracy_standard_error": 0.0193,
    "accuracy_source": "501 real jets",
    "accuracy_without_input_quantizer": None,
    "clock_ns": 10.0,
    "frames_verified": 1000,
    "mismatches": 0,
    "latency_cycles": 203,
    "latency_ns": 2030.0,
    "interval_cycles": 32,
    "fps": 3125000.0,
    "resources": {"LUT": 5215.4, "DSP": 0, "kind": "estimated"},
    "out_dir": "build/jets_Pynq-Z1",
    "files": ["stitched_ip", "report"],
}


def test_table() -> None:
    assert summary_table(SUMMARY).splitlines() == [
        "accuracy    75.0% ± 1.9% (501 real jets)",
        "verified    1,000 frames, 0 mismatches",
        "latency     203 cycles, 2,030 ns at a clock of 10 ns",
        "interval    32 cycles",
        "throughput  3,125,000 frames/s",
        "resources   LUT 5,215, DSP 0 (estimated)",
        "folder      build/jets_Pynq-Z1",
        "files       stitched_ip, report",
    ]


@pytest.mark.parametrize("missing", SUMMARY)
def test_table_leaves_out_what_is_not_known(missing: str) -> None:
    full = summary_table(SUMMARY)
    for summary in ({**SUMMARY, missing: None}, {k: v for k, v in SUMMARY.items() if k != missing}):
        text = summary_table(summary)
        assert "None" not in text
        assert (text == full) == (SUMMARY[missing] is None)


def test_table_of_nothing_is_empty() -> None:
    assert summary_table({}) == ""
