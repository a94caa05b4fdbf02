"""Where in a pipeline each layer of a network ends."""

from __future__ import annotations

import itertools

from finn_builds.sparse.graph import Graph
from finn_builds.sparse.nodes import Reg, operands


def layer_stages(graph: Graph, layers: int) -> list[int]:
    """Return, for each layer, the registers between the input and its last operator.

    Layers share stages where the clock leaves room for the next layer's first operators after
    the last ones of a layer. A layer never ends before the one in front of it.
    """
    depth = [0] * len(graph.nodes)
    ends = [0] * layers
    for index, (node, layer) in enumerate(zip(graph.nodes, graph.layers, strict=True)):
        crossed = max((depth[source] for source in operands(node)), default=0)
        depth[index] = crossed + isinstance(node, Reg)
        if layer is not None and not isinstance(node, Reg):
            ends[layer] = max(ends[layer], depth[index])
    return list(itertools.accumulate(ends, max))
