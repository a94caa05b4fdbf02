"""Nodes of a QONNX model executed on exact numbers, for the reference.

Nodes that are linear in their data are executed by onnx's own implementation, a few bits of the
data at a time; those that compare and choose, on the ranks of their data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto
from qonnx.custom_op.general.multithreshold import multithreshold

from deploy.host_operations import level_range
from finn_builds.ingest.rational import (
    Numbers,
    affine,
    bilinear,
    by_rank,
    clipped,
    doubles,
    normalised,
    quantised,
    rationals,
    rounded,
    signed_bit,
)
from finn_builds.ingest.reading import GraphNode
from finn_builds.ingest.wiring import WIRING, executed

_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
_WEIGHTED = ("MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum")
_SUMMING = ("AveragePool", "CumSum", "ScatterElements", "ScatterND")
_LINEAR = (*WIRING, "Concat", *_SUMMING)
_CHOOSING = (
    "MaxPool",
    "GlobalMaxPool",
    "ReduceMax",
    "ReduceMin",
    "ArgMax",
    "TopK",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Equal",
    "Where",
)
_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Neg": np.negative,
    "Abs": np.abs,
    "Relu": lambda x: clipped(x, 0, None),
    "Floor": lambda x: rounded(x, "FLOOR"),
    "Ceil": lambda x: rounded(x, "CEIL"),
    "Round": lambda x: rounded(x, "ROUND"),
    "Identity": lambda x, *_: x,
    "Dropout": lambda x, *_: x,
}
_FOLDS = {"Sum": np.add, "Mean": np.add, "Max": np.maximum, "Min": np.minimum}
_SUMS = ("ReduceSum", "ReduceMean", "ReduceSumSquare", "ReduceL1", "GlobalAveragePool")


def computed_exactly(node: GraphNode, inputs: Sequence[Any], opset: int) -> list[np.ndarray]:
    """Return a node's outputs; floating point ones are objects, see `rational`."""
    attrs = node.attrs
    floats = [x is not None and np.asarray(x).dtype.kind in "fO" for x in inputs]
    x, *others = (rationals(v) if f else v for v, f in zip(inputs, floats, strict=True))
    match node.op:
        case "Quant":
            return [_quant(x, others, attrs)]
        case "Trunc":
            return [_truncated(x, others, attrs)]
        case "BipolarQuant":
            return [np.where(x >= 0, 1, -1) * others[0]]
        case "MultiThreshold":
            return [_multithreshold(x, others[0], attrs)]
        case "BatchNormalization":
            wide = (1, -1, *(1 for _ in x.shape[2:]))
            parameters = [c.reshape(wide) for c in others[:4]]
            return [normalised(x, parameters, float(attrs.get("epsilon", 1e-5)))]
        case "Cast" if attrs["to"] in _FLOATS:
            return [rationals(np.asarray(x))]
        case "Clip":
            low, high = [*others, None, None][:2]
            low = attrs.get("min") if low is None else low
            high = attrs.get("max") if high is None else high
            return [clipped(x, low, high)]
        case "LeakyRelu":
            return [np.where(x < 0, x * Fraction(float(attrs.get("alpha", 0.01))), x)]
        case "PRelu":
            return [np.where(x < 0, x * others[0], x)]
        case "Pow" if floats[0] and (np.asarray(others[0]) == 2).all():
            return [x * x]
        case op if op in _ARITHMETIC and all(floats):
            return [np.asarray(_ARITHMETIC[op](x, *others))]
        case op if op in _FOLDS and all(floats):
            for other in others:
                x = _FOLDS[op](x, other)
            return [np.asarray(x / Fraction(len(inputs)) if op == "Mean" else x)]
        case op if op in _SUMS and floats[0]:
            return [_sum(node, x, others)]
        case op if op in _WEIGHTED:
            return [_weighted(node, x, others, opset)]
        case op if op in _LINEAR and floats[0]:
            return [*_linear(node, inputs, opset)]
        case op if op in _CHOOSING:
            return _chosen(node, inputs, opset)
        case _:
            plain = [doubles(v) if f else v for v, f in zip(inputs, floats, strict=True)]
            with np.errstate(all="ignore"):
                found = executed(node.proto, plain, opset)
            return [rationals(y) if y.dtype.kind == "f" else y for y in found]


def _quant(x: Numbers, parameters: Sequence[Any], attrs: Any) -> Numbers:
    scale, zero_point, bits = parameters
    width, signed = int(np.asarray(bits).item()), bool(attrs.get("signed", 1))
    if signed and width == 1:
        return signed_bit(x, scale, zero_point)
    bounds = level_range(width, signed, bool(attrs.get("narrow", 1)))
    mode = str(attrs.get("rounding_mode", "ROUND"))
    return quantised(x, scale, zero_point, bounds, mode)


