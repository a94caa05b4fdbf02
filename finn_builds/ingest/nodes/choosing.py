"""Nodes that choose elements, and those of the network's end, which are left to the host."""

from __future__ import annotations

import numpy as np

from finn_builds.errors import UserError
from finn_builds.ingest.exact import largest
from finn_builds.ingest.linear import MAX_ENTRIES
from finn_builds.ingest.reading import GraphNode
from finn_builds.ingest.settling import Settling
from finn_builds.ingest.steps import Step
from finn_builds.ingest.symbol import Symbol
from finn_builds.ingest.wiring import executed, on_unit_vectors

POOLS = ("MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin")


def pooled(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return a pooling or a reduction to the largest or the smallest element."""
    symbol = state.operand(node)
    # Which elements go into which result: those that, alone positive, make it so. Pools do the
    # same to each channel.
    by_channel = node.op in ("MaxPool", "GlobalMaxPool") and len(symbol.shape) > 2
    rows = symbol.shape[:2] if by_channel else ()
    one = (1,) * len(rows) + symbol.shape[len(rows) :]
    op = node.op.replace("Min", "Max")
    proto = type(node.proto)()
    proto.CopyFrom(node.proto)
    proto.op_type = op
    others = [None if x == "" else node.value(x) for x in node.inputs[1:]]

    def run(x: np.ndarray) -> np.ndarray:
        return executed(proto, [x, *others], state.graph.opset)[0]

    found = on_unit_vectors(run, one, MAX_ENTRIES, str(node))
    size = len(found)
    hit = found.reshape(size, -1) > 0
    groups = np.zeros((hit.shape[1], int(hit.sum(axis=0).max())), dtype=np.int64)
    for group, members in zip(groups, hit.T, strict=True):
        group[:] = np.resize(np.flatnonzero(members), len(group))
    groups = np.concatenate([groups + k * size for k in range(symbol.size // size)])
    shape = (*rows, *found.shape[1 + len(rows) :]) or (1,)
    settled = state.integers(symbol, str(node))
    return [largest(state.net, settled, groups, shape, str(node), smallest=op != node.op)]


def final(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return a softmax over the features."""
    symbol = state.operand(node)
    _check_axis(node, int(node.attrs.get("axis", 1 if state.graph.opset < 13 else -1)), symbol)
    return [symbol.then(Step(node.op, node.name))]


def index(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return the place of the largest of the features."""
    return [_place_of_largest(state.operand(node), node, int(node.attrs.get("axis", 0)))]


def largest_one(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return a TopK of one: the largest of the features, if it is used, and its place."""
    symbol = state.operand(node)
    place = _place_of_largest(symbol, node, int(node.attrs.get("axis", -1)))
    k = int(np.asarray(node.constant(1)).reshape(-1)[0])
    if k != 1 or not int(node.attrs.get("largest", 1)):
        raise UserError(
            f"{node} takes {k} elements; supported is the one largest: use ArgMax, or TopK "
            "with k = 1"
        )
    if node.outputs[0] in state.graph.used:
        settled = state.integers(symbol, str(node))
        symbol = largest(state.net, settled, np.arange(symbol.size)[None], (1, 1), str(node))
    return [symbol, place]


def _place_of_largest(symbol: Symbol, node: GraphNode, axis: int) -> Symbol:
    _check_axis(node, axis, symbol)
    if node.attrs.get("select_last_index"):
        raise UserError(
            f"{node} takes the last of equal outputs; supported is the first: export it with "
            "select_last_index 0"
        )
    return symbol.then(Step("ArgMax", node.name))


def _check_axis(node: GraphNode, axis: int, symbol: Symbol) -> None:
    if symbol.shape[axis % len(symbol.shape)] != symbol.size:
        raise UserError(
            f"{node} works along axis {axis} of data of shape {symbol.shape}; supported is one "
            "over all features of a frame, at the network's end: flatten its data, and set axis to "
            "-1; a softmax within a network divides by results, which is not supported"
        )
