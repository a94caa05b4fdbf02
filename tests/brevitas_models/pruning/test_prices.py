"""Prices of edges, and what a budget of them leaves."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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
    wide = np.stack([[5] * 128, [5] * 127 + [6], [-8] + [7] * 127])  # 7-bit codes
    assert prices.table_luts(wide).tolist() == pytest.approx([0, 2.65, 10.6])


def test_bits_of_codes_that_a_table_does_not_read_cost_nothing() -> None:
    entries = np.random.default_rng(2).integers(-8, 8, (5, 32))
    for repeated in (np.tile(entries, 4), entries.repeat(4, 1)):
        assert prices.read_bits(repeated).tolist() == [5] * 5
        assert np.array_equal(prices.table_luts(repeated), prices.table_luts(entries))
    assert prices.read_bits(np.array([[3] * 16, [1, 2] * 8])).tolist() == [0, 1]


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
        pruning.keep_budget(model, budget, frames())
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
    losses = [torch.tensor([[[15.0, 18.0, 3.0]], [[0.0, 0.0, 0.0]]])]
    cost = [torch.tensor([[[0.0, 0.0, 0.0]], [[5.0, 9.0, 3.0]]])]
    assert prices.options_within(losses, cost, 8.0)[0].tolist() == [[1, 0, 0]]
    assert prices.options_within(losses, cost, 14.0)[0].tolist() == [[1, 1, 0]]
    assert prices.options_within(losses, cost, 17.0)[0].tolist() == [[1, 1, 1]]
    assert prices.options_within(losses, cost, 0.0)[0].tolist() == [[0, 0, 0]]


@given(st.integers(0, 10**6), st.floats(0.0, 1.2))
@settings(max_examples=60, deadline=None)
def test_no_other_choice_at_the_same_price_loses_less(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    shapes = [(3, 2, 2), (2, 2, 1)]
    losses = [torch.from_numpy(np.sort(rng.exponential(1, s), 0)[::-1].copy()) for s in shapes]
    price = [torch.from_numpy(np.sort(rng.integers(1, 9, s), 0) * 1.0) for s in shapes]
    for cost in price:
        cost[0] = 0.0
    losses[0][2, 0, 0] = torch.inf
    budget = share * sum(float(cost[-1].sum()) for cost in price)
    found = prices.options_within(losses, price, budget)

    def total(values: list[torch.Tensor], options: Sequence[torch.Tensor]) -> float:
        picked = zip(values, options, strict=True)
        return sum(float(v.gather(0, option[None]).sum()) for v, option in picked)

    spent, lost = total(price, found), total(losses, found)
    assert spent <= budget
    for first in itertools.product(range(3), repeat=4):
        for second in itertools.product(range(2), repeat=2):
            other = [torch.tensor(first).view(2, 2), torch.tensor(second).view(2, 1)]
            assert total(price, other) > spent or total(losses, other) >= lost - 1e-9


def test_bipolar_weights_have_no_budget() -> None:
    model = network(edges="weights", weight_bits=[1, 4])
    with pytest.raises(UserError, match="lut_budget: 1-bit weights"):
        pruning.keep_budget(model, 10.0, frames())
