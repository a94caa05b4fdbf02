"""A page as headless Chromium shows it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

#: Elements that stick out of the window and lie in no box that scrolls.
_STICKING_OUT = """() => {
  const width = document.documentElement.clientWidth;
  return [...document.querySelectorAll("body *")].filter(element => {
    const box = element.getBoundingClientRect();
    const out = box.right > width + 1 || box.left < -1;
    return box.width > 0 && out && !element.closest(".scroll");
  }).map(element => element.outerHTML.slice(0, 100));
}"""

#: Pairs of text and background colour of every element with text of its own.
_COLOURS = """() => {
  const shown = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || element.closest("svg") || element.closest("[style*='--part']")) continue;
    let behind = element, paper = "rgba(0, 0, 0, 0)";
    while (behind && paper === "rgba(0, 0, 0, 0)") {
      paper = getComputedStyle(behind).backgroundColor;
      behind = behind.parentElement;
    }
    shown.push([getComputedStyle(element).color, paper, element.outerHTML.slice(0, 80)]);
  }
  return shown;
}"""


@dataclass(frozen=True)
class Seen:
    """What the browser made of a page."""

    errors: list[str]
    requests: list[str]
    width: int
    sticking_out: list[str]
    colours: list[tuple[str, str, str]]


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the browser, or skip the test where there is none."""
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


def assert_renders(page: Path, pictures: Path) -> None:
    """Check a page in a narrow light and a wide dark window; pictures stay in a folder."""
    with chromium() as browser:
        for width, theme in ((360, "light"), (1440, "dark")):
            seen = look_at(browser, page, width, theme, pictures / f"{page.stem}_{width}.png")
            assert (seen.errors, seen.requests, seen.sticking_out) == ([], [], [])
            assert seen.width == width


def look_at(browser: Any, page: Path, width: int, theme: str, picture: Path) -> Seen:
    """Open a page in a window of a width (px) and theme, and keep a picture of it."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=theme, java_script_enabled=True
    )
    try:
        tab = context.new_page()
        errors: list[str] = []
        requests: list[str] = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(page.as_uri())
        seen = Seen(
            errors,
            [url for url in requests if not url.startswith("data:") and url != page.as_uri()],
            tab.evaluate("document.documentElement.scrollWidth"),
            tab.evaluate(_STICKING_OUT),
            [tuple(found) for found in tab.evaluate(_COLOURS)],
        )
        tab.screenshot(path=picture, full_page=True)
    finally:
        context.close()
    return seen
