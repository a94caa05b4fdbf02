"""What the verification keeps in a build folder is the same after loading."""

from dataclasses import replace

import numpy as np
import pytest

from finn_builds.config.build import BuildConfig
from finn_builds.files import ACCURACY_FILE, PERFORMANCE_FILE, VERIFICATION_FILE, read_json
from finn_builds.flow.ingest import step_qonnx_to_finn, step_streamline, step_tidy_up
from finn_builds.ingest import Reference
from finn_builds.verify.accuracy import Accuracy
from finn_builds.verify.simulated import (
    OneFrame,
    Performance,
    Simulated,
    SimulatedRun,
    Traffic,
    Verification,
)
from finn_builds.verify.streamlined import Answers, Streamlined, Vectors
from tests.finn_builds.ingest.graphs import Quantizer, mlp, random_layers
from tests.finn_builds.network.networks import random_inputs, random_network

STEP = "step_streamline"
RNG = np.random.default_rng(29)


def streamlined(*, labelled: bool) -> Streamlined:
    """Return a result of the streamlining, with or without labelled data."""
    network = random_network((5, 4, 3), 2)
    x = random_inputs(network, 20)
    y = network.execute(x)
    if not labelled:
        return Streamlined(network, Vectors(x, y, "20 random frames", 0), None, None)
    features = RNG.normal(size=(20, 5)).astype(np.float32)
    labels = RNG.integers(0, 3, 20)
    return Streamlined(
        network,
        Vectors(x, y, "20 frames of somewhere", 3, features, labels),
        Answers(y[:12], labels[:12], "somewhere", True),
        Accuracy(0.5, 0.125, 12, "somewhere", True, 0.25),
    )


def assert_same_fields(found, expected):
    """Compare two records of arrays and plain values, types included."""
    assert (found is None) == (expected is None)
    for name, value in vars(expected).items() if expected is not None else ():
        other = getattr(found, name)
        assert type(other) is type(value), name
        if isinstance(value, np.ndarray):
            assert other.dtype == value.dtype, name
            np.testing.assert_array_equal(other, value, err_msg=name)
        else:
            assert other == value, name


def assert_same(found: Streamlined, expected: Streamlined) -> None:
    assert str(found.network) == str(expected.network)
    x = random_inputs(expected.network, 50, 1)
    np.testing.assert_array_equal(found.network.execute(x), expected.network.execute(x))
    assert_same_fields(found.vectors, expected.vectors)
    assert_same_fields(found.answers, expected.answers)
    assert found.quality == expected.quality
    assert found.findings == expected.findings


@pytest.mark.parametrize("labelled", [False, True])
def test_the_streamlined_network(tmp_path, labelled):
    done = streamlined(labelled=labelled)
    done.save(tmp_path, STEP)
    assert_same(Streamlined.load(tmp_path, STEP), done)


def test_answers_of_an_earlier_run_are_not_taken_for_those_of_this_one(tmp_path):
    streamlined(labelled=True).save(tmp_path, STEP)
    plain = streamlined(labelled=False)
    plain.save(tmp_path, STEP)
    assert_same(Streamlined.load(tmp_path, STEP), plain)


def traffic(first: int | None = 3, last: int | None = 90) -> Traffic:
    return Traffic(40, 2, 5, first, last)


def simulated(**changes) -> Simulated:
    """Return a result of the simulation."""
    runs = {"free_running": SimulatedRun(50, 0, 420), "one_frame": SimulatedRun(1, 0, 17)}
    links = {"in": traffic(), "out": traffic(None, None)}
    performance = Performance(420, 50, 5.0, (6, 4), 12, 15, 8.25, links, OneFrame(11, links))
    verification = Verification(50, 0, "qonnx", "Verilator", "50 random frames", runs, 1, 7)
    return Simulated(verification, replace(performance, **changes))


def test_the_simulation(tmp_path):
    done = simulated()
    done.save(tmp_path, "step")
    loaded = Simulated.load(tmp_path, "step")
    assert loaded == done
    assert loaded.performance.links["in"].span == (3, 90)
    # FINN's keys stand beside this project's own.
    plain = read_json(tmp_path / PERFORMANCE_FILE)
    assert plain["stable_throughput[images/s]"] == pytest.approx(1e9 / (5 * 8.25))
    assert (plain["N"], plain["frames"], plain["fclk[mhz]"]) == (50, 50, 200)
    assert plain["latency_ns"] == 60 and plain["kind"].startswith("measured")
    assert read_json(tmp_path / VERIFICATION_FILE)["runs"]["one_frame"]["cycles"] == 17


def test_one_frame_has_no_interval(tmp_path):
    simulated(interval_cycles=float("nan")).save(tmp_path, "step")
    loaded = Simulated.load(tmp_path, "step").performance
    assert np.isnan(loaded.interval_cycles)
    assert replace(loaded, interval_cycles=1.0) == simulated(interval_cycles=1.0).performance


@pytest.mark.parametrize("top1", [False, True])
def test_labelled_data_are_answered_by_the_network(tmp_path, top1):
    """Vectors, answers and accuracy of the step itself, judged by the model alone."""
    layers = random_layers(RNG, [4, 6, 3], Quantizer(4, 0.5), Quantizer(3, 0.5, signed=False))
    mlp(layers, None).save(str(tmp_path / "net.onnx"))
    x, y = RNG.normal(size=(60, 4)).astype(np.float32), RNG.integers(0, 3, 60)
    np.savez(tmp_path / "d.npz", X=x, y=y)
    cfg = BuildConfig(
        board="Pynq-Z1",
        model=str(tmp_path / "net.onnx"),
        output_dir=tmp_path / "out",
        data=str(tmp_path / "d.npz"),
        input_quant="INT6",
        top1=top1,
        verify_frames=100,
    ).validate()
    tidied = step_tidy_up(cfg)
    split = step_qonnx_to_finn(tidied, cfg)
    done = step_streamline(tidied, split, cfg)
    reference = Reference(tidied.model, split)
    integers = reference.run(done.vectors.x)
    assert done.vectors.x.shape == (100, 4)
    assert (done.network.head is not None) == top1
    expected = done.network.head.execute(integers) if top1 else integers
    np.testing.assert_array_equal(done.vectors.y, expected)
    n = len(done.answers.labels)
    np.testing.assert_array_equal(done.vectors.features, x[:n])
    np.testing.assert_array_equal(done.answers.labels, y[:n])
    np.testing.assert_array_equal(done.answers.integers, reference.run(split.host.before(x[:n])))
    accuracy = done.quality
    assert accuracy.accuracy == (reference.classify(x[:n]) == y[:n]).mean()
    without = Reference(tidied.model).classify(x[:n]) == y[:n]
    assert accuracy.accuracy_without_input_quantizer == without.mean()
    assert (accuracy.frames, accuracy.surrogate) == (n, False)
    (cfg.out / "report").mkdir(parents=True)
    done.save(cfg.out, STEP)
    assert_same(Streamlined.load(cfg.out, STEP), done)
    assert read_json(cfg.out / ACCURACY_FILE)["frames"] == n
