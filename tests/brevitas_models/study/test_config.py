"""Study files: the shipped ones are valid, wrong ones end with one line that names the key."""

import copy
from pathlib import Path
from typing import Any

import pytest

from brevitas_models.errors import UserError
from brevitas_models.study import config, points
from tests.brevitas_models.study.conftest import MINI

STUDIES = Path(config.__file__).parent


@pytest.mark.parametrize("name", ["paper_small", "paper_full"])
def test_shipped_studies_are_valid(name: str) -> None:
    study = config.load(STUDIES / f"{name}.yaml")
    found = points.grid_points(study)
    assert study.name == name
    assert {point.recipe.pruning.schedule for point in found} == {"fine_tuning", "lottery_ticket"}
    assert len(set(found)) == len(found)
    assert study.bayes is not None


def test_tables_and_weights_are_compared_alike() -> None:
    study = config.load(STUDIES / "tables_jets.yaml")
    recipes = [point.recipe for point in points.grid_points(study)]
    assert {recipe.network.edge_kinds[0] for recipe in recipes} == {"tables", "weights"}
    assert all(len(set(recipe.network.edge_kinds)) == 1 for recipe in recipes)
    assert all(recipe.pruning.lut_budget and recipe.network.buildable for recipe in recipes)
    # All but the kind of the edges, and what suits the kind, is the same.
    assert (
        len({(recipe.data, recipe.distillation, recipe.training.epochs) for recipe in recipes}) == 1
    )


def test_the_full_study_is_the_papers() -> None:
    study = config.load(STUDIES / "paper_full.yaml")
    training = study.base.training
    assert (training.epochs, training.learning_rate, training.patience) == (250, 1e-4, 10)
    assert study.bayes is not None
    assert (study.bayes.trials, study.bayes.epochs) == (20, 25)
    assert study.bayes.sizes == ((8, 128), (4, 64), (4, 64))
    recipes = [point.recipe for point in points.grid_points(study)]
    assert {recipe.network.weight_bits for recipe in recipes} == {32, 12, 8, 6, 4}
    assert {recipe.data.random_labels for recipe in recipes} == {0, 0.5, 0.75, 0.9}
    assert {recipe.training.l1 for recipe in recipes} == {0, 1e-4}
    norms = {recipe.network.batch_norm for recipe in recipes}
    assert norms == {"on", "off", "no_affine", "no_running_stats"}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"grid": []}, r"grid: no such setting; did you mean grids\?"),
    ({"grids": []}, r"grids: missing; expected a list of grids, or a section bayes"),
    ({"grids": [{"bit": [4]}]}, r"grids\.0\.bit: no such setting; did you mean bits\?"),
    (
        {"grids": [{"bits": [40]}]},
        r"grids\.0\.bits\.0: expected less than or equal to 32, found 40",
    ),
    ({"grids": [{"bits": [17]}]}, r"grids\.0\.bits: network\.weight_bits: .*found 17"),
    ({"grids": [{"bits": 4}]}, r"grids\.0\.bits: expected a list, found 4"),
    ({"grids": {"bits": [4]}}, r"grids: expected a list, found \{'bits'"),
    ({"base": "iris.yaml"}, r"base: expected settings below it \(name, network,.*found 'iris"),
    ({"base": {"network": 5}}, r"base\.network: expected settings below it \(layers, .*found 5"),
    ({"grids": [{"schedule": ["lt"]}]}, r"grids\.0\.schedule: pruning\.schedule: .*found 'lt'"),
    ({"grids": [{"criterion": ["big"]}]}, r"grids\.0\.criterion: pruning\.criterion: .*'big'"),
    ({"grids": [{"batch_norm": ["yes"]}]}, r"grids\.0\.batch_norm: network\.batch_norm: .*'yes'"),
    ({"grids": [{"l1": [-1]}]}, r"grids\.0\.l1: training\.l1: .*found -1"),
    ({"grids": [{"random_labels": [2]}]}, r"grids\.0\.random_labels: data\.random_labels: .*2"),
    ({"grids": [{"seed": [-1]}]}, r"grids\.0\.seed: training\.seed: .*found -1"),
    ({"bayes": {"trials": 0}}, r"bayes\.trials: expected greater than or equal to 1, found 0"),
    ({"bayes": {"sizes": [[9, 8]]}}, r"bayes\.sizes|bayes: expected smallest sizes first"),
    ({"bayes": {"sizes": [[8, 9], [8, 9]]}}, r"bayes\.sizes: expected 1 ranges, .* found 2"),
    ({"hardware": {"synth": "vivado"}}, r"hardware\.synth: expected 'none' or 'yosys'"),
    ({"compute": {"width": 0}}, r"compute\.width: expected greater than or equal to 1, found 0"),
    ({"compute": {"wide": 3}}, r"compute\.wide: no such setting; did you mean width\?"),
    ({"base": {}}, r"base\.network: missing"),
    ({"base": {"network": {"layers": [4]}}}, r"base\.network\.layers: "),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_settings_are_named(change: dict[str, Any], message: str) -> None:
    values = copy.deepcopy(MINI) | change
    with pytest.raises(UserError, match=message) as caught:
        points.grid_points(config.from_dict(values))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file; expected the YAML of a study"),
        ("a: [", "not valid YAML"),
        ("7", "expected a mapping with the keys name, base"),
    ],
)
def test_files_that_are_no_study(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "study.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        config.load(path)
