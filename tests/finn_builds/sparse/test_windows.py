"""Counts by a table of the high bits and one comparison of the low ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finn_builds.sparse.cost import estimate
from finn_builds.sparse.families.ecp5 import ECP5
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Builder
from finn_builds.sparse.interpret import evaluate_nodes
from finn_builds.sparse.thresholds import best_plan, count_passed
from finn_builds.sparse.windows import Windows, cheapest_windows, windows_of


def counted(windows: Windows, top: int, most: int) -> np.ndarray:
    """Return the count of every number up to `top`."""
    builder = Builder(1)
    node = windows.build(builder, builder.input(0, 0, top), most, "t")
    graph = builder.finish([node])
    return evaluate_nodes(graph, np.arange(top + 1)[:, None])[graph.outputs[0]]


@settings(max_examples=150, deadline=None)
@given(
    top=st.integers(3, 3000),
    places=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40),
)
def test_windows_count_thresholds(top: int, places: list[float]) -> None:
    """Of every size, thresholds anywhere, equal ones and ends of windows among them."""
    thresholds = sorted(1 + round(place * (top - 1)) for place in places)
    expected = np.searchsorted(thresholds, np.arange(top + 1), side="right")
    for windows in windows_of(thresholds, top.bit_length(), top):
        assert np.array_equal(counted(windows, top, len(thresholds)), expected)


@pytest.mark.parametrize("family", [XC7, ECP5])
def test_the_costs_of_windows_are_those_of_the_graph(family: Family) -> None:
    rng = np.random.default_rng(4)
    for width in (8, 9, 11):
        top = (1 << width) - 1
        thresholds = [int((k + rng.uniform(0.2, 0.8)) * top / 15) + 1 for k in range(15)]
        found = cheapest_windows(thresholds, width, top, family, 100, False)
        assert found is not None
        luts, windows = found
        builder = Builder(1)
        node = windows.build(builder, builder.input(0, 0, top), 15, "t")
        # A sum that never comes to all ones plus one is a position shorter.
        assert 0 <= luts - estimate(builder.finish([node]), family).luts <= 1


@pytest.mark.parametrize(
    ("width", "luts"),
    [(8, 6), (10, 11), (12, 13)],
)
def test_fifteen_thresholds_apart_cost_two_thirds_of_a_search(width: int, luts: int) -> None:
    """A table of five or six bits and one comparison, where the search has four."""
    top = (1 << width) - 1
    rng = np.random.default_rng(width)
    thresholds = [int((k + rng.uniform(0.3, 0.7)) * top / 15) + 1 for k in range(15)]
    plan = best_plan(thresholds, width, top, XC7)
    assert plan.kind == "windows" and plan.luts <= luts
    builder = Builder(1)
    count = count_passed(builder, builder.input(0, 0, top), thresholds, "t", XC7)
    assert estimate(builder.finish([count.node]), XC7).luts == plan.luts
