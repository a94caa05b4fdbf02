"""The search for FIFO depths, on a model whose answer is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finn_builds.folded.fifo_sizing import smallest_depths


@given(st.lists(st.sampled_from([0, 2, 3, 5, 8, 40]), min_size=1, max_size=6))
def test_finds_every_needed_depth(needed):
    calls = []

    def simulate(depths):
        calls.append(tuple(depths))
        assert all(depth == 0 or depth >= 2 for depth in depths)
        short = sum(max(0, need - depth) for need, depth in zip(needed, depths, strict=True))
        return 100 + short

    assert smallest_depths(simulate, [8] * len(needed), 64) == needed
    assert len(calls) <= 2 + 8 * len(needed)


def test_widest_link_is_minimised_first():
    # One word of depth on either link keeps the interval; the wide one must not get it.
    def simulate(depths):
        return 10 if sum(depths) >= 2 else 11

    assert smallest_depths(simulate, [8, 64], 16) == [2, 0]


def test_hang_counts_as_too_small_and_is_an_error_at_the_largest():
    assert smallest_depths(lambda depths: 5 if depths[0] >= 4 else None, [8], 16) == [4]
    with pytest.raises(RuntimeError, match="stops even with"):
        smallest_depths(lambda depths: None, [8], 16)
