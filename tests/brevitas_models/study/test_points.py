"""What a grid stands for: every option changes the trainings that come out of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from brevitas_models.errors import UserError
from brevitas_models.study import config, points, work
from brevitas_models.study.data import StudyData
from deploy.tables import read_table

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
    assert set(OPTIONS) == set(config.Grid.model_fields) - {"settings"} == set(points.PLACES)


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


def test_any_setting_of_a_recipe_goes_by_section_and_name(mini: Make) -> None:
    rates, sizes = [0.001, 0.01], [[16, 8, 5], [16, 9, 5]]
    grid = {"bits": [4], "training.learning_rate": rates, "network.layers": sizes}
    found = points.grid_points(mini(grids=[grid, {"bits": [4, 6]}]))
    assert [point.recipe.training.learning_rate for point in found[:4]] == [0.001] * 2 + [0.01] * 2
    assert [point.columns()["network.layers"] for point in found[:2]] == ["16-8-5", "16-9-5"]
    assert [point.columns()["training.learning_rate"] for point in found[:4]][::2] == rates
    # The other grid's points have the column too, with the value of the base.
    base = mini().base.training.learning_rate
    assert [point.columns()["training.learning_rate"] for point in found[4:]] == [base] * 2


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (
            {"training.learning_rat": [1]},
            r"grids.0.training.learning_rat: training.learning_rat: no",
        ),
        (
            {"trainning.epochs": [1]},
            r"no section 'trainning' in base; expected one of network, data",
        ),
        ({"training.epochs": [0]}, r"grids.0.training.epochs: training.epochs: expected"),
    ],
)
def test_a_wrong_setting_is_named(mini: Make, grid: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        points.grid_points(mini(grids=[grid]))


def test_values_of_a_setting_are_a_list(mini: Make) -> None:
    with pytest.raises(UserError, match=r"training.epochs: expected a list of values, found 5"):
        mini(grids=[{"training.epochs": 5}])


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


def test_with_a_teacher_rows_have_the_soft_regret(mini: Make, tmp_path: Path) -> None:
    teacher = tmp_path / "teacher.onnx"
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(np.eye(4, 3, dtype=np.float32), "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), teacher)
    x = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    np.savez(tmp_path / "toy.npz", X=x, y=x[:, :3].argmax(1))
    data = {"dataset": str(tmp_path / "toy.npz")}
    study = mini(network={"layers": [4, 6, 3]}, data=data, grids=[{"bits": [4]}])
    frames = StudyData(study, teacher, read_table)
    (point,) = points.grid_points(study)
    arrays = frames.of(point)
    asked = frames.arrays[arrays[-1]]
    assert len(arrays) == 8 and asked.shape == (40, 3)
    np.testing.assert_allclose(asked.sum(1), 1, atol=1e-6)
    task = work.Task((work.Member("p", point.recipe, None, arrays),), 0, ("a", "b", "c"), False)
    (outcome,) = work.run(task, dict(enumerate(frames.arrays)))
    figures = outcome.result.figures
    assert figures["soft_regret"] <= 0 < figures["soft_regret_error"]
    assert figures["teacher_accuracy"] > 0.9
