"""Raw jets -> driver -> virtual board -> classes: the QONNX model's own, on every jet.

The shipped tagger, built and packed as a user does it; real jets where they are at hand.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pynq", reason="the driver needs pynq")

from brevitas_models.datasets import surrogate
from deploy.driver_base import FINNExampleOverlay
from deploy.package import Package
from finn_builds import BuildConfig, BuildResult, build

pytestmark = pytest.mark.slow  # a build and the compilation of its shell


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    out = tmp_path_factory.mktemp("chain") / "jets"
    return build(BuildConfig(board="Pynq-Z1", output_dir=out, synth="none", verify_frames=500))


@pytest.fixture(scope="module")
def package(result: BuildResult) -> Package:
    return Package(result.out / "deploy")


@pytest.fixture(scope="module")
def overlay(package: Package) -> FINNExampleOverlay:
    return package.open(virtual=True, batch_size=1000)


def check(result: BuildResult, overlay: FINNExampleOverlay, jets: np.ndarray) -> None:
    """Compare classes with the complete model, and integers with its double run."""
    integers = result.host.before(jets)
    np.testing.assert_array_equal(overlay.execute(integers), result.reference.run(integers))
    np.testing.assert_array_equal(overlay.classify(jets), result.reference.classify(jets))


def test_every_real_jet(result, overlay, shared_data):
    with np.load(shared_data / "jets_real_dev.npz") as data:
        jets, labels = data["X"], data["y"]
    assert len(jets) > 500
    check(result, overlay, jets)
    assert (overlay.classify(jets) == labels).mean() > 0.7, "the tagger does not tag"


def test_every_surrogate_jet(result, overlay):
    check(result, overlay, surrogate.table(5).x[:20_000])


def test_any_memory(result, package):
    """A memory that is slow and refuses half of the time changes nothing."""
    overlay = package.open(
        virtual="latency=90,jitter=90,ready=0.5,valid=0.5,seed=3", batch_size=333
    )
    check(result, overlay, surrogate.table(6).x[:1000])
    assert overlay.device.simulator.breaches() == []


def test_latency_is_that_of_the_build(result, overlay):
    """One frame alone, as the accelerator itself measures it behind the DMAs."""
    measured = json.loads(Path(result.report / "rtlsim_performance.json").read_text())
    overlay.execute(result.host.before(surrogate.table(7).x[:1]))
    assert overlay.counters()["latency_last_cycles"] == measured["latency_cycles"]
