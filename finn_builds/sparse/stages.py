"""Where in a pipeline each layer of a network ends."""

from __future__ import annotations

import re

from finn_builds.sparse.ir import Graph, Input, Reg, operands

_LABEL = re.compile(r"l(\d+)_")


def layer_stages(graph: Graph, layers: int) -> list[int]:
    """Return, for each layer, the registers between the input and its last operator.

    Layers share stages where the clock leaves room for the next layer's first operators behind
    the last ones of a layer; a layer never ends before the one in front of it.

    Parameters
    ----------
    graph : Graph
        With its registers; operators are labelled ``l<layer>_...``.
    layers : int
        How many layers the network has.
    """
    depth = [0] * len(graph.nodes)
    ends = [0] * layers
    for index, node in enumerate(graph.nodes):
        behind = max((depth[source] for source in operands(node)), default=0)
        depth[index] = behind + isinstance(node, Reg)
        found = _LABEL.match(graph.labels[index])
        if found and not isinstance(node, Reg | Input):
            layer = int(found.group(1))
            ends[layer] = max(ends[layer], depth[index])
    for layer in range(1, layers):
        ends[layer] = max(ends[layer], ends[layer - 1])
    return ends
