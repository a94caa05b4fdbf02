"""Operators cut for a fast clock: the same values, and each within the time it has."""

from __future__ import annotations

import numpy as np
import pytest

from finn_builds.errors import UserError
from finn_builds.sparse.cost import delays
from finn_builds.sparse.cut import cut
from finn_builds.sparse.families import family_named
from finn_builds.sparse.families.ecp5 import ECP5
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.sparse.families.xcup import XCUP
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Builder, Graph
from finn_builds.sparse.interpret import evaluate
from finn_builds.sparse.lower import lower
from finn_builds.sparse.nodes import Term
from finn_builds.sparse.options import Options
from finn_builds.sparse.schedule import clocks, pipeline
from tests.finn_builds.sparse.sparse_networks import on_stream, random_frames, random_network

#: About the shortest chains that each family can still make in a clock.
TIGHT = ((XC7, 2.0), (XCUP, 1.0), (ECP5, 2.6))


def wide_sum(const: int, inverted: bool) -> Graph:
    builder = Builder(2)
    a, b = builder.input(0, 0, (1 << 40) - 1), builder.input(1, 0, (1 << 30) - 1)
    terms = [Term(a, 0), Term(b, 7, inverted)]
    return builder.finish([builder.sum(terms, const, "s")])


@pytest.mark.parametrize("family", [XC7, XCUP, ECP5])
@pytest.mark.parametrize("const", [0, 5, -(1 << 36) - 3, -(1 << 41)])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_wide_sum_in_pieces(const: int, inverted: bool, family: Family) -> None:
    graph = wide_sum(const, inverted)
    budget = family.adder(12)
    pieces = cut(graph, family, budget)
    assert max(delays(graph, family)) > budget >= max(delays(pieces, family))
    rng = np.random.default_rng(0)
    x = np.stack([rng.integers(0, 1 << 40, 500), rng.integers(0, 1 << 30, 500)], axis=1)
    x[:4] = [[0, 0], [(1 << 40) - 1, (1 << 30) - 1], [0, (1 << 30) - 1], [(1 << 40) - 1, 0]]
    np.testing.assert_array_equal(evaluate(pieces, x), evaluate(graph, x))


def test_a_wide_comparison_and_a_deep_table_in_pieces() -> None:
    builder = Builder(2)
    a, b = builder.input(0, 0, (1 << 30) - 1), builder.input(1, 0, 1023)
    rng = np.random.default_rng(1)
    bounds = [0, 5, 1 << 29, (1 << 30) + 5, 123_456_789, (1 << 15) + 1, (1 << 30) - 1, 1 << 15]
    select = builder.concat((builder.whole(b),), "b")
    low = builder.whole(select).__class__(select, 0, 3)
    compared = builder.compare(builder.whole(a), (low,), bounds, "c")
    looked_up = builder.table((builder.whole(b),), rng.integers(-9, 20, 1024), "t")
    graph = builder.finish([compared, looked_up])
    budget = XC7.adder(6)
    pieces = cut(graph, XC7, budget)
    assert max(delays(graph, XC7)) > budget >= max(delays(pieces, XC7))
    x = np.stack([rng.integers(0, 1 << 30, 4000), rng.integers(0, 1024, 4000)], axis=1)
    x[:24, 0] = np.repeat(np.clip([b + d for b in bounds for d in (-1, 0, 1)], 0, (1 << 30) - 1), 1)
    x[:24, 1] = np.repeat(np.arange(8), 3)
    np.testing.assert_array_equal(evaluate(pieces, x), evaluate(graph, x))


@pytest.mark.parametrize("seed", range(30))
def test_random_networks_in_pieces(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, most=8)
    family, budget = TIGHT[seed % 3]
    graph = lower(network, family, Options(restarts=1, quick=True))
    pieces = cut(graph, family, budget)
    x = random_frames(rng, network, 200)
    frames = on_stream(x, network.input.datatype)
    np.testing.assert_array_equal(evaluate(pieces, frames), evaluate(graph, frames))
    assert max(delays(pieces, family), default=0) <= max(budget, *delays(graph, family), 0)


def test_a_pipeline_is_as_fast_as_asked_where_an_operator_alone_is_not() -> None:
    graph = wide_sum(-5, False)
    family = family_named("xc7-2")
    clock = 2.78
    assert family.adder(47) + family.t_reg > clock
    found = pipeline(graph, family, clock_ns=clock)
    assert found.stage_ns <= clock + 1e-9
    assert found.latency == clocks(graph, family, clock_ns=clock) > 5
    x = np.array([[1, 2], [(1 << 40) - 1, (1 << 30) - 1]])
    np.testing.assert_array_equal(evaluate(found.graph, x), evaluate(graph, x))


def test_a_clock_below_the_shortest_adder_is_still_refused() -> None:
    with pytest.raises(UserError, match="expected a clock of at least"):
        pipeline(wide_sum(0, False), XC7, clock_ns=2.0)


@pytest.mark.parametrize(
    ("name", "at_360", "at_480", "shortest"),
    [
        ("xc7-1", None, None, 3.06),
        ("xc7-2", 6, None, 2.67),
        ("xcu-2", 50, 12, 1.89),
        ("xcup-1", 85, 38, 1.53),
        ("xcup-2", 112, 59, 1.34),
        ("xcup-3", 146, 85, 1.15),
    ],
)
def test_the_table_in_the_docs(
    name: str, at_360: int | None, at_480: int | None, shortest: float
) -> None:
    family = family_named(name)
    for positions, megahertz in ((at_360, 360), (at_480, 480)):
        budget = 1000 / megahertz - family.t_reg
        if positions is None:
            assert family.adder(2) > budget
        else:
            assert family.adder(positions) <= budget < family.adder(positions + 1)
    assert shortest - 0.01 < family.adder(2) + family.t_reg <= shortest
