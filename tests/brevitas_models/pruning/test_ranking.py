"""Rankings and schedules."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from brevitas_models.errors import UserError
from brevitas_models.pruning import cubic_share, magnitude_masks, pruned_share

# Few distinct values, so that ties are the rule.
WEIGHTS = st.lists(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
        elements=st.sampled_from([-2.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0]),
    ).map(torch.from_numpy),
    min_size=1,
    max_size=4,
)
SHARES = st.floats(0, 1)


@given(WEIGHTS, SHARES)
def test_global_ranking(weights, share):
    masks = magnitude_masks(weights, share)
    size = torch.cat([weight.abs().flatten() for weight in weights])
    kept = torch.cat([mask.flatten() for mask in masks])
    assert [mask.shape for mask in masks] == [weight.shape for weight in weights]
    assert int((~kept).sum()) == round(share * len(size))
    if kept.any() and not kept.all():
        assert size[kept].min() >= size[~kept].max()


@given(WEIGHTS, SHARES)
def test_ranking_per_layer(weights, share):
    for weight, mask in zip(weights, magnitude_masks(weights, share, "per_layer"), strict=True):
        assert torch.equal(mask, magnitude_masks([weight], share)[0])


@given(WEIGHTS, SHARES, SHARES)
def test_pruned_stays_pruned(weights, one, other):
    first, second = sorted((one, other))
    masks = magnitude_masks(weights, first)
    # Training moves what is left, but none of it to exactly zero.
    left = [torch.where(mask, w + 3.0, 0.0) for w, mask in zip(weights, masks, strict=True)]
    for before, after in zip(masks, magnitude_masks(left, second), strict=True):
        assert not (after & ~before).any()


def test_known_case():
    weights = [torch.tensor([[0.1, -3.0], [0.4, 0.2]]), torch.tensor([[-0.3, 5.0]])]
    masks = magnitude_masks(weights, 0.5)
    assert [mask.tolist() for mask in masks] == [[[False, True], [True, False]], [[False, True]]]
    masks = magnitude_masks(weights, 0.5, "per_layer")
    assert [mask.tolist() for mask in masks] == [[[False, True], [True, False]], [[False, True]]]
    masks = magnitude_masks(weights, 0.25, prunable=[True, False])
    assert [mask.tolist() for mask in masks] == [[[False, True], [True, True]], [[True, True]]]
    assert pruned_share(masks) == pytest.approx(1 / 6)


def test_layers_that_take_no_part_are_not_counted():
    weights = [torch.full((4, 4), 0.1), torch.full((2, 2), 1.0)]
    masks = magnitude_masks(weights, 1.0, prunable=[False, True])
    assert masks[0].all()
    assert not masks[1].any()


def test_no_layer_to_prune():
    weights = [torch.ones(2, 2)]
    assert magnitude_masks(weights, 0.0, prunable=[False])[0].all()
    with pytest.raises(UserError, match="bipolar"):
        magnitude_masks(weights, 0.5, prunable=[False])


def test_cubic_schedule():
    assert cubic_share(0.0, 0.8) == 0
    assert cubic_share(1.0, 0.8) == 0.8
    assert cubic_share(-1.0, 0.8) == 0
    assert cubic_share(2.0, 0.8) == 0.8
    # Zhu and Gupta, equation 1, half-way: 0.8 - 0.8 / 8.
    assert cubic_share(0.5, 0.8) == pytest.approx(0.7)


@given(SHARES, SHARES, SHARES)
def test_cubic_schedule_never_falls(one, other, final):
    early, late = sorted((one, other))
    assert cubic_share(early, final) <= cubic_share(late, final) <= final
