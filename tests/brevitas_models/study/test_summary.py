"""The page of a study's figures against cases computed by hand."""

from typing import Any

import pytest

from brevitas_models.study import summary


def row(**values: Any) -> dict[str, Any]:
    return {
        "kind": "grid",
        "bits": 6.0,
        "schedule": "lottery_ticket",
        "criterion": "magnitude",
        "batch_norm": "on",
        "l1": 0.0,
        "random_labels": 0.0,
        "round": 1,
        "seed": 0,
        "fold": 0,
        "share": 0.8,
        "pruned": 0.8,
        "frames": 100,
        "accuracy": 0.7,
        "auc": 0.9,
        "background_efficiency": 0.01,
        "neural_efficiency": 0.3,
        "bops": 1e5,
        "bops_32bit_input": 2e5,
        "surrogate": 0,
    } | values


FLOAT = {"bits": 32.0, "round": 0, "share": 0.0, "pruned": 0.0}
PLAIN = row(**FLOAT, accuracy=0.75, bops=5e6, bops_32bit_input=5e6)


def test_folds_add_frames_and_seeds_do_not() -> None:
    (folds,) = summary.pooled([row(fold=0), row(fold=1, frames=300, accuracy=0.8)])
    assert (folds.frames, folds.rows) == (400, 2)
    assert folds.accuracy == pytest.approx(0.775)
    assert folds.error == pytest.approx((0.775 * 0.225 / 400) ** 0.5)
    (seeds,) = summary.pooled([row(seed=0), row(seed=1, accuracy=0.8)])
    assert seeds.frames == 100 and seeds.accuracy == pytest.approx(0.75)


def test_different_networks_stay_apart() -> None:
    others = [row(), row(bits=4.0), row(round=2), row(l1=0.1), row(kind="bayes_trial")]
    assert len(summary.pooled(others)) == 4


def test_settings_by_section_keep_networks_apart_and_are_named() -> None:
    # Several widths are one text; a budget prunes without a share.
    base = {"bits": "6-8/5", "network.edges": "tables", "share": 0.0}
    rows = [
        row(**base, **{"pruning.lut_budget": budget, "fold": fold, "pruned": pruned})
        for budget, pruned in ((500.0, 0.9), (900.0, 0.7))
        for fold in (0, 1)
    ]
    assert [item.rows for item in summary.pooled(rows)] == [2, 2]
    first, second = summary.page(rows).splitlines()[-2:]
    assert "| 6-8/5 |" in first and "| pruning.lut_budget 500 | 90.0% |" in first
    assert "| pruning.lut_budget 900 | 70.0% |" in second
    assert "network.edges" not in first  # all have the same


def test_the_page_compares_with_the_float_network() -> None:
    lines = summary.page([PLAIN, row()]).splitlines()
    assert lines[0] == "Measured on 100 frames not trained on."
    cells = [cell.strip() for cell in lines[-1].strip("|").split("|")]
    assert cells[0] == "6" and cells[3] == "80.0%"
    assert "50.0x" in cells and "25.0x" in cells
    assert cells[4] == "70.00% ± 4.58%"
    assert cells[5] == "-5.00 ± 6.30"  # hypot(4.583, 4.330)


def test_surrogates_are_named() -> None:
    assert "not real jets" in summary.page([row(surrogate=1)])


def test_without_a_float_network_there_is_nothing_to_compare_with() -> None:
    assert "x |" not in summary.page([row()])


def test_soft_regret_is_shown_where_there_was_a_teacher() -> None:
    assert "regret" not in summary.page([row()])
    taught = [
        row(seed=seed, fold=fold, frames=frames, soft_regret=mean, soft_regret_error=error)
        for seed in (0, 1)
        for fold, frames, mean, error in ((0, 100, -0.01, 0.003), (1, 300, -0.02, 0.002))
    ]
    (item,) = summary.pooled(taught)
    # By fold: 100 and 300 frames; the second seed is tested on the same ones.
    assert item.regret == pytest.approx((-0.0175, (0.3**2 + 0.6**2) ** 0.5 / 400))
    page = summary.page(taught).splitlines()
    assert page[2].endswith("soft regret, points |") and page[-1].endswith("| -1.75 ± 0.17 |")
