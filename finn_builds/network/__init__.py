"""The one representation of a network: a graph of exact integer operations.

`ops` has the operations, `graph` the graph that executes, prints, saves and loads itself, `rules`
what must hold of every graph, and `types` the number types that streams and reports name.
"""

from finn_builds.network.graph import IntegerNetwork, Layer, Node, Tensor, chain
from finn_builds.network.ops import Affine, ArgMax, Linear, Operation, Requantise, Thresholds

__all__ = [
    "Affine",
    "ArgMax",
    "IntegerNetwork",
    "Layer",
    "Linear",
    "Node",
    "Operation",
    "Requantise",
    "Tensor",
    "Thresholds",
    "chain",
]
