"""Nodes that move elements and change none: the node is run on the numbers of the elements."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto
from onnx.helper import make_attribute

from finn_builds.errors import UserError
from finn_builds.ingest.exact import looked_up
from finn_builds.ingest.reading import GraphNode
from finn_builds.ingest.settling import Settling
from finn_builds.ingest.symbol import Symbol, side_by_side
from finn_builds.ingest.wiring import executed, patches


def moved(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return the outputs of a node that moves elements of one tensor, perhaps beside a fill."""
    whole = state.operand(node)
    places = np.arange(whole.size).reshape(whole.shape)
    others = [None if x == "" else node.value(x) for x in node.inputs[1:]]
    fill = None
    if node.op == "Im2Col":
        fill = float(node.attrs.get("pad_value", 0))
        found = [patches(places, node.proto, fill=-1)]
    else:
        proto = node.proto
        if node.op == "Pad":
            fill, proto, others = _fill(node, others)
        found = executed(proto, [places, *others], state.graph.opset)
    found = [at.astype(np.int64) for at in found]
    if fill is not None and (found[0] < 0).any():
        whole = side_by_side([whole, whole.fixed((1, 1), np.float32(fill), "fill")])
        found = [np.where(found[0] < 0, whole.size - 1, found[0])]
    return [whole.selected(at, at.shape or (1,)) for at in found]


def concatenated(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return tensors and constants joined along an axis."""
    symbols = [state.quantised(symbol, str(node)) for symbol in state.operands(node)]
    if len({symbol.raw for symbol in symbols}) > 1:
        symbols = [state.integers(symbol, str(node)) for symbol in symbols]
    whole = symbols[0] if len(symbols) == 1 else side_by_side(symbols)
    ends = np.cumsum([symbol.size for symbol in symbols])
    parts = np.split(np.arange(whole.size), ends[:-1])
    places = [part.reshape(symbol.shape) for part, symbol in zip(parts, symbols, strict=True)]
    (at,) = executed(node.proto, places, state.graph.opset)
    return [whole.selected(at, at.shape or (1,))]


def gathered(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return a Gather at constant places, or of a constant at computed ones."""
    if node.inputs[0] in state.symbols:
        return moved(state, node)
    symbol = state.operand(node)
    data = np.asarray(node.constant(0), dtype=np.float64)
    axis = _axis(node, 0, data.ndim)
    table = np.moveaxis(data, axis, 0)
    table = table.reshape(len(table), int(np.prod(table.shape[1:])))
    found = looked_up(state.net, state.on_codes(symbol, str(node)), table, str(node))
    # The axes of the index take the place of the one that is looked up along.
    places = np.arange(found.size).reshape(*symbol.shape, *np.delete(data.shape, axis))
    for at in range(axis):
        places = np.moveaxis(places, len(symbol.shape) + at, at)
    return [found.selected(places, places.shape or (1,))]


def one_hot(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return a OneHot, as a table."""
    symbol = state.operand(node)
    depth = int(np.asarray(node.constant(1)).reshape(-1)[0])
    values = np.asarray(node.constant(2), dtype=np.float64).reshape(-1)
    if len(values) != 2:
        raise UserError(
            f"{node} has {len(values)} values; expected two, that of the other places and that of "
            "the code's: export the model again"
        )
    off, on = values
    table = np.where(np.eye(depth, dtype=bool), on, off)
    found = looked_up(state.net, state.on_codes(symbol, str(node)), table, str(node))
    axis = _axis(node, -1, len(symbol.shape) + 1)
    places = np.arange(found.size).reshape(*symbol.shape, depth)
    places = np.moveaxis(places, -1, axis)
    return [found.selected(places, places.shape or (1,))]


def _axis(node: GraphNode, default: int, count: int) -> int:
    """Return the axis of a node, from 0, where there are `count` axes."""
    axis = int(node.attrs.get("axis", default))
    if not -count <= axis < count:
        raise UserError(
            f"{node} has axis {axis}; expected one of {count} axes, {-count} to {count - 1}: "
            "export the model again"
        )
    return axis % count


def _fill(
    node: GraphNode, others: list[np.ndarray | None]
) -> tuple[float, NodeProto, list[np.ndarray | None]]:
    """Return what a Pad fills with, and the node and its constants with a fill of no place, -1."""
    if node.attrs.get("mode", "constant") not in ("constant", b"constant"):
        return 0.0, node.proto, others
    proto = NodeProto()
    proto.CopyFrom(node.proto)
    if not others:  # before version 11 all of it is attributes
        kept = [a for a in proto.attribute if a.name != "value"]
        del proto.attribute[:]
        proto.attribute.extend([*kept, make_attribute("value", -1.0)])
        return float(node.attrs.get("value", 0.0)), proto, others
    value = others[1] if len(others) > 1 else None
    fill = float(np.asarray(value).reshape(-1)[0]) if value is not None and value.size else 0.0
    if len(proto.input) < 3:
        proto.input.append("")
    proto.input[2] = proto.input[2] or "fill"
    return fill, proto, [others[0], np.asarray(-1), *others[2:]]
