"""Linear nodes: matrices of constants as sums, of computed numbers as products and their sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import NodeProto

from finn_builds.errors import UserError
from finn_builds.ingest.canonical import steps_of
from finn_builds.ingest.exact import ONE, multiplied, weighted
from finn_builds.ingest.linear import bias_of, matrix_of
from finn_builds.ingest.nodes.elementwise import squared
from finn_builds.ingest.reading import GraphNode
from finn_builds.ingest.settling import Settling
from finn_builds.ingest.steps import Step
from finn_builds.ingest.symbol import Symbol
from finn_builds.ingest.wiring import executed

#: Sums over an axis of a function of each element.
NORMS = ("ReduceSumSquare", "ReduceL1", "ReduceL2")
#: What puts numbers at places, and what takes numbers from the same places.
SCATTERED = {"ScatterElements": "GatherElements", "ScatterND": "GatherND"}
#: Products of a matrix of the network with another one.
MAX_PRODUCTS = 1 << 14


def matrix(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return the output of a node that is a matrix with constant weights."""
    return [_times_matrix(state, state.operand(node), node)]


def norm(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return a sum of squares or of magnitudes; the root of the former is a function of it."""
    symbol = state.operand(node)
    if node.op == "ReduceL1":
        each = symbol.then(Step("Abs", node.name))
    else:
        each = squared(state, symbol, str(node))
    total = _times_matrix(state, each, replace(node, op="ReduceSum"))
    return [total.then(Step("Sqrt", node.name)) if node.op == "ReduceL2" else total]


def scattered(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return numbers added at constant places, as graph networks sum what edges say to a node."""
    data = np.asarray(node.constant(0), dtype=np.float32)
    proto = NodeProto()
    proto.CopyFrom(node.proto)
    proto.op_type = SCATTERED[node.op]
    del proto.input[2:]
    kept = [a for a in proto.attribute if a.name == "axis"]
    del proto.attribute[:]
    proto.attribute.extend(kept)
    # Where each number goes is what gathering along the same indices takes.
    places = np.arange(data.size).reshape(data.shape)
    at = executed(proto, [places, node.constant(1)], state.graph.opset)[0].reshape(-1)
    how = node.attrs.get("reduction", "none")
    symbol = state.symbols[node.inputs[2]]
    different = len(set(at.tolist()))
    known = how == "add" or (how == "none" and different == at.size)
    if at.size != symbol.size or not known:
        raise UserError(
            f"{node} puts {symbol.size} numbers at {different} places with reduction "
            f"'{how}'; supported are one number at each place, or reduction 'add'"
        )
    sums = np.zeros((at.size, data.size), dtype=np.int64)
    sums[np.arange(at.size), at] = 1
    if how == "none":
        data = np.where(sums.any(axis=0).reshape(data.shape), 0, data)
    symbol = state.integers(symbol, str(node))
    found = weighted(state.net, symbol, sums, ONE, data.shape, str(node))
    return [found.then(Step("Add", node.name, (data.reshape(-1),)))]


def product(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return a matrix of the network times another one, as products and their sums."""
    where = str(node)
    if node.op not in ("MatMul", "Gemm") or len(node.dynamic) != 2:
        raise UserError(
            f"{node} takes its weights from the network, which is not supported; supported there "
            "are MatMul and products of elements"
        )
    left, right = (state.integers(state.symbols[name], where) for name in node.dynamic)
    a, b = (np.arange(s.size).reshape(s.shape) for s in (left, right))
    if node.op == "Gemm":
        a = np.swapaxes(a, -1, -2) if node.attrs.get("transA") else a
        b = np.swapaxes(b, -1, -2) if node.attrs.get("transB") else b
    pairs = np.broadcast_arrays(a[..., :, :, None], b[..., None, :, :])
    inner = pairs[0].shape[-2]
    shape = (*pairs[0].shape[:-2], pairs[0].shape[-1])
    count = pairs[0].size
    if count > MAX_PRODUCTS:
        raise UserError(
            f"{node} multiplies {count:,} pairs of numbers of the network; supported "
            f"are {MAX_PRODUCTS:,}"
        )
    first, second = (np.moveaxis(p, -2, -1).reshape(-1) for p in pairs)
    left, right = left.selected(first, (1, count)), right.selected(second, (1, count))
    products = multiplied(state.net, left, right, where)
    sums = np.kron(np.eye(count // inner, dtype=np.int64), np.ones((inner, 1), np.int64))
    return [weighted(state.net, products, sums, ONE, shape, where)]


def _times_matrix(state: Settling, symbol: Symbol, node: GraphNode) -> Symbol:
    found, where = matrix_of(node, symbol.shape, state.graph.opset), str(node)
    symbol = state.integers(symbol, where)
    result = weighted(state.net, symbol, found.integers, found.scale, found.shape, where)
    bias = bias_of(node)
    return result if bias is None else result.then(*steps_of(bias, result.shape))
