"""Registers, starts, errors on the bus and the soft reset: nothing hangs and status is right."""

import numpy as np
import pytest

from deploy.virtual.simulator import CONTROL, IDMA, ODMA, MemoryTiming

pytestmark = pytest.mark.slow

SLVERR, DECERR = 2, 3
REFUSED, TOO_LONG = 4, 8


def soft_reset(sim, patience=10_000):
    sim.write(CONTROL, 0x00, 1)
    began = sim.cycle
    while sim.read(CONTROL, 0x00) & 1:
        assert sim.cycle - began < patience, "the soft reset does not end"
        sim.step(5)


def settle(sim, cycles=3000):
    sim.step(cycles)
    assert sim.cycle - sim.last_move > 1000, "the bus is not at rest"


def test_registers_after_reset(folded):
    with folded.simulator() as sim:
        for dma, size in ((IDMA, 15), (ODMA, 26)):
            assert sim.read(dma, 0x00) == 4
            assert [sim.read(dma, r) for r in (0x10, 0x14, 0x1C, 0x20, 0x28)] == [0] * 5
            assert sim.read(dma, 0x24) == size
            assert [sim.read(dma, r) for r in (0x04, 0x08, 0x0C, 0x18, 0x2C, 0x7C)] == [0] * 6
        assert sim.read(CONTROL, 0x04) == 0x50535331
        assert (sim.read(CONTROL, 0x38), sim.read(CONTROL, 0x3C)) == (5, 2)


def test_addresses_keep_only_the_bits_there_are(narrow, wide):
    for bench, high in ((narrow, 0), (wide, 0xFF)):
        with bench.simulator() as sim:
            sim.write(IDMA, 0x10, 0xFFFFFFFF)
            sim.write(IDMA, 0x14, 0xFFFFFFFF)
            assert (sim.read(IDMA, 0x10), sim.read(IDMA, 0x14)) == (0xFFFFFFFF, high)


def test_register_accesses_in_every_order(folded):
    """Address before data, data before address, slow acceptance of the response."""
    with folded.simulator() as sim:
        for data_delay in (0, 1, 5):
            for address_delay in (0, 1, 5):
                for response_delay in (0, 1, 4):
                    value = 100 * data_delay + 10 * address_delay + response_delay
                    sim.write(
                        IDMA,
                        0x1C,
                        value,
                        data_delay=data_delay,
                        address_delay=address_delay,
                        response_delay=response_delay,
                    )
                    assert sim.read(IDMA, 0x1C, response_delay=response_delay) == value
        assert sim.breaches() == []


@pytest.mark.parametrize("register", [0x10, 0x14, 0x1C])
def test_writes_of_single_bytes_are_merged_and_answered_okay(wide, register):
    """An error would be a panic of the processor's kernel; `write` raises on any."""
    kept = 0xFF if register == 0x14 else 0xFFFFFFFF  # of 40 bits
    with wide.simulator() as sim:
        for dma in (IDMA, ODMA):
            for strobe in range(16):
                sim.write(dma, register, 0x12345678)
                sim.write(dma, register, 0xFEDCBA98, strobe=strobe)
                new = int.from_bytes(bytes(0xFF * (strobe >> i & 1) for i in range(4)), "little")
                expected = (0xFEDCBA98 & new | 0x12345678 & ~new) & kept
                assert sim.read(dma, register) == expected, f"strobe {strobe:04b}"
        assert sim.breaches() == []


def test_a_run_starts_with_the_byte_that_says_so(folded):
    rng = np.random.default_rng(4)
    with folded.simulator() as sim:
        for strobe in (0b0000, 0b1110):
            sim.write(IDMA, 0x00, 1, strobe=strobe)
            sim.write(CONTROL, 0x00, 1, strobe=strobe)
            assert sim.read(IDMA, 0x00) == 4, "idle, and nothing was done"
            assert sim.read(CONTROL, 0x00) == 0
        sim.write(IDMA, 0x00, 1, strobe=0b0001)  # no frames: done at once
        sim.step(60)
        assert sim.read(IDMA, 0x00) == 6
        sim.write(CONTROL, 0x00, 1, strobe=0b0001)
        assert sim.read(CONTROL, 0x00) & 1
        sim.step(60)
        folded.check_run(sim, rng, 3)


