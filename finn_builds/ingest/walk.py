"""From a tidied model to an integer network: every tensor as functions of single integers.

The walk goes through the nodes in order; `nodes` says what each becomes. Elementwise nodes only add
steps to a `Symbol`; a node that needs integers (a matrix, a product, a maximum) *settles* its
inputs first, see `settling`. What comes before the first integers stays with the host, and so does
what follows the last ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from finn_builds.errors import UserError
from finn_builds.ingest.input_quant import InputQuant
from finn_builds.ingest.nodes import OF_ONE, OF_SEVERAL
from finn_builds.ingest.reading import Graph, GraphNode
from finn_builds.ingest.settling import Settling, ends
from finn_builds.ingest.steps import mark
from finn_builds.ingest.symbol import Symbol
from finn_builds.ingest.wiring import WIRING


class Walk:
    """A walk through a model; `state` is what it has found."""

    def __init__(self, graph: Graph, input_quant: InputQuant | None, host_input: bool) -> None:
        self.graph = graph
        self.state = Settling(graph, input_quant, host_input)
        self._failed: set[str] = set()
        self._wrong: list[str] = []

    def run(self) -> None:
        """Walk through all nodes; UserError names everything that can't be built."""
        for number, model_input in enumerate(self.graph.inputs):
            symbol = Symbol.whole(model_input.shape, number, raw=True)
            symbol = symbol.then(mark(model_input.name, symbol.shape))
            if model_input.datatype is not None:
                symbol = self.state.typed(model_input.name, model_input.datatype, symbol)
            self.state.symbols[model_input.name] = symbol
        for node in self.graph.nodes:
            if self._failed & set(node.dynamic):
                self._failed |= set(node.outputs)
                continue
            try:
                self._node(node)
            except UserError as error:
                self._wrong.append(str(error))
                self._failed |= set(node.outputs)
        self._report()

    def outputs(self, names: Sequence[str]) -> list[Symbol]:
        """Return outputs of the model on integers of the network; UserError names what is wrong."""
        found = []
        for name in names:
            try:
                found.append(self.state.output(name))
            except UserError as error:
                self._wrong.append(str(error))
        self._report()
        return found

    def _report(self) -> None:
        wrong = list(dict.fromkeys(self._wrong))
        if len(wrong) == 1:
            raise UserError(wrong[0])
        if wrong:
            listed = " ".join(f"({k}) {text}." for k, text in enumerate(wrong, 1))
            raise UserError(f"{len(wrong)} things of the model can't be built: {listed}")

    def _node(self, node: GraphNode) -> None:
        state = self.state
        operator = (OF_SEVERAL if len(node.dynamic) > 1 else OF_ONE).get(node.op)
        if operator is None:
            raise UserError(_unsupported(node))
        passed = (step for name in node.dynamic for step in state.symbols[name].steps)
        final = next((step for step in passed if ends(step)), None)
        if final is not None and node.op not in ("Identity", "Cast", *WIRING):
            raise UserError(
                f"{final} is supported at the network's end only, and {node} follows it; leave it "
                "out, or move it there"
            )
        for name, symbol in zip(node.outputs, operator(state, node), strict=False):
            if not name:  # an output that the model leaves out
                continue
            marked = symbol.then(mark(name, symbol.shape))
            if self.graph.readers.get(name, 0) > 1:
                marked = state.shared(marked, str(node))
            state.symbols[name] = marked


_INSTEAD = {
    "FloatQuant": "supported are quantizers to integers (Quant, BipolarQuant): train it with those",
    "LayerNormalization": "it divides by the data: use BatchNormalization",
    "InstanceNormalization": "it divides by the data: use BatchNormalization",
    "LSTM": "supported are networks without memory: unroll it, or use layers",
    "GRU": "supported are networks without memory: unroll it, or use layers",
    "RNN": "supported are networks without memory: unroll it, or use layers",
}


def _unsupported(node: GraphNode) -> str:
    instead = _INSTEAD.get(
        node.op,
        "docs/own_model.md lists the operators that are; train and export the network without it",
    )
    return f"{node} is not supported; {instead}"
