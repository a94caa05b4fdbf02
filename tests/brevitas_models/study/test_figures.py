"""Figures come from the table alone, and show what is in it."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from brevitas_models.study import figures, table

METRICS = ("accuracy", "auc", "background_efficiency", "neural_efficiency")


def row(round_: int, **values: Any) -> dict[str, Any]:
    base = {
        "kind": "grid",
        "bits": 6,
        "schedule": "fine_tuning",
        "criterion": "magnitude",
        "batch_norm": "on",
        "l1": 0.0,
        "random_labels": 0.0,
        "seed": 0,
        "fold": 0,
        "layers": "16-8-5",
        "surrogate": 1,
        "round": round_,
        "bops": 1e5 / (1 + round_),
        "validation_loss": 0.5,
        **dict.fromkeys(METRICS, 0.7 - 0.1 * round_),
    }
    row_ = base | values
    names = ("bits", "schedule", "criterion", "batch_norm", "l1", "random_labels", "kind", "seed")
    return {"point": "-".join(str(row_[name]) for name in names), **row_}


def through_file(rows: list[dict[str, Any]], tmp_path: Path) -> list[table.Row]:
    table.write(tmp_path / "table.csv", rows)
    return table.read(tmp_path / "table.csv")


VARIED: dict[str, dict[str, Any]] = {
    "batch_norm": {"batch_norm": "off"},
    "l1": {"l1": 1e-4},
    "label_noise": {"random_labels": 0.5},
    "criterion": {"criterion": "random"},
}


@pytest.mark.parametrize("name", VARIED)
def test_a_variant_has_a_figure_if_it_is_in_the_table(name: str, tmp_path: Path) -> None:
    plain = [row(index) for index in range(3)]
    varied = [row(index, **VARIED[name]) for index in range(3)]
    found = figures.draw(through_file(plain + varied, tmp_path), tmp_path / "figures")
    assert {path.name for path in found} == {"schedules.svg", f"{name}.svg"}
    assert all(ET.parse(path).getroot().tag.endswith("svg") for path in found)
    found = figures.draw(through_file(plain, tmp_path), tmp_path / "plain")
    assert {path.name for path in found} == {"schedules.svg"}


def test_variants_stay_out_of_the_figure_of_schedules(tmp_path: Path) -> None:
    rows = [row(index, seed=seed) for index in range(2) for seed in range(2)]
    rows += [row(index, l1=1.0) for index in range(2)]
    rows = through_file(rows, tmp_path)
    kept = figures._otherwise_plain(rows, ("bits", "schedule"))
    assert [r["l1"] for r in kept] == [0.0] * 4


def test_curves_are_means_with_their_errors(tmp_path: Path) -> None:
    rows = through_file([row(0, seed=0, auc=0.8), row(0, seed=1, auc=0.9), row(1)], tmp_path)
    ((label, x, y, error),) = figures.curves(rows, ("bits", "schedule"), "auc")
    assert label == "6 bit, fine tuning"
    assert x == [1e5, 5e4]
    assert y == pytest.approx([0.85, 0.6])
    assert error == pytest.approx([0.05, 0.0])  # sample deviation 0.0707 over the root of 2


def test_search_and_hardware_have_figures(tmp_path: Path) -> None:
    rows = [row(0, lut=4000, hardware_tool="counted"), row(1, lut=900, hardware_tool="counted")]
    rows += [row(0, kind="bayes_trial", seed=1), row(0, kind="bayes", seed=2)]
    found = figures.draw(through_file(rows, tmp_path), tmp_path / "figures")
    assert {path.name for path in found} == {"schedules.svg", "lut.svg", "search.svg"}


def test_the_same_table_gives_the_same_values_and_figures(tmp_path: Path) -> None:
    rows = [row(0, auc=1 / 3, trial=None), row(1)]
    found = through_file(rows, tmp_path)
    (one,), (other,) = (figures.draw(found, tmp_path / name) for name in "ab")
    assert one.read_bytes() == other.read_bytes()
    assert found[0]["auc"] == 1 / 3 and found[0]["trial"] is None and found[1]["bits"] == 6
