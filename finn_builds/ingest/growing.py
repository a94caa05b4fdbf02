"""An integer network while it grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from finn_builds.errors import UserError
from finn_builds.ingest.symbol import Symbol
from finn_builds.network import (
    IntegerNetwork,
    Linear,
    Node,
    Operation,
    Tensor,
    tensor_of,
)
from finn_builds.network.rules import MAX_MAGNITUDE

#: What tensors are called, by the operation that makes them; FINN's names where it has them.
_NAMES = {
    "Linear": "MatMul",
    "Requantise": "MultiThreshold",
    "Lookup": "Lookup",
    "Product": "Product",
    "Max": "MaxPool",
}


class Growing:
    """Vectors and operations by number; a vector is made before it is read."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.made: dict[int, tuple[Operation, tuple[int, ...]]] = {}
        self.origins: dict[int, str] = {}
        self.inputs: list[int] = []

    def input(self, tensor: Tensor) -> int:
        """Add an input of the network and return its number."""
        self.tensors.append(tensor)
        self.inputs.append(len(self.tensors) - 1)
        return len(self.tensors) - 1

    def add(self, op: Operation, inputs: Sequence[int], where: str) -> int:
        """Add an operation on vectors side by side and return the number of its result.

        Raises UserError, naming `where`, if its values are too large.
        """
        try:
            tensor = tensor_of(op, f"t{len(self.tensors)}", [self.tensors[i] for i in inputs])
        except OverflowError as error:
            raise _too_large(where, str(error)) from error
        low, high = tensor.bounds
        if max(-low, high) >= MAX_MAGNITUDE:
            bits = max(-low, high).bit_length() + 1
            raise _too_large(where, f"integers of up to {bits} bits")
        self.tensors.append(tensor)
        self.made[len(self.tensors) - 1] = (op, tuple(inputs))
        self.origins[len(self.tensors) - 1] = where
        return len(self.tensors) - 1

    def linear(
        self, symbol: Symbol, weights: np.ndarray, bias: np.ndarray | None, where: str
    ) -> int:
        """Add a matrix (n, n_out) on n elements, each a place in a vector; return its number."""
        vectors, index = symbol.vectors, symbol.index
        sources = [int(v) for v in dict.fromkeys(vectors.tolist())]
        starts = np.cumsum([0, *(self.tensors[v].size for v in sources)])
        begin = dict(zip(sources, starts.tolist(), strict=False))
        whole = np.zeros((starts[-1], weights.shape[1]), dtype=np.int64)
        np.add.at(whole, np.array([begin[v] for v in vectors.tolist()]) + index, weights)
        return self.add(Linear(whole, bias), sources, where)

    def ranges(self, symbol: Symbol) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and the largest integer of each element, (n,)."""
        pairs = list(zip(symbol.vectors.tolist(), symbol.index.tolist(), strict=True))
        low = np.array([self.tensors[v].low[i] for v, i in pairs], dtype=np.int64)
        high = np.array([self.tensors[v].high[i] for v, i in pairs], dtype=np.int64)
        return low, high

    def vector(self, symbol: Symbol, where: str, sign: np.ndarray | None = None) -> int:
        """Return the number of the vector of the elements' integers, each times 1 or -1."""
        vectors, index = symbol.vectors, symbol.index
        first = int(vectors[0])
        plain = sign is None or (sign == 1).all()
        whole = self.tensors[first].size == len(index) and (vectors == first).all()
        if plain and whole and (index == np.arange(len(index))).all():
            return first
        signs = np.diag(np.ones_like(index) if sign is None else sign)
        return self.linear(symbol, signs, None, where)

    def finish(self, outputs: Sequence[int]) -> tuple[IntegerNetwork, Mapping[int, str]]:
        """Return the network of some outputs, and the names of the vectors that are left.

        Matrices that only select, order, negate or sum what nothing else reads become part of the
        matrix in front of them.
        """
        made = self._composed(outputs)
        names = {i: self.tensors[i].name for i in self.inputs}
        nodes: list[Node] = []
        known = {i: self.tensors[i] for i in self.inputs}
        counts: dict[str, int] = {}
        for i in _live(made, outputs):
            op, inputs = made[i]
            kind = _NAMES[type(op).__name__]
            names[i] = f"{kind}_{counts.get(kind, 0)}"
            counts[kind] = counts.get(kind, 0) + 1
            known[i] = tensor_of(op, names[i], [known[k] for k in inputs])
            nodes.append(Node(op, tuple(names[k] for k in inputs), known[i], self.origins[i]))
        used = {name for node in nodes for name in node.inputs}
        inputs_read = [i for i in self.inputs if names[i] in used or i in outputs]
        network = IntegerNetwork(
            tuple(self.tensors[i] for i in inputs_read),
            tuple(nodes),
            tuple(dict.fromkeys(names[i] for i in outputs)),
        )
        return network, names

    def _composed(self, outputs: Sequence[int]) -> _Made:
        """Return the operations with matrices joined where that adds no weight."""
        made = dict(self.made)
        for i in sorted(made):
            op, inputs = made[i]
            if not isinstance(op, Linear):
                continue
            readers = _readers(made, outputs)
            rows_of: dict[int, np.ndarray] = {}
            bias, begin = op.bias.copy(), 0
            for k in inputs:
                rows = op.weights[begin : begin + self.tensors[k].size]
                begin += len(rows)
                inner, sources = made.get(k, (None, ()))
                once = (np.count_nonzero(rows, axis=1) <= 1).all()
                if not (isinstance(inner, Linear) and once and readers.get(k) == 1):
                    rows_of[k] = rows_of.get(k, 0) + rows
                    continue
                bias += inner.bias @ rows
                product, at = inner.weights @ rows, 0
                for source in sources:
                    size = self.tensors[source].size
                    rows_of[source] = rows_of.get(source, 0) + product[at : at + size]
                    at += size
            if tuple(rows_of) != inputs:
                made[i] = Linear(np.concatenate(list(rows_of.values())), bias), tuple(rows_of)
        return made


def _too_large(where: str, what: str) -> UserError:
    return UserError(
        f"{where} gives {what}; supported are {MAX_MAGNITUDE.bit_length()}: use narrower weights "
        "or activations, or a quantizer in front of it"
    )


_Made = dict[int, tuple[Operation, tuple[int, ...]]]


def _live(made: _Made, outputs: Sequence[int]) -> list[int]:
    """Return the vectors that outputs depend on, in order, inputs left out."""
    needed = set(outputs)
    for i in sorted(made, reverse=True):
        if i in needed:
            needed |= set(made[i][1])
    return [i for i in sorted(made) if i in needed]


def _readers(made: _Made, outputs: Sequence[int]) -> dict[int, int]:
    """Return how many operations and outputs read each vector, dead operations left out."""
    counts: dict[int, int] = {}
    for i in _live(made, outputs):
        for k in made[i][1]:
            counts[k] = counts.get(k, 0) + 1
    for i in outputs:
        counts[i] = counts.get(i, 0) + 1
    return counts
