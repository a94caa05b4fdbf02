"""Plots with axes, by matplotlib, as inline SVG whose colours follow the theme of the page."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from finn_builds.report.content import MAX_CURVES, Classes
from finn_builds.report.text import area

#: Colours that stand for a variable of the page's style sheet until the SVG is written.
_INK, _MUTED, _LINE, _PAPER = "#010101", "#020202", "#030303", "#040404"
_VARIABLES = {_INK: "--ink", _MUTED: "--muted", _LINE: "--line", _PAPER: "--paper"}
_SERIES = tuple(f"#0500{index:02x}" for index in range(6))
_VARIABLES.update({color: f"--c{index}" for index, color in enumerate(_SERIES)})

_DASHES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

#: Ratio of the largest to the smallest cost from which the axis is logarithmic.
LOG_FROM = 8

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "prunestream",
    "text.color": _INK,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "grid.color": _LINE,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@dataclass(frozen=True)
class Point:
    """One build in a plot of accuracy against cost."""

    name: str
    # The accuracy and its standard error are shares
    cost: float
    accuracy: float
    error: float
    group: str  # the data it was judged on: only points of one group may be compared
    best: bool  # it lies on the front of its group


def roc_plot(classes: Classes) -> str:
    """Return the curves of the classes: background efficiency against signal efficiency."""
    curves = sorted(classes.rocs, key=lambda roc: roc.auc)[:MAX_CURVES]
    shown = [roc for roc in classes.rocs if roc in curves]
    looks = [(color, dash) for dash in _DASHES for color in _SERIES]
    floor = 0.5 / classes.frames
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(3.9, 3.5)
        for roc, (color, dash) in zip(shown, itertools.cycle(looks), strict=False):
            label = f"{roc.name}  (AUC {area(roc.auc)})"
            background = np.maximum(roc.background, floor)
            axes.plot(roc.signal, background, color=color, ls=dash, lw=1.6, label=label)
        axes.set_yscale("log")
        # Labels as powers would go through a parser of formulas, which takes longer than the plot.
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(0, 1)
        axes.set_ylim(max(floor, 1e-4), 1)
        axes.set_xlabel("signal efficiency")
        axes.set_ylabel("background efficiency")
        columns = 1 if len(shown) <= 2 else 2
        figure.legend(loc="outside lower center", ncols=columns, fontsize=8)
        return _svg(figure, "roc")


def pareto_plot(points: Sequence[Point], cost: str, name: str) -> str:
    """Return accuracy against a cost, with the front of each group of comparable points.

    `cost` labels its axis; ids in the SVG begin with the plot's `name`, of letters only.
    """
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(3.9, 3.2 + 0.1 * len(points))
        for dash, group in zip(itertools.cycle(_DASHES), _groups(points), strict=False):
            front = sorted((p for p in group if p.best), key=lambda p: p.cost)
            costs, shares = [p.cost for p in front], [100 * p.accuracy for p in front]
            axes.plot(costs, shares, color=_MUTED, ls=dash, lw=1, drawstyle="steps-post")
        looks = zip(itertools.cycle(_SERIES), itertools.cycle(_MARKERS), strict=False)
        for point, (color, marker) in zip(points, looks, strict=False):
            axes.errorbar(
                point.cost,
                100 * point.accuracy,
                yerr=100 * point.error,
                fmt=marker,
                ms=7,
                color=color,
                mfc=color if point.best else _PAPER,
                elinewidth=0.8,
                capsize=2,
                label=point.name,
            )
        costs = [point.cost for point in points]
        if min(costs) > 0 and max(costs) > LOG_FROM * min(costs):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_formatter(NullFormatter())
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axes.margins(0.15, 0.2)
        axes.set_ylim(top=min(axes.get_ylim()[1], 101))
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
        axes.set_xlabel(cost)
        axes.set_ylabel("accuracy in %")
        return _svg(figure, name)


def _groups(points: Sequence[Point]) -> list[list[Point]]:
    """Return the points by the data they were judged on."""
    names = dict.fromkeys(point.group for point in points)
    return [[point for point in points if point.group == name] for name in names]


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of a size in inches, small enough for a phone, and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    axes.grid(True, lw=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure, name: str) -> str:
    """Return a figure as an SVG element: colours by variable, ids that no other figure has."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    # Its style sheet would hold for the whole page.
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    return text.replace("<svg ", '<svg class="plot" aria-hidden="true" ', 1)
