"""Widens number types so that FINN's RTL can carry them, without changing a value.

FINN's matrix-vector unit in RTL wants signed weights and activations of at least two bits and,
on 7-series DSPs, weights that do not use the most negative value of their type; anything else
it sends to HLS. A wider type for the same values costs a bit of wire and keeps every layer in
RTL: bipolar becomes INT2 in {-1, 1}, one unsigned bit becomes UINT2 with the upper levels never
reached, and a weight matrix that contains the most negative value of INTn becomes INT(n+1).
"""

from __future__ import annotations

import json

import numpy as np
from onnx import NodeProto
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from finn_builds.ingest.accumulators import accumulator_ranges, datatype_range

#: Metadata of a widened graph: (lowest, highest) value at the input of each layer, in order.
INPUT_RANGES = "input_ranges"


def signed_type(low: int, high: int, *, narrow: bool = False, at_least: int = 2) -> BaseDataType:
    """Return the smallest INTn that holds ``low``..``high``.

    Parameters
    ----------
    low, high : int
        Extreme values.
    narrow : bool
        Keep ``low`` away from the most negative value of the type.
    at_least : int
        Smallest width in bits.
    """
    bits = at_least
    while not (-(2 ** (bits - 1)) + narrow <= low and high < 2 ** (bits - 1)):
        bits += 1
    return DataType[f"INT{bits}"]


def activation_type(low: int, high: int) -> BaseDataType:
    """Return the smallest UINTn or INTn of at least two bits that holds ``low``..``high``."""
    if low < 0:
        return signed_type(low, high)
    return DataType[f"UINT{max(2, int(high).bit_length())}"]


def widen_types(model: ModelWrapper, *, narrow_weights: bool) -> ModelWrapper:
    """Give every tensor of a streamlined graph a type that FINN's RTL accepts.

    Parameters
    ----------
    model : ModelWrapper
        Chain of integer MatMul and MultiThreshold nodes.
    narrow_weights : bool
        True where the DSP needs weights without the most negative value (DSP48E1).

    Returns
    -------
    ModelWrapper
        The same graph; values and results are unchanged.
    """
    source = model.graph.input[0].name
    low, high = datatype_range(model.get_tensor_datatype(source).name)
    model.set_tensor_datatype(source, activation_type(low, high))
    ranges = []
    for node in model.graph.node:
        if node.op_type == "MatMul":
            ranges.append((low, high))
            low, high = _widen_matmul(model, node, low, high, narrow_weights)
        else:
            low, high = _widen_threshold(model, node, high)
    model.set_metadata_prop(INPUT_RANGES, json.dumps(ranges))
    return model


def input_ranges(model: ModelWrapper) -> list[tuple[int, int]]:
    """Return the values that the input of each layer really takes, whatever its type holds."""
    return [(low, high) for low, high in json.loads(model.get_metadata_prop(INPUT_RANGES))]


def _widen_matmul(
    model: ModelWrapper, node: NodeProto, low: int, high: int, narrow: bool
) -> tuple[int, int]:
    weights = model.get_initializer(node.input[1])
    weight_type = signed_type(int(weights.min()), int(weights.max()), narrow=narrow)
    model.set_tensor_datatype(node.input[1], weight_type)
    # The unit asserts that its accumulator holds any single product of the two types, which a
    # layer with few or no weights left would not need.
    input_type = model.get_tensor_datatype(node.input[0])
    product_bits = weight_type.bitwidth() + input_type.bitwidth() - int(input_type.signed())
    lows, highs = accumulator_ranges(weights.astype(np.int64), low, high)
    acc_low, acc_high = int(lows.min()), int(highs.max())
    model.set_tensor_datatype(node.output[0], signed_type(acc_low, acc_high, at_least=product_bits))
    return acc_low, acc_high


def _rtl_output_bits(steps: int, bias: int) -> int:
    """Return the output width of FINN's ``thresholding.sv`` (its localparam O_BITS)."""
    if bias >= 0:
        return (steps + bias).bit_length()
    return 1 + (max(-bias, steps + bias + 1) - 1).bit_length()


def _widen_threshold(model: ModelWrapper, node: NodeProto, acc_high: int) -> tuple[int, int]:
    op = getCustomOp(node)
    thresholds = model.get_initializer(node.input[1])
    step, bias = int(op.get_nodeattr("out_scale")), int(op.get_nodeattr("out_bias"))
    # A level that is two apart (bipolar: -1, +1) is two thresholds at the same place.
    thresholds = np.repeat(thresholds, step, axis=1)
    low, high = bias, bias + thresholds.shape[1]
    out_type = activation_type(low, high)
    # FINN's RTL derives its output width from the number of thresholds: levels that are never
    # reached fill the type.
    while _rtl_output_bits(thresholds.shape[1], bias) < out_type.bitwidth():
        # Behind every other threshold of its row: FINN's binary search wants them sorted.
        never = thresholds.max(axis=1, keepdims=True, initial=acc_high + 1)
        thresholds = np.concatenate([thresholds, never], axis=1)
    model.set_initializer(node.input[1], thresholds.astype(np.float32))
    # A threshold at the very minimum of its type would also be passed by accumulators below
    # it, which FINN's RTL saturates to that minimum: hence narrow.
    model.set_tensor_datatype(
        node.input[1], signed_type(int(thresholds.min()), int(thresholds.max()), narrow=True)
    )
    op.set_nodeattr("out_scale", 1.0)
    op.set_nodeattr("out_dtype", out_type.name)
    model.set_tensor_datatype(node.output[0], out_type)
    return low, high
