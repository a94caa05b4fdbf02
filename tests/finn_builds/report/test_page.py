"""What the page says, for every kind of build; how it looks is tested in a browser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from finn_builds.files import read_record, write_record
from finn_builds.report.content import BuildReport
from finn_builds.report.page import SECTIONS, build_page
from tests.finn_builds.report.examples import block, layer, report, tables
from tests.finn_builds.report.outline import Outline, text_of


@pytest.mark.parametrize(
    ("synthesised", "n_classes"), [(False, None), (True, 1), (False, 2), (True, 40)]
)
def test_structure(synthesised: bool, n_classes: int | None) -> None:
    outline = Outline(build_page(report(synthesised=synthesised, n_classes=n_classes)))
    assert outline.open == []
    assert len(set(outline.ids)) == len(outline.ids)
    assert {name for name, _ in SECTIONS} - set(outline.ids) == {"firmware"}
    assert set(outline.named) <= set(outline.ids)
    inside = [link[1:] for link in outline.links if link.startswith("#")]
    assert set(inside) <= set(outline.ids)
    assert all(link.startswith(("#", "data:")) for link in outline.links), "needs no other file"
    assert outline.levels[0] == 1 and outline.levels.count(1) == 1
    steps = [b - a for a, b in zip(outline.levels, outline.levels[1:], strict=False)]
    assert max(steps) <= 1, "no level of headings is left out"
    assert len(outline.images) == 2 and all(image["alt"] for image in outline.images)


def test_the_block_for_firmware_has_a_section() -> None:
    page = build_page(replace(report(), ip=block()))
    outline, words = Outline(page), text_of(page)
    assert "firmware" in outline.ids and "#firmware" in outline.links
    for text in (
        "latency 18 clocks measured, Verilator 5.0",
        "interval 1 clock measured, Verilator 5.0",
        "LUT 4,127 Yosys 0.70, not placed",
        "mismatches 0 1,000 frames each: emulator, parallel core",
        "The latency is 50 ns at the clock asked for",
        "jet in 96 jet: 16 x INT6",
        "logits out 1,200 logits: 100 x INT12",
    ):
        assert text in words, text
    files = [link for link in outline.links if not link.startswith(("#", "data:"))]
    assert files == [
        "ip/README.md", "ip/tagger.v", "ip/tagger.vhd", "ip/emulator/tagger.h", "ip.zip",
    ]  # fmt: skip
    assert 'id="firmware"' not in build_page(report())


def test_a_surrogate_is_never_shown_as_real() -> None:
    real, other = text_of(build_page(report())), text_of(build_page(report(surrogate=True)))
    assert "Not real data" not in real and "surrogate" not in real
    assert "Accuracy on surrogate data, not real" in other
    assert other.count("Not real data.") == 2, "at the top, and at the curves"
    assert not re.search(r"Accuracy 75\.0 %", other)


def test_figures_and_their_kinds() -> None:
    words = text_of(build_page(report()))
    for text in (
        "Accuracy 75.0 % ± 1.0 % measured 1,000 frames",
        "Verified frames 1,000 measured 0 mismatches",
        "Latency 20 cycles measured 200 ns at the clock asked for",
        "On the board the pace is set by the accelerator: at most 50,000,000 frames/s.",
        "Interval 2 cycles measured",
        "Throughput 50 M frames/s measured",
        "LUT 2,000 of 53,200, 3.8 % estimated",
        "FF not known, of 106,400",
        "Not synthesised: all figures of resources are estimates.",
        "it is the fastest &lt;that&gt; fits",
    ):
        assert text in words, text


def test_synthesised_figures_stand_beside_estimates() -> None:
    words = text_of(build_page(report(synthesised=True)))
    assert "LUT 1,800 of 53,200, 3.4 % synthesised estimated 2,000" in words
    assert "FF 1,400 of 106,400, 1.3 % synthesised" in words
    assert "Whole design 1,800 2,000 1,400 2 2 0 0" in words
    assert "Synthesised by Yosys 1.0: out of context. No place and route has confirmed it." in words
    assert "Longest path 6.2 ns estimated within the clock's 10 ns; 5 levels of logic" in words


def test_what_could_not_be_synthesised_says_why() -> None:
    content = report(synthesised=True)
    lost = replace(content.synthesis, path_ns=None, depth=None, why_not="not synthesised: a")
    node = replace(content.nodes[0], synthesised={}, note="it took longer than 60 s")
    words = text_of(build_page(replace(content, synthesis=lost, nodes=(node,))))
    assert "No figures of the whole, not synthesised: a." in words
    assert "layer 1; it took longer than 60 s" in words
    assert "Longest path" not in words


def test_mismatches_are_not_hidden() -> None:
    content = report()
    content = replace(content, verification=replace(content.verification, mismatches=3))
    assert '<small class="bad">3 mismatches' in build_page(content)


def test_what_vivado_made_is_told() -> None:
    said = {"bitfile": "slack 0.1 ns", "board files": "No board files <of> it"}
    words = text_of(build_page(replace(report(), bitfile=said)))
    assert "bitfile slack 0.1 ns" in words
    assert "board files No board files &lt;of&gt; it" in words
    assert "board files" not in text_of(build_page(report()))


def test_no_accuracy() -> None:
    content = replace(report(n_classes=None), accuracy=None)
    words = text_of(build_page(content))
    assert "Accuracy not known no labelled data: give them with --data" in words
    assert "No data with classes" in words


def test_what_sets_the_pace() -> None:
    content = report()
    first, second, last = content.streams
    free = replace(content, streams=tuple(replace(s, stalled=0.0) for s in content.streams))
    assert "No data wait for a receiver" in text_of(build_page(free))
    held = replace(content, streams=(first, second, replace(last, stalled=0.0)))
    assert "MVAU_rtl_1 sets the pace" in text_of(build_page(held))


def test_strange_names_are_text() -> None:
    content = replace(report(), model='<script>alert("x")</script>')
    page = build_page(content)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_table_edges_are_called_so_and_drawn() -> None:
    layers = (tables(16, 8), layer(8, 5))
    both = build_page(replace(report(), layers=layers))
    words = text_of(both)
    assert "INT5 table edges, " in words and "INT4 weights, " in words
    assert "The table edges and weights" in words
    assert "positive, rising table" in words
    assert both.count('class="curves"') == 1 == both.count('class="pixels sharp"')
    alone = text_of(build_page(replace(report(), layers=layers[:1])))
    assert "weights" not in alone
    # Too many to draw one by one.
    assert 'class="curves"' not in build_page(replace(report(), layers=(tables(64, 64),)))


def test_a_large_network_stays_small() -> None:
    page = build_page(report((4000, 1024, 1024, 64, 10)))
    assert len(page.encode()) < 2_000_000


def test_equal_reports_give_equal_pages() -> None:
    assert build_page(report()) == build_page(report())


def test_json_holds_figures_only(tmp_path: Path) -> None:
    write_record(tmp_path / "report.json", report())
    content = json.loads((tmp_path / "report.json").read_text())
    assert read_record(tmp_path / "report.json", BuildReport) == replace(
        report(), steps=(), origin=replace(report().origin, date="")
    )
    assert content["layers"][0]["nonzero"] == report().layers[0].nonzero
    assert content["classes"]["rocs"][0] == {"name": "class 0", "auc": 0.9}
    assert "steps" not in content and "date" not in content["origin"]
    assert len(json.dumps(content)) < 20_000
