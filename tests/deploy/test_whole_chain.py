"""Raw jets -> driver -> virtual board -> classes: the QONNX model's own, on every jet.

The shipped tagger, built and packed as a user does it; real jets where they are at hand. A small
network of bipolar values does the same.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pynq", reason="the driver needs pynq")

from brevitas_models.datasets import surrogate
from deploy.driver_base import FINNExampleOverlay
from deploy.package import Package
from deploy.registers import DriverError
from finn_builds import BuildConfig, BuildResult, build
from tests.finn_builds.ingest.graphs import Quantizer, mlp, random_layers

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


@pytest.mark.parametrize("out", [None, Quantizer(1, 1.0)], ids=["accumulators", "bipolar"])
def test_bipolar_values_travel_as_bits(tmp_path, out):
    """Both streams of the driver, the simulation and the virtual board mean -1 by a bit of 0."""
    rng = np.random.default_rng(4)
    layers = random_layers(rng, [11, 8, 4], Quantizer(3, 0.5), Quantizer(1, 1.0))
    layers[-1] = replace(layers[-1], activation=out)
    mlp(layers, Quantizer(1, 0.5)).save(str(tmp_path / "net.onnx"))
    result = build(
        BuildConfig(
            board="Pynq-Z1",
            model=str(tmp_path / "net.onnx"),
            output_dir=tmp_path / "out",
            style="sparse",
            synth="none",
            verify_frames=300,
        )
    )
    streams = json.loads((result.out / "accelerator.json").read_text())
    assert streams["input"]["datatype"] == "BIPOLAR"
    assert (streams["input"]["bits"], streams["input"]["frame_bytes"]) == (1, 2)
    assert (streams["output"]["datatype"] == "BIPOLAR") == (out is not None)
    overlay = Package(result.out / "deploy").open(virtual=True, batch_size=100)
    features = rng.normal(size=(350, 11)).astype(np.float32)
    check(result, overlay, features)
    assert len(np.unique(overlay.classify(features))) >= 3
    scores = overlay.run(features)
    np.testing.assert_array_equal(
        scores, result.host.after(overlay.execute(np.where(features >= 0, 1, -1)))
    )
    np.testing.assert_allclose(scores, result.reference.run_float(features), rtol=1e-6, atol=1e-6)
    with pytest.raises(DriverError, match="value 0 in frame 0; expected BIPOLAR, -1 or 1"):
        overlay.execute(np.zeros((1, 11), dtype=np.int64))
