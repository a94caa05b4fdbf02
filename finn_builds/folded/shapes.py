"""Reads from hardware nodes what estimates, folding and reports need to know."""

from __future__ import annotations

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from finn_builds.folded.convert import dsp_block, wide_layer
from finn_builds.folded.estimates import MvauShape, ThresholdShape, width_converter
from finn_builds.folded.folding import FoldedLayer
from finn_builds.network import Layer
from finn_builds.network.types import bits_of, range_of
from finn_builds.stitch.blocks import MVAU, THRESHOLDING, WIDTH_CONVERTER, Resources

#: Width of the wide multiplier port by DSP block (UG479, UG579).
_DSP_A_BITS = {"DSP48E1": 25, "DSP48E2": 27}


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
        dsp_a_bits=_DSP_A_BITS[dsp_block(part)],
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
    for node, after in zip(nodes, [*nodes[1:], None], strict=True):
        if node.op_type == MVAU:
            counts = after is not None and after.op_type == THRESHOLDING
            threshold = threshold_shape(after) if counts else None
            layers.append(FoldedLayer(node.name, mvau_shape(model, node, part), threshold))
    return layers


def layer_to_fold(layer: Layer, part: str) -> FoldedLayer:
    """Return what folding needs to know of a layer that is not a node of FINN's yet."""
    weights = layer.linear.weights
    wide = wide_layer(layer, narrow_weights=dsp_block(part) == "DSP48E1")
    sums, counts = bits_of(wide.sums), wide.thresholds
    shape = MvauShape(
        mw=layer.n_in,
        mh=layer.n_out,
        weight_bits=bits_of(wide.weights),
        act_bits=bits_of(wide.activations),
        acc_bits=sums,
        narrow=bool(weights.min() > range_of(wide.weights)[0]),
        dsp_a_bits=_DSP_A_BITS[dsp_block(part)],
    )
    if counts is None:
        return FoldedLayer(layer.name, shape, None)
    steps = counts.rows.shape[1]
    thresholds = ThresholdShape(layer.n_out, steps, sums, bits_of(counts.datatype))
    return FoldedLayer(layer.name, shape, thresholds)


def node_resources(model: ModelWrapper, node: NodeProto, part: str) -> Resources:
    """Return the estimated cost of one hardware node at its present folding."""
    op = getCustomOp(node)
    if node.op_type == MVAU:
        shape = mvau_shape(model, node, part)
        return shape.resources(op.get_nodeattr("PE"), op.get_nodeattr("SIMD"))
    if node.op_type == THRESHOLDING:
        return threshold_shape(node).resources(op.get_nodeattr("PE"))
    if node.op_type == WIDTH_CONVERTER:
        return width_converter(op.get_nodeattr("inWidth"), op.get_nodeattr("outWidth"))
    raise RuntimeError(f"no estimate for op type {node.op_type}")
