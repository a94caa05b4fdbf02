"""Reads layers, nodes and their resources of a finished build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from finn_builds.config.boards import Resources as Device
from finn_builds.files import TOOL_KEY, WHOLE_KEY
from finn_builds.folded.shapes import node_layers
from finn_builds.ingest import IntegerMLP
from finn_builds.report.design import RESOURCES, Layer, Node, Part, Synthesis, Use

_KINDS = {
    "SparseMVAU_rtl": "sparse layers",
    "MVAU_rtl": "matrix-vector unit",
    "Thresholding_rtl": "thresholds",
    "StreamingDataWidthConverter_rtl": "width converter",
    "StreamingFIFO_rtl": "FIFO",
    "LabelSelect_rtl": "top-1",
}


def kind_of(node: NodeProto) -> str:
    """Return what a hardware node is, in words."""
    if node.op_type == "StreamingFIFO_rtl":
        return f"FIFO of {getCustomOp(node).get_nodeattr('depth')}"
    if node.op_type == "SparseMVAU_rtl":
        count = len(getCustomOp(node).get_nodeattr("hasThresholds"))
        return f"{count} sparse layers" if count > 1 else "sparse layer"
    return _KINDS.get(node.op_type, node.op_type)


def layers_of(
    network: IntegerMLP, model: ModelWrapper, chosen: Sequence[Mapping[str, Any]]
) -> tuple[Layer, ...]:
    """Return the layers of a network and the hardware that each became.

    Parameters
    ----------
    network : IntegerMLP
        The streamlined network.
    model : ModelWrapper
        The hardware graph.
    chosen : sequence of dict
        ``layers`` of ``report/style.json``.
    """
    nodes = {node.name: node for node in model.graph.node}
    main = {
        layer: name
        for name, layers in reversed(node_layers(model).items())
        for layer in layers  # reversed: the MVAU wins over the thresholding behind it
    }
    made = []
    for number, (layer, choice) in enumerate(zip(network.layers, chosen, strict=True), 1):
        node = nodes[main[number]]
        op = getCustomOp(node)
        folded = node.op_type == "MVAU_rtl"
        fan_in = np.count_nonzero(layer.weights, axis=0)
        sparse = choice.get("as_sparse")
        made.append(
            Layer(
                n_in=layer.weights.shape[0],
                n_out=layer.weights.shape[1],
                input_type=layer.input_datatype,
                weight_type=layer.weight_datatype,
                accumulator_type=layer.accumulator_datatype,
                output_type=layer.output_datatype,
                steps=0 if layer.thresholds is None else layer.thresholds.shape[1],
                nonzero=int(fan_in.sum()),
                fan_in=(int(fan_in.min()), round(float(fan_in.mean())), int(fan_in.max())),
                idle_neurons=int((fan_in == 0).sum()),
                style="folded" if folded else "sparse",
                folding=(op.get_nodeattr("PE"), op.get_nodeattr("SIMD")) if folded else None,
                node=node.name,
                as_sparse=None
                if sparse is None
                else {name: int(sparse[name]) for name in ("LUT", "latency")},
                weights=layer.weights,
            )
        )
    return tuple(made)


def nodes_of(
    model: ModelWrapper,
    estimated: Mapping[str, Mapping[str, float]],
    synthesised: Mapping[str, Any] | None,
    chosen: Sequence[Mapping[str, Any]],
) -> tuple[Node, ...]:
    """Return the resources of every node, estimated and, where there are any, synthesised.

    Parameters
    ----------
    model : ModelWrapper
        The hardware graph.
    estimated, synthesised : dict
        ``estimate_layer_resources_final.json`` and ``synth_resources.json``, by node.
    chosen : sequence of dict
        ``layers`` of ``report/style.json``.
    """
    layers = node_layers(model)
    made = []
    for node in model.graph.node:
        found = (synthesised or {}).get(node.name) or {}
        guess = dict(estimated.get(node.name, {}))
        if node.op_type == "SparseMVAU_rtl":
            guess["FF"] = getCustomOp(node).get_nodeattr("ffEstimate")
        made.append(
            Node(
                name=node.name,
                kind=kind_of(node),
                layers=layers[node.name],
                estimated=_figures(guess),
                synthesised=_figures(found),
                note=_note(found),
                parts=_parts(found, chosen, several=len(layers[node.name]) > 1),
            )
        )
    return tuple(made)


def uses_of(
    nodes: Sequence[Node], synthesised: Mapping[str, Any] | None, device: Device
) -> tuple[Use, ...]:
    """Return what the whole design needs of each resource, and what the device has."""
    top = _figures((synthesised or {}).get(WHOLE_KEY) or {})
    uses = []
    for name in RESOURCES:
        known = [node.estimated[name] for node in nodes if name in node.estimated]
        # A sum over some of the nodes only would pass for the whole.
        total = float(sum(known)) if len(known) == len(nodes) else None
        uses.append(Use(name, total, top.get(name), getattr(device, name)))
    return tuple(uses)


def synthesis_of(found: Mapping[str, Any] | None) -> Synthesis | None:
    """Return what synthesised the design and how, or None where nothing did.

    Parameters
    ----------
    found : dict or None
        ``synth_resources.json``.
    """
    tool, top = (found or {}).get(TOOL_KEY), (found or {}).get(WHOLE_KEY) or {}
    if not tool:
        return None
    return Synthesis(
        tool=f"{tool['name']} {tool['version']}",
        stage=tool.get("stage", ""),
        path_ns=top.get("critical_path_ns"),
        depth=top.get("logic_depth"),
        path_source=tool.get("critical_path", ""),
        why_not=_note(top),
        gates=_gates(top.get("gate_level") or {}),
    )


def _gates(found: Mapping[str, Any]) -> str:
    """Return what was run through the mapped netlist, in words."""
    if found.get("frames"):
        return (
            f"{found['frames']:,} frames through the mapped netlist, gate by gate with random "
            f"stalls: {found['mismatches']:,} mismatches."
        )
    nodes = {name: frames for name, frames in (found.get("nodes") or {}).items() if frames}
    if nodes:
        return (
            f"Of the mapped netlist {', '.join(nodes)} alone could be compared, gate by gate with "
            f"{min(nodes.values()):,} random frames: 0 mismatches."
        )
    return f"The mapped netlist was not compared: {found['why']}." if "why" in found else ""


def _figures(found: Any) -> dict[str, float]:
    """Return the resources among what was found, leaving out what is not a number."""
    if not isinstance(found, Mapping):
        return {}
    return {
        name: float(found[name])
        for name in RESOURCES
        if isinstance(found.get(name), int | float) and not isinstance(found.get(name), bool)
    }


def _note(found: Mapping[str, Any]) -> str:
    """Return why there are no figures, as the synthesis step says it."""
    return str(found.get("why", ""))


def _parts(
    found: Mapping[str, Any], chosen: Sequence[Mapping[str, Any]], several: bool
) -> tuple[Part, ...]:
    """Return the parts of a node whose cells were told apart, if it holds several layers.

    The synthesis step counts layers from 0, the page from 1.
    """
    parts = []
    for key, figures in (found.get("layers") or {}).items() if several else ():
        name = "around the layers"
        alone: Mapping[str, Any] = {}
        if key.isdigit():
            name = f"layer {int(key) + 1}"
            alone = chosen[int(key)].get("as_sparse") or {}
        parts.append(Part(name, {k: v for k, v in _figures(alone).items() if v}, _figures(figures)))
    return tuple(parts)
