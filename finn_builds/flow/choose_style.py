"""The style of every layer: sparse logic or folded units."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from finn_builds.config.build import BuildConfig
from finn_builds.config.open_boards import OPEN_FAMILIES
from finn_builds.errors import UserError
from finn_builds.folded.folding import fastest, fits
from finn_builds.folded.limits import MAX_BITS, MAX_SUM, why_not_folded
from finn_builds.folded.shapes import layer_to_fold
from finn_builds.ingest import HostSplit
from finn_builds.network import Layer
from finn_builds.network.names import block_name
from finn_builds.sparse.compiler import LayerCost
from finn_builds.sparse.estimate import layer_costs, lower_bounds
from finn_builds.stitch.blocks import SPARSE, Resources
from finn_builds.style.choice import Style, choose, reason
from finn_builds.style.styles import (
    CODE_DIR,
    CORE_DIR,
    CoreOptions,
    SparseNode,
    StyledLayer,
    Styles,
    sparse_node,
)
from finn_builds.verify.streamlined import Streamlined


def step_choose_style(
    streamlined: Streamlined, cfg: BuildConfig, split: HostSplit | None = None
) -> Styles:
    """Choose the style of every layer, and make each run of sparse ones one pipeline of logic.

    Raises UserError when neither style nor any mixture fits the board, with ``style`` ``auto``, a
    layer can't be folded, with ``folded``, or a parallel core is asked for and not every layer is
    sparse.
    """
    core = _core_options(streamlined, split, cfg)
    layers = streamlined.network.layers()
    every: tuple[Style, ...] = tuple("folded" for _ in layers)
    if cfg.style == "folded" and cfg.target.family in OPEN_FAMILIES:
        raise UserError(
            f"--style folded: FINN's units are for Xilinx devices, and {cfg.board} carries "
            f"{cfg.target.part}; choose sparse, or another board"
        )
    unfoldable = [why_not_folded(layer) for layer in layers]
    if cfg.style == "folded":
        _check_foldable(layers, unfoldable)
        return with_styles(streamlined, every, "asked for with --style folded", cfg, core=core)
    budget = cfg.target.budget
    every = tuple("sparse" for _ in layers)
    if cfg.target.family in OPEN_FAMILIES:
        return _on_open_board(streamlined, every, cfg)
    if cfg.style == "sparse":
        why = "asked for with --style sparse"
        styles = with_styles(streamlined, every, why, cfg, core=core)
        if not fits(_logic(styles), budget):
            above = f"{why}; estimated above the budget that --style auto keeps to"
            return Styles(cfg.style, above, styles.layers, styles.nodes)
        return styles
    network = streamlined.network.without_head()
    part, family = cfg.target.part, cfg.target.family
    bounds = lower_bounds(network, family)
    if sum(bounds) <= budget["LUT"]:
        why = "all layers fit the budget as sparse logic, which takes a frame every clock"
        whole = with_styles(streamlined, every, why, cfg, core=core)
        if fits(_logic(whole), budget):
            return whole
        shutil.rmtree(cfg.out / CODE_DIR)
        shutil.rmtree(cfg.out / CORE_DIR, ignore_errors=True)
    to_fold = [
        layer_to_fold(layer, part) if unfit is None else None
        for layer, unfit in zip(layers, unfoldable, strict=True)
    ]
    must = []
    for layer, folded, unfit, least in zip(layers, to_fold, unfoldable, bounds, strict=True):
        if least <= budget["LUT"]:
            continue
        if folded is None:
            raise UserError(
                f"layer {layer.name} fits the board in neither style: as sparse logic it takes at "
                f"least {least:,} LUTs of {budget['LUT']:,.0f}, and it can't be folded, because "
                f"{unfit}; choose a larger board, fewer bits or a smaller layer"
            )
        must.append(folded)
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
    return with_styles(streamlined, choice.styles, reason(choice, budget), cfg, costs, core)


def _check_foldable(layers: Sequence[Layer], unfoldable: Sequence[str | None]) -> None:
    """Raise UserError with every layer that can't be folded and why, if there is one."""
    named = [f"{layer.name}: {why}" for layer, why in zip(layers, unfoldable, strict=True) if why]
    if named:
        raise UserError(
            "--style folded: expected layers of one matrix with its activation, of weights and "
            f"activations of at most {MAX_BITS} bits and sums of at most {MAX_SUM:,}, found "
            f"{'; '.join(named)}. These can only be sparse: build with --style sparse or auto"
        )


def _on_open_board(streamlined: Streamlined, every: tuple[Style, ...], cfg: BuildConfig) -> Styles:
    """Return sparse layers, which are all that open boards take: FINN's units are Xilinx's."""
    board = cfg.target
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
    core: CoreOptions | None = None,
) -> Styles:
    """Compile the sparse runs of a choice.

    `alone` is what each layer costs by itself, where that is known; else sparse ones say what they
    take in their run. With `core` the parallel core is written too: it needs every layer sparse.
    """
    layers = streamlined.network.layers()
    named = tuple(
        StyledLayer(layer.name, style) for layer, style in zip(layers, styles, strict=True)
    )
    runs = [(a, b) for style, a, b in Styles(cfg.style, why, named, ()).runs if style == "sparse"]
    if core is not None and runs != [(0, len(layers))]:
        folded = sum(style == "folded" for style in styles)
        larger = "" if cfg.style == "folded" else ", or a larger part"
        raise UserError(
            f"--package ip: expected every layer as sparse logic, found {folded} of {len(layers)} "
            f"folded ({why}); give --style sparse{larger}"
        )
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
            family=cfg.target.family,
            clock_ns=cfg.planned_ns,
            latency=cfg.latency_cycles,
            core=core,
        )
        nodes.append(node)
        for cost in within:
            costs.setdefault(cost.name, cost)
    return Styles(cfg.style, why, tuple(_with_cost(layer, costs) for layer in named), tuple(nodes))


def _core_options(
    streamlined: Streamlined, split: HostSplit | None, cfg: BuildConfig
) -> CoreOptions | None:
    """Return how the parallel core is to be written, None where none is asked for.

    Without `split` its ports are not called as the model's outputs are.
    """
    if not cfg.makes_ip:
        return None
    shown = {} if split is None else split.shown_names()
    return CoreOptions(block_name(cfg.model_name), shown, cfg.cells, cfg.clock_enable)


def _with_cost(layer: StyledLayer, costs: Mapping[str, LayerCost]) -> StyledLayer:
    cost = costs.get(layer.layer)
    if cost is None:
        return layer
    found: dict[str, Any] = {"LUT": math.ceil(cost.luts), "latency": cost.latency}
    if cost.hopeless:
        found["at_least"] = True
    return replace(layer, as_sparse=found)
