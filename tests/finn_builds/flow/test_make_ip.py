"""The step that makes the package for firmware: every comparison counts, and builds repeat."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from finn_builds.errors import UserError, VerificationError
from finn_builds.flow import choose_style, make_ip
from finn_builds.ip.check import CoreRun
from finn_builds.sparse.core_ports import CorePorts, Port
from finn_builds.style.styles import CORE_DIR, CORE_FILE
from tests.finn_builds.network.networks import random_network

ROOT = Path(__file__).resolve().parents[3]
NETWORK = random_network((3, 4, 2), 0)
X = np.random.default_rng(0).integers(-8, 8, (20, 3))
Y = NETWORK.execute(X)


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that runs the step with what each check is to give."""
    datatypes = NETWORK.input.datatype, NETWORK.output.datatype
    core = CorePorts(
        "net", (Port("x", "x", datatypes[0], 3),), (Port("y", "acc1", datatypes[1], 2),),
        4, 5.0, 4.9, 10, 20, "vendor", False,
    )  # fmt: skip
    folder = tmp_path / CORE_DIR
    folder.mkdir(parents=True)
    core.save(folder / CORE_FILE)
    for name in ("net.v", "net_model.vhd"):
        (folder / name).write_text("")

    def call(emulator=Y, free=Y, paused=Y, latencies=(4,), interval=1, golden=None):
        run = CoreRun(free, paused, latencies, interval)
        monkeypatch.setattr(make_ip, "run_header", lambda *_: emulator)
        monkeypatch.setattr(make_ip, "run_core", lambda *_: run)
        scratch = tmp_path / f"scratch{len(list(tmp_path.iterdir()))}"
        scratch.mkdir()
        cfg = SimpleNamespace(
            makes_ip=True, out=tmp_path, scratch=scratch, verify_seed=0, synth="none",
            clock_ns=5.0, progress=lambda *_: None,
            target=SimpleNamespace(part="xc7a100tcsg324-1", family="xc7-1"),
        )  # fmt: skip
        vectors = SimpleNamespace(x=X, y=Y)
        streamlined = SimpleNamespace(network=NETWORK, vectors=vectors, golden=golden)
        host = SimpleNamespace(feature_names=(), class_names=())
        split = SimpleNamespace(description=None, host=host)
        return make_ip.step_make_ip_package(streamlined, split, cfg)

    return call


def test_equal_frames_make_a_package(called, tmp_path: Path) -> None:
    report = called()
    assert report.mismatches == {
        "emulator": 0, "parallel core": 0, "parallel core with pauses": 0
    }  # fmt: skip
    assert (report.latency_cycles, report.latency_ns, report.frames) == (4, 20.0, 20)
    assert (tmp_path / "ip.zip").is_file() and (tmp_path / "ip" / "emulator" / "net.h").is_file()
    report.save(tmp_path, "make_ip_package")
    assert type(report).load(tmp_path, "make_ip_package") == report


@pytest.mark.parametrize(
    ("form", "named"),
    [
        ("emulator", "the emulator differs"),
        ("free", "the parallel core differs"),
        ("paused", "the parallel core with pauses differs"),
    ],
)
def test_one_wrong_integer_fails_the_build(form: str, named: str, called, tmp_path: Path) -> None:
    wrong = Y.copy()
    wrong[7, 1] += 1
    with pytest.raises(VerificationError, match=f"{named} .* in 1 of 20 frames.* frame 7"):
        called(**{form: wrong})
    assert not (tmp_path / "ip.zip").exists()


@pytest.mark.parametrize("measured", [{"latencies": (5,)}, {"latencies": (4, 5)}, {"interval": 2}])
def test_another_latency_fails_the_build(measured: dict, called) -> None:
    with pytest.raises(VerificationError, match="latency of 4 and an interval of 1"):
        called(**measured)


def test_nothing_is_done_without_the_package() -> None:
    cfg = SimpleNamespace(makes_ip=False)
    assert make_ip.step_make_ip_package(None, None, cfg) is None


def test_a_folded_layer_is_refused(tmp_path: Path) -> None:
    cfg = SimpleNamespace(makes_ip=True, style="folded", out=tmp_path)
    streamlined = SimpleNamespace(network=NETWORK)
    core = choose_style.CoreOptions("net", {}, "vendor", False)
    with pytest.raises(UserError, match="found 2 of 2 folded"):
        choose_style.with_styles(streamlined, ("folded", "folded"), "so", cfg, core=core)


_REPEATED = """
import hashlib
from finn_builds.emulator import header_text
from finn_builds.sparse.compiler import compile_network
from finn_builds.sparse.core_ports import ports_of
from finn_builds.sparse.parallel import parallel_core
from tests.finn_builds.network.networks import random_network
network = random_network((7, 9, 4), 3)
compiled = compile_network(network, "net", "xcup-2", clock_ns=2.78)
core = parallel_core(
    compiled.combinational, compiled.family, "net", *ports_of(network), clock_ns=2.78
)
files = {**compiled.files(), "core": core.verilog(), "model": core.vhdl()}
files["header"] = header_text(network, "net")
print(hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest())
"""


def test_equal_inputs_give_the_same_rtl_in_every_process() -> None:
    """Sets and dictionaries are in another order where strings hash otherwise."""
    digests = set()
    for seed in ("0", "1", "4242"):
        run = subprocess.run(
            [sys.executable, "-c", _REPEATED],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(run.stdout.strip())
    assert len(digests) == 1
    assert len(digests.pop()) == len(hashlib.sha256().hexdigest())


def test_golden_frames_are_compared_too(called) -> None:
    golden = SimpleNamespace(x=X[:5], y=Y[:5])
    both = np.concatenate([Y, Y[:5]])
    assert called(both, both, both, golden=golden).frames == 25
    wrong = both.copy()
    wrong[22, 0] -= 1
    with pytest.raises(VerificationError, match="frame 22"):
        called(wrong, both, both, golden=golden)
