"""Chooses, layer by layer, between folded hardware and sparse logic."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper

from finn_builds.config.build import BuildConfig
from finn_builds.errors import UserError
from finn_builds.files import write_json
from finn_builds.flow.fold import budget_of
from finn_builds.flow.fuse import SparseCost, fused_nodes, sparse_costs, with_styles
from finn_builds.folded.estimates import Resources
from finn_builds.folded.finn_env import prepare_finn
from finn_builds.folded.folding import FoldedLayer, fastest, fits
from finn_builds.folded.shapes import folded_layers

#: Layers beyond which not every combination of styles is tried.
MAX_LAYERS = 12


@dataclass(frozen=True)
class Choice:
    """A style for each layer, and what is expected of it.

    Attributes
    ----------
    styles : tuple of str
        ``"sparse"`` or ``"folded"``, in the order of the layers.
    interval : int
        Estimated cycles between frames.
    latency : int
        Estimated cycles of a frame.
    resources : Resources
        Estimated, all layers.
    """

    styles: tuple[str, ...]
    interval: int
    latency: int
    resources: Resources


def step_choose_style(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Replace the layers chosen for it by sparse nodes, neighbours fused into one.

    Writes ``report/style.json``: the style of every layer and why it was chosen, what each would
    cost alone as sparse logic, and under ``sparse_nodes`` what the fused nodes that are built cost.

    Raises
    ------
    UserError
        When neither style nor any mixture fits the board, with ``style`` ``auto``.
    """
    prepare_finn(cfg.out / "ipgen")
    layers = folded_layers(model, cfg.board_spec.part)
    budget = budget_of(cfg.board_spec)
    costs: list[SparseCost] = []
    if cfg.style == "folded":
        styles, why = ("folded",) * len(layers), "asked for with --style folded"
    else:
        costs = sparse_costs(model, cfg)
        if cfg.style == "sparse":
            styles, why = ("sparse",) * len(layers), "asked for with --style sparse"
            total = sum((cost.resources for cost in costs), Resources())
            if not fits(total, budget):
                why += "; estimated above the budget that --style auto keeps to"
        else:
            choice = choose(layers, costs, budget)
            styles, why = choice.styles, _why(choice, budget)
    model = with_styles(model, styles, cfg)
    rows: list[dict[str, Any]] = [
        {"layer": layer.name, "style": style} for layer, style in zip(layers, styles, strict=True)
    ]
    for row, cost in zip(rows, costs, strict=False):
        row["as_sparse"] = {**cost.resources.rounded(), "latency": cost.latency}
    write_json(
        cfg.out / "report" / "style.json",
        {
            "asked": cfg.style,
            "why": why,
            "kind": "estimated",
            "layers": rows,
            "sparse_nodes": fused_nodes(model, [layer.name for layer in layers], styles, cfg),
        },
    )
    return model


def choose(
    layers: Sequence[FoldedLayer], costs: Sequence[SparseCost], budget: dict[str, float]
) -> Choice:
    """Return the choice of shortest interval, then latency, then LUTs, within the budget.

    Parameters
    ----------
    layers : sequence of FoldedLayer
        The network as it would be folded.
    costs : sequence of SparseCost
        The same layers as sparse logic.
    budget : dict of str to float
        Limits by resource name.

    Raises
    ------
    UserError
        When no combination fits.
    """
    every = ("sparse",) * len(layers)
    best = _evaluate(every, layers, costs, budget)
    if best is not None:
        return best  # an interval of one cycle: nothing is shorter
    combinations: Iterable[tuple[str, ...]]
    combinations = itertools.product(("sparse", "folded"), repeat=len(layers))
    if len(layers) > MAX_LAYERS:
        # Either end of the network sparse, the rest folded.
        n = len(layers)
        ends = [("sparse",) * k + ("folded",) * (n - k) for k in range(n + 1)]
        combinations = ends + [styles[::-1] for styles in ends]
    found = [
        choice
        for styles in combinations
        if (choice := _evaluate(styles, layers, costs, budget)) is not None
    ]
    if not found:
        fastest(layers, budget)  # says what the smallest folding needs
        raise UserError(
            "no combination of sparse and folded layers fits the board; choose a larger board, "
            "fewer bits or smaller layers"
        )
    return min(found, key=lambda choice: (choice.interval, choice.latency, choice.resources.LUT))


def _evaluate(
    styles: tuple[str, ...],
    layers: Sequence[FoldedLayer],
    costs: Sequence[SparseCost],
    budget: dict[str, float],
) -> Choice | None:
    """Return what a combination gives, or None where it does not fit."""
    sparse = [cost for cost, style in zip(costs, styles, strict=True) if style == "sparse"]
    folded = [layer for layer, style in zip(layers, styles, strict=True) if style == "folded"]
    logic = sum((cost.resources for cost in sparse), Resources())
    if not fits(logic, budget):
        return None
    latency = sum(cost.latency for cost in sparse)
    if not folded:
        return Choice(styles, 1, latency, logic)
    left = {name: limit - logic.rounded()[name] for name, limit in budget.items()}
    try:
        folding = fastest(folded, left)
    except UserError:
        return None
    latency += sum(option.cycles for option in folding.layers.values())
    return Choice(styles, max(1, folding.interval), latency, logic + folding.resources)


def _why(choice: Choice, budget: dict[str, float]) -> str:
    amounts = choice.resources.rounded()
    used = ", ".join(f"{amounts[name]:,} of {limit:,.0f} {name}" for name, limit in budget.items())
    return (
        f"of all combinations within the budget this one has the shortest interval, then latency, "
        f"then fewest LUTs: interval {choice.interval}, {used} (estimated layer by layer; fused "
        "layers take less)"
    )