def test_the_product_of_single_bytes_is_right(narrow):
    """The frames' four bytes written one by one: the last write counts whole."""
    bench = narrow.sized(5)
    with bench.simulator() as sim:
        for i in range(4):
            sim.write(IDMA, 0x1C, 0x00010203, strobe=1 << i)
        assert sim.read(IDMA, 0x1C) == 0x00010203
        sim.write(IDMA, 0x10, sim.base)
        sim.write(IDMA, 0x00, 1)
        sim.step(40)
        total = 0x00010203 * 5 * narrow.spec.in_bytes
        assert total - 1000 < sim.read(IDMA, 0x28) <= total
        soft_reset(sim)


def test_the_build_s_identifier(folded):
    with folded.simulator() as sim:
        assert sim.read(CONTROL, 0x40) == folded.spec.build_id == 0x89ABCDEF
        sim.write(CONTROL, 0x40, 0)
        assert sim.read(CONTROL, 0x40) == 0x89ABCDEF
        assert [sim.read(CONTROL, at) for at in (0x44, 0x60, 0x7C)] == [0, 0, 0]


def test_zero_frames_are_done_at_once(folded):
    with folded.simulator() as sim:
        folded.start(sim, 0, 0, 4096)
        folded.wait(sim, patience=200)
        assert sim.counts()["read_bursts"] == sim.counts()["write_bursts"] == 0
        assert [sim.read(d, 0x20) for d in (IDMA, ODMA)] == [0, 0]
        folded.check_run(sim, np.random.default_rng(0), 3)


def test_start_right_behind_the_frames(narrow):
    """The product of frames and bytes need not be ready when the start comes."""
    bench = narrow.sized(300)
    with bench.simulator() as sim:
        bench.check_run(sim, np.random.default_rng(0), 700)


def test_a_transfer_beyond_32_bits_is_refused(narrow):
    for beats, frames in ((300, 0x00FFFFFF), (2, 0x80000000), (65535, 0xFFFFFFFF)):
        bench = narrow.sized(beats)
        with bench.simulator() as sim:
            sim.write(IDMA, 0x1C, frames)
            sim.write(IDMA, 0x00, 1)
            sim.step(50)
            assert sim.read(IDMA, 0x00) == 4, "not done, and idle"
            assert sim.read(IDMA, 0x20) == TOO_LONG
            assert sim.counts()["read_bursts"] == 0
            bench.check_run(sim, np.random.default_rng(0), 3)


def test_the_longest_transfer_is_counted_right(narrow):
    bench = narrow.sized(65535)
    with bench.simulator() as sim:
        sim.write(IDMA, 0x10, sim.base)
        sim.write(IDMA, 0x1C, 65537)  # 65535 * 65537 = 2^32 - 1
        sim.write(IDMA, 0x00, 1)
        sim.step(40)
        assert sim.read(IDMA, 0x20) == 0
        assert 2**32 - 1 - sim.read(IDMA, 0x28) < 100
        soft_reset(sim)


def test_start_while_running_is_refused(folded):
    rng = np.random.default_rng(1)
    with folded.simulator(timing=MemoryTiming(latency=200)) as sim:
        data = rng.integers(0, 256, (40, 15), dtype=np.uint8)
        sim.memory[: data.size] = data.ravel()
        folded.start(sim, 40, 0, 65536)
        for dma in (IDMA, ODMA):
            assert sim.read(dma, 0x00) == 1
            sim.write(dma, 0x10, 0)  # address and frames of the next run
            sim.write(dma, 0x1C, 1)
            sim.write(dma, 0x00, 1)
            assert sim.read(dma, 0x20) == REFUSED
        folded.wait(sim)
        assert (sim.memory[65536 : 65536 + 40 * 26].reshape(40, 26)
                == folded.model(data, folded.spec)).all()  # fmt: skip
        assert sim.read(CONTROL, 0x0C) == 40
        folded.check_run(sim, rng, 2)  # the next start takes the mark away


