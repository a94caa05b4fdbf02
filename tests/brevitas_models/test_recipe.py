"""The YAML of a model: what is read, and what a wrong one is answered with."""

from pathlib import Path

import pytest
import yaml

from brevitas_models import recipe, zoo
from brevitas_models.errors import UserError

SMALL = {"name": "small", "network": {"layers": [4, 8, 3]}}


def test_defaults_and_file_name(tmp_path: Path) -> None:
    file = tmp_path / "tiny_net.yaml"
    file.write_text("network:\n  layers: [4, 3]\ntraining:\n  learning_rate: 1e-2\n")
    found = recipe.load(file)
    assert found.name == "tiny_net"
    assert found.network.layers == (4, 3)
    assert found.training.learning_rate == 0.01
    assert found.pruning.share == 0
    assert found.distillation is None


@pytest.mark.parametrize("name", ["digits", "jets"])
def test_shipped_recipes_are_whole(name: str) -> None:
    found = recipe.load(zoo.recipe_path(name))
    assert found.name == name
    assert recipe.from_dict(yaml.safe_load(yaml.safe_dump(found.to_dict()))) == found


def test_replace_checks_and_keeps_the_rest() -> None:
    found = recipe.from_dict({**SMALL, "training": {"l1": 0.5}})
    changed = found.replace("training", epochs=3)
    assert (changed.training.epochs, changed.training.l1) == (3, 0.5)
    assert found.training.epochs != 3
    with pytest.raises(UserError, match=r"training\.epochs: expected greater than .* 1, found 0"):
        found.replace("training", epochs=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {"epoch": 3}}, r"training\.epoch: no such setting; did you mean epochs\?"),
        ({"trainng": {}}, r"trainng: no such setting; did you mean training\?"),
        ({"network": {"layers": [4, 3], "bits": 2}}, r"network\.bits: no such model setting"),
        ({"network": {"layers": [4]}}, r"network\.layers: expected two or more"),
        ({"network": None}, r"network: expected a valid dictionary, found None"),
        ({"training": {"learning_rate": -1}}, r"training\.learning_rate: .* found -1"),
        ({"training": {"learning_rate": ".nan"}}, r"training\.learning_rate: "),
        ({"training": {"schedule": "step"}}, r"training\.schedule: .*'cosine' or 'constant'"),
        ({"pruning": {"share": 1.0}}, r"pruning\.share: expected less than 1, found 1"),
        ({"pruning": {"start": 0.5, "end": 0.5}}, r"pruning: expected start below end"),
        ({"distillation": {"along": [1, 0]}}, r"distillation: expected lower ends below"),
        ({"distillation": {"temperature": 0}}, r"distillation\.temperature: "),
        ({"name": "../up"}, r"name: "),
        ({"name": None}, r"name: missing"),
    ],
)
def test_wrong_settings(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        recipe.from_dict({**SMALL, **change})
    assert "\n" not in str(caught.value)


def test_all_faults_at_once() -> None:
    with pytest.raises(UserError) as caught:
        recipe.from_dict({**SMALL, "training": {"epochs": 0, "seed": -1}})
    assert "epochs" in str(caught.value) and "seed" in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", "", "just text"])
def test_wrong_files(tmp_path: Path, text: str) -> None:
    file = tmp_path / "model.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=r"model\.yaml: "):
        recipe.load(file)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        recipe.load(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="can't be read"):
        recipe.load(tmp_path)
