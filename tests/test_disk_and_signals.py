"""Both commands when the disk fills up, a signal arrives, or a path is unusual, at every step.

Each walk goes through one folder: a run fails in its first step, the same command goes on and fails
in the second, and so on to the end, where the result is that of an undisturbed run.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

import build as build_command
import train as train_command
from brevitas_models.train import store
from finn_builds import BuildConfig, build
from finn_builds.flow.steps import STEPS
from finn_builds.run import state as disk
from finn_builds.run.progress import Reporter
from tests.finn_builds.run.folders import contents
from tests.finn_builds.small_network import save_small_network

REPO = Path(__file__).resolve().parents[1]
SIZE = 64 << 20
NAMES = [step.name for step in STEPS]

pytestmark = pytest.mark.slow


class SmallDisk:
    """A file system of its own, which can be filled to the last byte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.filler = folder / "filler"

    def fill(self) -> None:
        """Take all that is left."""
        with self.filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"\0" * 4096):
                pass

    def free(self) -> None:
        """Give it back."""
        self.filler.unlink(missing_ok=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Mount a small tmpfs; where that is not allowed, skip."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={SIZE}".encode()
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options):
        pytest.skip(f"a tmpfs can't be mounted here ({os.strerror(ctypes.get_errno())})")
    try:
        yield SmallDisk(folder)
    finally:
        libc.umount2(os.fsencode(folder), 2)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_small_network(tmp_path / "small.onnx")


def config(model: Path, out: Path) -> BuildConfig:
    return BuildConfig(board="Pynq-Z1", model=str(model), output_dir=out, verify_frames=60)


class At(Reporter):
    """Does something when a step begins."""

    def __init__(self, step: str, action) -> None:
        self.step, self.action = step, action

    def started(self, index: int, total: int, name: str, expected: float | None = None) -> None:
        if name == self.step:
            self.action()


def test_a_build_on_a_disk_that_fills_up_at_every_step(small_disk, model, tmp_path):
    out = small_disk.folder / "out"
    for index, name in enumerate(NAMES):
        with pytest.raises(disk.DiskError, match=r"cannot write to .*/out: No space left") as said:
            build(config(model, out), reporter=At(name, small_disk.fill))
        assert "\n" not in str(said.value)
        small_disk.free()
        assert list(disk.State.load(out).steps) == NAMES[:index], "finished steps are kept"
        assert not list(out.glob(f"{disk.SCRATCH}*")), "what the step needed for itself is gone"
    result = build(config(model, out))
    assert result.summary["mismatches"] == 0 and result.reused == tuple(NAMES[:-1])


def test_a_finished_build_survives_a_disk_that_fills_up(small_disk, model):
    out = small_disk.folder / "out"
    build(config(model, out))
    whole = contents(out)
    for name in (NAMES[0], NAMES[9], NAMES[-1]):
        with pytest.raises(disk.DiskError, match="No space left"):
            build(
                BuildConfig(**{**vars_of(config(model, out)), "force": True}),
                reporter=At(name, small_disk.fill),
            )
        small_disk.free()
        kept = {
            path: data for path, data in contents(out).items() if not path.startswith(disk.NEXT)
        }
        assert kept == whole


def vars_of(cfg: BuildConfig) -> dict[str, object]:
    return {name: value for name, value in vars(cfg).items() if not name.startswith("_")}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_compiler_that_can_t_write_is_no_bug(model, tmp_path, number):
    """What g++ says of a full disk, told as the disk's fault."""
    from finn_builds.tools import ToolFailed

    said = f"fatal error: error writing to /tmp/x.s: {os.strerror(number)}"

    def fail() -> None:
        raise ToolFailed("g++ failed", 1, said)

    with pytest.raises(disk.DiskError, match=os.strerror(number)):
        build(config(model, tmp_path / "out"), reporter=At("set_fifo_depths", fail))
    assert len(disk.State.load(tmp_path / "out").steps) == NAMES.index("set_fifo_depths")


def started(process: subprocess.Popen[str], name: str) -> bool:
    """Wait for the line of a step; False if the process ends before it."""
    assert process.stderr is not None
    text = ""
    while piece := process.stderr.read(1):
        text += piece
        if f" {name} ..." in text:
            return True
    return False


