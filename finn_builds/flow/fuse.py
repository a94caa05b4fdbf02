"""Puts sparse nodes in the place of folded layers, neighbours fused, and tells what they cost."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from finn_builds.config.build import BuildConfig
from finn_builds.folded.estimates import Resources
from finn_builds.folded.shapes import sparse_nodes
from finn_builds.folded.widen import input_ranges

Layer = TypeVar("Layer")

#: Rounding of sums of delays, ns.
CLOCK_SLACK_NS = 1e-6


@dataclass(frozen=True)
class SparseCost:
    """What one layer costs as sparse logic, and how deep its pipeline is."""

    name: str
    resources: Resources
    latency: int


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


def with_styles(model: ModelWrapper, styles: Sequence[str], cfg: BuildConfig) -> ModelWrapper:
    """Return the graph with one sparse node in the place of each run of sparse layers.

    Parameters
    ----------
    model : ModelWrapper
        Folded nodes throughout.
    styles : sequence of str
        ``"sparse"`` or ``"folded"`` for each layer.
    """
    runs = _sparse_runs(styles, _groups(model))
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
    found = []
    for node, layers in zip(sparse_nodes(model), _sparse_runs(styles, names), strict=True):
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


def _sparse_runs(styles: Sequence[str], layers: Sequence[Layer]) -> list[list[Layer]]:
    """Return the layers of each run of neighbouring sparse ones."""
    pairs = zip(styles, layers, strict=True)
    return [
        [layer for _, layer in run]
        for style, run in itertools.groupby(pairs, key=lambda pair: pair[0])
        if style == "sparse"
    ]


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
        domain="finn_builds.folded.custom_op",
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
