"""Pages in headless Chromium: no error, no network, nothing sticks out, text can be read."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from finn_builds.report.content import BuildReport
from finn_builds.report.design import Use
from finn_builds.report.page import build_page
from tests.finn_builds.report.browser import Seen, chromium, look_at
from tests.finn_builds.report.examples import performance, report, tables


def full_board() -> BuildReport:
    """Return a report with figures as long as they get."""
    content = report((600, 64, 64, 1), synthesised=True, n_classes=1)
    amounts = {"LUT": 248_449.0, "FF": 123_456.0, "DSP": 1_728.0, "BRAM_18K": 2_345.0}
    nodes = tuple(
        replace(
            node,
            name=f"StreamingDataWidthConverter_rtl_{k}",
            estimated=amounts,
            synthesised=amounts,
            note="not synthesised: it took longer than 600 s",
        )
        for k, node in enumerate(content.nodes)
    )
    uses = tuple(Use(name, amounts[name], amounts[name], 53_200) for name in amounts)
    return replace(
        content,
        nodes=nodes,
        uses=uses,
        performance=performance(123_456, 98_765.4321),
        model="a_model_of_a_long_name" * 3,
    )


PAGES = {
    "surrogate": report(surrogate=True),
    "synthesised": report((16, 64, 32, 32, 5), synthesised=True, style="folded"),
    "full": full_board(),
    "tables": replace(report(), layers=(tables(16, 16), tables(16, 5))),
    "large": report((784, 64, 64, 64, 10), n_classes=None),
    "many_classes": report((30, 40), n_classes=40),
    "ten_classes": report((64, 32, 10), n_classes=10),
}
VIEWS = [(360, "dark"), (1440, "light")]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int, str], Seen]:
    """Every page in every view; the pictures are in the test's temporary folder."""
    folder = tmp_path_factory.mktemp("pages")
    print("pictures of the pages:", folder)
    found = {}
    with chromium() as browser:
        for name, content in PAGES.items():
            page = folder / f"{name}.html"
            page.write_text(build_page(content), encoding="utf-8")
            for width, theme in VIEWS:
                picture = folder / f"{name}_{width}_{theme}.png"
                found[name, width, theme] = look_at(browser, page, width, theme, picture)
                assert picture.stat().st_size > 10_000
    return found


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS, ids=str)
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wrong(seen: dict, name: str, view: tuple[int, str]) -> None:
    found = seen[(name, *view)]
    assert found.errors == []
    assert found.requests == []
    assert found.sticking_out == []
    assert found.width == view[0]


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS, ids=str)
@pytest.mark.parametrize("name", ["surrogate", "synthesised"])
def test_text_stands_out(seen: dict, name: str, view: tuple[int, str]) -> None:
    """At least 4.5 : 1, what WCAG 2.1 asks of text (level AA)."""
    colours = seen[(name, *view)].colours
    assert len(colours) > 100
    faint = [
        (round(ratio, 2), element)
        for text, paper, element in colours
        if (ratio := contrast(text, paper)) < 4.5
    ]
    assert faint == []


def contrast(text: str, paper: str) -> float:
    """Return the contrast ratio of two opaque colours, as WCAG 2.1 defines it."""
    light = sorted(luminance(colour) for colour in (text, paper))
    return (light[1] + 0.05) / (light[0] + 0.05)


def luminance(colour: str) -> float:
    channels = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_contrast_of_known_colours() -> None:
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
    assert contrast("rgb(119, 119, 119)", "rgb(255, 255, 255)") == pytest.approx(4.48, abs=0.01)


def test_a_page_that_is_too_wide_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "wide.html"
    page.write_text(
        "<body style='margin:0'><p style='width:500px'>wide</p>"
        "<script>throw new Error('oops')</script><img src='https://localhost:1/x.png'></body>"
    )
    with chromium() as browser:
        found = look_at(browser, page, 360, "light", tmp_path / "wide.png")
    assert found.width == 500 and len(found.sticking_out) == 1
    assert any("oops" in error for error in found.errors)
    assert found.requests == ["https://localhost:1/x.png"]
