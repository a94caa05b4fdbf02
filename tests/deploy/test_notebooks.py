"""The notebooks run from top to bottom: one on a PC, the board's on the simulated board."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import entry_points
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat reads the notebooks")
nbclient = pytest.importorskip("nbclient", reason="nbclient runs the notebooks")
pytest.importorskip("pynq", reason="the driver needs pynq")

NOTEBOOKS = Path(__file__).resolve().parents[2] / "deploy" / "notebooks"
NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))


def run(path: Path, cwd: Path, settings: dict[str, str]) -> str:
    """Run a notebook with other settings in its first code cell and return what it printed."""
    notebook = nbformat.read(path, 4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    lines = first.source.splitlines()
    for name, value in settings.items():
        (at,) = (i for i, line in enumerate(lines) if line.startswith(f"{name} = "))
        lines[at] = f"{name} = {value}"
    first.source = "\n".join(lines)
    resources = {"metadata": {"path": str(cwd)}}
    nbclient.NotebookClient(
        notebook, timeout=800, kernel_name="python3", resources=resources
    ).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    assert any("image/png" in o.get("data", {}) for o in outputs), "no plot was drawn"
    return "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")


def test_both_are_there_without_outputs():
    assert NAMES == ["board.ipynb", "train_and_build.ipynb"]
    for name in NAMES:
        content = json.loads((NOTEBOOKS / name).read_text())
        code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
        assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_pynq_finds_them():
    found = [e for e in entry_points(group="pynq.notebooks") if e.name == "prunestream"]
    if not found:
        pytest.skip("the project was installed before it had the entry point: make setup")
    assert Path(found[0].load().__file__).parent == NOTEBOOKS


@pytest.mark.slow
def test_from_training_to_the_board(tmp_path):
    """Then the board's notebook, in the package that the first one has made."""
    # Where Jupyter runs it: in its own folder, in which it may leave nothing.
    beside = set(NOTEBOOKS.iterdir())
    settings = {"EPOCHS": "15", "OUT": repr(str(tmp_path / "digits"))}
    printed = run(NOTEBOOKS / "train_and_build.ipynb", NOTEBOOKS, settings)
    assert set(NOTEBOOKS.iterdir()) == beside
    assert "verified" in printed and "0 mismatches" in printed
    assert "0 of 300 classes differ" in printed
    package = tmp_path / "digits" / "build" / "deploy"
    folder = package / "notebooks"
    assert sorted(path.name for path in folder.iterdir()) == NAMES

    # As it is opened: where no board is found, one is simulated.
    printed = run(folder / "board.ipynb", folder, {})
    assert "a simulated board" in printed
    assert "300 frames, 0 differ from the software model" in printed
    assert "300 frames, 0 classes differ" in printed
    assert "accuracy on these frames" in printed
    built = json.loads((package.parent / "report" / "rtlsim_performance.json").read_text())
    cycles = built["latency_cycles"]
    assert f"{cycles} cycles here, {cycles} in the build's simulation" in printed


def test_the_board_s_notebook_says_where_it_must_be_run(tmp_path):
    shutil.copy(NOTEBOOKS / "board.ipynb", tmp_path)
    with pytest.raises(
        nbclient.exceptions.CellExecutionError, match="is not a deployment package: set PACKAGE"
    ):
        run(tmp_path / "board.ipynb", tmp_path, {"VIRTUAL": "True"})
