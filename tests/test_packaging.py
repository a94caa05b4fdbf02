"""What ``pip install`` brings: every file of the packages, and every package that they import."""

from __future__ import annotations

import ast
import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from finn_builds.errors import UserError
from finn_builds.folded import require

PACKAGES = ("board_configs", "brevitas_models", "deploy", "finn_builds")
OWN = {*PACKAGES, "prunestream"}

#: On a board, files of ``deploy`` lie beside each other, and its image brings pynq.
ON_A_BOARD = {"pynq", *(path.stem for path in (Path(__file__).parents[1] / "deploy").glob("*.py"))}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def named(repo: Path) -> dict[str, set[str]]:
    """Return the distributions that setup.cfg names, by extra; "" are those of every install."""
    config = configparser.ConfigParser()
    config.read(repo / "setup.cfg")
    groups = {"": config["options"]["install_requires"], **config["options.extras_require"]}
    return {
        extra: {normal(re.split(r"[\[<>=!~ ]", line)[0]) for line in text.split()}
        for extra, text in groups.items()
    }


def test_every_name_has_a_version(repo: Path, named: dict[str, set[str]]) -> None:
    lines = (repo / "constraints.txt").read_text().splitlines()
    pins = {normal(line.split("==")[0]) for line in lines if "==" in line}
    assert set.union(*named.values()) | {"finn-plus", "pynq"} <= pins


def imported(folder: Path, leave_out: str = "") -> Iterator[tuple[str, Path]]:
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.py"))
    for file in files:
        if leave_out and leave_out in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            else:
                continue
            for module in modules:
                top = module.partition(".")[0]
                if top not in sys.stdlib_module_names and top not in OWN:
                    yield top, file


@pytest.mark.parametrize(
    ("source", "leave_out", "extras", "besides"),
    [
        ("finn_builds", "folded", ("", "route"), {"finn"}),
        ("finn_builds/folded", "", ("", "folded"), {"finn"}),
        ("brevitas_models", "", ("", "train"), set()),
        ("deploy", "", ("", "serial"), ON_A_BOARD),
        ("prunestream.py", "", ("",), set()),
    ],
)
def test_what_is_imported_is_installed(
    repo: Path,
    named: dict[str, set[str]],
    source: str,
    leave_out: str,
    extras: tuple[str, ...],
    besides: set[str],
) -> None:
    brought = set.union(*(named[extra] for extra in extras))
    distributions = metadata.packages_distributions()
    for module, file in imported(repo / source, leave_out):
        if module not in besides:
            names = {normal(name) for name in distributions[module]}
            assert names & brought, f"{file} imports {module}: name it in setup.cfg"


@pytest.mark.slow
def test_a_wheel_holds_every_file(repo: Path, tmp_path: Path) -> None:
    """Built from a copy: setuptools leaves its own folders in the source."""
    source = tmp_path / "source"
    source.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", ".ipynb_checkpoints")
    for name in PACKAGES:
        shutil.copytree(repo / name, source / name, ignore=ignore)
    for name in ("setup.py", "setup.cfg", "README.md", "LICENSE", "prunestream.py"):
        shutil.copy(repo / name, source)
    wanted = {
        path.relative_to(source).as_posix()
        for name in PACKAGES
        for path in (source / name).rglob("*")
        if path.is_file()
    }
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(command, check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("prunestream-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == wanted | {"prunestream.py"}


def test_without_finn_the_message_says_how_to_install_it(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError) as error:
        require.require_finn()
    message = str(error.value)
    pin = re.search(r"^finn-plus==.*$", (repo / "constraints.txt").read_text(), re.M)
    assert pin is not None
    assert f"`pip install --no-deps {pin[0]}`" in message
    assert "--style sparse" in message and "\n" not in message
    assert require.PINS.is_file()
