"""Chooses, layer by layer, between folded hardware and sparse logic."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from finn_builds.config import BuildConfig
from finn_builds.errors import UserError
from finn_builds.estimates import Resources
from finn_builds.finn_env import prepare_finn
from finn_builds.flow.parallelism import budget_of
from finn_builds.flow.shapes import folded_layers, sparse_nodes
from finn_builds.flow.widen import input_ranges
from finn_builds.folding import FoldedLayer, fastest, fits
from finn_builds.json_files import write_json

#: Layers beyond which not every combination of styles is tried.
MAX_LAYERS = 12

#: Rounding of sums of delays, ns.
CLOCK_SLACK_NS = 1e-6


@dataclass(frozen=True)
class SparseCost:
    """What one layer costs as sparse logic, and how deep its pipeline is."""

    name: str
    resources: Resources
    latency: int


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
        When the style asked for does not fit the board.
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
            if not fits(total, budget_of(cfg.board_spec)):
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


def fused_nodes(
    model: ModelWrapper, names: Sequence[str], styles: Sequence[str], cfg: BuildConfig
) -> list[dict[str, Any]]:
    """Return what each sparse node costs as it is built, its layers fused.

    That is less than the sum of its layers alone: the ends of the stream and the registers between
    layers fall away, and layers share stages of the pipeline.

    Parameters
    ----------
    model : ModelWrapper
        With its sparse nodes.
    names, styles : sequence of str
        Of all layers, in order.
    """
    pairs = zip(names, styles, strict=True)
    runs = [
        [name for name, _ in run]
        for style, run in itertools.groupby(pairs, key=lambda pair: pair[1])
        if style == "sparse"
    ]
    found = []
    for node, layers in zip(sparse_nodes(model), runs, strict=True):
        op = getCustomOp(node)
        compiled = op.compile(model)
        stage = compiled.pipeline.stage_ns
        found.append(
            {
                "node": node.name,
                "layers": layers,
                "LUT": op.get_nodeattr("lutEstimate"),
                "FF": op.get_nodeattr("ffEstimate"),
                "latency": compiled.latency,
                "stage_ns": round(stage, 2),
                # A latency that was asked for may leave stages longer than the clock.
                "stage_fits_clock": stage <= cfg.clock_ns + CLOCK_SLACK_NS,
            }
        )
    return found


def sparse_costs(model: ModelWrapper, cfg: BuildConfig) -> list[SparseCost]:
    """Return what each layer would cost as sparse logic, by compiling it."""
    costs = []
    groups = _groups(model)
    for done, group in enumerate(groups):
        cfg.progress(done, len(groups), f"layer {done + 1} as sparse logic")
        node = _sparse_node(model, [group], cfg)
        op = getCustomOp(node)
        compiled = op.compile(model)
        cost = Resources(LUT=op.get_nodeattr("lutEstimate"))
        costs.append(SparseCost(group[0].name, cost, compiled.latency))
    return costs


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


def _input_range(model: ModelWrapper, group: list[NodeProto]) -> tuple[int, int]:
    """Return the range of a layer's input, found by the layer's place among all layers."""
    weights = [node.input[1] for node in model.graph.node if node.op_type == "MVAU_rtl"]
    return input_ranges(model)[weights.index(group[0].input[1])]


def _groups(model: ModelWrapper) -> list[list[NodeProto]]:
    """Return each layer's nodes: an MVAU and the thresholding behind it, if any."""
    groups: list[list[NodeProto]] = []
    for node in model.graph.node:
        if node.op_type == "MVAU_rtl":
            groups.append([node])
        elif node.op_type == "Thresholding_rtl":
            groups[-1].append(node)
    return groups


def with_styles(model: ModelWrapper, styles: Sequence[str], cfg: BuildConfig) -> ModelWrapper:
    """Return the graph with one sparse node in the place of each run of sparse layers.

    Parameters
    ----------
    model : ModelWrapper
        Folded nodes throughout.
    styles : sequence of str
        ``"sparse"`` or ``"folded"`` for each layer.
    """
    pairs = list(zip(styles, _groups(model), strict=True))
    runs = [
        [group for _, group in run]
        for style, run in itertools.groupby(pairs, key=lambda pair: pair[0])
        if style == "sparse"
    ]
    # All new nodes first: a layer's place is counted among all layers.
    sparse = [_sparse_node(model, members, cfg) for members in runs]
    for members, node in zip(runs, sparse, strict=True):
        nodes = list(model.graph.node)
        model.graph.node.insert(nodes.index(members[0][0]), node)
        for group in members:
            for old in group:
                model.graph.node.remove(old)
    for index, node in enumerate(sparse_nodes(model)):
        node.name = f"SparseMVAU_rtl_{index}"
    return model


def _sparse_node(
    model: ModelWrapper, groups: Sequence[list[NodeProto]], cfg: BuildConfig
) -> NodeProto:
    """Return one node for neighbouring layers."""
    first = getCustomOp(groups[0][0])
    last = getCustomOp(groups[-1][-1])
    inputs = [groups[0][0].input[0]]
    has, biases, bits, nonzero = [], [], 2, 0
    for group in groups:
        mvau = getCustomOp(group[0])
        inputs.append(group[0].input[1])
        bits = max(bits, mvau.get_input_datatype(1).bitwidth())
        nonzero += int(np.count_nonzero(model.get_initializer(group[0].input[1])))
        has.append(int(len(group) == 2))
        biases.append(0)
        if len(group) == 2:
            inputs.append(group[1].input[1])
            biases[-1] = getCustomOp(group[1]).get_nodeattr("ActVal")
    datatype = first.get_input_datatype()
    return helper.make_node(
        "SparseMVAU_rtl",
        inputs,
        [groups[-1][-1].output[0]],
        domain="finn_builds.custom_op",
        backend="fpgadataflow",
        name="SparseMVAU_rtl_0",
        hasThresholds=has,
        outBias=biases,
        outStep=[1] * len(groups),
        inputDataType=datatype.name,
        outputDataType=last.get_output_datatype().name,
        inputRange=list(_input_range(model, groups[0])),
        numInputVectors=list(first.get_nodeattr("numInputVectors")),
        numInputs=first.get_nodeattr("MW"),
        numOutputs=getCustomOp(groups[-1][0]).get_nodeattr("MH"),
        weightBits=bits,
        nonzeroWeights=nonzero,
        family=cfg.board_spec.family,
        clockNs=cfg.clock_ns,
        latencyTarget=cfg.latency_cycles or 0,
    )
