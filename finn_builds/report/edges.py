"""A layer of table edges as curves, one from every input to every neuron."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finn_builds.network import Layer, Linear, Lookup


def edge_curves(layer: Layer) -> NDArray[np.int64] | None:
    """Return what each input adds to each neuron, by its code: (n_in, n_out, codes).

    An input of fewer codes than others keeps the value of its last one. None where the layer is
    not a `Lookup` with a `Linear` behind it.
    """
    match [node.op for node in layer.nodes[:2]]:
        case [Lookup() as tables, Linear() as sums]:
            source = layer.input
        case _:
            return None
    codes = int((source.high - source.low).max()) + 1
    each = np.minimum(source.low[:, None] + np.arange(codes), source.high[:, None])
    entries = tables.execute(each.T)  # (codes, edges)
    curves = np.zeros((tables.n_in, sums.n_out, codes), dtype=np.int64)
    for i in range(tables.n_in):
        of_input = tables.source == i
        curves[i] = (entries[:, of_input] @ sums.weights[of_input]).T
    return curves


def spreads(curves: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how far each curve moves the sum, (n_in, n_out), negative where it falls.

    0 is an edge that no code changes: one that is not there.
    """
    reach = curves.max(axis=2) - curves.min(axis=2)
    rises = curves[..., -1] >= curves[..., 0]
    return np.where(rises, reach, -reach)
