"""What a run prints, logs and reports."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from finn_builds.run.progress import Reporter
from finn_builds.run.runner import Step, run_steps
from tests.finn_builds import toy_build as toy
from tests.finn_builds.run.folders import build


def test_prints_go_to_the_log(
    toy_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def step_noisy(cfg) -> None:
        print("from print")
        print("from stderr", file=sys.stderr)
        os.write(1, b"from C\n")
        subprocess.run(["echo", "from a child"], check=True)
        logging.getLogger("finn").warning("from logging")

    build(toy_model, tmp_path / "b", steps=[Step(step_noisy)])
    out, err = capfd.readouterr()
    assert "from" not in out + err
    log = (tmp_path / "b/build.log").read_text()
    for source in ("print", "stderr", "C", "a child", "logging"):
        assert f"from {source}" in log
    print("after")
    assert capfd.readouterr().out == "after\n"


def test_reporter_hears_all(toy_model: Path, tmp_path: Path) -> None:
    heard: list[tuple] = []
    times: list[float | None] = []

    class Listener(Reporter):
        def reused(self, count, total):
            heard.append(("reused", count, total))

        def started(self, index, total, name, expected=None):
            heard.append(("started", index, total, name))
            times.append(expected)

        def progress(self, done, total, what=""):
            heard.append(("progress", done, total, what))

        def finished(self, index, total, name, seconds):
            heard.append(("finished", index, total, name))

        def close(self):
            heard.append(("close",))

    cfg = toy.config(toy_model, tmp_path / "b", stop_step="generate")
    run_steps(toy.steps(), cfg, reporter=Listener())
    assert heard == [
        ("started", 1, 4, "seed"),
        ("finished", 1, 4, "seed"),
        ("started", 2, 4, "generate"),
        *(("progress", i, 6, "files") for i in range(6)),
        ("finished", 2, 4, "generate"),
        ("close",),
    ]
    heard.clear()
    run_steps(toy.steps(), cfg, reporter=Listener())
    assert heard == [("reused", 2, 4), ("close",)]
    assert times == [None, None], "nobody knows how long a first run takes"
    times.clear()
    cfg = toy.config(toy_model, tmp_path / "b", force=True)
    run_steps(toy.steps(), cfg, reporter=Listener())
    assert [time is None for time in times] == [False, False, True, True]
