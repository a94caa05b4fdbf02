"""README and docs do as they say: every command and every Python block in them is run.

A fenced block marked ``sh`` or ``python`` is run as it stands, page by page, in a copy of the
checkout. A second word marks what can't be run here and says why; see `NOT_RUN`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

REPO = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *sorted(p.relative_to(REPO).as_posix() for p in REPO.glob("docs/**/*.md"))]

#: Second words of a block that is not run.
NOT_RUN = {
    "board": "needs a PYNQ board",
    "vivado": "needs Vivado",
    "container": "needs a container engine",
    "simulators": "needs simulators that are not everywhere; those of a package are run elsewhere",
    "clone": "needs the network",
    "suite": "runs this very suite",
    "long": "takes longer than a test may; the page says how long",
    "data": "needs a file that the reader brings",
}


def _blocks(page: str) -> list[tuple[str, str, str, int]]:
    """Return language, second word, text and line of each fenced block of a page."""
    tokens = MarkdownIt().parse((REPO / page).read_text(encoding="utf-8"))
    found = []
    for token in tokens:
        if token.type == "fence":
            words = [*token.info.split(), "", ""]
            found.append((words[0], words[1], token.content, (token.map or [0])[0] + 1))
    return found


def _runnable(page: str) -> list[tuple[str, str, int]]:
    return [
        (lang, text, line)
        for lang, word, text, line in _blocks(page)
        if lang in ("sh", "python") and not word
    ]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout, with this Python as its ``.venv``."""
    copy = tmp_path_factory.mktemp("docs") / "prunestream"
    left_out = shutil.ignore_patterns(
        ".git", ".venv", "build", "__pycache__", ".*_cache", "*.egg-info"
    )
    # With their dates, so that make finds .venv up to date.
    shutil.copytree(REPO, copy, ignore=left_out)
    (copy / ".venv").symlink_to(sys.prefix)
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if _runnable(page)])
def test_commands_of_the_page_work(page: str, checkout: Path) -> None:
    # A make that runs this suite hands its variables on to every make below it.
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKEOVERRIDES", "ARGS")}
    for language, text, line in _runnable(page):
        if language == "sh":
            argv = ["bash", "-euo", "pipefail", "-c", text]
        else:
            argv = [str(checkout / ".venv" / "bin" / "python"), "-c", text]
        run = subprocess.run(
            argv,
            cwd=checkout,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            stdin=subprocess.DEVNULL,
            env=env,
        )
        assert run.returncode == 0, f"{page}:{line}\n{text}\n{run.stdout}\n{run.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_blocks_are_run_or_say_why_not(page: str) -> None:
    for language, word, text, line in _blocks(page):
        if language in ("sh", "python"):
            assert word == "" or word in NOT_RUN, f"{page}:{line}: unknown mark {word!r}"
        else:
            assert not re.search(r"^\s*(python|\.venv/bin|make |cd )", text, re.MULTILINE), (
                f"{page}:{line}: commands belong into a block marked sh"
            )


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_in_fences(page: str) -> None:
    tokens = MarkdownIt().parse((REPO / page).read_text(encoding="utf-8"))
    indented = [t.content for t in tokens if t.type == "code_block"]
    for text in indented:
        assert not re.search(r"^\s*(python3? |\.venv/bin|make |cd )", text, re.MULTILINE), (
            f"{page}: mark this block as sh, so that it is tested:\n{text}"
        )


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for token in MarkdownIt().parse((REPO / page).read_text(encoding="utf-8")):
        for child in token.children or []:
            target = child.attrs.get("href") or child.attrs.get("src")
            if target is None or re.match(r"[a-z]+:", str(target)) or str(target)[0] == "#":
                continue
            path = (REPO / page).parent / str(target).split("#")[0]
            assert path.exists(), f"{page}: {target} is not there"
