"""Elementwise nodes: functions of one tensor, which are steps, and of several tensors."""

from __future__ import annotations

import numpy as np

from deploy.host_operations import JOINED
from finn_builds.errors import UserError
from finn_builds.ingest.canonical import steps_of
from finn_builds.ingest.elementwise import COMPARISONS
from finn_builds.ingest.exact import MAX_JOINED, ONE, largest, multiplied, node_name, weighted
from finn_builds.ingest.reading import GraphNode
from finn_builds.ingest.settling import Settling
from finn_builds.ingest.steps import Step, mark
from finn_builds.ingest.symbol import Symbol, line_of, side_by_side
from finn_builds.ingest.thresholds import TABLE_CODES

#: Of what two functions of the same elements are joined by, that which stays exact on lines.
_EXACT = ("Add", "Sub", "Mul")
JOINS = (*JOINED, "Sum", "Mean", "And", "Or", *COMPARISONS)
#: Operators that are others on two tensors.
_AS = {"Sum": "Add", "Mean": "Add", "And": "Mul", "Or": "Max"}


def function(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return a function of one tensor, all else constant."""
    (name,) = node.dynamic
    if node.op == "Where" and node.inputs[0] != name:
        return chosen(state, node)
    symbol = state.symbols[name]
    symbol = symbol.broadcast(node.broadcast(symbol.shape))
    for step in steps_of(node.as_step(name), symbol.shape):
        symbol = state.extended(symbol, step, mark(node.outputs[0], symbol.shape))
    return [symbol]


def power(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return a power: a square is a product."""
    if (np.asarray(node.constant(1)) == 2).all():
        return [squared(state, state.operand(node), str(node))]
    return function(state, node)


def joined(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return tensors joined element by element, one after another."""
    operands = state.operands(node)
    shape = np.broadcast_shapes(*(symbol.shape for symbol in operands))
    result, *others = (symbol.broadcast(shape) for symbol in operands)
    for other in others:
        result = _of_two(state, _AS.get(node.op, node.op), result, other, str(node))
    if node.op == "Mean":
        result = result.then(Step("Div", node.name, (np.float32(len(operands)),)))
    return [result]


def chosen(state: Settling, node: GraphNode) -> list[Symbol]:
    """Return a Where of results: what a bit, 1 or 0, or a constant chooses of two."""
    where, operands = str(node), state.operands(node)
    shape = np.broadcast_shapes(*(symbol.shape for symbol in operands))
    bit, first, second = (symbol.broadcast(shape) for symbol in operands)
    if node.inputs[0] not in state.symbols:
        takes_first = np.broadcast_to(np.asarray(node.constant(0), bool), shape)
        places = np.arange(first.size).reshape(shape)
        if len(node.dynamic) > 1:
            first, second = (state.integers(x, where) for x in (first, second))
        both = side_by_side([first, second])
        return [both.selected(np.where(takes_first, places, places + first.size), shape)]
    more = _of_two(state, "Sub", first, second, where)
    gated = _of_two(state, "Mul", bit, more, where)
    return [_of_two(state, "Add", second, gated, where)]


def squared(state: Settling, symbol: Symbol, where: str) -> Symbol:
    """Return the square of each element."""
    return _of_two(state, "Mul", symbol, symbol, where)


def _of_two(state: Settling, op: str, left: Symbol, right: Symbol, where: str) -> Symbol:
    lines = [line_of(s.steps, s.size) for s in (left, right)]
    exact = all(line is not None for line in lines) and not left.raw
    several = left.same_elements(right) and op in JOINED and not (exact and op in _EXACT)
    # Of many codes no table can be made: better join the integers, where there are any.
    apart = not left.raw and state.code_count(left) > TABLE_CODES
    apart &= all(
        line is not None or symbol.last_quantizer is not None
        for line, symbol in zip(lines, (left, right), strict=True)
    )
    if several and not apart:
        branches = (left.steps, right.steps)
        step = Step("Joined", node_name(where), (), {"by": op}, branches=branches)
        return Symbol(left.shape, left.vectors, left.index, (step,), left.raw)
    if op not in ("Add", "Sub", "Mul", "Max", "Min", *COMPARISONS):
        raise UserError(
            f"{where} takes two results of the network, which is not supported; supported are Add, "
            "Sub, Mul, Max, Min and comparisons of two results"
            + (": multiply by a quantised Reciprocal instead" if op == "Div" else "")
        )
    net, n = state.net, left.size
    left, right = state.integers(left, where), state.integers(right, where)
    if op == "Mul":
        return multiplied(net, left, right, where)
    both = side_by_side([left, right])
    if op in ("Max", "Min"):
        pairs = np.stack([np.arange(n), np.arange(n) + n], axis=1)
        settled = state.integers(both, where)
        return largest(net, settled, pairs, left.shape, where, smallest=op == "Min")
    eye = np.eye(n, dtype=np.int64)
    sums = np.vstack([eye, eye if op == "Add" else -eye])
    found = weighted(net, both, sums, ONE, left.shape, where, MAX_JOINED)
    if op in COMPARISONS:
        return found.then(Step(op, node_name(where), (np.float32(0),)))
    return found
