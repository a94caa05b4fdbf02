"""Hardware columns: rows are built, verified, and built once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from qonnx.core.modelwrapper import ModelWrapper

import train
from brevitas_models.errors import UserError
from brevitas_models.study import config, hardware, points, runner, store, table
from brevitas_models.train.hooks import Hooks
from tests.brevitas_models.study.conftest import MINI

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
    shares = (0, 0.5, 0.9)
    assert [hardware.wanted(study.hardware, small, share) for share in shares] == wanted
    assert not any(hardware.wanted(study.hardware, p, share) for p in wide for share in shares)


COLUMNS = {
    "lut": 8,
    "ff": 3,
    "latency_cycles": 7,
    "verified_frames": 40,
    "mismatches": 0,
    "hardware_tool": "a tool",
}


def no_board(name: str) -> None:
    raise UserError(f"no board {name}")


class Builder:
    """Stands for the build side: gives columns, or raises what it is given."""

    def __init__(self, outcome: dict[str, Any] | Exception) -> None:
        self.outcome = outcome
        self.asked: list[tuple[str, str, int]] = []

    def __call__(self, model: Path, board: str, synth: str, frames: int) -> dict[str, Any]:
        graph = ModelWrapper(str(model))
        assert json.loads(graph.get_metadata_prop("prunestream"))["dataset"] == "digits"
        self.asked.append((board, synth, frames))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def hooks(self) -> Hooks:
        return Hooks(build_row=self, check_board=lambda name: None)


def run(study: config.Study, out: Path, builder: Builder) -> list[table.Row]:
    return table.read(
        runner.run(study, out, processes=1, with_hardware=True, hooks=builder.hooks())
    )


def test_rows_are_built_once(mini: Make, tmp_path: Path) -> None:
    study = mini(grids=[{"bits": [4]}], hardware={"shares": [0.9], "frames": 40})
    builder = Builder(COLUMNS)
    rows = run(study, tmp_path, builder)
    assert builder.asked == [("Pynq-Z1", "yosys", 40)]
    assert [row.get("verified_frames") for row in rows] == [None, None, 40]
    assert (rows[2]["lut"], rows[2]["ff"], rows[2]["hardware_synth"]) == (8, 3, "yosys")
    assert (tmp_path / "figures" / "lut.svg").is_file()
    assert run(study, tmp_path, builder) == rows
    assert len(builder.asked) == 1
    # An estimate in a folder of an earlier version of this code is replaced.
    store.Store(tmp_path).add_figures(rows[2]["point"], 2, {"lut": 10, "ff": None})
    assert run(study, tmp_path, builder) == rows
    assert len(builder.asked) == 2


def test_a_row_that_can_not_be_built_is_recorded(mini: Make, tmp_path: Path) -> None:
    study = mini(grids=[{"bits": [4]}], hardware={"shares": [0.9]})
    with pytest.raises(runner.Incomplete, match="1 builds failed"):
        run(study, tmp_path, Builder(UserError("the board is full")))
    assert "hardware: UserError: the board is full" in (tmp_path / "failures.csv").read_text()
    rows = table.read(tmp_path / "table.csv")
    assert len(rows) == 3 and all(row.get("lut") is None for row in rows)


def test_what_is_missing_is_known_before_anything_is_trained(mini: Make, tmp_path: Path) -> None:
    study = mini(grids=[{"bits": [4]}], hardware={"board": "Pynq-Z9"})
    with pytest.raises(UserError, match=r"pass them as Hooks\.build_row and"):
        runner.run(study, tmp_path / "out", processes=1, with_hardware=True)
    hooks = Hooks(build_row=Builder(COLUMNS), check_board=no_board)
    with pytest.raises(UserError, match="no board Pynq-Z9"):
        runner.run(study, tmp_path / "out", processes=1, with_hardware=True, hooks=hooks)
    assert not (tmp_path / "out").exists()


def test_an_unknown_board_is_one_line(
    mini: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = MINI | {"grids": [{"bits": [4]}], "hardware": {"board": "Pynq-Z9"}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values))
    line = ["study", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "out")]
    assert train.main([*line, "--with-hardware", "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and "Pynq-Z9" in err
