"""The table of several builds side by side, and what its reader must know, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

from finn_builds.report import text
from finn_builds.report.compare import Build, Comparison
from finn_builds.report.design import ESTIMATED, RESOURCES

#: Columns that a note may take below the table.
NOTE_WIDTH = 100


def rows_of(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Return the table of the builds: the name of each figure, and its text for every build."""
    builds = comparison.builds

    def row(name: str, show: Callable[[Build], str]) -> tuple[str, list[str]]:
        return name, [show(build) for build in builds]

    def resource(build: Build, name: str) -> str:
        value = comparison.resource(build, name)
        device = build.device[name]
        if value is None:
            return "-"
        share = f" ({text.percent(value / device)})" if value and device else ""
        return text.count(value) + share

    return [
        row("model", lambda b: b.model),
        row("board", lambda b: b.board),
        row("style", lambda b: b.style),
        row("weight types", lambda b: b.weight_types),
        row("activation types", lambda b: b.activation_types),
        row("weights", lambda b: text.count(b.weights)),
        row("zero weights", lambda b: text.percent(b.sparsity, 0)),
        row("accuracy (measured)", _accuracy),
        row("frames verified", lambda b: f"{b.frames:,}, {b.mismatches:,} mismatches"),
        *(
            row(f"{name} ({comparison.kind})", lambda b, name=name: resource(b, name))  # type: ignore[misc]
            for name in RESOURCES
        ),
        row("latency (measured)", lambda b: text.cycles(b.latency_cycles)),
        row("latency at the clock", lambda b: text.duration(b.latency_ns)),
        row("clock asked for", lambda b: f"{text.trimmed(b.clock_ns)} ns"),
        row("interval (measured)", lambda b: text.cycles(b.interval_cycles)),
        row("frames/s at the clock", lambda b: text.short(b.fps)),
        row("best: accuracy, LUT", lambda b: "yes" if b.name in comparison.lut_front else "-"),
        row(
            "best: accuracy, latency",
            lambda b: "yes" if b.name in comparison.latency_front else "-",
        ),
    ]


def _accuracy(build: Build) -> str:
    if build.accuracy is None:
        return "-"
    real = ", NOT real data" if build.surrogate else ""
    return f"{100 * build.accuracy:.1f} ± {100 * build.error:.1f} %{real}"


def notes_of(comparison: Comparison) -> list[str]:
    """Return what a reader of the table must know."""
    notes = [f"Accuracy measured on: {source}." for source in comparison.groups]
    if len(comparison.groups) > 1:
        notes.append(
            "Not all builds were judged on the same data: only those that were are compared in "
            "accuracy."
        )
    if any(build.accuracy is None for build in comparison.builds):
        notes.append("Builds without labelled data have no accuracy and are on no front.")
    if comparison.kind == ESTIMATED:
        known = [build.name for build in comparison.builds if build.synthesised]
        if known:
            notes.append("Not every build was synthesised: estimates are compared with estimates.")
    notes.append(
        "On a front is what no other build beats in both figures; differences within the errors "
        "of the accuracies say nothing."
    )
    return notes


def text_table(comparison: Comparison) -> str:
    """Return the table for a terminal, one column a build, with the notes below it."""
    head = ("", [build.name for build in comparison.builds])
    rows = [head, *rows_of(comparison)]
    first = max(len(name) for name, _ in rows)
    widths = [max(map(len, column)) for column in zip(*(cells for _, cells in rows), strict=True)]
    lines = [
        f"{name:<{first}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        for name, cells in rows
    ]
    notes = [
        textwrap.fill(note, NOTE_WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        for note in notes_of(comparison)
    ]
    return "\n".join([*(line.rstrip() for line in lines), "", *notes])
