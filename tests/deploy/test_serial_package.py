"""The package of an open board: what is in it, and its driver on a host without pynq."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.package import Package
from deploy.registers import DriverError

ROOT = Path(__file__).resolve().parents[2]

#: Runs a program of a package with the project at hand, but no pynq.
WITHOUT_PYNQ = """\
import runpy, sys
sys.path[:0] = [{root!r}, "."]
sys.modules["pynq"] = None
sys.argv = [{program!r}, *{arguments!r}]
runpy.run_path({program!r}, run_name="__main__")
"""


def ran(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = WITHOUT_PYNQ.format(root=str(ROOT), program=program, arguments=list(arguments))
    argv = [sys.executable, "-c", code]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=300)


def test_it_speaks_of_its_own_board(made_for_ulx3s) -> None:
    readme = (made_for_ulx3s.folder / "README.md").read_text()
    assert "python validate.py --port /dev/ttyUSB0" in readme and "pyserial" in readme
    assert "sh bitfile/flash.sh" in readme
    for word in ("PYNQ", "pynq", "Vivado", "vivado", ".hwh", "sudo"):
        assert word not in readme
    assert not (made_for_ulx3s.folder / "settings.json").exists()  # FINN+ has no such driver
    assert made_for_ulx3s.description["board_files"] is None
    script = (made_for_ulx3s.folder / "bitfile/flash.sh").read_text()
    assert 'openFPGALoader -b ulx3s "$@" finn-accel.bit' in script
    assert (made_for_ulx3s.folder / "bitfile/finn-accel.bit").read_bytes() == b"bits"
    assert Package(made_for_ulx3s.folder).check_files() > 20


def test_what_an_open_board_does_not_take(made_for_ulx3s, tmp_path: Path) -> None:
    package = Package(made_for_ulx3s.folder)
    with pytest.raises(DriverError, match="name the serial port of the board with --port"):
        package.open()
    with pytest.raises(DriverError, match="a board or a simulated one"):
        package.open(port="/dev/ttyUSB0", virtual=True)
    with pytest.raises(DriverError, match="leave --bitfile out"):
        package.open(port="/dev/ttyUSB0", bitfile=tmp_path / "a.bit")
    with pytest.raises(DriverError, match="no memory port"):
        package.open(virtual="latency=3")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_the_simulated_board_needs_no_pynq(made_for_ulx3s, tmp_path: Path) -> None:
    pytest.importorskip("serial", reason="the extra `serial` is not installed")
    folder = made_for_ulx3s.folder
    done = ran(folder, "validate.py", "--virtual")
    assert done.returncode == 0, done.stderr
    assert "PASSED: 70 frames" in done.stdout and "board files" not in done.stdout
    assert "pkg_resources" not in done.stderr  # of which pynq complains at each start
    metrics = str(tmp_path / "metrics.json")
    test = ("--exec_mode", "throughput_test", "--batchsize", "30", "--repeats", "1")
    done = ran(folder, "driver.py", "--virtual", *test, "--metrics", metrics)
    assert done.returncode == 0, done.stderr
    assert "of the shell and line" in done.stdout
    assert "the pace is set by the serial line" in done.stdout
