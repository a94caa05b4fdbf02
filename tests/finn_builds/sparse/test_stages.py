"""Where each layer of a fused pipeline ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from finn_builds.network import IntegerNetwork, Tensor
from finn_builds.sparse.compiler import compile_network
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.sparse.stages import layer_stages
from tests.finn_builds.sparse.sparse_networks import layers


def network(count: int) -> IntegerNetwork:
    """Return layers of 12 neurons whose outputs lie in 0 .. 3."""
    rng = np.random.default_rng(3)
    made = [
        (rng.integers(-7, 8, (12, 12)), np.sort(rng.integers(-20, 20, (12, 3)), axis=1))
        for _ in range(count)
    ]
    return layers(Tensor.of_type("x", "UINT2", 12), *made)


def test_layers_end_one_after_the_other_and_the_last_with_the_pipeline() -> None:
    compiled = compile_network(network(3), "net", clock_ns=5.0)
    ends = layer_stages(compiled.pipeline.graph, 3)
    assert ends == sorted(ends) and ends[0] >= 1
    assert ends[-1] == compiled.pipeline.latency


def test_a_layer_ends_where_its_network_alone_would() -> None:
    """The first layer's operators do not depend on what comes behind them."""
    alone = compile_network(network(1), "net", clock_ns=5.0)
    both = compile_network(network(2), "net", clock_ns=5.0)
    first = layer_stages(both.pipeline.graph, 2)[0]
    assert alone.pipeline.latency <= first < both.pipeline.latency
    assert layer_stages(alone.pipeline.graph, 1) == [alone.pipeline.latency]


def test_costs_of_layers_add_up_to_those_of_the_node() -> None:
    compiled = compile_network(network(3), "net", clock_ns=5.0)
    costs = compiled.layer_costs()
    assert [cost.name for cost in costs] == ["a0", "a1", "a2"]
    assert all(cost.luts > 0 for cost in costs)
    assert sum(cost.luts for cost in costs) == estimate(compiled.pipeline.graph, XC7).luts
    assert sum(cost.latency for cost in costs) == compiled.latency - 1


def test_equal_labels_do_not_mix_up_layers() -> None:
    """The graph knows the layers of its nodes; names of nets say nothing to it."""
    graph = compile_network(network(2), "net", clock_ns=5.0).pipeline.graph
    renamed = replace(graph, labels=tuple("l0_same" for _ in graph.labels))
    assert layer_stages(renamed, 2) == layer_stages(graph, 2)
