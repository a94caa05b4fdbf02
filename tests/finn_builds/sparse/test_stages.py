"""Where each layer of a fused pipeline ends."""

from __future__ import annotations

import numpy as np

from finn_builds.sparse.compiler import compile_network
from finn_builds.sparse.network import SparseLayer, SparseNetwork
from finn_builds.sparse.stages import layer_stages


def network(layers: int) -> SparseNetwork:
    """Return layers of 12 neurons whose outputs lie in 0 .. 3."""
    rng = np.random.default_rng(3)
    made = []
    for _ in range(layers):
        weights = rng.integers(-7, 8, (12, 12))
        thresholds = np.sort(rng.integers(-20, 20, (12, 3)), axis=1)
        made.append(SparseLayer(weights, thresholds, 0, 1, 0, 3))
    return SparseNetwork(tuple(made))


def test_layers_end_one_after_the_other_and_the_last_with_the_pipeline() -> None:
    compiled = compile_network(network(3), clock_ns=5.0)
    ends = layer_stages(compiled.pipeline.graph, 3)
    assert ends == sorted(ends) and ends[0] >= 1
    assert ends[-1] == compiled.pipeline.latency


def test_a_layer_ends_where_its_network_alone_would() -> None:
    """The first layer's operators do not depend on what comes behind them."""
    alone = compile_network(network(1), clock_ns=5.0)
    both = compile_network(network(2), clock_ns=5.0)
    first = layer_stages(both.pipeline.graph, 2)[0]
    assert alone.pipeline.latency <= first < both.pipeline.latency
    assert layer_stages(alone.pipeline.graph, 1) == [alone.pipeline.latency]
