"""Reads from hardware nodes what estimates, folding and reports need to know."""

from __future__ import annotations

from finn.util.basic import get_dsp_block
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from finn_builds.folded.estimates import (
    MvauShape,
    Resources,
    ThresholdShape,
    fifo,
    width_converter,
)
from finn_builds.folded.folding import FoldedLayer

#: Width of the wide multiplier port by DSP block (UG479, UG579).
_DSP_A_BITS = {"DSP48E1": 25, "DSP48E2": 27}


def sparse_nodes(model: ModelWrapper) -> list[NodeProto]:
    """Return the nodes that hold sparse layers, in order."""
    return [node for node in model.graph.node if node.op_type == "SparseMVAU_rtl"]


def node_layers(model: ModelWrapper) -> dict[str, tuple[int, ...]]:
    """Return the layers, counted from 1, that each hardware node computes; FIFOs have none."""
    found: dict[str, tuple[int, ...]] = {}
    count = 0
    for node in model.graph.node:
        layers: tuple[int, ...] = ()
        if node.op_type == "SparseMVAU_rtl":
            fused = len(getCustomOp(node).get_nodeattr("hasThresholds"))
            layers = tuple(range(count + 1, count + fused + 1))
            count += fused
        elif node.op_type == "MVAU_rtl":
            count += 1
            layers = (count,)
        elif node.op_type == "Thresholding_rtl":
            layers = (count,)
        found[node.name] = layers
    return found


def mvau_shape(model: ModelWrapper, node: NodeProto, part: str) -> MvauShape:
    """Return the shape of an ``MVAU_rtl`` node."""
    op = getCustomOp(node)
    weight_type = op.get_input_datatype(1)
    weights = model.get_initializer(node.input[1])
    return MvauShape(
        mw=op.get_nodeattr("MW"),
        mh=op.get_nodeattr("MH"),
        weight_bits=weight_type.bitwidth(),
        act_bits=op.get_input_datatype(0).bitwidth(),
        acc_bits=op.get_output_datatype().bitwidth(),
        narrow=bool(weights.min() > weight_type.min()),
        dsp_a_bits=_DSP_A_BITS[get_dsp_block(part)],
    )


def threshold_shape(node: NodeProto) -> ThresholdShape:
    """Return the shape of a ``Thresholding_rtl`` node."""
    op = getCustomOp(node)
    return ThresholdShape(
        channels=op.get_nodeattr("NumChannels"),
        steps=op.get_nodeattr("numSteps"),
        in_bits=op.get_input_datatype(0).bitwidth(),
        threshold_bits=op.get_input_datatype(1).bitwidth(),
    )


def folded_layers(model: ModelWrapper, part: str) -> list[FoldedLayer]:
    """Return the foldable layers of a graph in order: each MVAU with what thresholds it."""
    layers = []
    nodes = list(model.graph.node)
    for index, node in enumerate(nodes):
        if node.op_type != "MVAU_rtl":
            continue
        after = nodes[index + 1] if index + 1 < len(nodes) else None
        threshold = None
        if after is not None and after.op_type == "Thresholding_rtl":
            threshold = threshold_shape(after)
        layers.append(FoldedLayer(node.name, mvau_shape(model, node, part), threshold))
    return layers


def node_resources(model: ModelWrapper, node: NodeProto, part: str) -> Resources:
    """Return the estimated cost of one hardware node at its present folding."""
    op = getCustomOp(node)
    if node.op_type == "MVAU_rtl":
        shape = mvau_shape(model, node, part)
        return shape.resources(op.get_nodeattr("PE"), op.get_nodeattr("SIMD"))
    if node.op_type == "Thresholding_rtl":
        return threshold_shape(node).resources(op.get_nodeattr("PE"))
    if node.op_type == "StreamingDataWidthConverter_rtl":
        return width_converter(op.get_nodeattr("inWidth"), op.get_nodeattr("outWidth"))
    if node.op_type == "StreamingFIFO_rtl":
        return fifo(op.get_instream_width(), op.get_nodeattr("depth"))
    if node.op_type in ("SparseMVAU_rtl", "LabelSelect_rtl"):
        return Resources(LUT=op.lut_estimation(part))
    raise RuntimeError(f"no estimate for op type {node.op_type}")
