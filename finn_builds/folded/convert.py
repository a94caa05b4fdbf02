"""From neighbouring layers of the integer network to FINN's hardware nodes, all of them RTL.

FINN's matrix-vector unit in RTL wants signed weights and activations of at least two bits and, on
7-series DSPs, weights that do not use the most negative value of their type; anything else it sends
to HLS. A wider type for the same values costs a bit of wire and keeps every layer in RTL: bipolar
becomes INT2 in {-1, 1}, one unsigned bit becomes UINT2 with the upper levels never reached, and
weights that contain the most negative value of INTn become INT(n+1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames
from qonnx.util.basic import qonnx_make_model

from finn_builds.network import Layer, Requantise
from finn_builds.network.ops import full_box
from finn_builds.network.types import (
    bits_of,
    datatype_for,
    is_signed,
    range_of,
    signed_datatype_for,
)


def dsp_block(part: str) -> str:
    """Return the kind of a device's DSP blocks (UG479, UG579)."""
    return "DSP48E1" if part.startswith("xc7") else "DSP48E2"


def signed_type(low: int, high: int, *, narrow: bool = False, at_least: int = 2) -> str:
    """Return the smallest INTn of `at_least` bits that holds ``low``..``high``.

    With `narrow`, `low` keeps away from the most negative value of the type.
    """
    return f"INT{max(at_least, bits_of(signed_datatype_for(low - narrow, high)))}"


def widened(datatype: str) -> str:
    """Return the type of at least two bits in which an activation travels to a folded layer."""
    low, high = range_of(datatype)
    wide = datatype_for(low, high)
    return "UINT2" if wide == "UINT1" else wide


@dataclass(frozen=True)
class WideThresholds:
    """The thresholds of a layer as FINN's RTL takes them."""

    rows: np.ndarray  # (n, steps), ascending; output = bias + number of thresholds that are reached
    bias: int
    datatype: str  # of the thresholds
    output: str  # type of the output


def wide_thresholds(requantise: Requantise, low: np.ndarray, high: np.ndarray) -> WideThresholds:
    """Return the thresholds of a layer in FINN's form, for the full range of its accumulators."""
    # A level that is two apart (bipolar: -1, +1) is two thresholds at the same place.
    rows = np.repeat(requantise.form.thresholds(low, high), requantise.step, axis=1)
    bias = requantise.bias
    output = widened(datatype_for(bias, bias + rows.shape[1]))
    # FINN's RTL derives its output width from the number of thresholds: levels that are never
    # reached fill the type.
    while _rtl_output_bits(rows.shape[1], bias) < bits_of(output):
        # After every other threshold of its row: FINN's binary search wants them sorted.
        never = rows.max(axis=1, keepdims=True, initial=int(high.max()) + 1)
        rows = np.concatenate([rows, never], axis=1)
    # A threshold at the very minimum of its type would also be passed by accumulators below
    # it, which FINN's RTL saturates to that minimum: hence narrow.
    datatype = signed_type(int(rows.min()), int(rows.max()), narrow=True)
    return WideThresholds(rows, bias, datatype, output)


def _rtl_output_bits(steps: int, bias: int) -> int:
    """Return the output width of FINN's ``thresholding.sv`` (its localparam O_BITS)."""
    if bias >= 0:
        return (steps + bias).bit_length()
    return 1 + (max(-bias, steps + bias + 1) - 1).bit_length()


@dataclass(frozen=True)
class WideLayer:
    """The types of a layer that FINN's RTL can carry, by their QONNX names."""

    weights: str
    activations: str  # at the layer's input
    sums: str
    thresholds: WideThresholds | None


def wide_layer(layer: Layer, *, narrow_weights: bool) -> WideLayer:
    """Return the types of a layer; DSP48E1 wants weights without the most negative value."""
    values = layer.linear.weights
    weights = signed_type(int(values.min()), int(values.max()), narrow=narrow_weights)
    activations = widened(layer.input.datatype)
    # The unit asserts that its accumulator holds any single product of the two types, which a
    # layer with few or no weights left would not need.
    product = bits_of(weights) + bits_of(activations) - int(is_signed(activations))
    low, high = layer.linear.range(*full_box(layer.input.datatype, layer.n_in))
    sums = signed_type(int(low.min()), int(high.max()), at_least=product)
    counts = layer.requantise
    return WideLayer(
        weights, activations, sums, None if counts is None else wide_thresholds(counts, low, high)
    )


