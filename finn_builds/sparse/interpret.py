"""The meaning of an operator graph: a reference interpreter over batches of frames."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from finn_builds.network.ops import IntArray
from finn_builds.sparse.graph import Graph
from finn_builds.sparse.nodes import Clip, Compare, Concat, Const, Field, Input, Reg, Sum, Table


def _bits(values: list[IntArray], fields: tuple[Field, ...], n: int) -> IntArray:
    """Return the fields of each frame side by side, shape (n,)."""
    word = np.zeros(n, dtype=np.int64)
    at = 0
    for f in fields:
        word |= ((values[f.src] >> f.lsb) & ((1 << f.width) - 1)) << at
        at += f.width
    return word


def evaluate_nodes(graph: Graph, x: IntArray) -> list[IntArray]:
    """Return the value of every node, each (n,), for a batch of raw input elements (n, n_in).

    Registers are transparent: a frame is followed through the pipeline, not a clock.

    Raises
    ------
    ValueError
        If an input or a node leaves the range that the graph promises for it.
    """
    n = x.shape[0]
    values: list[IntArray] = []
    for i, node in enumerate(graph.nodes):
        match node:
            case Input():
                v = x[:, node.index].astype(np.int64) + node.bias
            case Const():
                v = np.full(n, node.value, dtype=np.int64)
            case Sum():
                v = np.full(n, node.const, dtype=np.int64)
                for t in node.terms:
                    u = values[t.src]
                    full = (1 << graph.width(t.src)) - 1
                    v = v + ((full - u if t.inv else u) << t.shift)
            case Table():
                v = np.asarray(node.values, dtype=np.int64)[_bits(values, node.fields, n)]
            case Compare():
                bounds = np.asarray(node.bounds, dtype=np.int64)
                reached = _bits(values, (node.src,), n) >= bounds[_bits(values, node.select, n)]
                v = reached.astype(np.int64)
            case Concat():
                v = _bits(values, node.fields, n)
            case Clip():
                v = np.clip((values[node.src] >> node.shift) - node.base, 0, node.top)
            case Reg():
                v = values[node.src]
            case _:
                assert_never(node)
        lo, hi = graph.ranges[i]
        if n and (v.min() < lo or v.max() > hi):
            raise ValueError(f"node {i} {node} left its range [{lo}, {hi}]: {v.min()}..{v.max()}")
        values.append(v)
    return values


def evaluate(graph: Graph, x: IntArray) -> IntArray:
    """Return the output frames of a batch, (n, n_in) -> (n, n_out)."""
    values = evaluate_nodes(graph, x)
    return np.stack([values[o] for o in graph.outputs], axis=1)
