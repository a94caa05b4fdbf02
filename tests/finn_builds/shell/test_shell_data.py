"""Frames through the shell: every size, count, alignment and memory, compared byte for byte."""

import numpy as np
import pytest

from deploy.virtual.simulator import CONTROL, MemoryTiming

pytestmark = pytest.mark.slow  # three small compilations, then milliseconds each

CALM = MemoryTiming(latency=10)
ROUGH = MemoryTiming(latency=5, jitter=40, ready=0.6, valid=0.6)


@pytest.mark.parametrize("bus", ["narrow", "slim"])
def test_every_frame_size(request, bus):
    """1 to 300 bytes on the bus of either family, at random addresses, with both memories."""
    shell = request.getfixturevalue(bus)
    rng = np.random.default_rng(1)
    with shell.simulator(memory_bytes=1 << 16) as sim:
        for size in range(1, 301):
            bench = shell.sized(size)
            bench.set_sizes(sim)
            for timing in (CALM, ROUGH):
                sim.set_timing(timing)
                source, target = (int(v) for v in rng.integers(0, 64, 2))
                bench.check_run(sim, rng, int(rng.integers(1, 5)), source=source, target=target)


def test_every_batch(narrow):
    """1 to 1,000 frames of 3 bytes."""
    rng = np.random.default_rng(11)
    bench = narrow.sized(3)
    with bench.simulator(memory_bytes=1 << 13) as sim:
        for frames in range(1, 1001):
            sim.set_timing(ROUGH if frames % 4 == 0 else CALM)
            sim.write(CONTROL, 0x00, 2)
            source, target = (int(v) for v in rng.integers(0, 64, 2))
            bench.check_run(sim, rng, frames, source=source, target=target)
            assert sim.read(CONTROL, 0x08) == sim.read(CONTROL, 0x0C) == frames


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 64, 255, 256, 257, 999, 1000])
def test_batches(narrow, wide, folded, frames):
    rng = np.random.default_rng(frames)
    for bench in (narrow.sized(9), wide.sized(2), folded):
        with bench.simulator(memory_bytes=1 << 18, timing=ROUGH, seed=frames) as sim:
            bench.check_run(sim, rng, frames, source=1, target=2)
            assert sim.read(CONTROL, 0x08) == frames
            assert sim.read(CONTROL, 0x0C) == frames


def test_every_alignment(narrow, wide, folded):
    rng = np.random.default_rng(2)
    for bench in (narrow.sized(3), wide.sized(1), folded):
        word = bench.spec.word_bytes
        with bench.simulator(memory_bytes=1 << 13) as sim:
            for source in range(word):
                for target in range(word):
                    frames = int(rng.integers(1, 12))
                    bench.check_run(sim, rng, frames, source=source, target=target)


def test_page_boundaries(narrow, wide):
    rng = np.random.default_rng(3)
    for bench in (narrow.sized(40), wide.sized(3)):
        with bench.simulator(memory_bytes=1 << 17) as sim:
            for offset in (4096 - 1, 4096 - 8, 4096 - 17, 8192 - 300, 4096, 12288 + 5):
                bench.check_run(sim, rng, 150, source=offset, target=offset)


def test_addresses_above_4_gib(wide):
    bench = wide.sized(2)
    with bench.simulator(memory_bytes=1 << 16, base=0x8_4000_0000) as sim:
        bench.check_run(sim, np.random.default_rng(4), 20, source=3, target=4)


def test_longest_bursts_are_used(narrow, wide):
    rng = np.random.default_rng(5)
    for bench in (narrow.sized(100), wide.sized(5)):
        with bench.simulator(memory_bytes=1 << 18) as sim:
            bench.check_run(sim, rng, 600, source=8)
            counts = sim.counts()
            assert counts["longest_read"] == bench.spec.read_burst
            assert counts["longest_write"] == bench.spec.write_burst


def test_no_bubble_between_frames(wide):
    """With a memory that keeps up, the bus moves data in at least 95 % of the cycles."""
    bench = wide.sized(1)
    with bench.simulator(memory_bytes=1 << 16, timing=MemoryTiming(latency=30)) as sim:
        bench.check_run(sim, np.random.default_rng(6), 1000)
        span = sim.read(CONTROL, 0x28) + 1
        moved = 1000 * bench.spec.in_frame_bytes
        assert moved / span >= 0.95 * bench.spec.word_bytes


def test_random_runs(narrow, wide, folded):
    rng = np.random.default_rng(7)
    for bench in (narrow, wide, folded):
        with bench.simulator(memory_bytes=1 << 16, seed=8) as sim:
            for _ in range(60):
                timing = MemoryTiming(
                    latency=int(rng.integers(0, 80)),
                    jitter=int(rng.integers(0, 30)),
                    ready=float(rng.uniform(0.1, 1)),
                    valid=float(rng.uniform(0.1, 1)),
                )
                sim.set_timing(timing)
                sized = bench.sized(int(rng.integers(1, 40))) if bench.runtime_sizes else bench
                if bench.runtime_sizes:
                    sized.set_sizes(sim)
                most = 16000 // max(sized.spec.in_frame_bytes, sized.spec.out_frame_bytes)
                sized.check_run(
                    sim,
                    rng,
                    int(rng.integers(1, min(most, 60))),
                    source=int(rng.integers(0, 9000)),
                    target=int(rng.integers(0, 9000)),
                )
