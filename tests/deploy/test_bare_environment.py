"""The files of ``deploy/`` itself need Python 3.10, numpy and pynq and nothing else.

``deploy/virtual/`` is for the host, and no package carries it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

from deploy.package import DRIVER_FILES
from finn_builds.shell.package import on_board
from tests.deploy.conftest import HOST

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
BOARD_FILES = sorted(path.name for path in DEPLOY.glob("*.py"))

# Importing pynq must be enough for the driver's files; nothing of it is called on import.
PYNQ = """\
class Overlay: ...
class Clocks: ...
class Device:
    devices = []
def allocate(*args, **kwargs): ...
def get_rails(): return {}
"""

DESCRIPTION = {
    **dict.fromkeys(("name", "platform", "ps_type", "io_shape_dict", "shell", "stitched_ip"), ""),
    **{"version": 1, "fclk_mhz": 100.0, "top1": False, "host_model": HOST},
}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the driver's files, numpy and a stub of pynq."""
    folder = tmp_path_factory.mktemp("bare")
    for name in BOARD_FILES:
        (folder / name).write_text(on_board((DEPLOY / name).read_text()))
    (folder / "pynq.py").write_text(PYNQ)
    packages = Path(numpy.__file__).resolve().parents[1]
    for name in ("numpy", "numpy.libs"):
        if (packages / name).exists():
            (folder / name).symlink_to(packages / name)
    return folder


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code with the folder as the only place for packages beside the standard library."""
    start = f"import sys; sys.path.insert(0, {str(folder)!r}); "
    argv = [sys.executable, "-I", "-S", "-W", "error", "-c", start + code]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(argv, capture_output=True, text=True, cwd=folder, env=environment)


@pytest.mark.parametrize("name", BOARD_FILES)
def test_every_file_imports_with_numpy_and_pynq_alone(bare, name):
    done = run(bare, f"import {name.removesuffix('.py')}")
    assert done.returncode == 0, done.stderr


def test_the_environment_is_bare(bare):
    for name in ("deploy", "finn_builds", "onnx", "scipy"):
        done = run(bare, f"import {name}")
        assert "ModuleNotFoundError" in done.stderr, f"{name} was found: the test shows nothing"


def test_a_package_has_board_files_alone():
    assert set(DRIVER_FILES) <= set(BOARD_FILES)


def test_a_board_has_no_simulated_board(bare, tmp_path):
    """What the simulation needs is missing: one message says where it runs."""
    (tmp_path / "overlay.json").write_text(json.dumps(DESCRIPTION))
    argv = ["--virtual", "--exec_mode", "latency_test", "--package", str(tmp_path)]
    done = run(bare, f"import driver; sys.exit(driver.main({argv!r}))")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --virtual needs the project's own Python environment")


def test_a_driver_without_its_package_says_what_to_do(bare):
    done = run(bare, "import driver; sys.exit(driver.main([]))")
    assert done.returncode == 2
    assert done.stderr.startswith("error: can't read")
    assert "--package" in done.stderr


def needed(*files: Path) -> subprocess.CompletedProcess[str]:
    """Run vermin, which knows for every construct and name the version that brought it."""
    argv = [
        sys.executable,
        "-c",
        "from vermin import main; main()",
        "-t=3.10-",
        "--no-tips",
        "--violations",
    ]
    return subprocess.run([*argv, *map(str, files)], capture_output=True, text=True)


def test_nothing_is_newer_than_python_3_10(tmp_path):
    pytest.importorskip("vermin", reason="vermin tells what a version of Python has")
    newer = tmp_path / "newer.py"
    newer.write_text("import tomllib\n")
    assert needed(newer).returncode == 1, "the check must see what 3.10 lacks"
    done = needed(*(DEPLOY / name for name in BOARD_FILES))
    assert done.returncode == 0, done.stdout
