"""Hardware columns: rows are built, verified, and built once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brevitas_models.errors import UserError
from brevitas_models.study import config, hardware, points, runner, table

Make = Callable[..., config.Study]


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        ({}, [True, True, True]),
        ({"shares": [0.5]}, [False, True, False]),
        ({"seeds": [0]}, [True, True, True]),
        ({"seeds": [3]}, [False, False, False]),
        ({"folds": [1]}, [False, False, False]),
        ({"folds": [0, 1], "shares": [0, 0.9]}, [True, False, True]),
    ],
)
def test_which_rows_are_built(chosen: dict[str, Any], wanted: list[bool], mini: Make) -> None:
    study = mini(grids=[{"bits": [4]}, {"bits": [32, 12]}], hardware=chosen)
    small, *wide = points.grid_points(study)
    rows = [{"share": share} for share in (0, 0.5, 0.9)]
    assert [hardware.wanted(study.hardware, small, row) for row in rows] == wanted
    assert not any(hardware.wanted(study.hardware, p, row) for p in wide for row in rows)


def test_counted_figures_come_before_estimates() -> None:
    summary = {
        "resources": {"LUT": 10, "kind": "estimated"},
        "synthesised": None,
        "latency_cycles": 7,
        "frames_verified": 9,
        "mismatches": 0,
    }
    found = hardware.columns(summary)
    assert (found["lut"], found["ff"], found["hardware_tool"]) == (10, None, "estimated")
    counted = {"LUT": 8, "FF": 3, "kind": "a tool"}
    found = hardware.columns(summary | {"synthesised": counted})
    assert (found["lut"], found["ff"], found["hardware_tool"]) == (8, 3, "a tool")


def test_unknown_board(mini: Make, tmp_path: Path) -> None:
    study = mini(grids=[{"bits": [4]}], hardware={"board": "Pynq-Z9"})
    with pytest.raises(UserError, match=r"hardware\.board: "):
        runner.run(study, tmp_path, processes=1, with_hardware=True)


@pytest.mark.slow
def test_rows_are_built_verified_and_built_once(
    mini: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = mini(
        grids=[{"bits": [3]}],
        network={"fold_batch_norm": True},
        hardware={"shares": [0.9], "frames": 40, "synth": "none"},
    )
    rows = table.read(runner.run(study, tmp_path, processes=1, with_hardware=True))
    assert [row.get("verified_frames") for row in rows] == [None, None, 40]
    assert rows[2]["mismatches"] == 0 and rows[2]["lut"] > 0 and rows[2]["latency_cycles"] > 0
    assert (tmp_path / "figures" / "lut.svg").is_file()
    monkeypatch.setattr(hardware, "figures", lambda *_: pytest.fail("built again"))
    again = table.read(runner.run(study, tmp_path, processes=1, with_hardware=True))
    assert again == rows


def test_a_row_that_can_not_be_built_is_said(
    mini: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> dict[str, Any]:
        raise UserError("the board is full")

    monkeypatch.setattr(hardware, "figures", broken)
    study = mini(grids=[{"bits": [4]}], hardware={"shares": [0.9]})
    with pytest.raises(runner.Incomplete, match="1 builds failed"):
        runner.run(study, tmp_path, processes=1, with_hardware=True)
    assert "hardware: UserError: the board is full" in (tmp_path / "failures.csv").read_text()
    assert len(table.read(tmp_path / "table.csv")) == 3
