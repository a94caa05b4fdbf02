"""The rooms of the package: what each imports, without a cycle and without the other packages."""

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import brevitas_models

ROOT = Path(brevitas_models.__file__).parent
# What every room may use; nothing else lies in the root.
SHARED = {"errors.py", "files.py", "yaml_file.py"}


def imports(file: Path) -> set[str]:
    """Return the modules that a file imports, also inside of functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def room_of(module: str) -> str:
    """Return the room, for example ``train/stacked``, of a module or of a name in it."""
    path = ROOT
    for part in module.split(".")[1:]:
        if not (path / part).is_dir():
            break
        path /= part
    return path.relative_to(ROOT).as_posix()


def rooms() -> dict[str, set[str]]:
    """Return the rooms that each room imports."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in ROOT.rglob("*.py"):
        room = file.parent.relative_to(ROOT).as_posix()
        own = [module for module in imports(file) if module.startswith("brevitas_models.")]
        found[room] |= {room_of(module) for module in own} - {room, "."}
    return found


@pytest.mark.parametrize("other", ["finn_builds", "deploy", "prunestream", "train", "build"])
def test_no_other_package_is_imported(other: str) -> None:
    guilty = [
        file for file in ROOT.rglob("*.py") for m in imports(file) if m.split(".")[0] == other
    ]
    assert not guilty


def test_rooms_import_each_other_without_a_cycle() -> None:
    found = rooms()
    assert found["pruning"] == {"model"} and found["study"] > {"train", "datasets"}
    order = list(TopologicalSorter(found).static_order())
    assert order.index("model") < order.index("train") < order.index("study")


def test_nothing_else_lies_in_the_root() -> None:
    assert {file.name for file in ROOT.glob("*.py")} == {"__init__.py", *SHARED}


def test_tests_lie_in_rooms_of_the_same_names() -> None:
    mirrored = Path(__file__).parent
    for folder in mirrored.rglob("test_*.py"):
        if folder.parent != mirrored:
            assert (ROOT / folder.parent.relative_to(mirrored)).is_dir(), folder
