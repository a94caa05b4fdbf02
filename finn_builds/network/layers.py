"""Where a network may be cut into layers, each of which is hardware of one style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finn_builds.network.ops import Linear, Lookup, Requantise

if TYPE_CHECKING:
    from finn_builds.network.graph import IntegerNetwork, Node, Tensor


@dataclass(frozen=True, eq=False)
class Layer:
    """Nodes that hardware of one style computes, between cuts of the graph to a single tensor.

    A `Linear` and the `Requantise` after it are one layer, with the `Lookup` before them where its
    tables are the edges that they sum; so is whatever lies between two places where a single
    tensor passes, with branches inside. Only the first layer may have several
    inputs, only the last several outputs. A tensor that both are is passed on as it is.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def name(self) -> str:
        """The name of the first accumulators, or of the first result where there are none."""
        sums = [node for node in self.nodes if isinstance(node.op, Linear)]
        return (sums or list(self.nodes))[0].output.name

    @property
    def linears(self) -> tuple[Linear, ...]:
        """The matrices of the layer."""
        return tuple(node.op for node in self.nodes if isinstance(node.op, Linear))

    @property
    def is_dense(self) -> bool:
        """Whether the layer is one `Linear` and at most a `Requantise`: what may be folded."""
        kinds = [type(node.op) for node in self.nodes]
        return (
            kinds in ([Linear], [Linear, Requantise])
            and len(self.inputs) == len(self.outputs) == 1
            and self.nodes[0].inputs == (self.inputs[0].name,)
        )

    @property
    def linear(self) -> Linear:
        """The matrix of a dense layer."""
        (found,) = self.linears
        return found

    @property
    def requantise(self) -> Requantise | None:
        """What counts the accumulators of a dense layer, if anything does."""
        last = self.nodes[-1].op
        return last if isinstance(last, Requantise) else None

    @property
    def input(self) -> Tensor:
        """The only input."""
        (only,) = self.inputs
        return only

    @property
    def output(self) -> Tensor:
        """The only output."""
        (only,) = self.outputs
        return only

    @property
    def accumulators(self) -> Tensor:
        """The sums, of weights or of table edges, that the layer counts or gives out."""
        return next(n.output for n in reversed(self.nodes) if isinstance(n.op, Linear))

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return sum(tensor.size for tensor in self.inputs)

    @property
    def n_out(self) -> int:
        """Number of outputs, neurons of a dense layer."""
        return sum(tensor.size for tensor in self.outputs)


def layers_of(network: IntegerNetwork) -> tuple[Layer, ...]:
    """Return the layers of a network in their order; an `ArgMax` at its end is not one."""
    nodes = list(network.nodes)
    ends: Sequence[str] = network.outputs
    if network.head is not None:
        ends = nodes.pop().inputs
    begin, pieces, inputs = 0, [], network.inputs
    for end in range(1, len(nodes) + 1):
        made = nodes[end - 1]
        if end < len(nodes):
            known = {tensor.name for tensor in network.inputs}
            known |= {node.output.name for node in nodes[:end]}
            read = {name for node in nodes[end:] for name in node.inputs}
            if known & (read | set(ends)) != {made.output.name}:
                continue
            if _goes_on(nodes[begin:end], nodes[end]):
                continue
            outputs: tuple[Tensor, ...] = (made.output,)
        else:
            outputs = tuple(network.tensor(name) for name in ends)
        pieces.append(Layer(tuple(nodes[begin:end]), inputs, outputs))
        begin, inputs = end, outputs
    return tuple(pieces)


def _goes_on(piece: Sequence[Node], after: Node) -> bool:
    """Return whether the next node completes a piece: tables by their sum, sums by their count."""
    match [node.op for node in piece], after.op:
        case [Lookup() as edges], Linear():
            return edges.is_edges
        case [Linear()] | [Lookup(), Linear()], Requantise():
            return True
    return False
