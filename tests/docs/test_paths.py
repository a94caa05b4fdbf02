"""Every file that a page names exists, and every room has the tests that the pages promise."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pytest
from markdown_it import MarkdownIt

REPO = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "board_configs/README.md"] + [
    path.relative_to(REPO).as_posix() for path in sorted(REPO.glob("docs/**/*.md"))
]

#: Folders whose contents are in the repository; ``deploy/`` is a folder of a build, too.
FOLDERS = "benchmarks|board_configs|brevitas_models|docs|finn_builds|tests"
PATH = re.compile(rf"({FOLDERS})/[\w./*-]*|([\w-]+/)*[\w-]+\.(py|sv|v|cpp|h|yaml)")

#: Files that a page names and that a build, a board or the reader makes.
MADE = {"driver.py", "tagger.yaml"}
#: Files of a package for firmware, called after its model.
OF_A_PACKAGE = re.compile(r"(ip/)?(emulator/)?(NAME|jets_tiny)(_\w+)?\.(v|h|cpp)")


def named_paths(page: str) -> set[str]:
    """Return the paths in the code spans of a page, commands in fences left out."""
    tokens = MarkdownIt().enable("table").parse((REPO / page).read_text(encoding="utf-8"))
    spans = (child for token in tokens for child in token.children or [])
    texts = {span.content for span in spans if span.type == "code_inline"}
    return {text for text in texts if PATH.fullmatch(text)}


@pytest.fixture(scope="module")
def paths() -> set[PurePosixPath]:
    """Return the files and folders of the checkout."""
    found = [*REPO.glob("*.*")]
    for folder in (*FOLDERS.split("|"), "deploy"):
        found += [REPO / folder, *(REPO / folder).rglob("*")]
    return {PurePosixPath(path.relative_to(REPO)) for path in found}


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page: str, paths: set[PurePosixPath]) -> None:
    # A name alone, or the end of a path, is enough where the text says which folder it is in.
    missing = [
        name
        for name in named_paths(page) - MADE
        if not OF_A_PACKAGE.fullmatch(name)
        and not any(path.match(name.rstrip("/")) for path in paths)
    ]
    assert not missing, f"{page} names files that are not there: {sorted(missing)}"


def test_a_whole_path_is_looked_for_as_a_whole(paths: set[PurePosixPath]) -> None:
    assert PATH.fullmatch("finn_builds/sparse/none.py")
    assert not any(path.match("finn_builds/sparse/none.py") for path in paths)
    assert any(path.match("finn_builds/sparse/compiler.py") for path in paths)
    assert named_paths("docs/contributing.md") > {"finn_builds/sparse/compiler.py", "steps.py"}


@pytest.mark.parametrize("package", ["finn_builds", "brevitas_models"])
def test_every_room_has_tests_of_its_name(package: str) -> None:
    rooms = [path.parent for path in (REPO / package).glob("*/__init__.py")]
    assert rooms
    without = [
        room.name
        for room in rooms
        if not any((REPO / "tests" / package / room.name).glob("test_*.py"))
    ]
    assert not without, f"rooms without tests in tests/{package}: {without}"
