"""Batches through designs that behave: data, timing, stalls, state, instances."""

import os
import signal

import numpy as np
import pytest

from finn_builds.sim import SimulationError, SimulationHang, Simulator
from tests.finn_builds.random_beats import random_beats

WIDTHS = (8, 16, 24, 32, 40, 64, 72, 128, 200)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stalls", [(0.0, 0.0), (0.6, 0.0), (0.0, 0.6), (0.4, 0.4)])
def test_every_width_comes_through_under_stalls(simulate, width, stalls):
    data = random_beats(300, width)
    # echo itself checks that the source holds its beats and stops the simulation if it does not.
    result = simulate(f"echo{width}").run(
        data, 300, stall_in=stalls[0], stall_out=stalls[1], seed=width, drain=50
    )
    np.testing.assert_array_equal(result.outputs, data)
    assert (np.diff(result.in_cycles.astype(np.int64)) > 0).all()
    assert (result.out_cycles > result.in_cycles).all()


def test_cycles_are_counted_from_reset(simulate):
    data = random_beats(100, 8)
    result = simulate("chain").run(data, 100)
    # Three registers, no stall anywhere: beat i goes in at cycle i and comes out at i + 3.
    np.testing.assert_array_equal(result.in_cycles, np.arange(100))
    np.testing.assert_array_equal(result.out_cycles, np.arange(100) + 3)
    assert result.start_cycle == 0
    assert result.cycles == 103
    first = result.links["one__two"]
    assert (first.transfers, first.stalled, first.retracted) == (100, 0, 0)
    assert (first.first, first.last) == (1, 100)
    assert (result.links["two_three"].first, result.links["two_three"].last) == (2, 101)
    assert first.starved == 3


def test_ready_for_three_of_four_cycles(simulate):
    result = simulate("echo8").run(random_beats(99, 8), 99)
    want = [c for c in range(200) if c % 4 != 3][:99]
    np.testing.assert_array_equal(result.in_cycles, want)
    np.testing.assert_array_equal(result.out_cycles, result.in_cycles + 1)


def test_the_stalls_have_the_chance_that_was_asked_for(simulate):
    data = random_beats(20_000, 8)
    for chance in (0.1, 0.5, 0.9):
        slow_source = simulate("chain").run(data, len(data), stall_in=chance, seed=1)
        slow_sink = simulate("chain").run(data, len(data), stall_out=chance, seed=1)
        for result in (slow_source, slow_sink):
            assert result.cycles == pytest.approx(len(data) / (1 - chance), rel=0.05)
        assert slow_source.links["one__two"].stalled == 0
        assert slow_sink.links["two_three"].stalled == pytest.approx(
            slow_sink.cycles * chance, rel=0.05
        )


def test_a_seed_repeats_a_run_and_another_does_not(simulate):
    data = random_beats(500, 8)
    simulator = simulate("chain")

    def cycles(seed):
        return simulator.run(data, 500, stall_in=0.3, stall_out=0.3, seed=seed).out_cycles

    np.testing.assert_array_equal(cycles(1), cycles(1))
    assert not np.array_equal(cycles(1), cycles(2))


def test_going_on_without_reset(simulate):
    simulator = simulate("counts")
    one = simulator.run(random_beats(10, 8), 10)
    two = simulator.run(random_beats(5, 8), 5, reset=False, stall_out=0.5)
    np.testing.assert_array_equal(one.outputs[:, 0], np.arange(10))
    np.testing.assert_array_equal(two.outputs[:, 0], np.arange(10, 15))
    assert two.start_cycle == one.cycles
    assert two.in_cycles[0] >= two.start_cycle
    again = simulator.run(random_beats(3, 8), 3)
    np.testing.assert_array_equal(again.outputs[:, 0], np.arange(3))
    assert again.start_cycle == 0


def test_instances_do_not_share_state(simulate):
    one, two = simulate("counts"), simulate("counts")
    one.run(random_beats(10, 8), 10)
    two.run(random_beats(3, 8), 3)
    assert one.run(random_beats(1, 8), 1, reset=False).outputs[0, 0] == 10
    assert two.run(random_beats(1, 8), 1, reset=False).outputs[0, 0] == 3


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_instances_end_in_any_order(library, tmp_path, order):
    names = ("gained", "chain", "gained")
    simulators = [Simulator(library, tmp_path, design=n) for n in names]
    for simulator in simulators:
        assert len(simulator.run(random_beats(10, 8), 10).outputs) == 10
    for index in order:
        simulators[index].close()
        for later in order[order.index(index) + 1 :]:
            assert len(simulators[later].run(random_beats(10, 8), 10).outputs) == 10


def test_nothing_in_nothing_out(simulate):
    result = simulate("echo8").run(np.zeros((0, 1), np.uint8), 0, drain=20)
    assert result.outputs.shape == (0, 1)
    assert result.cycles == 20


