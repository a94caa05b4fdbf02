"""The choice of styles keeps to the budget and takes the shortest interval."""

import pytest

from finn_builds.errors import UserError
from finn_builds.folded.estimates import MvauShape, ThresholdShape
from finn_builds.folded.folding import FoldedLayer
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
