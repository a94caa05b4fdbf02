"""What each operator of a model becomes; a table of functions, one file for each kind of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from finn_builds.ingest.canonical import ELEMENTWISE
from finn_builds.ingest.elementwise import FINAL
from finn_builds.ingest.linear import MATRICES
from finn_builds.ingest.nodes import choosing, elementwise, linear, moving
from finn_builds.ingest.reading import GraphNode
from finn_builds.ingest.settling import Settling
from finn_builds.ingest.symbol import Symbol
from finn_builds.ingest.wiring import WIRING

#: Returns the outputs of a node; raises UserError, with its name, for one that can't be built.
Operator = Callable[[Settling, GraphNode], list[Symbol]]


def _each(names: Iterable[str], function: Operator) -> dict[str, Operator]:
    return dict.fromkeys(names, function)


#: By operator, for a node of which one input depends on the model's inputs.
OF_ONE: dict[str, Operator] = {
    **_each((*ELEMENTWISE, *elementwise.JOINS), elementwise.function),
    **_each(("Sum", "Mean"), elementwise.joined),
    "Pow": elementwise.power,
    **_each(MATRICES, linear.matrix),
    **_each(linear.NORMS, linear.norm),
    **_each(linear.SCATTERED, linear.scattered),
    **_each(WIRING, moving.moved),
    "Concat": moving.concatenated,
    "Gather": moving.gathered,
    "OneHot": moving.one_hot,
    **_each(choosing.POOLS, choosing.pooled),
    "ArgMax": choosing.index,
    "TopK": choosing.largest_one,
    **_each(FINAL, choosing.final),
}

#: The same for a node of which several do.
OF_SEVERAL: dict[str, Operator] = {
    **OF_ONE,
    **_each((*ELEMENTWISE, *elementwise.JOINS), elementwise.joined),
    "Where": elementwise.chosen,
    **_each(MATRICES, linear.product),
}