def _truncated(x: Numbers, parameters: Sequence[Any], attrs: Any) -> Numbers:
    scale, zero_point, bits, *out_scale, out_bits = parameters
    codes = rounded(x / scale + zero_point, "ROUND")
    if out_scale:
        worth = np.exp2(np.rint(np.log2(doubles(out_scale[0] / scale))))
    else:
        worth = np.exp2(doubles(bits - out_bits))
    codes, factor = codes / rationals(worth), rationals(worth)
    if out_scale:
        signed, narrow = bool(attrs.get("signed", 1)), bool(attrs.get("narrow", 0))
        codes = clipped(codes, *level_range(int(np.asarray(out_bits).item()), signed, narrow))
    codes = rounded(codes, str(attrs.get("rounding_mode", "FLOOR")))
    zero = zero_point / factor if out_scale else zero_point
    return np.asarray((codes - zero) * (out_scale[0] if out_scale else scale))


def _multithreshold(x: Numbers, rows: Numbers, attrs: Any) -> Numbers:
    scale, bias = (Fraction(float(attrs.get(k, v))) for k, v in (("out_scale", 1), ("out_bias", 0)))
    last = attrs.get("data_layout", "NCHW") in ("NHWC", "NWC") and x.ndim > 2

    def counted(ranks: list[Any]) -> list[np.ndarray]:
        data = np.moveaxis(ranks[0], -1, 1) if last else ranks[0]
        y = np.asarray(multithreshold(data, ranks[1])).astype(np.int64)
        return [np.moveaxis(y, 1, -1) if last else y]

    (counts,) = by_rank(counted, [x, rows])
    return np.asarray(rationals(counts) * scale + bias)


def _sum(node: GraphNode, x: Numbers, others: Sequence[Any]) -> Numbers:
    if node.op == "GlobalAveragePool":
        axes, keep = tuple(range(2, x.ndim)), True
    else:
        given = node.attrs.get("axes", others[0] if others else None)
        found = [] if given is None else np.asarray(given).reshape(-1).astype(int).tolist()
        if not found and node.attrs.get("noop_with_empty_axes"):
            return x
        axes, keep = tuple(found) or tuple(range(x.ndim)), bool(node.attrs.get("keepdims", 1))
    if node.op == "ReduceSumSquare":
        x = x * x
    if node.op == "ReduceL1":
        x = np.abs(x)
    total = np.asarray(np.sum(x, axis=axes, keepdims=keep), dtype=object)
    if node.op in ("ReduceMean", "GlobalAveragePool"):
        return total * Fraction(total.size, x.size)
    return total


def _weighted(node: GraphNode, left: Numbers, others: Sequence[Any], opset: int) -> Numbers:
    """Return a node of two factors and what is added, the added part by hand."""
    right, added = [*others, None][:2]
    proto = NodeProto()
    proto.CopyFrom(node.proto)
    del proto.input[2:]
    kept = [a for a in proto.attribute if a.name not in ("alpha", "beta")]
    del proto.attribute[:]
    proto.attribute.extend(kept)

    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return executed(proto, [a, b], opset)[0]

    # No sum has more terms than a frame has elements, or the other factor.
    terms = max(int(np.prod(x.shape[1:])) if x.ndim > 1 else x.size for x in (left, right))
    found = bilinear(product, left, right, max(terms, 1))
    if node.op == "Gemm":
        found = found * Fraction(float(node.attrs.get("alpha", 1.0)))
        added = None if added is None else added * Fraction(float(node.attrs.get("beta", 1.0)))
    elif added is not None:
        added = added.reshape(1, -1, *(1 for _ in right.shape[2:]))
    return found if added is None else np.asarray(found + added)


def _linear(node: GraphNode, inputs: Sequence[Any], opset: int) -> list[Numbers]:
    """Return the outputs of a node that moves, sums or averages its data."""
    factor = 1
    if node.op == "AveragePool":
        # Whatever number of elements a mean is over, it divides this.
        factor = lcm(*(lcm(*range(1, k + 1)) for k in node.attrs["kernel_shape"]))
        factor **= len(node.attrs["kernel_shape"])
    data = [i for i, v in enumerate(inputs) if v is not None and v.dtype == object]
    data = data[:1] if node.op == "Resize" else data  # the others are its factors
    operands = [inputs[i] for i in data]
    growth = factor.bit_length()
    if node.op in _SUMMING:
        growth += max(int(np.prod(x.shape[1:])) for x in operands).bit_length()

    def output(k: int) -> Callable[[list[np.ndarray]], np.ndarray]:
        def run(parts: list[np.ndarray]) -> np.ndarray:
            given = [doubles(v) if v is not None and v.dtype == object else v for v in inputs]
            for i, part in zip(data, parts, strict=True):
                given[i] = part
            return executed(node.proto, given, opset)[k] * factor

        return run

    count = sum(bool(name) for name in node.outputs)
    return [affine(output(k), operands, growth) / Fraction(factor) for k in range(count)]


def _chosen(node: GraphNode, inputs: Sequence[Any], opset: int) -> list[np.ndarray]:
    """Return a node that compares and chooses; whole numbers and bits stay as they are."""
    if node.op == "Where":  # whose bits may be an input of the model
        inputs = [np.asarray(inputs[0]) != 0, *inputs[1:]]
    data = [i for i, v in enumerate(inputs) if v is not None and np.asarray(v).dtype.kind in "fO"]

    def run(ranks: list[Any]) -> list[np.ndarray]:
        given = list(inputs)
        for i, part in zip(data, ranks, strict=True):
            given[i] = part
        return executed(node.proto, given, opset)

    return by_rank(run, [rationals(inputs[i]) for i in data])
