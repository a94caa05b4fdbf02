"""Costs of layers before anything is built: bounds that hold, estimates that are near."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finn_builds.network import IntegerNetwork, Tensor
from finn_builds.network.types import BIPOLAR
from finn_builds.sparse.compiler import compile_network
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.estimate import layer_costs, lower_bounds
from finn_builds.sparse.families import FAMILIES
from finn_builds.sparse.lower import lower
from finn_builds.sparse.options import Options
from tests.finn_builds.network.networks import random_network as chain_of_layers
from tests.finn_builds.sparse.sparse_networks import layers, random_network

#: Inputs, neurons, magnitudes of the weights, share that is pruned, type of the inputs. Among them
#: those of which sharing left least.
LAYERS = [
    (12, 200, (1,), 0.0, "UINT8"),
    (15, 300, (1,), 0.0, "UINT8"),
    (64, 64, (1,), 0.0, "UINT4"),
    (64, 64, (1,), 0.8, "INT4"),
    (24, 40, (1,), 0.0, BIPOLAR),
    (12, 200, (1, 1, 1, 4), 0.0, "UINT8"),
    (12, 200, (3, 5), 0.0, "UINT8"),
    (200, 12, (1, 2, 3), 0.5, "UINT2"),
    (40, 40, tuple(range(1, 8)), 0.0, "INT4"),
    (40, 40, tuple(range(1, 8)), 0.9, "INT4"),
    (8, 200, tuple(range(1, 8)), 0.0, "UINT8"),
    (16, 32, tuple(range(1, 128)), 0.0, "INT8"),
]
#: Too large to look for shared sums.
PLAIN = [(160, 130, (1,), 0.0, "UINT4"), (160, 130, (3, 5), 0.0, "UINT4")]


def layer(
    n: int, m: int, magnitudes: tuple[int, ...], pruned: float, datatype: str, seed: int = 1
) -> IntegerNetwork:
    rng = np.random.default_rng(seed)
    weights = rng.choice(magnitudes, (n, m)) * rng.choice((-1, 1), (n, m))
    weights[rng.random((n, m)) < pruned] = 0
    return layers(Tensor.of_type("x", datatype, n), (weights, np.zeros((m, 1))))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), family=st.sampled_from(sorted(FAMILIES)))
def test_no_random_layer_takes_less_than_its_bound(seed: int, family: str) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, most=int(rng.choice((4, 9, 24))))
    bounds = lower_bounds(network, family)
    for part, bound in zip(network.layers(), bounds, strict=True):
        alone = lower(network.part([part]), FAMILIES[family], Options(restarts=2))
        assert bound <= estimate(alone, FAMILIES[family]).luts


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), density=st.sampled_from((0.1, 0.3, 1.0)))
def test_no_fused_layer_takes_less_than_its_bound(seed: int, density: float) -> None:
    """Also where pruning leaves neurons that nobody reads."""
    network = chain_of_layers((16, 24, 12, 8), seed, density=density)
    compiled = compile_network(network, "net", latency=9, options=Options(quick=True))
    pairs = zip(lower_bounds(network, "xc7"), compiled.layer_costs(), strict=True)
    assert all(bound <= fused.luts for bound, fused in pairs)


@pytest.mark.parametrize("quick", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("shape", LAYERS + PLAIN, ids=str)
def test_no_layer_that_shares_much_takes_less_than_its_bound(shape: tuple, quick: bool) -> None:
    """A bound is far below what is built, yet not so far that it says nothing."""
    network = layer(*shape)
    (bound,) = lower_bounds(network, "xc7")
    luts = estimate(lower(network, FAMILIES["xc7"], Options(quick=quick)), FAMILIES["xc7"]).luts
    assert 1.3 * bound <= luts
    assert luts < 25 * bound


def test_estimates_are_near_what_is_built() -> None:
    shapes = [LAYERS[k] for k in (3, 8, 9)]
    for shape in shapes:
        network = layer(*shape)
        (found,) = layer_costs(network, "xc7", 8.0, None, 1e9)
        built = compile_network(network, "net", "xc7", 8.0)
        assert found.name == "a0" and not found.hopeless
        assert 0.98 * built.cost().luts <= found.luts <= 1.1 * built.cost().luts
        assert abs(found.latency - built.latency) <= 2


def test_without_a_search_estimates_are_what_is_built() -> None:
    """Of weights that share nothing, LUTs and clocks are those of the compiled network."""
    weights = np.eye(20, 10, dtype=int) + np.eye(20, 10, -10, dtype=int)
    network = layers(
        Tensor.of_type("x", "INT6", 20), (weights, np.tile(np.arange(-9, 9, 4), (10, 1)))
    )
    for timing in ((7.0, None), (None, 4)):
        (found,) = layer_costs(network, "xc7", *timing, 1e9)
        built = compile_network(network, "net", "xc7", *timing)
        assert (found.luts, found.latency) == (built.cost().luts, built.latency)


def test_a_hopeless_layer_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    network = layers(
        Tensor.of_type("x", "INT8", 640),
        (np.random.default_rng(0).integers(-128, 128, (640, 128)), np.zeros((128, 1))),
        (np.random.default_rng(1).integers(-1, 2, (128, 4)), None),
    )
    (least, small) = lower_bounds(network, "xc7")
    assert least > 37_000 > small
    compiled = []

    def watched(part: IntegerNetwork, *args: object) -> object:
        compiled.append(part.layers()[0].name)
        return lower(part, *args)

    monkeypatch.setattr("finn_builds.sparse.estimate.lower", watched)
    costs = layer_costs(network, "xc7", 10.0, None, 37_000, lambda *step: seen.append(step))
    assert compiled == ["a1"]
    assert [cost.hopeless for cost in costs] == [True, False]
    assert costs[0].luts == least
    assert seen == [(0, 2, "layer 1 as sparse logic"), (1, 2, "layer 2 as sparse logic")]
