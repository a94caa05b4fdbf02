"""The figures of a study in one page of text, from its table alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from brevitas_models.study.table import Row

# Rows that agree in these, and in the settings that a study names by section, are seeds or folds of
# one network.
SAME = ("kind", "bits", "schedule", "criterion", "batch_norm", "l1", "random_labels", "round")
_MEANS = (
    "share",
    "pruned",
    "auc",
    "background_efficiency",
    "neural_efficiency",
    "bops",
    "bops_32bit_input",
)


@dataclass(frozen=True)
class Pooled:
    """Rows of seeds and folds of one network, taken together."""

    name: dict[str, object]
    figures: dict[str, float]  # means over the rows, each weighed by its test frames
    # Share of the tested frames that are right, and its standard error: sqrt(p (1 - p) / n) for n
    # different frames. Seeds are tested on the same frames and do not count as more.
    accuracy: float
    error: float
    frames: int  # different frames tested
    rows: int
    # Mean soft regret against the teacher and its standard error; None where there was none.
    regret: tuple[float, float] | None = None


def pooled(rows: Sequence[Row]) -> list[Pooled]:
    """Return the rows of `kind` grid and bayes, seeds and folds taken together, in order."""
    same = (*SAME, *_by_section(rows))
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row["kind"] != "bayes_trial":
            groups.setdefault(tuple(row.get(key) for key in same), []).append(row)
    return [_pool(dict(zip(same, key, strict=True)), group) for key, group in groups.items()]


def _by_section(rows: Sequence[Row]) -> list[str]:
    """Return the columns of settings by section and name, such as ``pruning.lut_budget``."""
    return list(dict.fromkeys(key for row in rows for key in row if "." in key))


def _pool(name: dict[str, object], rows: list[Row]) -> Pooled:
    tested = sum(row["frames"] for row in rows)
    seeds = len({row["seed"] for row in rows})
    mean = {
        key: sum(row[key] * row["frames"] for row in rows if row[key] is not None) / tested
        for key in _MEANS
    }
    accuracy = sum(row["accuracy"] * row["frames"] for row in rows) / tested
    frames = round(tested / seeds)
    error = math.sqrt(accuracy * (1 - accuracy) / frames)
    return Pooled(name, mean, accuracy, error, frames, len(rows), _regret(rows, seeds))


def _regret(rows: list[Row], seeds: int) -> tuple[float, float] | None:
    """Return soft regret and error of all frames; seeds answer for the same frames."""
    if any(row.get("soft_regret") is None for row in rows):
        return None
    tested = sum(row["frames"] for row in rows)
    mean = sum(row["soft_regret"] * row["frames"] for row in rows) / tested
    squares = sum((row["soft_regret_error"] * row["frames"]) ** 2 for row in rows) / seeds
    return mean, math.sqrt(squares) * seeds / tested


def plain_float(found: Sequence[Pooled]) -> Pooled | None:
    """Return the unpruned 32-bit network that others are compared with, if there is one."""
    for item in found:
        plain = item.name["batch_norm"] == "on" and not item.name["random_labels"]
        if item.name["bits"] == 32 and not item.figures["share"] and plain:
            return item
    return None


def page(rows: Sequence[Row]) -> str:
    """Return a Markdown page: a line for each network, compared with the unpruned float one.

    The factors are those of BOPs: with the input width of each network itself, and with 32-bit
    inputs for all, as Hawks et al. (2021) count. The error of a difference takes the accuracies as
    independent; both networks were tested on the same frames, so it is an upper bound.
    """
    found = pooled(rows)
    reference = plain_float(found)
    head = (
        "| bits | schedule | variant | pruned | accuracy | against float | mean AUC | background "
        "efficiency | neural efficiency | BOPs | fewer | BOPs, 32-bit input | fewer |"
    )
    taught = any(item.regret for item in found)
    varied = [key for key in _by_section(rows) if len({item.name[key] for item in found}) > 1]
    if taught:
        head += " soft regret, points |"
    lines = [head, "|" + "---|" * (head.count("|") - 1)]
    for item in found:
        f = item.figures
        cells = [
            _plain(item.name["bits"]),
            str(item.name["schedule"] if item.name["kind"] == "grid" else "sizes by search"),
            _variant(item, varied),
            f"{f['pruned']:.1%}",
            f"{item.accuracy:.2%} ± {item.error:.2%}",
            _difference(item, reference),
            f"{f['auc']:.4f}",
            f"{f['background_efficiency']:.4f}",
            f"{f['neural_efficiency']:.3f}",
            f"{f['bops']:,.0f}",
            _factor(item, reference, "bops"),
            f"{f['bops_32bit_input']:,.0f}",
            _factor(item, reference, "bops_32bit_input"),
        ]
        if taught:
            cells.append(
                f"{100 * item.regret[0]:.2f} ± {100 * item.regret[1]:.2f}" if item.regret else ""
            )
        lines.append("| " + " | ".join(cells) + " |")
    surrogate = any(row["surrogate"] for row in rows)
    frames = "surrogate frames, **not real jets**" if surrogate else "frames not trained on"
    count = max((item.frames for item in found), default=0)
    return "\n".join([f"Measured on {count:,} {frames}.", "", *lines, ""])


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _variant(item: Pooled, varied: Sequence[str]) -> str:
    name, parts = item.name, []
    if name["batch_norm"] != "on":
        parts.append(f"BatchNorm {name['batch_norm']}")
    if name["l1"]:
        parts.append(f"L1 {name['l1']:g}")
    if name["random_labels"]:
        parts.append(f"{name['random_labels']:.0%} random labels")
    if name["criterion"] != "magnitude":
        parts.append(str(name["criterion"]))
    parts += [f"{key} {_plain(name[key])}" for key in varied if name[key] is not None]
    return ", ".join(parts)


def _difference(item: Pooled, reference: Pooled | None) -> str:
    if reference is None or item is reference:
        return ""
    points = 100 * (item.accuracy - reference.accuracy)
    return f"{points:+.2f} ± {100 * math.hypot(item.error, reference.error):.2f}"


def _factor(item: Pooled, reference: Pooled | None, key: str) -> str:
    if reference is None or item is reference:
        return ""
    return f"{reference.figures[key] / item.figures[key]:.1f}x"
