"""What a long run says while it goes on."""

from __future__ import annotations

import pytest

from brevitas_models.train.progress import Reporter


def test_counts_begin_at_once_and_tell_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten parts of 60 s each, of which two were there before: the pace is that of the new ones."""
    now = 0.0
    with Reporter().counted("rounds", 12, 2, clock=lambda: now) as count:
        assert capsys.readouterr().out == "2 of 12 rounds\n"
        now = 1.0
        count(2)  # too soon for another line
        now = 60.0
        count(3)
        now = 540.0
        count(11)
        now = 540.5
        count(12)  # the last one is never left out
    assert capsys.readouterr().out.splitlines() == [
        "3 of 12 rounds, about 9 min left",
        "11 of 12 rounds, about 60 s left",
        "12 of 12 rounds",
    ]


def test_hours(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    with Reporter().counted("rounds", 101, clock=lambda: now) as count:
        now = 90.0
        count(1)
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 101 rounds, about 2.5 h left"


def test_quiet_counts_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(quiet=True).counted("rounds", 3) as count:
        count(3)
    assert capsys.readouterr().out == ""
