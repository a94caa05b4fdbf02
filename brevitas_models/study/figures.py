"""The figures of a study, from its table alone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only; a window system is not needed

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brevitas_models.study.table import Row

METRICS = {
    "accuracy": "accuracy",
    "auc": "mean AUC",
    "background_efficiency": "background efficiency at 50 % signal",
    "neural_efficiency": "neural efficiency",
}
# Columns by which the curves of a figure differ, and the values that are of the plain case.
VARIANTS: dict[str, tuple[str, ...]] = {
    "schedules": ("bits", "schedule"),
    "batch_norm": ("bits", "schedule", "batch_norm"),
    "l1": ("bits", "schedule", "l1"),
    "label_noise": ("bits", "schedule", "random_labels"),
    "criterion": ("bits", "schedule", "criterion"),
}
SETTINGS = ("bits", "schedule", "batch_norm", "l1", "random_labels", "criterion", "layers")
_BOPS = "BOPs (own input width)"


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write all figures for which the table has rows, and return their paths.

    Points of a curve are means over seeds and folds, bars the standard deviation of these means'
    parts divided by the root of their number: where there is one part, there is no bar.
    """
    grid = [row for row in rows if row["kind"] == "grid"]
    best = [row for row in rows if row["kind"] == "bayes"]
    built = [row for row in rows if row.get("lut")]
    trials = [row for row in rows if row["kind"] == "bayes_trial"]
    figures = {}
    for name, columns in VARIANTS.items():
        varied = len({row[columns[-1]] for row in grid}) > 1
        chosen = _otherwise_plain(grid, columns)
        if chosen and (varied or name == "schedules"):
            figures[name] = _panels(chosen, columns, best if name == "schedules" else [])
    if built:
        figures["lut"] = _luts(built)
    if trials:
        figures["search"] = _search(trials)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.svg" for name in figures]
    # Without a date, and with names of its own making, a file is the same for the same table.
    with matplotlib.rc_context({"svg.hashsalt": "prunestream"}):
        for path, figure in zip(paths, figures.values(), strict=True):
            figure.savefig(path, metadata={"Date": None})
    return paths


def _otherwise_plain(rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
    """Return rows that have, in all settings but `columns`, the value that most rows have."""
    kept = list(rows)
    for setting in SETTINGS:
        if setting not in columns and kept:
            values = [row[setting] for row in kept]
            plain = max(dict.fromkeys(values), key=values.count)
            kept = [row for row in kept if row[setting] == plain]
    return kept


def curves(
    rows: Sequence[Row], columns: Sequence[str], metric: str, against: str = "bops"
) -> Iterator[tuple[str, list[float], list[float], list[float]]]:
    """Give the curves of a figure: name, x, y and error of y of each, by falling cost.

    Rows that agree in `columns` are one curve; rows of one round of it are averaged. `metric` and
    `against` are the columns of y and x.
    """
    groups: dict[tuple[object, ...], dict[float, list[Row]]] = defaultdict(dict)
    for row in rows:
        value = row.get(metric)
        if value is not None and row.get(against) and math.isfinite(value):
            curve = groups[tuple(row[column] for column in columns)]
            curve.setdefault(row["round"], []).append(row)
    for name in sorted(groups, key=str):
        label = ", ".join(_label(c, v) for c, v in zip(columns, name, strict=True))
        x, y, error = [], [], []
        for _, parts in sorted(groups[name].items()):
            values = [row[metric] for row in parts]
            mean = sum(values) / len(values)
            spread = sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)
            x.append(sum(row[against] for row in parts) / len(parts))
            y.append(mean)
            error.append(math.sqrt(spread / len(values)))
        yield label, x, y, error


def _label(column: str, value: object) -> str:
    if column == "bits":
        return f"{value:g} bit" if isinstance(value, float) else f"{value} bit"
    if column == "random_labels":
        return f"{value:.0%} random labels"
    if column == "l1":
        return f"L1 {value:g}"
    if column == "batch_norm":
        return f"BatchNorm {value}"
    return str(value).replace("_", " ")


def _panels(rows: list[Row], columns: Sequence[str], best: list[Row]) -> Figure:
    figure = Figure(figsize=(11, 8), layout="constrained")
    panels = figure.subplots(2, 2)
    for panel, (metric, title) in zip(panels.flat, METRICS.items(), strict=True):
        _curves(panel, curves(rows, columns, metric), title, metric == "background_efficiency")
        for row in best:
            if row.get(metric) is not None:
                panel.plot(row["bops"], row[metric], "*", color="black", markersize=9)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    if best:
        (star,) = panels.flat[0].plot([], [], "*", color="black", markersize=9)
        handles, labels = [*handles, star], [*labels, "sizes by Bayesian optimisation"]
    columns_of_legend = min(len(labels), 4)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns_of_legend, fontsize=8)
    if any(row["surrogate"] for row in rows):
        figure.suptitle("surrogate frames: not real jets", fontsize=9)
    return figure


def _curves(
    panel: Axes,
    given: Iterator[tuple[str, list[float], list[float], list[float]]],
    title: str,
    log: bool,
) -> None:
    for label, x, y, error in given:
        bars = error if any(error) else None
        panel.errorbar(x, y, bars, marker="o", markersize=3, lw=1, label=label)
    _axes(panel, title, log)


def _axes(panel: Axes, title: str, log: bool = False) -> None:
    panel.set_xscale("log")
    panel.set_xlabel(_BOPS)
    panel.set_ylabel(title)
    if log:
        panel.set_yscale("log")
    panel.grid(alpha=0.3)


def _luts(rows: list[Row]) -> Figure:
    figure = Figure(figsize=(7, 5), layout="constrained")
    panel = figure.subplots()
    tools = sorted({str(row["hardware_tool"]).split(",")[0] for row in rows})
    _curves(panel, curves(rows, ("bits", "schedule"), "lut"), f"LUT ({', '.join(tools)})", True)
    panel.legend(fontsize=8)
    return figure


def _search(rows: list[Row]) -> Figure:
    figure = Figure(figsize=(7, 5), layout="constrained")
    panel = figure.subplots()
    groups: dict[object, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["bits"]].append(row)
    for bits, found in groups.items():
        x, y = [row["bops"] for row in found], [row["validation_loss"] for row in found]
        panel.plot(x, y, "o", markersize=4, label=_label("bits", bits))
    _axes(panel, "validation loss of a trial")
    panel.legend(fontsize=8)
    return figure
