"""Small parts of a graph as tables: the same network, never in more LUTs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finn_builds.network import IntegerNetwork, Linear, Lookup, Requantise, Tensor, chain
from finn_builds.network.ops import Thresholds
from finn_builds.sparse.collapse import collapsed
from finn_builds.sparse.cones import Cone, Cones
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.families.ecp5 import ECP5
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Builder, Graph, drop_dead
from finn_builds.sparse.interpret import evaluate, evaluate_nodes
from finn_builds.sparse.lower import lower
from finn_builds.sparse.nodes import Field, Sum, Table, Term
from finn_builds.sparse.options import Options
from finn_builds.sparse.schedule import clocks
from finn_builds.sparse.truth import bit_column, filled, shrink_to
from tests.finn_builds.sparse.sparse_networks import (
    layers,
    on_stream,
    random_edges,
    random_frames,
    random_network,
)

SEEDS = st.integers(0, 2**31)
# `lower` without the pass.
PLAIN = Options(restarts=0, quick=True)


def network_of(seed: int) -> IntegerNetwork:
    """Return a random network of weights, or one of table edges."""
    return random_network(np.random.default_rng(seed)) if seed % 3 else random_edges(seed)


def frames_of(network: IntegerNetwork, seed: int, n: int = 500) -> np.ndarray:
    return random_frames(np.random.default_rng(seed), network, n)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, family=st.sampled_from((XC7, ECP5)))
def test_collapsed_graphs_are_the_network(seed: int, family: Family) -> None:
    network = network_of(seed)
    graph = lower(network, family, PLAIN)
    small = drop_dead(collapsed(graph, family))
    x = frames_of(network, seed)
    raw = on_stream(x, network.input.datatype)
    assert np.array_equal(evaluate(small, raw), evaluate(graph, raw))
    assert estimate(small, family).luts <= estimate(graph, family).luts
    assert clocks(small, family, 10.0) <= clocks(graph, family, 10.0)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_what_is_known_of_nodes_is_true(seed: int) -> None:
    """Nodes take no other values than those that are known, and are functions of their cuts."""
    network = network_of(seed)
    graph = lower(network, XC7, PLAIN)
    found = evaluate_nodes(graph, on_stream(frames_of(network, seed), network.input.datatype))
    cones = Cones(graph.nodes, graph.ranges)
    for i, own in enumerate(found):
        values = cones.values(i)
        if values is not None:
            assert np.isin(own, values).all()
            assert len(values) <= graph.ranges[i][1] - graph.ranges[i][0] + 1
        for cut in cones.below(i):
            cone = Cone(cones, cut)
            bits = [((found[src] >> index) & 1) << k for k, (src, index) in enumerate(cone.bits)]
            address = sum(bits, start=0 * own)
            assert cone.reached[address].all()
            assert np.array_equal(cone.of(i)[address], own)
            assert [(f.src, f.lsb + k) for f in cone.fields for k in range(f.width)] == cone.bits


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 8), share=st.floats(0.05, 1.0))
def test_tables_are_kept_where_they_are_reached(seed: int, n: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 16, 1 << n)
    reached = rng.random(1 << n) < share
    reached[int(rng.integers(1 << n))] = True
    found = filled(values, reached)
    assert np.array_equal(found[reached], values[reached])
    assert found.min() >= 0 and found.max() < 16


def test_a_table_without_the_bits_that_say_nothing_where_it_is_reached() -> None:
    """Of eight codes two occur, and one bit tells them apart."""
    reached = np.zeros(8, dtype=bool)
    reached[[1, 6]] = True
    found = filled(np.array([0, 3, 1, 2, 0, 1, 0, 3]), reached)
    assert found[1] == 3 and found[6] == 0
    assert all(len(shrink_to(bit_column(found.tolist(), k), 3)[1]) == 1 for k in (0, 1))


def kinds(graph: Graph) -> set[type]:
    return {type(node) for node in graph.nodes}


def test_seven_times_a_code_of_three_bits_is_a_table() -> None:
    """Five functions of three bits, two a LUT, and a wire. A chain takes a LUT a bit."""
    builder = Builder(1)
    x = builder.input(0, 0, 7)
    total = builder.sum([Term(x), Term(x, 1), Term(x, 2)])
    graph = builder.finish([total])
    small = drop_dead(collapsed(graph, XC7))
    assert Sum not in kinds(small)
    assert estimate(small, XC7).luts < estimate(graph, XC7).luts
    x = np.arange(8)[:, None]
    assert np.array_equal(evaluate(small, x), 7 * x)


def test_two_tables_of_one_chain_are_one_table_where_their_codes_are_small() -> None:
    """Two edges of codes of three and two bits: one table of five, no chain."""
    tables = [[3, 9, 1, 14, 7, 7, 2, 11], [0, 13, 6, 9, 9, 9, 9, 9]]
    lookup = Lookup([0, 1], [0, 0], tables, 2)
    source = Tensor("x", "UINT3", np.array([0, 0]), np.array([7, 3]))
    linear = Linear(np.ones((2, 1), dtype=np.int64))
    network = chain(source, [("t", lookup), ("s", linear)])
    graph = lower(network, XC7)
    assert kinds(graph) >= {Table} and Sum not in kinds(graph)
    assert estimate(graph, XC7).luts <= 3
    x = np.stack(np.meshgrid(np.arange(8), np.arange(4)), -1).reshape(-1, 2)
    assert np.array_equal(evaluate(graph, x), network.execute(x))


def test_codes_that_a_table_does_not_give_do_not_matter() -> None:
    """A code that is one of four values, then summed and counted: a function of two bits."""
    steps = Lookup([0], [0], [[1, 1, 5, 5, 9, 9, 14, 14, 14, 14, 5, 5, 1, 1, 9, 9]], 1)
    weights = np.array([[3]])
    counted = Requantise(Thresholds([[7, 12, 20, 33, 40]]))
    network = chain(
        Tensor.of_type("x", "UINT4", 1), [("t", steps), ("s", Linear(weights)), ("q", counted)]
    )
    graph = lower(network, XC7)
    assert estimate(graph, XC7).luts <= 2
    x = np.arange(16)[:, None]
    assert np.array_equal(evaluate(graph, x), network.execute(x))


def test_a_code_of_a_code_of_a_code_is_one_table() -> None:
    """Three layers of a neuron each, of a code of four bits: what lies between is not built."""
    rows = [[3, 4, 9, 13], [2, 7, 9], [1, 3]]
    network = layers(
        Tensor.of_type("x", "UINT4", 1), *[(np.array([[3 - k]]), [r]) for k, r in enumerate(rows)]
    )
    graph = lower(network, XC7)
    assert sum(isinstance(node, Table) for node in graph.nodes) == 1
    x = np.arange(16)[:, None]
    assert np.array_equal(evaluate(graph, x), network.execute(x))


@pytest.mark.parametrize("family", [XC7, ECP5])
def test_nothing_is_changed_where_chains_are_cheaper(family: Family) -> None:
    builder = Builder(2)
    x, y = builder.input(0, 0, 255), builder.input(1, 0, 255)
    graph = builder.finish([builder.sum([Term(x), Term(y)])])
    assert collapsed(graph, family) == graph


def test_a_part_that_is_read_elsewhere_is_kept() -> None:
    """The sum is an output too: a table of what counts it would save nothing."""
    builder = Builder(2)
    x, y = builder.input(0, 0, 7), builder.input(1, 0, 7)
    total = builder.sum([Term(x), Term(y)])
    count = builder.table([Field(total, 0, 4)], [int(v >= 5) for v in range(16)])
    graph = builder.finish([total, count])
    assert isinstance(drop_dead(collapsed(graph, XC7)).nodes[3], Table)
    xs = np.stack(np.meshgrid(np.arange(8), np.arange(8)), -1).reshape(-1, 2)
    assert np.array_equal(evaluate(collapsed(graph, XC7), xs), evaluate(graph, xs))
