"""The choice of PE and SIMD."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finn_builds.errors import UserError
from finn_builds.folded.estimates import MvauShape, ThresholdShape
from finn_builds.folded.folding import (
    FoldedLayer,
    cheapest,
    divisors,
    fastest,
    fits,
    fold,
    for_target,
)

BUDGET = {"LUT": 37240.0, "DSP": 176.0, "BRAM_18K": 224.0}


def layer(name: str, mw: int, mh: int, bits: int = 4, steps: int = 15) -> FoldedLayer:
    threshold = ThresholdShape(mh, steps, 12, 12) if steps else None
    return FoldedLayer(name, MvauShape(mw, mh, bits, bits, 12, True, 25), threshold)


JETS = [
    layer("a", 16, 64),
    layer("b", 64, 32),
    layer("c", 32, 32),
    layer("d", 32, 5, steps=0),
]


@pytest.mark.parametrize(
    ("weights", "acts", "narrow", "a_bits", "lanes"),
    [
        # read off FINN's mvu.sv by hand: 1 + (A - !narrow - w) // (w + a - 1)
        (4, 4, True, 25, 4),
        (4, 4, False, 27, 4),
        (8, 8, True, 25, 2),
        (5, 8, True, 25, 2),
        (2, 2, True, 25, 8),
        (25, 8, True, 25, 1),
    ],
)
def test_lanes_of_a_dsp(weights, acts, narrow, a_bits, lanes):
    assert MvauShape(8, 8, weights, acts, 20, narrow, a_bits).lanes() == lanes


def test_lanes_are_used_before_multipliers_are_added():
    # 2,048 products in 32 cycles are 64 multiplications a cycle: 16 DSPs of four lanes.
    folding = cheapest(layer("b", 64, 32), 32, BUDGET)
    assert folding.cycles <= 32
    assert folding.resources.rounded()["DSP"] == 16


@given(
    st.integers(1, 24),
    st.integers(1, 24),
    st.integers(1, 600),
)
def test_cheapest_meets_the_interval_with_divisors(mw, mh, interval):
    folding = cheapest(layer("x", mw, mh), interval, BUDGET)
    assert folding is not None
    assert folding.pe in divisors(mh)
    assert folding.simd in divisors(mw)
    assert folding.cycles == (mh // folding.pe) * (mw // folding.simd) <= interval


def test_fastest_fits_and_the_next_shorter_interval_does_not():
    best = fastest(JETS, BUDGET)
    assert fits(best.resources, BUDGET)
    for interval in range(1, best.interval):
        folding = fold(JETS, interval, BUDGET)
        assert folding is None or not fits(folding.resources, BUDGET)


def test_target_takes_no_more_than_it_needs():
    slow = for_target(JETS, BUDGET, fps=1e5, clock_ns=10.0)
    fast = for_target(JETS, BUDGET, fps=3e6, clock_ns=10.0)
    assert slow.interval <= 1000
    assert fast.interval <= 33
    assert slow.resources.DSP < fast.resources.DSP


def test_impossible_target_says_what_is_reachable():
    with pytest.raises(UserError, match=r"Reachable within the budget.*frames/s") as error:
        for_target(JETS, BUDGET, fps=1e12, clock_ns=10.0)
    best = fastest(JETS, BUDGET)
    assert f"{1e9 / (10 * best.interval):,.0f} frames/s" in str(error.value)


def test_network_that_never_fits_says_so():
    with pytest.raises(UserError, match="does not fit the board"):
        fastest(JETS, {"LUT": 100.0, "DSP": 1.0, "BRAM_18K": 0.0})
