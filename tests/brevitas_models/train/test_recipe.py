"""The YAML of a model: what is read, and what a wrong one is answered with."""

from pathlib import Path

import pytest
import yaml

from brevitas_models import zoo
from brevitas_models.errors import UserError
from brevitas_models.train import recipe

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
    found = recipe.load(zoo.path(name, ".yaml"))
    assert found.name == name
    assert recipe.from_dict(yaml.safe_load(yaml.safe_dump(found.to_dict()))) == found


def test_replace_checks_and_keeps_the_rest() -> None:
    found = recipe.from_dict({**SMALL, "training": {"l1": 0.5}})
    changed = found.replace("training", epochs=3)
    assert (changed.training.epochs, changed.training.l1) == (3, 0.5)
    assert found.training.epochs != 3
    with pytest.raises(UserError, match=r"training\.epochs: expected greater than .* 1, found 0"):
        found.replace("training", epochs=0)


def test_settings_of_the_command_line() -> None:
    found = recipe.from_dict({**SMALL, "pruning": {"share": 0.8}})
    changed = found.override(
        [
            "pruning.schedule=lottery_ticket",
            "pruning.share=0",  # only together with the next one
            "pruning.shares=[0, 0.5]",
            "network.weight_bits=[6, 3]",
            "network.batch_norm=off",
            "distillation.samples=10",
            "name=other",
        ]
    )
    assert changed.pruning.shares == (0, 0.5)
    assert changed.network.weight_bits == (6, 3)
    assert changed.network.batch_norm == "off"
    assert changed.distillation.samples == 10
    assert changed.name == "other"
    assert found.override([]) == found


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("pruning.share", "expected section.key=value with a section of network, data, training"),
        ("share=0.5", "expected section.key=value"),
        ("prunning.share=0.5", "expected section.key=value"),
        ("pruning=0.5", "expected section.key=value"),
        ("pruning.share=[", "not valid YAML"),
        ("pruning.share=2", r"pruning\.share: expected less than 1, found 2"),
        ("pruning.shares=[0]", "schedule gradual takes share, a number, found shares"),
        ("network.weight_bits=17", r"network\.weight_bits"),
        ("training.epoch=2", "did you mean epochs"),
        (
            "network.edges=table",
            "^network.edges: expected 'weights' or 'tables', or a list, found 'ta",
        ),
        ("network.edges=[tables, 3]", "^network.edges.1: expected 'weights' or 'tables', found 3$"),
        (
            "training.loss=[mse, x]",
            "^training.loss.1: expected 'cross_.*', 'mse' or 'huber', found 'x'$",
        ),
        ("network.outputs={1a: 3}", "^network.outputs.1a.*: expected a name that matches "),
        ("network.layers=[3]", "^network.layers: expected at least 2 of them, found"),
    ],
)
def test_wrong_settings_of_the_command_line(assignment: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        recipe.from_dict(SMALL).override([assignment])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {"epoch": 3}}, r"training\.epoch: no such setting; did you mean epochs\?"),
        ({"trainng": {}}, r"trainng: no such setting; did you mean training\?"),
        ({"network": {"layers": [4, 3], "bits": 2}}, r"network\.bits: no such setting"),
        ({"network": {"layers": [4]}}, r"network\.layers: .*at least 2"),
        ({"network": None}, r"network: expected settings below it .*found None"),
        ({"training": {"learning_rate": -1}}, r"training\.learning_rate: .* found -1"),
        ({"training": {"learning_rate": ".nan"}}, r"training\.learning_rate: "),
        ({"training": {"schedule": "step"}}, r"training\.schedule: .*'cosine' or 'constant'"),
        ({"pruning": {"share": 1.0}}, r"pruning\.share: expected less than 1, found 1"),
        ({"pruning": {"start": 0.5, "end": 0.5}}, r"pruning: expected start below end"),
        ({"pruning": {"schedule": "one_shot", "shares": [0, 0.5]}}, "takes share, a number"),
        (
            {"pruning": {"schedule": "fine_tuning", "shares": [0, 0.5], "share": 0.5}},
            "expected either share or shares",
        ),
        ({"pruning": {"schedule": "fine_tuning", "shares": [0.5, 0.2]}}, "never fall"),
        ({"pruning": {"schedule": "fine_tuning", "shares": []}}, r"pruning\.shares: "),
        ({"pruning": {"schedule": "fine_tuning", "shares": [1.0]}}, r"pruning\.shares\.0: "),
        ({"pruning": {"criterion": "hardware", "cost": "estimate"}}, "gradual prunes at every"),
        (
            {"pruning": {"schedule": "one_shot", "cost": "estimate"}},
            "cost is of criterion hardware",
        ),
        ({"data": {"random_labels": 1.5}}, r"data\.random_labels: .* found 1\.5"),
        ({"data": {"folds": 0}}, r"data\.folds: "),
        ({"distillation": {"along": [1, 0]}}, r"distillation: expected lower ends below"),
        ({"distillation": {"temperature": 0}}, r"distillation\.temperature: "),
        ({"name": "../up"}, r"name: "),
        ({"name": None}, r"name: expected a valid string, found None"),
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
