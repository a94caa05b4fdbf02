"""The page that shows several builds side by side."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from markupsafe import Markup

from finn_builds.report.compare import Build, Comparison, link_to, notes_of, rows_of
from finn_builds.report.figures import Point, pareto_plot
from finn_builds.report.page import page_environment


def comparison_page(comparison: Comparison, path: Path) -> str:
    """Return the page of a comparison.

    Parameters
    ----------
    comparison : Comparison
    path : Path
        Where it will lie: its links to the pages of the builds are relative.
    """
    lut = _plot(
        comparison,
        lambda build: comparison.resource(build, "LUT"),
        comparison.lut_front,
        f"LUT ({comparison.kind})",
        "lut",
    )
    latency = _plot(
        comparison,
        lambda build: build.latency_ns,
        comparison.latency_front,
        "latency in ns at the clock asked for (measured)",
        "latency",
    )
    return (
        page_environment()
        .get_template("compare.html.j2")
        .render(
            c=comparison,
            links=[link_to(build, path) for build in comparison.builds],
            rows=rows_of(comparison),
            notes=notes_of(comparison),
            plots=[
                ("Accuracy and LUTs", lut, comparison.lut_front),
                ("Accuracy and latency", latency, comparison.latency_front),
            ],
            version=f" {_version()}",
        )
    )


def _plot(
    comparison: Comparison,
    cost: Callable[[Build], float | None],
    best: frozenset[str],
    label: str,
    name: str,
) -> Markup:
    """Return accuracy against a cost, or nothing where no build has both."""
    points = [
        Point(build.name, price, build.accuracy, build.error, build.data, build.name in best)
        for build in comparison.builds
        if build.accuracy is not None and (price := cost(build)) is not None
    ]
    return Markup(pareto_plot(points, label, name)) if points else Markup()


def _version() -> str:
    try:
        return metadata.version("prunestream")
    except metadata.PackageNotFoundError:
        return "(not installed)"
