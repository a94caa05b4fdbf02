"""The table of figures and the errors, on a terminal and elsewhere."""

from __future__ import annotations

import io
import re
from typing import TextIO

import pytest

from finn_builds.run.terminal import show_error, show_summary, summary_table
from tests.finn_builds.terminal import ESCAPE, on_a_terminal

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


def test_no_colours_in_a_file() -> None:
    stream = io.StringIO()
    show_summary({**SUMMARY, "accuracy_surrogate": True}, stream)
    show_error("it is wrong", stream)
    assert stream.getvalue() == summary_table(SUMMARY) + "\nerror: it is wrong\n"


def test_table_of_nothing_is_empty() -> None:
    assert summary_table({}) == ""
