"""The one representation of a network: a graph of exact integer operations.

`ops` has the operations, `graph` the graph that executes, prints, saves and loads itself, `layers`
where it may be cut, `rules` what must hold of every graph, and `types` the number types that
streams and reports name.
"""

from finn_builds.network.graph import IntegerNetwork, Node, Tensor, chain, tensor_of
from finn_builds.network.layers import Layer
from finn_builds.network.ops import (
    Affine,
    ArgMax,
    Linear,
    Lookup,
    Max,
    Operation,
    Product,
    Requantise,
    Thresholds,
)

__all__ = [
    "Affine",
    "ArgMax",
    "IntegerNetwork",
    "Layer",
    "Linear",
    "Lookup",
    "Max",
    "Node",
    "Operation",
    "Product",
    "Requantise",
    "Tensor",
    "Thresholds",
    "chain",
    "tensor_of",
]
