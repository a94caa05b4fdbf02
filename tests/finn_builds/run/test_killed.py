"""Builds killed at any moment, and two builds in one folder."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from finn_builds.errors import UserError
from finn_builds.run import state as disk
from finn_builds.run.lock import folder_lock
from finn_builds.run.runner import run_steps
from tests.finn_builds import toy_build as toy
from tests.finn_builds.run.folders import NAMES, UNFINISHED, build, contents, finished, fresh


class TestLock:
    def test_two_runs_in_one_folder(self, toy_model: Path, tmp_path: Path) -> None:
        out = tmp_path / "b"
        build(toy_model, out)
        with (
            folder_lock(out),
            pytest.raises(UserError, match=r"another build is running in .*/b: wait"),
        ):
            build(toy_model, out)
        assert build(toy_model, out).ran == ()

    def test_lock_dies_with_its_process(self, toy_model: Path, tmp_path: Path) -> None:
        out = tmp_path / "b"
        command = [sys.executable, toy.__file__, str(toy_model), str(out), "--pause", "60"]
        environment = {**os.environ, "PYTHONPATH": str(Path(disk.__file__).parents[2])}
        child = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            while not (out / disk.STATE_FILE).exists():
                assert child.poll() is None
                time.sleep(0.02)
            with pytest.raises(UserError, match="another build is running"):
                build(toy_model, out)
        finally:
            child.kill()
            child.wait()
        assert build(toy_model, out).ran == NAMES


def killed_run(model: Path, out: Path, moment: int | float, **options) -> bool:
    """Run a build in a child that is killed, and tell whether it was before its end.

    Parameters
    ----------
    moment
        An int: at the child's n-th change to the disk, just before it. A float: after so many s.
    """
    cfg = toy.config(model, out, **options)
    child = os.fork()
    if child == 0:
        code = 70
        try:
            left = moment
            changing = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}

            def kill(event: str, args: tuple) -> None:
                nonlocal left
                writes = event == "open" and isinstance(args[2], int) and args[2] & 0o3
                if not (event in changing or writes) or str(tmp) not in str(args[0]):
                    return
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            tmp = out.parent
            if isinstance(moment, int):
                sys.addaudithook(kill)
            run_steps(toy.steps(0.0 if isinstance(moment, int) else 0.004), cfg)
            code = 0
        finally:
            os._exit(code)
    if isinstance(moment, float):
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.mark.slow
class TestKill:
    def test_first_build_killed_before_each_write(self, toy_model: Path, tmp_path: Path) -> None:
        out = tmp_path / "b"
        build(toy_model, out)
        whole = contents(out)
        moment = 0
        while killed_run(toy_model, fresh(out), moment):
            if disk.State.load(out).complete:
                assert contents(out) == whole
            build(toy_model, out)
            assert contents(out) == whole, f"killed before write {moment}"
            moment += 1
        assert moment > 25, "the toy writes at least its files, checkpoints and records"

    @pytest.mark.parametrize("options", [{"verify_frames": 5}, {"force": True}])
    def test_rebuild_killed_before_each_write(
        self, toy_model: Path, tmp_path: Path, options: dict
    ) -> None:
        out = tmp_path / "b"
        build(toy_model, out, **options)
        new = contents(out)
        build(toy_model, fresh(out))
        old = contents(out)
        whole = finished(out)
        moment = untouched = 0
        while killed_run(toy_model, out, moment, **options):
            if disk.State.load(out).complete:
                seen = {n: d for n, d in contents(out).items() if not n.startswith(UNFINISHED)}
                assert seen in (old, new), "one build or the other, never a part"
                untouched += finished(out) == whole
            # On with the new option or back to the old one: both as if nothing had happened.
            again, wanted = ((options, new), ({}, old))[moment % 2]
            build(toy_model, out, **again)
            assert contents(out) == wanted, f"killed before write {moment}"
            build(toy_model, out)
            assert contents(out) == old
            whole = finished(out)
            moment += 1
        assert moment > 25 and untouched > 15

    def test_killed_until_done(self, toy_model: Path, tmp_path: Path) -> None:
        """Killed a few writes later each time: each run goes on where the last one was killed."""
        out = tmp_path / "b"
        build(toy_model, out, verify_seed=5)
        new = contents(out)
        build(toy_model, fresh(out))
        moment = 0
        while killed_run(toy_model, out, moment, verify_seed=5):
            moment += 1
        assert contents(out) == new
        assert 10 < moment < 60

    def test_killed_at_random_times_until_done(self, toy_model: Path, tmp_path: Path) -> None:
        out = tmp_path / "b"
        build(toy_model, out)
        whole = contents(out)
        generator = random.Random(20)
        kills = 0
        for _ in range(8):
            fresh(out)
            longest = 0.02  # grows, so that a slow machine gets on, too
            while killed_run(toy_model, out, generator.uniform(0.0, longest)):
                kills += 1
                longest += 0.01
            assert contents(out) == whole
        assert kills > 0

    def test_killed_command(self, toy_model: Path, tmp_path: Path) -> None:
        """The same from the outside: a process of its own, killed while a step runs."""
        build(toy_model, tmp_path / "whole")
        command = [sys.executable, toy.__file__, str(toy_model), str(tmp_path / "b")]
        environment = {**os.environ, "PYTHONPATH": str(Path(disk.__file__).parents[2])}
        child = subprocess.Popen(
            [*command, "--pause", "0.4"], env=environment, stderr=subprocess.PIPE, text=True
        )
        assert child.stderr is not None
        while "generate" not in child.stderr.readline():
            assert child.poll() is None
        time.sleep(0.1)
        child.kill()
        child.communicate()
        again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert json.loads(again.stdout) == {
            "ran": ["measure", "pack"],
            "reused": ["seed", "generate"],
        }
        a, b = (
            {n: d for n, d in contents(tmp_path / folder).items() if not n.startswith("record")}
            for folder in ("whole", "b")
        )
        assert a == b
