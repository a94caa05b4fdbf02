"""What goes first: each criterion gives masks of its own, for its own reason."""

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from brevitas_models import pruning
from brevitas_models.errors import UserError
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.pruning import criteria
from brevitas_models.pruning.ranking import neuron_masks
from brevitas_models.pruning.settings import PruningSettings

LAYERS = (6, 12, 10, 4)
CRITERIA = ("magnitude", "random", "neurons", "hardware")


def network(**settings: object) -> QuantMLP:
    torch.manual_seed(3)
    return QuantMLP(MLPConfig.from_dict({"layers": list(LAYERS), **settings}))


def masks(model: QuantMLP, share: float, criterion: str, seed: int = 0, **more: object):
    settings = PruningSettings(criterion=criterion, **more)
    return pruning.masks_for(model, share, settings, seed, luts_of)


def luts_of(path: Path) -> list[int]:
    """Stand for the build's estimate: the first layer costs most."""
    assert path.suffix == ".onnx" and path.is_file()
    return [900, 90, 9]


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("scope", ["global", "per_layer"])
def test_share_is_met_and_grows(criterion: str, scope: str) -> None:
    model = network()
    before = model.masks()
    for share in (0.0, 0.25, 0.25, 0.6, 0.9, 1.0):
        found = masks(model, share, criterion, scope=scope)
        assert not any((new & ~old).any() for new, old in zip(found, before, strict=True))
        if criterion != "neurons":
            assert pruning.pruned_share(found) == pytest.approx(share, abs=0.01)
        elif scope == "global":
            # To the nearest number of neurons, the largest of which has 22 weights of 232.
            assert pruning.pruned_share(found) == pytest.approx(share, abs=0.5 * 22 / 232 + 1e-6)
        model.set_masks(found)
        before = found


@pytest.mark.parametrize("criterion", CRITERIA)
def test_tables_are_pruned_as_weights_are(criterion: str) -> None:
    kinds = ["tables", "weights", "tables"]
    model = network(edges=kinds, weight_bits=5, act_bits=4, input_bits=5)
    for share in (0.3, 0.6):
        found = masks(model, share, criterion)
        assert pruning.pruned_share(found) == pytest.approx(share, abs=0.06)
        before, sizes = model.masks(), [layer.sizes().detach() for layer in model.linears]
        assert not any((new & ~old).any() for new, old in zip(found, before, strict=True))
        model.set_masks(found)
        for layer, mask, size in zip(model.linears, found, sizes, strict=True):
            assert not layer.learnt[~mask].any()
            if criterion == "magnitude" and not mask.all():
                kept = torch.cat([s[m] for s, m in zip(sizes, found, strict=True)])
                assert size[~mask].max() <= kept.min()


@pytest.mark.parametrize("criterion", CRITERIA)
def test_scope_makes_a_difference(criterion: str) -> None:
    model = network()
    with torch.no_grad():
        model.linears[1].parametrizations.weight.original.mul_(0.01)
    counts = {
        scope: [int((~mask).sum()) for mask in masks(model, 0.4, criterion, scope=scope)]
        for scope in ("global", "per_layer")
    }
    assert counts["global"] != counts["per_layer"]
    if criterion != "neurons":
        sizes = [n_in * n_out for n_in, n_out in itertools.pairwise(LAYERS)]
        assert counts["per_layer"] == [round(0.4 * size) for size in sizes]


def test_every_criterion_has_masks_of_its_own() -> None:
    model = network(weight_bits=6)
    found = {
        name: torch.cat([mask.flatten() for mask in masks(model, 0.5, name)]) for name in CRITERIA
    }
    for one, other in itertools.combinations(CRITERIA, 2):
        assert not torch.equal(found[one], found[other]), (one, other)


