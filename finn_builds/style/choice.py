"""Chooses, layer by layer, between folded hardware and sparse logic, from costs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from finn_builds.errors import UserError
from finn_builds.folded.folding import FoldedLayer, fastest, fits
from finn_builds.sparse.compiler import LayerCost
from finn_builds.stitch.blocks import Resources

Style: TypeAlias = Literal["sparse", "folded"]

#: Layers beyond which not every combination of styles is tried.
MAX_LAYERS = 12


@dataclass(frozen=True)
class Choice:
    """A style for each layer, and what is expected of it."""

    styles: tuple[Style, ...]
    interval: int  # estimated cycles between frames
    latency: int  # estimated cycles of a frame
    resources: Resources  # estimated, all layers


def choose(
    layers: Sequence[FoldedLayer | None], costs: Sequence[LayerCost], budget: Mapping[str, float]
) -> Choice:
    """Return the choice of shortest interval, then latency, then LUTs, within the budget.

    The layers are given as they would be folded, None where they can't be, and what they cost as
    sparse logic. Raises UserError when no combination fits.
    """
    every: tuple[Style, ...] = tuple("sparse" for _ in layers)
    best = _evaluate(every, layers, costs, budget)
    if best is not None:
        return best  # an interval of one cycle: nothing is shorter
    combinations: Iterable[tuple[Style, ...]]
    allowed = [_allowed(layer, cost) for layer, cost in zip(layers, costs, strict=True)]
    combinations = itertools.product(*allowed)
    if len(layers) > MAX_LAYERS:
        # Either end of the network sparse, the rest folded.
        ends = [_ends(k, len(layers)) for k in range(len(layers) + 1)]
        ends += [styles[::-1] for styles in ends]
        combinations = [_where_folded(styles, layers) for styles in ends]
    found = [
        choice
        for styles in combinations
        if (choice := _evaluate(styles, layers, costs, budget)) is not None
    ]
    if not found:
        fastest([layer for layer in layers if layer is not None], budget)  # says what folding needs
        raise UserError(
            "no combination of sparse and folded layers fits the board; choose a larger board, "
            "fewer bits or smaller layers"
        )
    return min(found, key=lambda choice: (choice.interval, choice.latency, choice.resources.LUT))


def _allowed(layer: FoldedLayer | None, cost: LayerCost) -> tuple[Style, ...]:
    """Return the styles of a layer; none where it is neither to be folded nor to be afforded."""
    styles: tuple[Style, ...] = () if cost.hopeless else ("sparse",)
    return styles if layer is None else (*styles, "folded")


def _where_folded(
    styles: tuple[Style, ...], layers: Sequence[FoldedLayer | None]
) -> tuple[Style, ...]:
    """Return styles with the layers sparse that can't be folded."""
    return tuple(
        "sparse" if layer is None else style for style, layer in zip(styles, layers, strict=True)
    )


def _ends(first: int, layers: int) -> tuple[Style, ...]:
    """Return the styles of a network with only the first layers sparse."""
    return tuple("sparse" if index < first else "folded" for index in range(layers))


def _evaluate(
    styles: tuple[Style, ...],
    layers: Sequence[FoldedLayer | None],
    costs: Sequence[LayerCost],
    budget: Mapping[str, float],
) -> Choice | None:
    """Return what a combination gives, or None where it does not fit."""
    sparse = [cost for cost, style in zip(costs, styles, strict=True) if style == "sparse"]
    folded = [
        layer
        for layer, style in zip(layers, styles, strict=True)
        if style == "folded" and layer is not None
    ]
    logic = Resources(LUT=sum(cost.luts for cost in sparse))
    if any(cost.hopeless for cost in sparse) or not fits(logic, budget):
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


def reason(choice: Choice, budget: Mapping[str, float]) -> str:
    """Return why a choice was made, in words."""
    amounts = choice.resources.rounded()
    used = ", ".join(f"{amounts[name]:,} of {limit:,.0f} {name}" for name, limit in budget.items())
    return (
        f"of all combinations within the budget this one has the shortest interval, then latency, "
        f"then fewest LUTs: interval {choice.interval}, {used} (estimated layer by layer; fused "
        "layers take less)"
    )