@pytest.mark.parametrize("resp", [SLVERR, DECERR])
@pytest.mark.parametrize("write", [False, True])
def test_errors_on_the_bus(narrow, wide, folded, write, resp):
    rng = np.random.default_rng(2)
    faulty, sound = (ODMA, IDMA) if write else (IDMA, ODMA)
    for bench in (narrow.sized(7), wide.sized(1), folded):
        with bench.simulator(memory_bytes=1 << 18) as sim:
            half = 1 << 17
            for place in (0, 100, 5000):
                where = sim.base + (half if write else 0) + place
                sim.add_fault(where, where + 1, write=write, resp=resp)
                bench.start(sim, 1500, 0, half)
                settle(sim, 40_000)
                assert sim.read(faulty, 0x00) == 4, "idle, but not done"
                assert sim.read(faulty, 0x20) == resp
                assert sim.read(sound, 0x20) == 0
                assert sim.read(ODMA, 0x00) & 2 == 0
                sim.write(faulty, 0x00, 1)
                assert sim.read(faulty, 0x20) == resp | REFUSED
                assert sim.read(faulty, 0x00) == 4
                settle(sim, 2000)
                soft_reset(sim)
                sim.clear_faults()
                assert [sim.read(d, r) for d in (IDMA, ODMA) for r in (0x00, 0x20)] == [4, 0] * 2
                bench.check_run(sim, rng, 20, source=5, target=3)


def test_nothing_behind_a_faulty_word_comes_through(narrow):
    """The stream may get what was read before the faulty word and no byte of it or after it."""
    bench = narrow.sized(8)
    with bench.simulator() as sim:
        sim.add_fault(sim.base + 160, sim.base + 168, write=False)
        bench.start(sim, 100, 0, 1 << 19)
        settle(sim)
        assert 800 - sim.read(IDMA, 0x28) == 160
        assert 800 - sim.read(ODMA, 0x28) == 160


def test_memory_outside_the_range_is_decerr(folded):
    with folded.simulator(memory_bytes=4096) as sim:
        folded.start(sim, 1000, 0, 2048)
        settle(sim, 10_000)
        assert DECERR in (sim.read(IDMA, 0x20), sim.read(ODMA, 0x20))
        soft_reset(sim)
        folded.check_run(sim, np.random.default_rng(3), 10)


def test_soft_reset_in_the_middle(narrow, wide, folded):
    """At any moment of a run, with requests and data on the way on every channel."""
    rng = np.random.default_rng(4)
    for bench in (narrow.sized(11), wide.sized(2), folded):
        with bench.simulator(memory_bytes=1 << 18, seed=9) as sim:
            for moment in (*range(0, 60, 7), *rng.integers(60, 900, 12).tolist()):
                sim.set_timing(
                    MemoryTiming(int(rng.integers(0, 60)), 20, *rng.uniform(0.3, 1, 2).tolist())
                )
                bench.start(sim, 900, 1, (1 << 17) + 2)
                sim.step(moment)
                soft_reset(sim)
                assert [sim.read(d, r) for d in (IDMA, ODMA) for r in (0x00, 0x20)] == [4, 0] * 2
                assert [sim.read(CONTROL, r) for r in range(0x08, 0x38, 4)] == [0] * 12
                bench.check_run(sim, rng, 5, source=3, target=1)


@pytest.mark.parametrize("bus", ["narrow", "slim"])
def test_soft_reset_in_every_cycle_of_a_run(request, bus):
    """A run of some bursts, reset 0, 1, 2, ... cycles after its start until it is over."""
    bench = request.getfixturevalue(bus).sized(37)
    rng = np.random.default_rng(10)
    timing = MemoryTiming(latency=8, jitter=10, ready=0.8, valid=0.8)
    with bench.simulator(memory_bytes=1 << 13, timing=timing) as sim:
        over = 0
        for moment in range(1500):
            bench.start(sim, 9, 5, (1 << 12) + 3)
            sim.step(moment)
            over += sim.read(ODMA, 0x00) >> 1 & 1
            soft_reset(sim)
            assert [sim.read(d, r) for d in (IDMA, ODMA) for r in (0x00, 0x20, 0x28)] == [
                4,
                0,
                0,
            ] * 2
            if moment % 10 == 0:
                bench.check_run(sim, rng, 3, source=2, target=moment % 16)
            if over == 5:
                break
        assert over == 5, "the run never ended by itself"
        assert moment > 200
        bench.check_run(sim, rng, 30, source=1, target=2)
        assert sim.breaches() == []


