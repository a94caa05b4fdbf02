"""The style of every layer: sparse logic or folded units."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from finn_builds.config.build import BuildConfig
from finn_builds.config.open_boards import OpenBoard
from finn_builds.errors import UserError
from finn_builds.folded.folding import fastest, fits
from finn_builds.folded.shapes import layer_to_fold
from finn_builds.sparse.compiler import LayerCost
from finn_builds.sparse.estimate import layer_costs, lower_bounds
from finn_builds.stitch.blocks import SPARSE, Resources
from finn_builds.style.choice import Style, choose, reason
from finn_builds.style.styles import CODE_DIR, SparseNode, StyledLayer, Styles, sparse_node
from finn_builds.verify.streamlined import Streamlined


def step_choose_style(streamlined: Streamlined, cfg: BuildConfig) -> Styles:
    """Choose the style of every layer, and make each run of sparse ones one pipeline of logic.

    Raises UserError when neither style nor any mixture fits the board, with ``style`` ``auto``.
    """
    layers = streamlined.network.layers()
    every: tuple[Style, ...] = tuple("folded" for _ in layers)
    if cfg.style == "folded" and isinstance(cfg.board_spec, OpenBoard):
        raise UserError(
            f"--style folded: FINN's units are for Xilinx devices, and {cfg.board} carries "
            f"{cfg.board_spec.part}; choose sparse, or another board"
        )
    if cfg.style == "folded":
        return with_styles(streamlined, every, "asked for with --style folded", cfg)
    budget = cfg.board_spec.budget
    every = tuple("sparse" for _ in layers)
    if isinstance(cfg.board_spec, OpenBoard):
        return _on_open_board(streamlined, every, cfg)
    if cfg.style == "sparse":
        why = "asked for with --style sparse"
        styles = with_styles(streamlined, every, why, cfg)
        if not fits(_logic(styles), budget):
            above = f"{why}; estimated above the budget that --style auto keeps to"
            return Styles(cfg.style, above, styles.layers, styles.nodes)
        return styles
    network = streamlined.network.without_head()
    part, family = cfg.board_spec.part, cfg.board_spec.family
    bounds = lower_bounds(network, family)
    if sum(bounds) <= budget["LUT"]:
        why = "all layers fit the budget as sparse logic, which takes a frame every clock"
        whole = with_styles(streamlined, every, why, cfg)
        if fits(_logic(whole), budget):
            return whole
        shutil.rmtree(cfg.out / CODE_DIR)
    to_fold = [layer_to_fold(layer, part) for layer in layers]
    must = [f for f, least in zip(to_fold, bounds, strict=True) if least > budget["LUT"]]
    if must:
        fastest(must, budget)  # says at once where not even these fit
    costs = layer_costs(
        network,
        family,
        None if cfg.latency_cycles else cfg.planned_ns,
        cfg.latency_cycles,
        budget["LUT"],
        cfg.progress,
    )
    choice = choose(to_fold, costs, budget)
    return with_styles(streamlined, choice.styles, reason(choice, budget), cfg, costs)


def _on_open_board(streamlined: Streamlined, every: tuple[Style, ...], cfg: BuildConfig) -> Styles:
    """Return sparse layers, which are all that open boards take: FINN's units are Xilinx's."""
    board = cfg.board_spec
    asked = "asked for with --style sparse" if cfg.style == "sparse" else ""
    why = asked or "sparse: folded layers are for Xilinx devices"
    styles = with_styles(streamlined, every, why, cfg)
    if not asked and not fits(_logic(styles), board.budget):
        found = _logic(styles).LUT
        raise UserError(
            f"{board.name}: expected at most {board.budget['LUT']:,.0f} LUTs (70 % of the device), "
            f"found {found:,.0f} estimated for sparse layers, and folded ones are for Xilinx "
            "devices; choose a larger board, a smaller model, or --style sparse to try it"
        )
    return styles


def _logic(styles: Styles) -> Resources:
    return sum((node.block.resources for node in styles.nodes), Resources())


def with_styles(
    streamlined: Streamlined,
    styles: Sequence[Style],
    why: str,
    cfg: BuildConfig,
    alone: Sequence[LayerCost] = (),
) -> Styles:
    """Compile the sparse runs of a choice.

    `alone` is what each layer costs by itself, where that is known; else sparse ones say what they
    take in their run.
    """
    layers = streamlined.network.layers()
    named = tuple(
        StyledLayer(layer.name, style) for layer, style in zip(layers, styles, strict=True)
    )
    runs = [(a, b) for style, a, b in Styles(cfg.style, why, named, ()).runs if style == "sparse"]
    nodes: list[SparseNode] = []
    costs = {cost.name: cost for cost in alone}
    for index, (begin, end) in enumerate(runs):
        cfg.progress(index, len(runs), f"layers {begin + 1} to {end} as sparse logic")
        node, within = sparse_node(
            streamlined.network,
            layers[begin:end],
            begin,
            f"{SPARSE}_{index}",
            cfg.out,
            family=cfg.board_spec.family,
            clock_ns=cfg.planned_ns,
            latency=cfg.latency_cycles,
        )
        nodes.append(node)
        for cost in within:
            costs.setdefault(cost.name, cost)
    return Styles(cfg.style, why, tuple(_with_cost(layer, costs) for layer in named), tuple(nodes))


def _with_cost(layer: StyledLayer, costs: Mapping[str, LayerCost]) -> StyledLayer:
    cost = costs.get(layer.layer)
    if cost is None:
        return layer
    found: dict[str, Any] = {"LUT": math.ceil(cost.luts), "latency": cost.latency}
    if cost.hopeless:
        found["at_least"] = True
    return replace(layer, as_sparse=found)
