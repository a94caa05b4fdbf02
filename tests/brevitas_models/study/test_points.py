"""What a grid stands for: every option changes the trainings that come out of it."""

from collections.abc import Callable
from typing import Any

import pytest

from brevitas_models.study import config, points
from brevitas_models.study.data import StudyData

Make = Callable[..., config.Study]

OPTIONS: dict[str, tuple[list[Any], Callable[[Any], Any]]] = {
    "bits": ([32, 6], lambda r: (r.network.weight_bits, r.network.act_bits)),
    "schedule": (["fine_tuning", "one_shot"], lambda r: r.pruning.schedule),
    "criterion": (["magnitude", "random"], lambda r: r.pruning.criterion),
    "batch_norm": (["on", "off"], lambda r: r.network.batch_norm),
    "l1": ([0.0, 0.1], lambda r: r.training.l1),
    "random_labels": ([0.0, 0.5], lambda r: r.data.random_labels),
    "seed": ([0, 5], lambda r: r.training.seed),
}


def test_every_option_of_a_grid_is_here() -> None:
    assert set(OPTIONS) == set(config.Grid.model_fields) == set(points.PLACES)


@pytest.mark.parametrize("option", OPTIONS)
def test_option_reaches_the_recipes_and_the_table(option: str, mini: Make) -> None:
    values, read = OPTIONS[option]
    found = points.grid_points(mini(grids=[{option: values}]))
    wanted = [(v, v) for v in values] if option == "bits" else values
    assert [read(point.recipe) for point in found] == wanted
    assert [point.columns()[option] for point in found] == values
    assert len(set(found)) == 2


def test_grids_are_products_and_points_come_once(mini: Make) -> None:
    one = {"bits": [4, 6], "seed": [0, 1, 2]}
    found = points.grid_points(mini(grids=[one, {"bits": [6, 8], "seed": [2, 3]}]))
    pairs = [(point.columns()["bits"], point.columns()["seed"]) for point in found]
    assert pairs == [(4, 0), (4, 1), (4, 2), (6, 0), (6, 1), (6, 2), (6, 3), (8, 2), (8, 3)]


def test_float_networks_have_float_inputs(mini: Make) -> None:
    found = points.grid_points(mini(grids=[{"bits": [32, 6]}]))
    assert [point.recipe.network.input_bits for point in found] == [32, 8]


def test_schedules_of_one_share_take_the_largest(mini: Make) -> None:
    (point,) = points.grid_points(mini(grids=[{"schedule": ["gradual"]}]))
    assert (point.recipe.pruning.share, point.recipe.pruning.shares) == (0.9, None)


def test_folds_are_points(mini: Make) -> None:
    found = points.grid_points(mini(data={"folds": 3}, grids=[{"bits": [4]}]))
    assert [point.fold for point in found] == [0, 1, 2]
    assert len(set(found)) == 3


def test_keys_tell_points_and_data_apart(mini: Make) -> None:
    def keys(**data: object) -> list[str]:
        study = mini(data=data, grids=[{"bits": [4, 6]}])
        frames = StudyData(study, None)
        return [frames.key(point) for point in points.grid_points(study)]

    assert keys() == keys()
    assert len({*keys(), *keys(seed=1), *keys(folds=2), *keys(random_labels=0.5)}) == 10