def test_random_is_blind_to_the_weights_and_follows_its_seed() -> None:
    model, other = network(), network()
    with torch.no_grad():
        other.linears[0].parametrizations.weight.original.mul_(100)
    same = zip(masks(model, 0.5, "random"), masks(other, 0.5, "random"), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    again = zip(masks(model, 0.5, "random"), masks(model, 0.5, "random", seed=1), strict=True)
    assert not all(torch.equal(a, b) for a, b in again)


def test_neurons_go_as_a_whole() -> None:
    found = masks(network(), 0.5, "neurons")
    for into, out in itertools.pairwise(found):
        alive = into.any(dim=1)
        assert 0 < alive.sum() < len(alive)
        assert torch.equal(alive, out.any(dim=0)), "a neuron without inputs feeds nothing"
    assert found[0].any(dim=0).all(), "inputs stay"
    assert found[-1].any(dim=1).all(), "classes stay"
    for mask in found:
        rows, columns = mask.any(dim=1), mask.any(dim=0)
        assert torch.equal(mask, rows[:, None] & columns[None, :])


def test_neurons_by_hand() -> None:
    weights = [torch.tensor([[1.0, -1.0], [0.1, 0.3], [2.0, 0.0]]), torch.ones(1, 3)]
    # Mean magnitudes 1, 0.2, 1: the second goes first, with 3 of the 9 weights.
    first, last = neuron_masks(weights, 0.3)
    assert first.tolist() == [[True, True], [False, False], [True, True]]
    assert last.tolist() == [[True, False, True]]
    assert neuron_masks(weights, 0.16)[0].all(), "nearer to none than to one"
    assert not neuron_masks(weights, 1.0)[0].any()
    with pytest.raises(UserError, match="needs a network with a hidden layer"):
        neuron_masks(weights[1:], 0.5)


@given(st.lists(st.integers(-(2**20), 2**20), min_size=1))
def test_signed_digits_against_the_textbook(numbers: list[int]) -> None:
    def textbook(n: int) -> int:
        count = 0
        while n:
            if n % 2:
                count += 1
                n -= 2 - n % 4
            n //= 2
        return count

    found = criteria.signed_digit_counts(torch.tensor(numbers))
    assert found.tolist() == [textbook(n) for n in numbers]


def test_signed_digits_of_small_numbers() -> None:
    found = criteria.signed_digit_counts(torch.tensor([0.0, 1, -2, 3, 5, 7, -11, 15, 27]))
    assert found.tolist() == [0, 1, 1, 2, 2, 2, 3, 2, 3]


def test_hardware_prefers_cheap_weights() -> None:
    weights = [torch.tensor([[0.50, 0.55, 0.1]])]
    kept = [torch.tensor([[True, True, False]])]
    # As integers 8 (one digit) and 11 (three): the larger weight costs more than it is worth.
    scores = criteria.hardware_scores(weights, kept, [torch.tensor([[2.0, 6.0, 2.0]])])
    smaller = 0.25 / (0.25 + 0.3025)
    torch.testing.assert_close(scores[0], torch.tensor([[smaller / 2, 1 / 6, -1.0]]))


def test_hardware_does_not_empty_a_layer_that_costs_more() -> None:
    model = network(input_bits=8, weight_bits=2, act_bits=1)
    for share in (0.5, 0.8, 0.9):
        model.set_masks(masks(model, share, "hardware"))
        assert all(mask.any() for mask in model.masks())


def test_hardware_saves_additions() -> None:
    model = network(weight_bits=6)
    cost = {}
    for name in ("magnitude", "hardware"):
        kept = masks(model, 0.5, name)
        cost[name] = sum(
            int(criteria.signed_digit_counts(integers)[mask].sum()) * width
            for mask, integers, width in zip(
                kept, criteria.integer_weights(model), model.config.input_widths, strict=True
            )
        )
    assert cost["hardware"] < 0.95 * cost["magnitude"]


def test_hardware_counts_the_width_of_the_input() -> None:
    # The same weights behind 8-bit and behind 2-bit inputs: the first layer costs more or less.
    first = [
        int(masks(network(input_bits=bits, weight_bits=4), 0.5, "hardware")[0].sum())
        for bits in (2, 8)
    ]
    assert first[1] < first[0]


def test_bipolar_layers_take_no_part() -> None:
    model = network(weight_bits=[4, 1, 4])
    for name in ("magnitude", "random", "hardware"):
        found = masks(model, 0.5, name)
        assert found[1].all()
        model.set_masks(found)
    with pytest.raises(UserError, match="expected weight_bits of 2 or more in every layer"):
        masks(model, 0.5, "neurons")


def test_cost_by_the_builds_estimate() -> None:
    model = network()
    settings = {"criterion": "hardware", "schedule": "one_shot"}
    digits = masks(model, 0.5, **settings)
    estimate = masks(model, 0.5, **settings, cost="estimate")
    assert pruning.pruned_share(estimate) == pytest.approx(0.5)
    assert not all(torch.equal(a, b) for a, b in zip(digits, estimate, strict=True))


def test_float_weights_have_a_cost_too() -> None:
    model = network(weight_bits=32, act_bits=32, input_bits=32)
    assert pruning.pruned_share(masks(model, 0.5, "hardware")) == pytest.approx(0.5)
    with pytest.raises(UserError, match="found 32; change the widths"):
        masks(model, 0.5, "hardware", schedule="one_shot", cost="estimate")


@pytest.mark.parametrize("widths", [{"act_bits": 32}, {"weight_bits": 12}, {"input_bits": 16}])
def test_float_and_wide_networks_have_no_logic(widths: dict[str, int]) -> None:
    with pytest.raises(UserError, match=rf"of 1\.\.8 bits.*found .*{max(widths.values())}"):
        masks(network(**widths), 0.5, "hardware", schedule="one_shot", cost="estimate")


def test_an_estimate_needs_something_that_estimates() -> None:
    settings = PruningSettings(criterion="hardware", schedule="one_shot", cost="estimate")
    with pytest.raises(UserError, match=r"pass one as Hooks\.luts, or choose digits"):
        pruning.masks_for(network(), 0.5, settings)
