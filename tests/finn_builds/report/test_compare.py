"""Builds side by side: the table, the fronts, the page and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import build as command
from finn_builds.errors import UserError
from finn_builds.files import write_record
from finn_builds.report.compare import compare, front, short_names
from finn_builds.report.compare_page import link_to
from finn_builds.report.compare_table import text_table
from finn_builds.report.content import BuildReport
from finn_builds.run import state as disk
from tests.finn_builds.report.browser import chromium, look_at
from tests.finn_builds.report.examples import performance, report
from tests.finn_builds.report.outline import Outline, text_of


def folder(path: Path, content: BuildReport) -> Path:
    """Write what a comparison reads of a build."""
    write_record(path / "report/report.json", content)
    (path / "report.html").write_text("the page of the build")
    disk.State(complete=True).save(path)
    return path


def variant(accuracy: float, lut: float, latency: int, source: str = "data") -> BuildReport:
    base = report()
    return replace(
        base,
        accuracy=replace(base.accuracy, accuracy=accuracy, source=source),
        uses=(replace(base.uses[0], estimated=lut), *base.uses[1:]),
        performance=performance(latency, 1.0),
    )


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = {
        "best": variant(0.76, 5000, 9),
        "small": variant(0.74, 1000, 12),
        "beaten": variant(0.74, 6000, 12),
        "other": variant(0.60, 90000, 99, source="other data"),
        "blind": replace(report(), accuracy=None),
    }
    return [folder(tmp_path / name, content) for name, content in made.items()]


def test_fronts_among_builds_judged_on_the_same_data(folders: list[Path]) -> None:
    comparison = compare(folders)
    assert comparison.lut_front == {"best", "small", "other"}
    assert comparison.latency_front == {"best", "other"}


def test_equal_builds_do_not_beat_each_other(folders: list[Path]) -> None:
    first = compare(folders).builds[0]
    twin = replace(first, name="twin")
    assert front([first, twin], lambda build: build.latency_ns) == {"best", "twin"}
    accuracy = replace(first.report.accuracy, accuracy=0.77)
    better = replace(first, name="better", report=replace(first.report, accuracy=accuracy))
    assert front([first, better], lambda build: build.latency_ns) == {"better"}


def test_estimates_are_not_compared_with_synthesis(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", report(synthesised=True))
    two = folder(tmp_path / "two", report())
    mixed = compare([one, two])
    assert mixed.kind == "estimated"
    assert [mixed.resource(build, "LUT") for build in mixed.builds] == [2000, 2000]
    assert "Not every build was synthesised" in text_table(mixed)
    three = folder(tmp_path / "three", report(synthesised=True))
    both = compare([one, three])
    assert both.kind == "synthesised"
    assert [both.resource(build, "LUT") for build in both.builds] == [1800, 1800]


def test_names_are_as_short_as_they_tell_apart() -> None:
    assert short_names([Path("/x/a"), Path("/x/b")]) == ["a", "b"]
    assert short_names([Path("/x/a"), Path("/y/a")]) == ["x/a", "y/a"]


def test_table(folders: list[Path]) -> None:
    lines = text_table(compare(folders)).splitlines()
    assert lines[0].split() == ["best", "small", "beaten", "other", "blind"]
    rows = {line[:24].strip(): line[24:].split() for line in lines[1:]}
    assert rows["style"] == ["sparse"] * 5
    assert rows["best: accuracy, LUT"] == ["yes", "yes", "-", "yes", "-"]
    assert any(line.startswith("accuracy (measured)") and "76.0 ± 1.0 %" in line for line in lines)
    assert "Not all builds were judged on the same data" in "\n".join(lines)
    assert "have no accuracy" in "\n".join(lines)


def test_command_writes_a_page_that_links_to_the_builds(
    folders: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["compare", *map(str, folders)]) == 0
    page = folders[0].parent / "compare.html"
    assert capsys.readouterr().out.endswith(f"page: {page}\n")
    html = page.read_text()
    outline = Outline(html)
    links = [link for link in outline.links if not link.startswith(("#", "data:"))]
    assert links == [f"{path.name}/report.html" for path in folders]
    assert all((page.parent / link).is_file() for link in links)
    assert "On the front: best, other, small." in text_of(html)


def test_links_survive_any_name(folders: list[Path], tmp_path: Path) -> None:
    odd = folder(tmp_path / "50 % #1", report())
    page = tmp_path / "compare.html"
    link = link_to(compare([odd, folders[0]]).builds[0], page)
    assert link == "50%20%25%20%231/report.html"


def test_command_prints_json_and_writes_where_told(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "mine.html"
    assert command.main(["compare", "--json", "--out", str(page), *map(str, folders[:2])]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [build["name"] for build in found["builds"]] == ["best", "small"]
    assert [build["on_latency_front"] for build in found["builds"]] == [True, False]
    first = found["builds"][0]
    assert (first["accuracy"]["accuracy"], first["latency_ns"]) == (0.76, 90.0)
    assert (first["style"], first["weights"]) == ("sparse", 16 * 64 + 64 * 5)
    assert found["page"] == str(page) and page.is_file()


def test_a_surrogate_is_never_shown_as_real(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", report(surrogate=True))
    two = folder(tmp_path / "two", report(surrogate=True))
    assert "75.0 ± 1.0 %, NOT real data" in text_table(compare([one, two]))


def test_what_a_training_measured_stands_below(tmp_path: Path) -> None:
    one, two = variant(0.75, 100.0, 5), variant(0.74, 90.0, 5)
    one = replace(one, origin=replace(one.origin, trained="soft regret -1.15 ± 0.28 points"))
    found = compare([folder(tmp_path / "one", one), folder(tmp_path / "two", two)])
    said = [line for line in text_table(found).splitlines() if "model file" in line]
    assert said == ["The model file of one says: soft regret -1.15 ± 0.28 points."]


def test_the_page_in_a_browser(folders: list[Path], tmp_path: Path) -> None:
    command.main(["compare", *map(str, folders)])
    with chromium() as browser:
        for width, theme in ((360, "dark"), (1440, "light")):
            picture = tmp_path / f"compare_{width}.png"
            seen = look_at(browser, tmp_path / "compare.html", width, theme, picture)
            assert (seen.errors, seen.requests, seen.sticking_out) == ([], [], [])
            assert seen.width == width


class TestMistakes:
    def message(self, capsys: pytest.CaptureFixture[str], *words: object) -> str:
        try:
            code = command.main(["compare", *map(str, words)])
        except SystemExit as leaving:
            code = leaving.code
        out, err = capsys.readouterr()
        assert (code, out) == (2, "")
        assert err.startswith("error: ") and err.count("\n") == 1
        return err

    def test_too_few(self, folders: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
        assert "the following arguments are required: DIR" in self.message(capsys)
        assert "expected two build folders or more, found 1" in self.message(capsys, folders[0])
        assert "found" in self.message(capsys, folders[0], folders[0].parent / "best")

    def test_no_build(
        self, folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").write_text("")
        good = folders[0]
        assert "found nothing there" in self.message(capsys, good, tmp_path / "missing")
        assert "found a file there" in self.message(capsys, good, tmp_path / "file")
        assert "found no build_state.json" in self.message(capsys, good, tmp_path / "empty")
        assert list(tmp_path.glob("*.html")) == []

    def test_unfinished(self, folders: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
        disk.State(complete=False).save(folders[1])
        assert f"an unfinished one in {folders[1]}; run" in self.message(capsys, *folders)

    @pytest.mark.parametrize("content", ["{}", "[]", "no json", '{"layers": []}'])
    def test_figures_of_another_version(
        self, folders: list[Path], capsys: pytest.CaptureFixture[str], content: str
    ) -> None:
        (folders[1] / "report/report.json").write_text(content)
        assert "run that build again with --force" in self.message(capsys, *folders)

    def test_page_that_cannot_be(
        self, folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "found the folder" in self.message(capsys, *folders, "--out", tmp_path)
        lost = tmp_path / "no" / "page.html"
        assert "found no" in self.message(capsys, *folders, "--out", lost)


def test_a_user_error_from_python(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected two build folders"):
        compare([tmp_path])
