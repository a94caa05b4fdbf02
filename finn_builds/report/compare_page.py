"""The page that shows several builds side by side, and where it goes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from finn_builds.errors import UserError
from finn_builds.files import PAGE_FILE
from finn_builds.report.compare import Build, Comparison
from finn_builds.report.compare_table import notes_of, rows_of
from finn_builds.report.figures import Point, pareto_plot
from finn_builds.report.origin import own_version
from finn_builds.report.page import page_environment


def comparison_page(comparison: Comparison, path: Path) -> str:
    """Return the page of a comparison; its links are relative to `path`, where it will lie."""
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
            version=f" {own_version()}",
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
        Point(
            build.name,
            price,
            accuracy.accuracy,
            accuracy.standard_error,
            accuracy.source,
            build.name in best,
        )
        for build in comparison.builds
        if (accuracy := build.report.accuracy) and (price := cost(build)) is not None
    ]
    return Markup(pareto_plot(points, label, name)) if points else Markup()


def page_path(folders: Sequence[str | Path], given: str | None) -> Path:
    """Return where the page goes: as given, or beside the first of the folders.

    Raises UserError if there is a folder of that name, or its own folder is not there.
    """
    path = Path(given or Path(folders[0]).absolute().parent / "compare.html")
    path = path.expanduser().absolute()
    if path.is_dir():
        raise UserError(f"compare: expected a file after --out, found the folder {path}; name one")
    if not path.parent.is_dir():
        raise UserError(
            f"compare: expected a folder to write {path.name} into, found no {path.parent}; "
            "make it or choose another one"
        )
    return path


def link_to(build: Build, page: Path) -> str:
    """Return the address of a build's own page, as seen from the page of the comparison."""
    path = Path(os.path.relpath(build.folder / PAGE_FILE, page.parent))
    return quote(path.as_posix())
