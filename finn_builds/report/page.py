"""From what a page says to its HTML: one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from finn_builds.report import text
from finn_builds.report.content import MAX_CURVES, BuildReport, Classes
from finn_builds.report.design import Layer, Node, Stream
from finn_builds.report.drawing import (
    MAX_LINES,
    MAX_TABLES,
    bar_width,
    connections,
    curve_grid,
    histogram,
    weight_picture,
)

TEMPLATES = Path(__file__).parent / "templates"

#: Classes beyond which the confusion matrix is left out.
MAX_CONFUSION = 20

#: Share of waiting cycles below which a stream counts as free.
LEAST_STALL = 0.01

SECTIONS = (
    ("headline", "At a glance"),
    ("firmware", "Block"),
    ("network", "Network"),
    ("latency", "Latency"),
    ("streams", "Streams"),
    ("resources", "Resources"),
    ("weights", "Weights"),
    ("classes", "Classes"),
    ("origin", "How it was built"),
)


def _sections(report: BuildReport) -> list[tuple[str, str]]:
    """Return the sections that a page has, with their names."""
    names = {**dict(SECTIONS), "weights": report.edges.capitalize()}
    return [
        (key, name)
        for key, name in names.items()
        if name and (key != "firmware" or report.ip is not None)
    ]


def _signs(report: BuildReport) -> tuple[str, str]:
    """Return what the two colours of edges mean."""
    kinds = {layer.tables for layer in report.layers if layer.entries}
    words = [("positive", "negative")] if False in kinds else []
    words += [("rising table", "falling table")] if True in kinds else []
    return ", ".join(a for a, _ in words), ", ".join(b for _, b in words)


def _picture(layer: Layer) -> dict[str, Any]:
    """Return what the page draws of the weights or of the tables of a layer."""
    if layer.curves.size and len(layer.weights) * len(layer.weights.T) <= MAX_TABLES:
        return {"curves": Markup(curve_grid(layer.curves))}
    svg, low, high = histogram(layer.weights)
    return {
        "pixels": weight_picture(layer.weights),
        "histogram": Markup(svg),
        "low": low,
        "high": high,
    }


def build_page(report: BuildReport) -> str:
    """Return the page of one build."""
    widest = max(max(layer.n_in, layer.n_out) for layer in report.layers)
    latency = max(1, report.performance.latency_cycles)
    largest = max((_lut(node) for node in report.nodes), default=0) or 1
    environment = page_environment()
    environment.filters.update(
        centred=lambda elements: _centred(bar_width(elements, widest)),
        along=lambda cycles: round(100 * cycles / latency, 2),
        lut_share=lambda node: round(100 * _lut(node) / largest, 2),
        cumulated=_cumulated,
    )
    return environment.get_template("build.html.j2").render(
        b=report,
        version=_version(report.origin.versions),
        sections=_sections(report),
        drawings=[
            Markup(connections(layer.weights, widest)) if layer.weights.size else ""
            for layer in report.layers
        ],
        weighted=[
            (number, layer, _picture(layer))
            for number, layer in enumerate(report.layers, 1)
            if layer.weights.size
        ],
        signs=_signs(report),
        sampled=any(layer.nonzero > MAX_LINES for layer in report.layers),
        max_lines=MAX_LINES,
        fused=any(passage.parts for passage in report.passages),
        roc=_curves(report.classes),
        max_curves=MAX_CURVES,
        confusion=_confusion(report.classes),
        cell=_cell,
        same_data=lambda inputs: _same_data(inputs, report),
        pace=_pace(report.streams),
    )


def page_environment() -> Environment:
    """Return the templates with the filters that format figures."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        area=text.area,
        count=text.count,
        fixed=text.fixed,
        pct=text.percent,
        short=text.short,
        time=text.duration,
        trim0=text.trimmed,
    )
    return environment


def _same_data(inputs: str, report: BuildReport) -> str:
    """Return the words for the frames of the verification, the source not given twice."""
    quality = report.accuracy or report.target_error
    return inputs if quality is None else inputs.replace(quality.source, "the same data")


def _pace(streams: Sequence[Stream]) -> str:
    """Return which node sets the pace: the one that data wait for most, but no further on."""
    if max((stream.stalled for stream in streams), default=0) < LEAST_STALL:
        return "No data wait for a receiver: the design takes a frame as fast as it is given."
    later = [*(stream.stalled for stream in streams[1:]), 0.0]
    relief = [stream.stalled - after for stream, after in zip(streams, later, strict=True)]
    slowest = streams[max(range(len(relief)), key=relief.__getitem__)]
    return f"{slowest.sink} sets the pace: data wait for it and flow after it."


def _version(versions: dict[str, str]) -> str:
    return f" {versions['prunestream']}" if "prunestream" in versions else ""


def _lut(node: Node) -> float:
    return node.synthesised.get("LUT", node.estimated.get("LUT", 0.0))


def _centred(width: float) -> str:
    return f"left:{50 - width / 2:.1f}%;width:{width:.1f}%"


def _cumulated(parts: tuple[tuple[str, int], ...], start: int) -> list[dict[str, Any]]:
    """Return parts one after the other, each with the cycle in which it starts."""
    rows = []
    for name, adds in parts:
        rows.append({"name": name, "start": start, "adds": adds})
        start += adds
    return rows


def _cell(synthesised: float | None, estimated: float | None) -> Markup:
    """Return a cell of the table of resources; what is not known is a dash."""
    known = [
        Markup('<span class="{}">{}</span>').format(name, text.count(value))
        for name, value in (("syn", synthesised), ("est", estimated))
        if isinstance(value, int | float)
    ]
    return Markup("").join(known) or Markup("–")


def _curves(classes: Classes | None) -> Markup:
    """Return the plot of the curves, where there are any; matplotlib takes a while to import."""
    if classes is None or not classes.rocs:
        return Markup()
    from finn_builds.report.figures import roc_plot

    return Markup(roc_plot(classes))


def _confusion(classes: Classes | None) -> list[dict[str, Any]]:
    """Return the rows of the confusion matrix, empty where it is too large to read."""
    if classes is None or len(classes.names) > MAX_CONFUSION:
        return []
    rows = []
    for name, counts in zip(classes.names, classes.confusion, strict=True):
        total = max(1, sum(counts))
        cells = [{"count": count, "share": count / total} for count in counts]
        rows.append({"name": name, "cells": cells})
    return rows