def test_start_in_every_cycle_of_a_run(folded):
    """A second start is refused while the run is on and begins a new one when it is over."""
    rng = np.random.default_rng(12)
    timing = MemoryTiming(latency=8, jitter=10, ready=0.8, valid=0.8)
    with folded.simulator(memory_bytes=1 << 13, timing=timing) as sim:
        accepted = 0
        for moment in range(2000):
            data = rng.integers(0, 256, (6, 15), dtype=np.uint8)
            sim.memory[:90] = data.ravel()
            folded.start(sim, 6, 0, 1 << 12)
            sim.step(moment)
            sim.write(ODMA, 0x00, 1)
            refused = sim.read(ODMA, 0x20) == REFUSED
            if refused:
                folded.wait(sim)
            else:
                assert sim.read(ODMA, 0x20) == 0
                assert sim.read(ODMA, 0x00) == 1, "neither refused nor begun"
                accepted += 1
            expected = folded.model(data, folded.spec).ravel()
            assert (sim.memory[1 << 12 : (1 << 12) + 156] == expected).all()
            soft_reset(sim)
            if accepted == 5:
                break
        assert accepted == 5
        assert moment > 50


@pytest.mark.parametrize("bus", ["narrow", "slim"])
def test_an_error_at_every_word_of_either_side(request, bus):
    """The first, the last and every word between, alone and on both sides at once."""
    bench = request.getfixturevalue(bus).sized(50)
    rng = np.random.default_rng(13)
    word, half = bench.spec.word_bytes, 1 << 12
    with bench.simulator(memory_bytes=1 << 13, seed=3) as sim:
        for place in range(0, 450, word):
            for faulty in ((IDMA,), (ODMA,), (IDMA, ODMA)):
                sim.set_timing(MemoryTiming(12, 9, *rng.uniform(0.4, 1, 2).tolist()))
                resp = {d: int(rng.choice([SLVERR, DECERR])) for d in faulty}
                for dma in faulty:
                    at = sim.base + half * (dma == ODMA) + place
                    sim.add_fault(at, at + 1, write=dma == ODMA, resp=resp[dma])
                bench.start(sim, 9, 2, half + 5)
                settle(sim)
                status = {d: sim.read(d, 0x20) for d in (IDMA, ODMA)}
                if IDMA in faulty:
                    # Where both are faulty, what was read before may not reach the other fault.
                    assert status[IDMA] == resp[IDMA]
                    assert sim.read(IDMA, 0x00) == 4
                    assert status[ODMA] in ({0, resp[ODMA]} if ODMA in faulty else {0})
                else:
                    assert status == {IDMA: 0, ODMA: resp[ODMA]}
                    assert sim.read(ODMA, 0x00) == 4
                assert sim.read(ODMA, 0x00) & 2 == 0, "done although not all was written"
                soft_reset(sim)
                sim.clear_faults()
                bench.check_run(sim, rng, 4, source=1, target=6)
        assert sim.breaches() == []


def test_anything_in_any_order(narrow, folded):
    """Starts, resets, faults, hanging memory, odd addresses at random: it still works."""
    for seed, bench in enumerate((narrow.sized(13), folded)):
        rng = np.random.default_rng(20 + seed)
        with bench.simulator(memory_bytes=1 << 14, seed=seed) as sim:
            for _ in range(150):
                for _ in range(int(rng.integers(1, 8))):
                    dma = int(rng.choice([IDMA, ODMA]))
                    match int(rng.integers(0, 8)):
                        case 0:
                            sim.write(dma, 0x10, sim.base + int(rng.integers(-64, 1 << 14)))
                        case 1:
                            sim.write(dma, 0x1C, int(rng.choice([0, 1, 3, 40, 2000, 2**31])))
                        case 2 | 3:
                            sim.write(dma, 0x00, 1)
                        case 4:
                            at = sim.base + int(rng.integers(0, 1 << 14))
                            sim.add_fault(at, at + 64, write=dma == ODMA, resp=SLVERR)
                        case 5:
                            sim.set_hung(bool(rng.integers(0, 2)))
                        case 6:
                            sim.set_timing(MemoryTiming(9, 30, *rng.uniform(0.2, 1, 2).tolist()))
                        case 7:
                            sim.write(CONTROL, 0x00, int(rng.integers(0, 4)))
                    sim.step(int(rng.integers(0, 120)))
                sim.set_hung(False)
                sim.clear_faults()
                soft_reset(sim)
                assert [sim.read(d, 0x00) for d in (IDMA, ODMA)] == [4, 4]
                bench.check_run(sim, rng, int(rng.integers(1, 9)), source=7, target=9)
            assert sim.breaches() == []


