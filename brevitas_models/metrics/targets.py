"""How far a network's numbers are from those that it should give."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from brevitas_models.metrics.accuracy import share_error

Floats = npt.NDArray[np.floating]


def target_figures(
    truth: Floats, outputs: Floats, names: Sequence[str], heads: Sequence[tuple[str, slice, bool]]
) -> dict[str, float]:
    """Compare outputs (n, n_out) with targets of the same shape and units.

    Parameters
    ----------
    names : sequence of str
        Of the columns.
    heads : sequence of (str, slice, bool)
        Name of each output, its columns, and whether it names a class: then its targets are 1 for
        the right one and else 0.

    Returns
    -------
    dict
        ``frames``: n. ``rmse``, the root of the mean square over all frames and columns that are no
        classes, and ``rmse_of_constant``, that of the best constant answer, which is the mean of
        each column; ``rmse_<column>``. ``accuracy_<head>`` and its standard error
        ``accuracy_error_<head>`` of each head of classes.
    """
    n = len(truth)
    wide, found = truth.astype(np.float64), outputs.astype(np.float64)
    figures: dict[str, float] = {"frames": n}
    numbers: list[int] = []
    for name, columns, is_class in heads:
        if not is_class:
            numbers += range(*columns.indices(len(names)))
            continue
        share = float((wide[:, columns].argmax(1) == found[:, columns].argmax(1)).mean())
        figures[f"accuracy_{name}"] = share
        figures[f"accuracy_error_{name}"] = share_error(share, n)
    if numbers:
        squares = ((found - wide)[:, numbers] ** 2).mean(0)
        figures["rmse"] = math.sqrt(squares.mean())
        figures["rmse_of_constant"] = math.sqrt(wide[:, numbers].var(0).mean())
        for column, square in zip(numbers, squares, strict=True):
            figures[f"rmse_{names[column]}"] = math.sqrt(square)
    return figures


def target_lines(figures: dict[str, float], what: str) -> list[str]:
    """Return the figures of `target_figures` as lines for people; `what` names the frames."""
    lines = []
    if "rmse" in figures:
        lines.append(
            f"RMSE on {what}: {figures['rmse']:.4g}; {figures['rmse_of_constant']:.4g} for the "
            f"best constant answer ({figures['frames']:,.0f} frames)"
        )
        if figures["rmse"] >= figures["rmse_of_constant"]:
            lines.append(
                "no better than a constant answer: pruning has taken too much, or the training was "
                "too short; prune less, train longer or widen the layers"
            )
    for key, share in figures.items():
        head = key.removeprefix("accuracy_")
        if head != key and not head.startswith("error_"):
            error = figures[f"accuracy_error_{head}"]
            lines.append(f"accuracy of {head} on {what}: {share:.1%} ± {error:.1%}")
    return lines