def test_registers_are_written_and_read(simulate):
    simulator = simulate("gained")
    data = np.arange(200, dtype=np.uint8)[:, None]

    def products():
        raw = simulator.run(data, 200).outputs.astype(np.int64)
        return raw @ [1, 256, 65536]

    np.testing.assert_array_equal(products(), 3 * np.arange(200))
    simulator.poke({"set.gain": 60000})
    assert simulator.peek("set.gain") == 60000
    np.testing.assert_array_equal(products(), 60000 * np.arange(200))
    assert simulator.peek("total") == sum(range(200))
    simulator.poke({"set.wide": 2**64 - 1, "set.flag": 1})
    assert simulator.peek("set.wide") == 2**64 - 1
    assert simulator.peek("set.flag") == 1


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("set.gone", 0, "no public signal 'set.gone'"),
        ("gone.gain", 0, "no public signal 'gone.gain'"),
        ("set.gain", 65536, "does not fit signal 'set.gain' of 16 bits"),
        ("set.gain", -1, "not an unsigned number"),
        ("set.flag", 2, "1 bits"),
        ("total", 0, "not public_flat_rw"),
        ("set.too_wide", 0, "wider than 64 bits"),
        ("set.several", 0, "array"),
    ],
)
def test_registers_that_cannot_be_written(simulate, path, value, message):
    with pytest.raises(SimulationError, match=message):
        simulate("gained").poke({path: value})


def test_memories_are_read_from_the_run_folder(simulate, tmp_path):
    before = os.getcwd()
    data = np.arange(256, dtype=np.uint8)[:, None]
    for step in (7, 11):
        folder = tmp_path / f"run{step}"
        folder.mkdir()
        table = [(i * step + 1) % 256 for i in range(256)]
        (folder / "table.dat").write_text("\n".join(f"{v:02x}" for v in table))
        result = simulate("reads", run_dir=folder).run(data, 256)
        np.testing.assert_array_equal(result.outputs[:, 0], table)
        assert os.getcwd() == before


def test_a_register_without_reset_shows_under_random_contents(simulate):
    data = random_beats(20, 8)
    np.testing.assert_array_equal(simulate("remembers").run(data, 20).outputs, data)
    differing = [
        not np.array_equal(simulate("remembers", randomise=seed).run(data, 20).outputs, data)
        for seed in range(4)
    ]
    assert sum(differing) >= 3  # one of 256 contents is zero
    # And random contents harm nobody who resets:
    np.testing.assert_array_equal(simulate("chain", randomise=5).run(data, 20).outputs, data)


def test_data_without_valid_are_random(simulate):
    # "peeps" takes TDATA whether valid or not: right without stalls, wrong with them.
    data = random_beats(50, 8)
    np.testing.assert_array_equal(simulate("none").run(data, 50, stall_in=0.5).outputs, data)
    with pytest.raises(SimulationError, match="TDATA changed"):
        simulate("peeps").run(data, 50, stall_in=0.5, stall_out=0.5)


def test_what_a_design_prints_is_kept(simulate, capfd):
    simulator = simulate("prints")
    log = simulator.run(np.array([[7], [9]], np.uint8), 2).log
    assert log.splitlines() == ["beat 0 is 7", "beat 1 is 9"]
    assert simulator.run(np.array([[1]], np.uint8), 1).log.splitlines() == ["beat 0 is 1"]
    assert capfd.readouterr().out == ""


def test_an_interrupt_ends_a_run_that_would_not_end(simulate):
    simulator = simulate("swallowing")

    def interrupt(signum, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            simulator.run(random_beats(1, 8), 1, idle_limit=10**12)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(ValueError, match="reset first"):
        simulator.run(random_beats(1, 8), 1, reset=False)
    with pytest.raises(SimulationHang):
        simulator.run(random_beats(1, 8), 1, idle_limit=100)


def test_wrong_use_is_refused(simulate, library, tmp_path):
    simulator = simulate("echo16")
    with pytest.raises(ValueError, match=r"uint8 of shape \(n, 2\), not uint8 of shape \(4, 1\)"):
        simulator.run(random_beats(4, 8), 4)
    with pytest.raises(ValueError, match="not int64"):
        simulator.run(np.zeros((4, 2), np.int64), 4)
    with pytest.raises(ValueError, match="stall_out must be a chance below 1, not 1"):
        simulator.run(random_beats(4, 16), 4, stall_out=1)
    with pytest.raises(ValueError, match="reset first"):
        simulator.run(random_beats(4, 16), 4, reset=False)
    simulator.close()
    simulator.close()
    with pytest.raises(ValueError, match="closed"):
        simulator.run(random_beats(4, 16), 4)
    with pytest.raises(ValueError, match="several designs"):
        Simulator(library, tmp_path)
    with pytest.raises(ValueError, match="no design 'nobody'"):
        Simulator(library, tmp_path, design="nobody")
    with pytest.raises(SimulationError, match=r"run folder .*gone"):
        Simulator(library, tmp_path / "gone", design="none")
    with pytest.raises(SimulationError, match="without tracing"):
        Simulator(library, tmp_path, design="none", trace_file=tmp_path / "x.vcd")
