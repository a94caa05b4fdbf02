"""Lowering, sharing and pipelining: every graph is the network, integer for integer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finn_builds.errors import UserError
from finn_builds.network import IntegerNetwork, Linear, Requantise, Tensor, Thresholds, chain
from finn_builds.network.types import BIPOLAR
from finn_builds.sparse.compiler import compile_network
from finn_builds.sparse.cost import delays, estimate
from finn_builds.sparse.families import FAMILIES
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.interpret import evaluate
from finn_builds.sparse.logic import pack
from finn_builds.sparse.lower import lower
from finn_builds.sparse.nodes import Const, Input, Reg, operands, width_of
from finn_builds.sparse.options import Options
from finn_builds.sparse.schedule import pipeline
from tests.finn_builds.sparse.sparse_networks import (
    layers,
    on_stream,
    random_frames,
    random_network,
)


def same(graph: Graph, network: IntegerNetwork, x: np.ndarray) -> bool:
    """Return whether a graph on the network's own streams gives the network's integers."""
    found = evaluate(graph, on_stream(x, network.input.datatype))
    return np.array_equal(found, on_stream(network.execute(x), network.output.datatype))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), family=st.sampled_from(sorted(FAMILIES)), level=st.booleans())
def test_lowered_graph_is_the_network(seed: int, family: str, level: bool) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    x = random_frames(rng, network, 300)
    graph = lower(network, FAMILIES[family], Options(by_level=level, restarts=1))
    assert same(graph, network, x)


def _unshared_luts(graph: Graph) -> int:
    """Return the LUTs of a graph if none held two functions."""
    return estimate(graph, XC7).luts + len(pack(graph, XC7).partners) // 2


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), clock_ns=st.sampled_from((6.0, 9.0, 20.0, 100.0)))
def test_pipeline_keeps_meaning_and_balance(seed: int, clock_ns: float) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    x = random_frames(rng, network, 100)
    graph = lower(network, XC7, Options(restarts=0))
    piped = pipeline(graph, XC7, clock_ns=clock_ns)
    assert same(piped.graph, network, x)
    assert piped.stage_ns <= clock_ns + 1e-6
    # Which functions share a LUT is decided anew: registers part some and bring others together.
    assert _unshared_luts(piped.graph) == _unshared_luts(graph)
    assert _delays_agree(piped.graph, piped.latency)


@pytest.mark.parametrize("out_datatype", [BIPOLAR, "INT2"])
@pytest.mark.parametrize("in_datatype", [BIPOLAR, "INT2"])
def test_bipolar_elements_are_bits_whatever_carries_them(
    in_datatype: str, out_datatype: str
) -> None:
    """Of two bits that carry -1 or 1 only the sign is looked at, so both forms cost the same."""
    rng = np.random.default_rng(4)
    weights = [2 * rng.integers(0, 2, shape) - 1 for shape in ((12, 8), (8, 3))]
    rows = [rng.integers(-4, 5, (n, 1)) for n in (8, 3)]
    first, second = ((w, t, -1, 2) for w, t in zip(weights, rows, strict=True))
    network = layers(Tensor.of_type("x", BIPOLAR, 12), first, second)
    assert network.output.datatype == BIPOLAR
    x = random_frames(rng, network, 200)
    graph = lower(network, XC7, None, in_datatype, out_datatype)
    found = evaluate(graph, on_stream(x, in_datatype))
    assert np.array_equal(found, on_stream(network.execute(x), out_datatype))
    design = compile_network(network, "net", "xc7", 10.0, None, in_datatype, out_datatype)
    bits = {BIPOLAR: 1, "INT2": 2}
    assert (design.in_width, design.out_width) == (bits[in_datatype], bits[out_datatype])
    least = estimate(lower(network, XC7), XC7).luts
    assert least <= estimate(graph, XC7).luts <= least + 3 * (out_datatype == "INT2")


def test_a_bias_costs_nothing_where_thresholds_take_it_in() -> None:
    rng = np.random.default_rng(5)
    w, bias = rng.integers(-7, 8, (9, 6)), rng.integers(-50, 51, 6)
    rows = np.sort(rng.integers(-60, 60, (6, 3)), axis=1)
    source = Tensor.of_type("x", "INT4", 9)
    graphs = []
    for linear, counted in ((Linear(w), rows), (Linear(w, bias), rows + bias[:, None])):
        ops = [("a", linear), ("q", Requantise(Thresholds(counted)))]
        graphs.append(lower(chain(source, ops), XC7))
    assert graphs[0] == graphs[1]


def _delays_agree(graph: Graph, latency: int) -> bool:
    """Return whether every path from an input crosses the same registers up to every node."""
    depth: list[int | None] = []
    for node in graph.nodes:
        if isinstance(node, Const):
            depth.append(None)
            continue
        behind = {depth[s] for s in operands(node)} - {None}
        if isinstance(node, Input):
            behind = {0}
        if len(behind) != 1:
            return False
        depth.append(behind.pop() + isinstance(node, Reg))
    return all(depth[o] in (None, latency) for o in graph.outputs)


def test_asked_latency_is_met() -> None:
    rng = np.random.default_rng(7)
    w = rng.integers(-7, 8, (12, 6))
    network = layers(Tensor.of_type("x", "INT4", 12), (w, None))
    graph = lower(network, XC7)
    slow, fast = (pipeline(graph, XC7, latency=n) for n in (2, 4))
    assert (slow.latency, fast.latency) == (2, 4)
    assert fast.stage_ns < slow.stage_ns


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31), latency=st.integers(2, 14), family=st.sampled_from(("xc7", "ecp5"))
)
def test_any_latency_is_exact(seed: int, latency: int, family: str) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    graph = lower(network, FAMILIES[family], Options(restarts=0))
    piped = pipeline(graph, FAMILIES[family], latency=latency)
    assert piped.latency == latency
    assert _delays_agree(piped.graph, latency)
    x = random_frames(rng, network, 50)
    assert same(piped.graph, network, x)


def test_a_latency_below_the_ends_is_refused() -> None:
    graph = lower(layers(Tensor.of_type("x", "UINT2", 2), (np.ones((2, 2)), None)), XC7)
    with pytest.raises(UserError, match="at least 2 cycles"):
        pipeline(graph, XC7, latency=1)


def test_registers_are_fewer_than_as_soon_as_possible() -> None:
    """The linear program never needs more bits than the schedule it starts from."""
    from finn_builds.sparse import schedule

    rng = np.random.default_rng(3)
    w = rng.integers(-7, 8, (16, 16)) * (rng.random((16, 16)) < 0.5)
    graph = lower(layers(Tensor.of_type("x", "UINT4", 16), (w, None)), XC7)
    budget = 4.0
    stages, _ = schedule._as_soon_as_possible(graph, delays(graph, XC7), budget)
    last = max(stages[o] for o in graph.outputs)
    soon = schedule._with_registers(graph, stages, last + 1)
    best = pipeline(graph, XC7, clock_ns=budget + XC7.t_reg)
    assert best.latency == last + 1
    bits = estimate(best.graph, XC7).flip_flops
    assert bits < estimate(soon, XC7).flip_flops


@pytest.mark.parametrize("thresholds", [None, [[0, 3], [-5, 1], [9, 9]]])
def test_empty_layers(thresholds: list[list[int]] | None) -> None:
    first = (np.zeros((4, 3)), thresholds, -1 if thresholds else 0)
    second = (np.array([[2], [0], [-3]]), None)
    network = layers(Tensor.of_type("x", "INT4", 4), first, second)
    x = np.random.default_rng(0).integers(-8, 8, (20, 4))
    graph = pipeline(lower(network, XC7), XC7, clock_ns=10).graph
    assert same(graph, network, x)
    assert estimate(graph, XC7).luts == 0


def test_single_neuron_and_single_input() -> None:
    network = layers(Tensor.of_type("x", "INT4", 1), ([[3]], [[-4, 0, 5]], 2, 3))
    x = np.arange(-8, 8)[:, None]
    assert same(lower(network, XC7), network, x)


def test_unseen_low_bits_are_not_computed() -> None:
    """Thresholds that are all multiples of 16 do not see a term below 16 that cannot carry."""
    w = np.array([[16], [16], [16], [16], [16], [16]])
    t = 16 * np.arange(1, 8)[None]
    costs = []
    for weights in (np.vstack([w, [[1]]]), w):
        network = layers(Tensor.of_type("x", "UINT4", len(weights)), (weights, t))
        costs.append(estimate(lower(network, XC7), XC7).luts)
    assert costs[0] == costs[1]


def test_refuses_what_cannot_be() -> None:
    network = layers(Tensor.of_type("x", "UINT2", 2), (np.ones((2, 2)), None))
    with pytest.raises(ValueError, match="Verilog identifier"):
        compile_network(network, "a-b", clock_ns=10.0)
    for streams in ({"in_datatype": "UINT1"}, {"out_datatype": "UINT2"}, {"in_datatype": BIPOLAR}):
        with pytest.raises(ValueError, match="expected a stream whose elements hold"):
            compile_network(network, "net", clock_ns=10.0, **streams)
    graph = lower(network, XC7)
    with pytest.raises(UserError, match="slower clock"):
        pipeline(graph, XC7, clock_ns=0.5)
    with pytest.raises(UserError, match="either a clock"):
        pipeline(graph, XC7)


@given(st.integers(-300, 300), st.integers(0, 600))
def test_widths_hold_the_range_and_no_bit_more(low: int, span: int) -> None:
    high = low + span

    def holds(bits: int) -> bool:
        if low >= 0:
            return high < 1 << bits
        return bits > 0 and -(1 << bits - 1) <= low and high < 1 << bits - 1

    width = width_of(low, high)
    assert holds(width)
    assert width == 0 or not holds(width - 1)


@pytest.mark.parametrize("value", [-5, -4, -1, 0, 3, 4])
def test_constant_outputs_are_emitted_in_the_bits_they_need(value: int) -> None:
    network = layers(Tensor.of_type("x", "INT4", 3), (np.zeros((3, 2)), np.zeros((2, 0)), value))
    design = compile_network(network, "constant", clock_ns=10.0)
    assert design.files()
    assert np.all(evaluate(design.pipeline.graph, np.zeros((4, 3), int)) == value)


def test_a_clock_without_room_behind_the_last_operator_gets_a_register_there() -> None:
    """What lies behind the outputs moves to a stage of its own, one clock later."""
    network = layers(Tensor.of_type("x", "INT8", 3), (np.ones((3, 1)), None))
    graph = lower(network, XC7)
    slowest = max(delays(graph, XC7))
    tight, roomy = (slowest + XC7.t_reg + share * XC7.t_lut for share in (0.5, 1.0))
    bare = pipeline(graph, XC7, clock_ns=tight, register_outputs=False)
    found = pipeline(graph, XC7, clock_ns=tight, register_outputs=False, after_ns=XC7.t_lut)
    assert found.stage_ns <= tight
    assert found.latency == bare.latency + 1
    assert all(isinstance(found.graph.nodes[o], Reg) for o in found.graph.outputs)
    fits = pipeline(graph, XC7, clock_ns=roomy, register_outputs=False, after_ns=XC7.t_lut)
    assert fits.latency == bare.latency and fits.stage_ns == pytest.approx(roomy)
    x = random_frames(np.random.default_rng(0), network, 50)
    for piped in (found, fits):
        assert same(piped.graph, network, x)