def integer_nodes(layers: Sequence[Layer], *, narrow_weights: bool) -> ModelWrapper:
    """Return neighbouring layers as MatMul and MultiThreshold of types that FINN's RTL takes."""
    nodes, tensors, shapes = [], [], []
    source = "x"
    first = helper.make_tensor_value_info(source, TensorProto.FLOAT, [1, layers[0].n_in])
    types = [(source, widened(layers[0].input.datatype))]
    for index, layer in enumerate(layers):
        wide = wide_layer(layer, narrow_weights=narrow_weights)
        names = f"weights{index}", f"sums{index}"
        nodes.append(helper.make_node("MatMul", [source, names[0]], [names[1]]))
        tensors.append((names[0], layer.linear.weights))
        types += [(names[0], wide.weights), (names[1], wide.sums)]
        shapes.append((names[1], layer.n_out))
        source = names[1]
        counts = wide.thresholds
        if counts is None:
            continue
        names = f"thresholds{index}", f"codes{index}"
        nodes.append(
            helper.make_node(
                "MultiThreshold",
                [source, names[0]],
                [names[1]],
                domain="qonnx.custom_op.general",
                out_dtype=counts.output,
                out_scale=1.0,
                out_bias=float(counts.bias),
                data_layout="NC",
            )
        )
        tensors.append((names[0], counts.rows))
        types += [(names[0], counts.datatype), (names[1], counts.output)]
        shapes.append((names[1], layer.n_out))
        source = names[1]
    infos = [helper.make_tensor_value_info(t, TensorProto.FLOAT, [1, n]) for t, n in shapes]
    graph = helper.make_graph(nodes, "run", [first], [infos.pop()], value_info=infos)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    model = ModelWrapper(qonnx_make_model(graph, opset_imports=opsets))
    for name, values in tensors:
        model.set_initializer(name, values.astype(np.float32))
    for name, datatype in types:
        model.set_tensor_datatype(name, DataType[datatype])
    return model


def hardware_nodes(layers: Sequence[Layer], part: str) -> ModelWrapper:
    """Return neighbouring layers as FINN's MVAU and Thresholding nodes, no implementation chosen.

    FINN must have been prepared.
    """
    from finn.transformation.fpgadataflow.convert_to_hw.quantized_matrix_vector_activation import (
        InferQuantizedMatrixVectorActivation,
    )
    from finn.transformation.fpgadataflow.convert_to_hw.thresholding import InferThresholdingLayer

    model = integer_nodes(layers, narrow_weights=dsp_block(part) == "DSP48E1")
    model = model.transform(InferThresholdingLayer())
    model = model.transform(InferQuantizedMatrixVectorActivation())
    model = model.transform(GiveUniqueNodeNames())
    return model.transform(GiveReadableTensorNames())


def specialised(model: ModelWrapper, part: str) -> ModelWrapper:
    """Return hardware nodes with the RTL of each; RuntimeError where FINN has only HLS."""
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers

    # Left to itself FINN sends everything below four bits to HLS, though its RTL can do it.
    for node in model.graph.node:
        if node.op_type == "MVAU":
            getCustomOp(node).set_nodeattr("preferred_impl_style", "rtl")
    model = model.transform(SpecializeLayers(part))
    hls = [node.name for node in model.graph.node if node.op_type.endswith("_hls")]
    if hls:
        raise RuntimeError(f"FINN has only HLS for these nodes: {', '.join(hls)}")
    for node in model.graph.node:
        if node.op_type == "MVAU_rtl":
            op = getCustomOp(node)
            op.set_nodeattr("accDataType", op.get_nodeattr("outputDataType"))
    return model