def test_a_build_that_a_signal_ends_at_every_step(model, tmp_path):
    """Some steps are over before the signal arrives: then it meets the next one."""
    out = tmp_path / "out"
    command = [sys.executable, str(REPO / "build.py"), "--board", "Pynq-Z1", "--model", str(model)]
    command += ["--out", str(out), "--verify-frames", "60"]
    codes = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
    finished = 0
    for index, name in enumerate(NAMES):
        number = list(codes)[index % 3]
        if name in disk.State.load(out).steps:
            continue
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
        assert started(process, name)
        process.send_signal(number)
        rest = process.stderr.read()
        code = process.wait(timeout=60)
        if code == 0:
            finished += 1
            break
        assert code == codes[number], rest
        said = "interrupted" if number == signal.SIGINT else f"stopped by {number.name}"
        assert rest.strip().splitlines()[-1].startswith(f"{said}: run the command again")
        assert "Traceback" not in rest
        assert not list(out.glob(f"{disk.SCRATCH}*"))
    assert finished <= 1
    assert build(config(model, out)).summary["mismatches"] == 0


SHARES = [0.0, 0.3, 0.5]
RECIPE = {
    "name": "toy",
    "network": {"layers": [3, 4, 2], "weight_bits": 3, "act_bits": 3, "input_bits": 4},
    "training": {"epochs": 2, "batch_size": 32},
    "pruning": {"schedule": "fine_tuning", "shares": SHARES},
}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    np.savez(tmp_path / "d.npz", X=x, y=(x[:, 0] > 0).astype(int))
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, "data": {"dataset": str(tmp_path / "d.npz")}}))
    return path


def trained(recipe: Path, out: Path) -> tuple[int, str]:
    """Train and return the exit code and what was said."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = train_command.main(["--model", str(recipe), "--out", str(out)])
    return code, said.getvalue()


def test_a_training_on_a_disk_that_fills_up_after_every_round(
    small_disk, recipe, tmp_path, monkeypatch
):
    """Each round in turn finds no room, then the result; at the end there are the same bits."""
    whole = tmp_path / "whole"
    assert trained(recipe, whole)[0] == 0
    out, kept, rounds = small_disk.folder / "out", store.RoundStore.add, len(SHARES)
    for failing in range(rounds + 1):

        def add(self, key, result, failing=failing):
            if result.round.index == failing:
                small_disk.fill()
            done = kept(self, key, result)
            if result.round.index + 1 == failing == rounds:  # only the result is left to write
                small_disk.fill()
            return done

        monkeypatch.setattr(store.RoundStore, "add", add)
        code, said = trained(recipe, out)
        small_disk.free()
        assert code == 2
        assert "No space left on device" in said.splitlines()[-1] and "Traceback" not in said
        assert not out.exists(), "nothing half-written"
        assert [path.name for path in small_disk.folder.iterdir()] in ([], [".out.unfinished"])
    monkeypatch.undo()
    assert trained(recipe, out)[0] == 0
    assert (out / "toy.onnx").read_bytes() == (whole / "toy.onnx").read_bytes()


@pytest.fixture(autouse=True)
def signals_as_in_a_terminal():
    """Let programs that are started take SIGINT, which a background shell makes them ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_that_a_signal_ends(recipe, tmp_path, number):
    out = tmp_path / "out"
    command = [sys.executable, str(REPO / "train.py"), "--model", str(recipe), "--out", str(out)]
    process = subprocess.Popen(
        [*command, "--epochs", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("data:")
    time.sleep(0.5)
    process.send_signal(number)
    rest = process.stdout.read()
    assert process.wait(timeout=60) == (143 if number == signal.SIGTERM else 130)
    assert "run the command again" in rest and "Traceback" not in rest
    assert not out.exists()


@pytest.mark.parametrize("name", ["bü ild", "構築", "a'b", "x" * 150])
def test_unusual_paths(model, tmp_path, name, capsys):
    folder = tmp_path / name
    folder.mkdir()
    data = folder / "dätä.npz"
    np.savez(data, X=np.random.default_rng(0).normal(size=(80, 6)))
    words = ["--board", "Pynq-Z1", "--model", str(model), "--data", str(data), "--quiet"]
    words += ["--out", str(folder / "out"), "--synth", "none", "--verify-frames", "60"]
    assert build_command.main(words) == 0, capsys.readouterr().err
    assert (folder / "out" / "report.html").is_file()


@pytest.mark.parametrize("out", ["/proc/x/build", "/sys/x/build", "/" + "a" * 300])
def test_an_output_folder_that_can_t_be(model, out, capsys):
    words = ["--board", "Pynq-Z1", "--model", str(model), "--out", out, "--quiet"]
    assert build_command.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: cannot")
    assert len(line) < 300
