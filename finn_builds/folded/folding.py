"""Chooses PE and SIMD of every folded layer: the fastest that fits, or just fast enough.

FINN's ``SetFolding`` raises SIMD before PE, which leaves the lanes of its DSPs empty (four 4-bit
multiplications share a DSP only if four PEs stand side by side). Here every legal folding of a
layer is priced and the cheapest that meets an interval is taken; intervals are tried from the
shortest on until the whole network fits the budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from finn_builds.errors import UserError
from finn_builds.folded.estimates import MvauShape, ThresholdShape, width_converter
from finn_builds.stitch.blocks import Resources


@dataclass(frozen=True)
class FoldedLayer:
    """One layer to fold: a matrix-vector unit and the thresholding after it, if any."""

    name: str
    mvau: MvauShape
    threshold: ThresholdShape | None


@dataclass(frozen=True)
class LayerFolding:
    """The folding of one layer and what it costs."""

    pe: int
    simd: int
    threshold_pe: int
    cycles: int
    resources: Resources


@dataclass(frozen=True)
class NetworkFolding:
    """The folding of every layer, in order."""

    layers: dict[str, LayerFolding]  # by the name of the matrix-vector unit
    interval: int  # cycles between frames: those of the slowest layer
    resources: Resources  # sum over the layers, width converters included


def divisors(number: int) -> list[int]:
    """Return the divisors of a positive number, ascending."""
    return [value for value in range(1, number + 1) if number % value == 0]


def _share(resources: Resources, budget: Mapping[str, float]) -> float:
    """Return the sum of the shares of the budget that are used."""
    amounts = resources.rounded()
    return sum(amounts[name] / max(limit, 1e-9) for name, limit in budget.items())


def fits(resources: Resources, budget: Mapping[str, float]) -> bool:
    """Say whether every budgeted resource is within its limit."""
    amounts = resources.rounded()
    return all(amounts[name] <= limit for name, limit in budget.items())


@cache
def _options(layer: FoldedLayer) -> tuple[LayerFolding, ...]:
    """Return all foldings of a layer with their cost, thresholding at the unit's own PE."""
    mvau, threshold = layer.mvau, layer.threshold
    result = []
    for pe in divisors(mvau.mh):
        for simd in divisors(mvau.mw):
            cycles = mvau.cycles(pe, simd)
            cost = mvau.resources(pe, simd) + width_converter(
                0 if simd == mvau.mw else simd * mvau.act_bits, simd * mvau.act_bits
            )
            threshold_pe = 0
            if threshold is not None:
                threshold_pe = pe
                cost = cost + threshold.resources(pe)
            result.append(LayerFolding(pe, simd, threshold_pe, cycles, cost))
    return tuple(result)


def cheapest(layer: FoldedLayer, interval: int, budget: Mapping[str, float]) -> LayerFolding | None:
    """Return the folding of least cost that needs no more cycles than ``interval``.

    The cost is the sum of the shares of the budget; of equal costs the shorter one wins.
    """
    allowed = [option for option in _options(layer) if option.cycles <= interval]
    if not allowed:
        return None
    return min(allowed, key=lambda option: (_share(option.resources, budget), option.cycles))


def fold(
    layers: Sequence[FoldedLayer], interval: int, budget: Mapping[str, float]
) -> NetworkFolding | None:
    """Return the cheapest folding with at most ``interval`` cycles in every layer, or None."""
    chosen: dict[str, LayerFolding] = {}
    total = Resources()
    for layer in layers:
        option = cheapest(layer, interval, budget)
        if option is None:
            return None
        chosen[layer.name] = option
        total = total + option.resources
    return NetworkFolding(chosen, max(option.cycles for option in chosen.values()), total)


def fastest(layers: Sequence[FoldedLayer], budget: Mapping[str, float]) -> NetworkFolding:
    """Return the folding of the shortest interval whose resources fit the budget.

    Raises UserError when even the smallest folding does not fit.
    """
    intervals = sorted({option.cycles for layer in layers for option in _options(layer)})
    for interval in intervals:
        folding = fold(layers, interval, budget)
        if folding is not None and fits(folding.resources, budget):
            return folding
    smallest = fold(layers, intervals[-1], budget)
    assert smallest is not None  # every layer has a folding of PE = SIMD = 1
    raise UserError(
        "the network does not fit the board: the smallest folding is estimated at "
        f"{_amounts(smallest.resources, budget)}; the budget is {_limits(budget)}. "
        "Choose a larger board, fewer bits or smaller layers."
    )


def for_target(
    layers: Sequence[FoldedLayer], budget: Mapping[str, float], *, fps: float, clock_ns: float
) -> NetworkFolding:
    """Return the cheapest folding that reaches a number of frames per second.

    Raises UserError when the target can't be met on this board; the message says what can.
    """
    interval = int(1e9 / (clock_ns * fps))
    folding = fold(layers, interval, budget) if interval >= 1 else None
    if folding is not None and fits(folding.resources, budget):
        return folding
    best = fastest(layers, budget)
    reachable = 1e9 / (clock_ns * best.interval)
    raise UserError(
        f"a target of {fps:g} frames/s can't be met with folded layers on this board: at a clock "
        f"of {clock_ns:g} ns it asks for an interval of {1e9 / (clock_ns * fps):.3g} cycles. "
        f"Reachable within the budget ({_limits(budget)}): {reachable:,.0f} frames/s, "
        f"an interval of {best.interval} cycles. Lower --target-fps or leave it out."
    )


def _amounts(resources: Resources, budget: Mapping[str, float]) -> str:
    amounts = resources.rounded()
    return ", ".join(f"{amounts[name]:,} {name}" for name in budget)


def _limits(budget: Mapping[str, float]) -> str:
    return ", ".join(f"{limit:,.0f} {name}" for name, limit in budget.items())
