"""Inputs chosen to be distributed as known ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brevitas_models.train import matching


def answers(x, rng):
    logits = np.column_stack([2 * x[:, 0], -x[:, 0], x[:, 1]]) + rng.normal(0, 0.1, (len(x), 3))
    shares = np.exp(logits)
    return (shares / shares.sum(1, keepdims=True)).astype(np.float32)


def test_chosen_inputs_are_distributed_as_the_known_ones():
    rng = np.random.default_rng(0)
    known = rng.normal([0.5, 0.0], [1.0, 0.7], (2000, 2)).astype(np.float32)
    x = rng.normal(0, 1.2, (40_000, 2)).astype(np.float32)
    about, wanted = answers(x, rng), answers(known, rng)
    rows = matching.choose(x, about, known, wanted, 20_000, rng)
    assert rows.shape == (20_000,)
    for at in range(2):
        levels = np.linspace(0.05, 0.95, 10)
        off = np.quantile(x[rows, at], levels) - np.quantile(known[:, at], levels)
        assert np.abs(off).max() < 0.1
    assert about[rows].max(1).mean() == pytest.approx(wanted.max(1).mean(), abs=0.005)
    counts = [np.bincount(p.argmax(1), minlength=3) / len(p) for p in (about[rows], wanted)]
    np.testing.assert_allclose(*counts, atol=0.01)


def test_recorded_quantiles_count_for_more_than_the_known_inputs():
    rng = np.random.default_rng(5)
    x = rng.normal(0, 1, (20_000, 2)).astype(np.float32)
    known = rng.normal(0.5, 1, (200, 2)).astype(np.float32)
    quantiles = np.tile(np.sort(rng.normal(0, 0.6, 200)).astype(np.float32)[:, None], 2)
    same = np.full((len(x), 2), 0.5, np.float32)
    rows = matching.choose(x, same, known, same[:200], 10_000, rng, quantiles)
    np.testing.assert_allclose(x[rows].mean(0), quantiles.mean(0), atol=0.05)
    np.testing.assert_allclose(x[rows].std(0), quantiles.std(0), atol=0.1)


def test_of_inputs_like_the_known_ones_all_count_alike():
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (500, 3)).astype(np.float32)
    weights = matching.match_margins([matching.margin(x[:, at], x[:, at], 10) for at in range(3)])
    np.testing.assert_allclose(weights, 1.0)


def test_one_seed_chooses_the_same_rows():
    x = np.random.default_rng(2).normal(0, 1, (300, 2)).astype(np.float32)
    about = answers(x, np.random.default_rng(3))
    pair = [
        matching.choose(x, about, x[:40], about[:40], 100, np.random.default_rng(4))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*pair)


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(2, 30))
@settings(max_examples=30, deadline=None)
def test_weights_stay_within_limits_and_keep_the_mean(seed, margins, bins):
    rng = np.random.default_rng(seed)
    found = matching.match_margins(
        [(rng.integers(bins, size=200), rng.dirichlet(np.full(bins, 0.3))) for _ in range(margins)]
    )
    assert found.mean() == pytest.approx(1.0)
    # Clipping comes before the mean is set to one again.
    assert found.max() / found.min() <= matching.LIMIT**2 * (1 + 1e-9)


def test_a_margin_of_whole_numbers_has_bins_that_are_filled():
    known = np.array([1, 1, 1, 1, 2, 3], np.float32)
    place, share = matching.margin(np.array([0, 1, 2, 3, 9], np.float32), known, 6)
    assert share.sum() == pytest.approx(1.0)
    assert place[-1] == len(share) - 1
