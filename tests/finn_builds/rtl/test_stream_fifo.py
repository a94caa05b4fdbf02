"""The FIFO in every style against its definition, and its twin for finding depths."""

import numpy as np
import pytest

from finn_builds.sim import SimDesign, SimulationError, Simulator, compile_designs
from tests.finn_builds.random_beats import random_beats

pytestmark = pytest.mark.slow  # compiling all sizes takes half a minute

SHIFT, DISTRIBUTED, BLOCK = 1, 2, 3
STYLES = (SHIFT, DISTRIBUTED, BLOCK)
DEPTHS = range(2, 21)
WIDTHS = (1, 13, 24, 72, 200)
LARGE = (33, 34, 65, 1024, 1025)  # around the sizes at which the style changes
BAD = {"DEPTH": {"DEPTH": 1}, "STYLE": {"STYLE": 4}, "WIDTH": {"WIDTH": 0, "BITS": 8}}


@pytest.fixture(scope="module")
def library(rtl, adapters, tmp_path_factory, engine_dir):
    def fifo(name, width, **params):
        bits = -(-width // 8) * 8
        return SimDesign(name, sources, "fifo_adapter", bits, bits, (), {"WIDTH": width, **params})

    sources = [rtl / "stream_fifo.sv", adapters / "fifo_adapter.sv"]
    designs = [fifo(f"s{s}_d{d}", 8, STYLE=s, DEPTH=d) for s in STYLES for d in DEPTHS]
    designs += [fifo(f"s{s}_w{w}", w, STYLE=s, DEPTH=6) for s in STYLES for w in WIDTHS]
    designs += [fifo(f"large_d{d}", 16, DEPTH=d) for d in LARGE]
    designs += [
        SimDesign(f"bad_{name}", sources, "fifo_adapter", 8, 8, (), params)
        for name, params in BAD.items()
    ]
    sized = [rtl / "stream_fifo_sized.sv", adapters / "sized_adapter.sv"]
    designs.append(SimDesign("sized", sized, "sized_adapter", 8, 8))
    return compile_designs(
        designs, build_dir=tmp_path_factory.mktemp("fifos"), runtime_dir=engine_dir
    )


def held(result):
    """Return how many words the FIFO holds at the beginning of each cycle."""
    change = np.zeros(int(result.out_cycles[-1]) + 2, np.int64)
    change[result.in_cycles.astype(np.int64) + 1] += 1
    change[result.out_cycles.astype(np.int64) + 1] -= 1
    return np.cumsum(change)


def check_definition(result, depth, stall_in, stall_out):
    """Taken iff fewer than `depth` words are held; offered iff any is."""
    count = held(result)
    assert count.min() == 0
    assert count.max() <= depth
    cycles = np.arange(len(count))
    if not stall_in:  # there is always a word to take, until the last one is
        able = cycles[(count < depth) & (cycles >= 1)]
        np.testing.assert_array_equal(result.in_cycles, able[: len(result.in_cycles)])
    if not stall_out:  # whatever is held is taken at once
        np.testing.assert_array_equal(result.out_cycles, cycles[count > 0])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("stalls", [(0, 0), (0.5, 0), (0, 0.5), (0.5, 0.5), (0.2, 0.4)])
def test_every_depth_keeps_to_the_definition(library, tmp_path, style, stalls):
    data = random_beats(1500, 8, style)
    for depth in DEPTHS:
        with Simulator(library, tmp_path, design=f"s{style}_d{depth}", randomise=depth) as fifo:
            result = fifo.run(data, 1500, stall_in=stalls[0], stall_out=stalls[1], seed=depth)
        np.testing.assert_array_equal(result.outputs, data)
        check_definition(result, depth, *stalls)
        if stalls == (0, 0.5):
            assert held(result).max() == depth


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_width(library, tmp_path, style, width):
    data = random_beats(800, width)
    with Simulator(library, tmp_path, design=f"s{style}_w{width}", randomise=1) as fifo:
        for stall_in, stall_out in ((0.4, 0.4), (0, 0.7), (0.7, 0), (0, 0)):
            result = fifo.run(data, 800, stall_in=stall_in, stall_out=stall_out, seed=width)
            np.testing.assert_array_equal(result.outputs, data)
            check_definition(result, 6, stall_in, stall_out)


@pytest.mark.parametrize("depth", LARGE)
def test_large_depths_fill_and_empty(library, tmp_path, depth):
    data = random_beats(3 * depth, 16)
    with Simulator(library, tmp_path, design=f"large_d{depth}", randomise=1) as fifo:
        for stall_in, stall_out in ((0, 0.9), (0.05, 0.0), (0.3, 0.8)):
            result = fifo.run(data, len(data), stall_in=stall_in, stall_out=stall_out, seed=depth)
            np.testing.assert_array_equal(result.outputs, data)
            check_definition(result, depth, stall_in, stall_out)
            if stall_out == 0.9:
                assert held(result).max() == depth


@pytest.mark.parametrize("depth", DEPTHS)
def test_sized_is_cycle_for_cycle_the_fifo_of_that_depth(library, tmp_path, depth):
    data = random_beats(2000, 8, depth)
    with Simulator(library, tmp_path, design="sized") as sized:
        sized.poke({"dut.limit": depth})
        for seed, stalls in enumerate([(0, 0), (0.5, 0), (0, 0.5), (0.3, 0.3), (0.6, 0.55)]):
            options = {"stall_in": stalls[0], "stall_out": stalls[1], "seed": seed}
            got = sized.run(data, 2000, **options)
            assert sized.peek("dut.max_count") == held(got).max()
            for style in STYLES:
                with Simulator(library, tmp_path, design=f"s{style}_d{depth}") as fifo:
                    want = fifo.run(data, 2000, **options)
                np.testing.assert_array_equal(got.outputs, want.outputs)
                np.testing.assert_array_equal(got.in_cycles, want.in_cycles)
                np.testing.assert_array_equal(got.out_cycles, want.out_cycles)


def test_sized_begins_at_its_largest_and_refuses_limits_beyond(library, tmp_path):
    with Simulator(library, tmp_path, design="sized") as sized:
        assert sized.peek("dut.limit") == 64
        sized.run(random_beats(500, 8), 500, stall_out=0.9)
        assert sized.peek("dut.max_count") == 64
        for limit in (1, 65):
            sized.poke({"dut.limit": limit})
            with pytest.raises(SimulationError, match=f"limit is {limit}, must be 2 to 64"):
                sized.run(random_beats(5, 8), 5)


@pytest.mark.parametrize("name", BAD)
def test_illegal_parameters_are_refused(library, tmp_path, name):
    with pytest.raises(SimulationError, match=f"stream_fifo: {name} is"):
        Simulator(library, tmp_path, design=f"bad_{name}")
