"""The floor plan: which packages import which, no cycle between rooms, no loose file.

Rooms are the folders of a package. Arrows are the imports in its files, at any depth of nesting,
of Python's own syntax tree: nothing is run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("finn_builds", "brevitas_models", "deploy")

#: The one arrow between packages: packing and the host's part are the same code on the board.
ALLOWED = {("finn_builds", "deploy")}

#: Files in the root of each package; those of deploy are the ones of a board.
LOOSE = {
    "finn_builds": {"__init__.py", "api.py", "errors.py", "files.py"},
    "brevitas_models": {"__init__.py", "errors.py", "files.py", "yaml_file.py"},
}


def sources(root: Path, package: str) -> Iterator[Path]:
    return (root / package).rglob("*.py")


def imported(path: Path, module: str) -> Iterator[str]:
    """Yield the modules that a file imports, by their whole names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *filter(None, [base])])
            for alias in node.names:
                yield f"{base}.{alias.name}"
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func)
            text = node.args[0]
            if called.endswith(("import_module", "__import__")) and isinstance(text, ast.Constant):
                yield str(text.value)


def package_arrows(root: Path) -> dict[tuple[str, str], str]:
    """Return the arrows between packages, each with a file that draws it."""
    found = {}
    for package in PACKAGES:
        for path in sources(root, package):
            module = path.relative_to(root).with_suffix("").as_posix().replace("/", ".")
            for name in imported(path, module):
                target = name.partition(".")[0]
                if target in PACKAGES and target != package:
                    found[package, target] = str(path.relative_to(root))
    return found


def room_of(root: Path, package: str, name: str) -> str | None:
    """Return the room of a module, "" for files in the package's root, None for no module."""
    parts = name.split(".")
    if parts[0] != package or len(parts) < 2:
        return None
    return parts[1] if (root / package / parts[1]).is_dir() else ""


def room_arrows(root: Path, package: str) -> dict[str, set[str]]:
    """Return which rooms each room imports. Files in the root are common ground, but api.py."""
    arrows: dict[str, set[str]] = {}
    for path in sources(root, package):
        relative = path.relative_to(root / package)
        room = relative.parts[0] if len(relative.parts) > 1 else relative.stem
        module = path.relative_to(root).with_suffix("").as_posix().replace("/", ".")
        for name in imported(path, module):
            target = room_of(root, package, name)
            if target == "":
                target = name.split(".")[1]
            if target and target != room:
                arrows.setdefault(room, set()).add(target)
    return arrows


def cycle(arrows: dict[str, set[str]]) -> list[str] | None:
    """Return rooms that import one another in a ring, or None."""
    done: set[str] = set()

    def walk(room: str, way: list[str]) -> list[str] | None:
        if room in way:
            return [*way[way.index(room) :], room]
        if room in done:
            return None
        for target in sorted(arrows.get(room, ())):
            found = walk(target, [*way, room])
            if found:
                return found
        done.add(room)
        return None

    for room in sorted(arrows):
        found = walk(room, [])
        if found:
            return found
    return None


def loose_files(root: Path, package: str) -> set[str]:
    return {path.name for path in (root / package).glob("*.py")} - LOOSE[package]


def test_packages_have_one_arrow() -> None:
    extra = {a: f for a, f in package_arrows(ROOT).items() if a not in ALLOWED}
    assert not extra, f"arrows between packages that must not be: {extra}"


@pytest.mark.parametrize("package", PACKAGES)
def test_rooms_have_no_cycle(package: str) -> None:
    found = cycle(room_arrows(ROOT, package))
    assert found is None, f"rooms of {package} import one another: {' -> '.join(found or [])}"


@pytest.mark.parametrize("package", sorted(LOOSE))
def test_no_file_lies_loose(package: str) -> None:
    assert not loose_files(ROOT, package), "a file belongs into the room of its subject"


def test_flow_holds_the_steps_alone() -> None:
    for path in (ROOT / "finn_builds" / "flow").glob("*.py"):
        if path.name in ("__init__.py", "steps.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        public = [
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("step_")
        ]
        assert public, f"{path.name} has no step"


def test_finn_is_imported_in_one_room() -> None:
    for path in sources(ROOT, "finn_builds"):
        names = {name.partition(".")[0] for name in imported(path, "finn_builds.x")}
        assert "finn" not in names or path.parent.name == "folded", f"{path} imports FINN"


def test_board_side_files_import_nothing_of_the_virtual_board() -> None:
    for path in (ROOT / "deploy").glob("*.py"):
        if path.name == "package.py":  # opens an overlay: on a board, or with --virtual
            continue
        assert not any(name.startswith("deploy.virtual") for name in imported(path, "deploy.x"))


class TestItSees:
    """Each test fails on a tree that breaks its rule."""

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        for package in PACKAGES:
            (tmp_path / package / "a").mkdir(parents=True)
            (tmp_path / package / "b").mkdir()
        return tmp_path

    @pytest.mark.parametrize(
        "text",
        [
            "from brevitas_models.a import x",
            "def f():\n    import brevitas_models.a.x as y",
            "import importlib\nimportlib.import_module('brevitas_models.a')",
        ],
    )
    def test_an_arrow(self, tree: Path, text: str) -> None:
        (tree / "finn_builds" / "a" / "m.py").write_text(text)
        assert package_arrows(tree) == {("finn_builds", "brevitas_models"): "finn_builds/a/m.py"}

    def test_a_cycle(self, tree: Path) -> None:
        (tree / "finn_builds" / "a" / "m.py").write_text("from finn_builds.b.n import x")
        assert cycle(room_arrows(tree, "finn_builds")) is None
        (tree / "finn_builds" / "b" / "n.py").write_text("from finn_builds import a")
        assert cycle(room_arrows(tree, "finn_builds")) == ["a", "b", "a"]

    def test_a_loose_file(self, tree: Path) -> None:
        (tree / "finn_builds" / "errors.py").write_text("")
        assert loose_files(tree, "finn_builds") == set()
        (tree / "finn_builds" / "helpers.py").write_text("")
        assert loose_files(tree, "finn_builds") == {"helpers.py"}
