"""The choice of styles keeps to the budget and takes the shortest interval."""

import numpy as np
import pytest

from finn_builds.errors import UserError
from finn_builds.folded.estimates import MvauShape, ThresholdShape
from finn_builds.folded.folding import FoldedLayer
from finn_builds.folded.limits import why_not_folded
from finn_builds.network import (
    Affine,
    IntegerNetwork,
    Linear,
    Node,
    Product,
    Requantise,
    Tensor,
    chain,
    tensor_of,
)
from finn_builds.sparse.compiler import LayerCost
from finn_builds.style.choice import choose


def layers(n: int) -> list[FoldedLayer]:
    return [
        FoldedLayer(str(k), MvauShape(16, 16, 4, 4, 12, True, 25), ThresholdShape(16, 15, 12, 12))
        for k in range(n)
    ]


def costs(*luts: float) -> list[LayerCost]:
    return [LayerCost(str(k), int(lut), 4) for k, lut in enumerate(luts)]


def test_all_sparse_when_it_fits():
    choice = choose(layers(3), costs(100, 200, 300), {"LUT": 700, "DSP": 10, "BRAM_18K": 10})
    assert choice.styles == ("sparse",) * 3
    assert (choice.interval, choice.latency) == (1, 12)


def test_the_layer_that_does_not_fit_is_folded():
    budget = {"LUT": 20000.0, "DSP": 20.0, "BRAM_18K": 100.0}
    choice = choose(layers(3), costs(100, 50000, 300), budget)
    assert choice.styles == ("sparse", "folded", "sparse")
    assert choice.interval > 1
    assert budget["LUT"] >= choice.resources.LUT


def test_nothing_fits_is_said():
    with pytest.raises(UserError, match="does not fit the board"):
        choose(layers(2), costs(500, 500), {"LUT": 50.0, "DSP": 1.0, "BRAM_18K": 1.0})


def test_a_hopeless_layer_is_folded_whatever_its_bound():
    hopeless = LayerCost("1", 10, 0, hopeless=True)
    found = [LayerCost("0", 100, 4), hopeless, LayerCost("2", 100, 4)]
    budget = {"LUT": 20000.0, "DSP": 20.0, "BRAM_18K": 100.0}
    assert choose(layers(3), found, budget).styles == ("sparse", "folded", "sparse")


def test_a_layer_that_cannot_be_folded_stays_sparse():
    budget = {"LUT": 20000.0, "DSP": 20.0, "BRAM_18K": 100.0}
    found = costs(100, 50000, 300)
    for n in (3, 14):
        mixed = [None, *layers(n)[1:-1], None]
        choice = choose(mixed, [found[0], *costs(*[50000] * (n - 2)), found[2]], budget)
        assert choice.styles == ("sparse", *["folded"] * (n - 2), "sparse")
    with pytest.raises(UserError, match="no combination"):
        choose([layers(1)[0], None], found[:2], budget)


def dense(source: Tensor, weights: object, levels: int = 3, shift: int = 0) -> IntegerNetwork:
    linear = Linear(weights)
    form = Affine([1] * linear.n_out, [0] * linear.n_out, [shift] * linear.n_out, levels)
    return chain(source, [("sums", linear), ("codes", Requantise(form))])


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (dense(Tensor.of_type("x", "INT8", 2), [[127], [-128]]), None),
        (dense(Tensor.of_type("x", "UINT9", 2), [[1], [2]]), "its inputs have 9 bits"),
        (dense(Tensor.of_type("x", "INT2", 2), [[255], [2]]), "its weights have 9 bits"),
        (dense(Tensor.of_type("x", "INT8", 2), [[1], [2]], 511), "its outputs have 9 bits"),
        (
            dense(Tensor.of_type("x", "UINT8", 600), np.full((600, 1), 127)),
            "its sums reach 19,431,000",
        ),
        (
            chain(Tensor.of_type("x", "INT4", 2), [("y", Product([0], [1], 2))]),
            "it is not one matrix with its activation but made of Product",
        ),
    ],
)
def test_what_cannot_be_folded_and_why(network: IntegerNetwork, why: str | None):
    (layer,) = network.layers()
    assert why_not_folded(layer) == why


def test_ends_of_several_tensors_are_not_folded():
    parts = Tensor.of_type("a", "INT4", 1), Tensor.of_type("b", "INT4", 1)
    linear = Linear([[1], [2]])
    node = Node(linear, ("a", "b"), tensor_of(linear, "y", parts))
    (joined,) = IntegerNetwork(parts, (node,), ("y",)).layers()
    assert why_not_folded(joined) == "it has 2 inputs"
    source = Tensor.of_type("x", "INT4", 2)
    node = Node(linear, ("x",), tensor_of(linear, "y", [source]))
    (split,) = IntegerNetwork((source,), (node,), ("y", "x")).layers()
    assert why_not_folded(split) == "it has 2 outputs"
