"""Hardware columns: rows are built, verified, and built once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brevitas_models.errors import UserError
from brevitas_models.study import config, hardware, points, runner, store, table

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


SUMMARY = {
    "resources": {"LUT": 10, "kind": "estimated"},
    "synthesised": None,
    "not_synthesised": "not synthesised: node 3",
    "latency_cycles": 7,
    "frames_verified": 40,
    "mismatches": 0,
}
COUNTED = {"LUT": 8, "FF": 3, "kind": "a tool"}


def test_figures_are_counted_or_estimated_as_asked() -> None:
    found = hardware.columns(SUMMARY, "none")
    assert (found["lut"], found["ff"], found["hardware_tool"]) == (10, None, "estimated")
    found = hardware.columns(SUMMARY | {"synthesised": COUNTED}, "yosys")
    assert (found["lut"], found["ff"], found["hardware_tool"]) == (8, 3, "a tool")
    with pytest.raises(UserError, match=r"counted by yosys and were not \(not synthesised: node 3"):
        hardware.columns(SUMMARY, "yosys")


def test_a_row_without_its_count_is_no_row_and_is_built_again(
    mini: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Synthesis is stopped after some minutes: on a busy machine a build may end without figures.
    class Result:
        def __init__(self, summary: dict[str, Any]) -> None:
            self.summary = summary

    study = mini(grids=[{"bits": [4]}], hardware={"shares": [0.9], "frames": 40})
    monkeypatch.setattr("finn_builds.build", lambda config: Result(SUMMARY))
    with pytest.raises(runner.Incomplete, match="1 builds failed"):
        runner.run(study, tmp_path, processes=1, with_hardware=True)
    assert "were to be counted by yosys" in (tmp_path / "failures.csv").read_text()
    assert all(row.get("lut") is None for row in table.read(tmp_path / "table.csv"))
    # An estimate in a folder of an earlier version of this code is replaced, too.
    key = table.read(tmp_path / "table.csv")[2]["point"]
    settings = study.hardware
    asked = {"hardware_board": settings.board, "hardware_synth": "yosys", "wanted_frames": 40}
    store.Store(tmp_path).add_columns(key, 2, {"lut": 10, "ff": None, **asked})
    monkeypatch.setattr(
        "finn_builds.build", lambda config: Result(SUMMARY | {"synthesised": COUNTED})
    )
    rows = table.read(runner.run(study, tmp_path, processes=1, with_hardware=True))
    assert (rows[2]["lut"], rows[2]["ff"], rows[2]["verified_frames"]) == (8, 3, 40)


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
