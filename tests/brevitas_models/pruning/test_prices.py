"""Prices of edges, and what a budget of them leaves."""

import numpy as np
import pytest
import torch

from brevitas_models import pruning
from brevitas_models.errors import UserError
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.pruning import prices


def network(**settings: object) -> QuantMLP:
    torch.manual_seed(3)
    base = {"layers": [6, 8, 4], "edges": "tables", "weight_bits": 6, "act_bits": 5}
    return QuantMLP(MLPConfig.from_dict(base | {"input_bits": 6} | settings))


def frames() -> torch.Tensor:
    return torch.randn(1000, 6, generator=torch.Generator().manual_seed(1))


def test_a_table_costs_what_differs_among_its_entries() -> None:
    tables = np.array([[5] * 32, [5] * 31 + [6], [-8, 7] * 16])
    assert prices.entry_bits(tables).tolist() == [0, 1, 4]
    assert prices.table_luts(tables).tolist() == pytest.approx([0, 1.15, 4.6])
    wide = np.tile(tables, 4)  # 7-bit codes
    assert prices.table_luts(wide).tolist() == pytest.approx([0, 2.65, 10.6])


def test_edges_of_both_kinds_have_prices() -> None:
    model = network(edges=["weights", "tables"], weight_bits=[3, 6])
    first, second = pruning.edge_prices(model)
    digits = prices.signed_digit_counts(prices.integer_weights(model)[0])
    assert torch.equal(first, digits * 6.0)
    tables = prices.integer_weights(model)[1].flatten(0, 1).numpy().astype(np.int64)
    assert second.flatten().tolist() == pytest.approx(prices.table_luts(tables).tolist())


def test_a_callers_prices_see_weights_as_tables() -> None:
    seen = []

    def luts(tables: np.ndarray) -> np.ndarray:
        seen.append(tables)
        return np.full(len(tables), 2.0)

    model = network(edges=["weights", "tables"], weight_bits=[3, 6])
    model.set_masks([torch.rand(mask.shape) > 0.5 for mask in model.masks()])
    found = pruning.edge_prices(model, luts)
    assert pruning.total_luts(found) == 2.0 * sum(int(mask.sum()) for mask in model.masks())
    weights = prices.integer_weights(model)[0].flatten().numpy()
    assert seen[0].shape == (48, 64) and seen[1].shape == (32, 32)
    assert np.array_equal(seen[0][:, -1], weights * 31)
    assert np.array_equal(seen[0][:, 0], weights * -32)


def test_a_budget_is_met_and_nothing_comes_back() -> None:
    model = network()
    full = pruning.total_luts(pruning.edge_prices(model))
    before = model.masks()
    for budget in (0.8 * full, 0.5 * full, 0.1 * full):
        model.set_masks(pruning.masks_in_budget(model, budget, frames()))
        left = pruning.total_luts(pruning.edge_prices(model))
        assert 0.3 * budget < left <= budget
        assert not any((new & ~old).any() for new, old in zip(model.masks(), before, strict=True))
        before = model.masks()


def test_neurons_that_nothing_reads_go() -> None:
    first = torch.tensor([[True, True], [False, False], [True, False]])
    second = torch.tensor([[True, True, False], [False, True, False]])
    alone, read = prices.live_masks([first, second])
    assert alone.tolist() == [[True, True], [False, False], [False, False]]
    assert read.tolist() == [[True, False, False], [False, False, False]]


def test_dear_edges_go_first_among_equals() -> None:
    scores, cost = [torch.tensor([[3.0, 2.0, 1.0]])], [torch.tensor([[5.0, 9.0, 3.0]])]
    assert prices.masks_within(scores, cost, 8.0)[0].tolist() == [[True, False, False]]
    assert prices.masks_within(scores, cost, 14.0)[0].tolist() == [[True, True, False]]


def test_bipolar_weights_have_no_budget() -> None:
    model = network(edges="weights", weight_bits=[1, 4])
    with pytest.raises(UserError, match="lut_budget: 1-bit weights"):
        pruning.masks_in_budget(model, 10.0, frames())