def test_soft_reset_waits_for_the_bus(narrow):
    bench = narrow.sized(16)
    with bench.simulator(timing=MemoryTiming(latency=20)) as sim:
        bench.start(sim, 500, 0, 1 << 19)
        sim.step(60)
        sim.set_hung(True)
        sim.step(50)
        sim.write(CONTROL, 0x00, 1)
        sim.step(5000)
        assert sim.read(CONTROL, 0x00) & 1, "ended although the bus owes data"
        assert sim.read(CONTROL, 0x00) & 2, "does not tell which side waits"
        sim.set_hung(False)
        sim.step(500)
        assert sim.read(CONTROL, 0x00) == 0
        bench.check_run(sim, np.random.default_rng(5), 9)


def test_a_start_in_every_cycle_of_a_soft_reset(narrow):
    """It is refused and leaves its mark; one behind the reset runs."""
    bench = narrow.sized(16)
    rng = np.random.default_rng(14)
    with bench.simulator(memory_bytes=1 << 15, timing=MemoryTiming(latency=20)) as sim:
        accepted = 0
        for moment in range(200):
            for dma in (IDMA, ODMA):
                bench.start(sim, 200, 0, 1 << 14)
                sim.write(dma, 0x00, 1)
                assert sim.read(dma, 0x20) == REFUSED  # the reset takes this mark away
                sim.step(30)
                sim.write(CONTROL, 0x00, 1)
                sim.step(moment)
                sim.write(dma, 0x1C, 0)  # of no frames, to be done at once if it is begun
                sim.write(dma, 0x00, 1)
                while sim.read(CONTROL, 0x00) & 1:
                    sim.step(3)
                sim.step(60)
                state = {d: (sim.read(d, 0x00), sim.read(d, 0x20)) for d in (IDMA, ODMA)}
                begun = state[dma] == (6, 0)
                assert begun or state[dma] == (4, REFUSED)
                other = IDMA + ODMA - dma
                assert state[other] == (4, 0)
                accepted += begun
            if accepted >= 6:
                break
            bench.check_run(sim, rng, 3)  # as it begins, the mark goes
        assert accepted >= 6
        assert moment > 20, "hardly a start came within the reset"
        assert sim.breaches() == []


def test_a_start_in_a_soft_reset_that_hangs_is_answered(narrow):
    """The processor's bus does not hang with memory's."""
    bench = narrow.sized(16)
    with bench.simulator(timing=MemoryTiming(latency=20)) as sim:
        bench.start(sim, 500, 0, 1 << 19)
        sim.step(60)
        sim.set_hung(True)
        sim.step(50)
        sim.write(CONTROL, 0x00, 1)
        sim.step(100)
        for dma in (IDMA, ODMA):
            sim.write(dma, 0x00, 1)
            assert sim.read(dma, 0x20) == REFUSED
        sim.set_hung(False)
        sim.step(500)
        assert sim.read(CONTROL, 0x00) == 0
        assert [sim.read(d, r) for d in (IDMA, ODMA) for r in (0x00, 0x20)] == [4, REFUSED] * 2
        soft_reset(sim)
        assert [sim.read(d, 0x20) for d in (IDMA, ODMA)] == [0, 0]
        bench.check_run(sim, np.random.default_rng(15), 9)


def test_starting_only_one_side_and_resetting(folded):
    with folded.simulator() as sim:
        for dma in (IDMA, ODMA):
            sim.write(dma, 0x10, sim.base)
            sim.write(dma, 0x1C, 50)
            sim.write(dma, 0x00, 1)
            settle(sim)
            assert sim.read(dma, 0x00) == 1
            assert sim.counts()["write_beats"] == 0
            soft_reset(sim)
        folded.check_run(sim, np.random.default_rng(6), 5)


def test_reset_of_the_board_in_the_middle(folded):
    with folded.simulator() as sim:
        folded.start(sim, 500, 0, 65536)
        sim.step(100)
        sim.reset()
        folded.check_run(sim, np.random.default_rng(7), 5)
