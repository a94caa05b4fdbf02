"""The table of several builds side by side, and what its reader must know, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from functools import partial

from finn_builds.report import text
from finn_builds.report.compare import Build, Comparison
from finn_builds.report.content import BuildReport
from finn_builds.report.design import ESTIMATED, RESOURCES
from finn_builds.route.report import Routed
from finn_builds.verify.accuracy import Accuracy
from finn_builds.verify.simulated import Verification

#: Columns that a note may take below the table.
NOTE_WIDTH = 100


def rows_of(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Return the table of the builds: the name of each figure, and its text for every build."""

    def row(name: str, show: Callable[[BuildReport], str]) -> tuple[str, list[str]]:
        return name, [show(build.report) for build in comparison.builds]

    def best(name: str, front: frozenset[str]) -> tuple[str, list[str]]:
        return name, ["yes" if build.name in front else "-" for build in comparison.builds]

    def resource(build: Build, name: str) -> str:
        value, device = comparison.resource(build, name), build.use(name).device
        if value is None:
            return "-"
        share = f" ({text.percent(value / device)})" if value and device else ""
        return text.count(value) + share

    errors = [e for build in comparison.builds if (e := build.report.target_error)]
    heads = dict.fromkeys(head.output for error in errors for head in error.heads)
    return [
        row("model", lambda b: b.model),
        row("board", lambda b: b.board),
        row("style", lambda b: b.styles),
        row("weight types", lambda b: b.weight_types),
        row("activation types", lambda b: b.activation_types),
        row("weights, table edges", lambda b: text.count(b.weights)),
        row("of them zero", lambda b: text.percent(b.sparsity, 0)),
        row("accuracy (measured)", lambda b: _accuracy(b.accuracy)),
        *(
            [
                row(
                    "RMSE (measured)",
                    lambda b: "-" if (rmse := _rmse(b)) is None else f"{rmse:.4g}",
                )
            ]
            if any(_rmse(build.report) is not None for build in comparison.builds)
            else []
        ),
        *(row(f"accuracy of {name} (measured)", partial(_head, name)) for name in heads),
        row("frames verified", lambda b: _frames(b.verification)),
        *(
            (f"{name} ({comparison.kind})", [resource(build, name) for build in comparison.builds])
            for name in RESOURCES
        ),
        row("latency (measured)", lambda b: text.cycles(b.performance.latency_cycles)),
        row("latency at the clock", lambda b: text.duration(b.performance.latency_ns)),
        row("clock asked for", lambda b: f"{text.trimmed(b.performance.clock_ns)} ns"),
        *(
            [row("routed by nextpnr", lambda b: _routed(b.routed))]
            if any(build.report.routed for build in comparison.builds)
            else []
        ),
        row("interval (measured)", lambda b: text.cycles(b.performance.interval_cycles)),
        row("frames/s at the clock", lambda b: text.short(b.performance.fps)),
        best("best: accuracy, LUT", comparison.lut_front),
        best("best: accuracy, latency", comparison.latency_front),
    ]


def _rmse(report: BuildReport) -> float | None:
    return None if report.target_error is None else report.target_error.rmse


def _head(name: str, report: BuildReport) -> str:
    """Return the accuracy of one output of classes beside others."""
    error = report.target_error
    shares = {} if error is None else {head.output: head for head in error.heads}
    if error is None or name not in shares:
        return "-"
    share = shares[name]
    real = ", NOT real data" if error.surrogate else ""
    return f"{100 * share.accuracy:.1f} ± {100 * share.standard_error:.1f} %{real}"


def _accuracy(found: Accuracy | None) -> str:
    if found is None:
        return "-"
    real = ", NOT real data" if found.surrogate else ""
    return f"{100 * found.accuracy:.1f} ± {100 * found.standard_error:.1f} %{real}"


def _routed(found: Routed | None) -> str:
    if found is None:
        return "-"
    return f"{found.routed_mhz:.1f} MHz{'' if found.met else ', misses its clock'}"


def _frames(found: Verification) -> str:
    return f"{found.frames:,}, {found.mismatches:,} mismatches"


def notes_of(comparison: Comparison) -> list[str]:
    """Return what a reader of the table must know."""
    notes = [f"Accuracy measured on: {source}." for source in comparison.groups]
    errors = [build.report.target_error for build in comparison.builds]
    notes += [f"RMSE measured on: {one}." for one in dict.fromkeys(e.source for e in errors if e)]
    notes += [
        f"The model file of {build.name} says: {said}."
        for build in comparison.builds
        if (said := build.report.origin.trained)
    ]
    notes += [
        f"{build.name}: {warning}."
        for build in comparison.builds
        for warning in build.report.findings.warnings
    ]
    if len(comparison.groups) > 1:
        notes.append(
            "Not all builds were judged on the same data: only those that were are compared in "
            "accuracy."
        )
    if any(build.report.accuracy is None for build in comparison.builds):
        notes.append("Builds without labelled data have no accuracy and are on no front.")
    synthesised = any(build.use("LUT").synthesised is not None for build in comparison.builds)
    if synthesised and comparison.kind == ESTIMATED:
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
