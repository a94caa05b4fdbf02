"""What is known of a model during the walk, and how its tensors become integers.

To *settle* a tensor is to make it an exact line of integers of the network. What lies between the
integers there are and those that are needed becomes thresholds, a factor and a shift, or a table.
What comes before the first integers stays with the host.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from qonnx.core.datatype import DataType

from finn_builds.errors import UserError
from finn_builds.ingest.elementwise import FINAL, evaluate_steps, quant_bits
from finn_builds.ingest.exact import line_steps
from finn_builds.ingest.growing import Growing
from finn_builds.ingest.input_quant import InputQuant
from finn_builds.ingest.integers import (
    MAX_INPUT_BITS,
    Codes,
    are_whole,
    codes_of_levels,
    is_wide,
    kept_and_moved,
    quantised_codes,
)
from finn_builds.ingest.reading import Graph, GraphNode
from finn_builds.ingest.steps import Step, after_marks, first_mark, last_mark
from finn_builds.ingest.symbol import Symbol, known_line, line_of, side_by_side
from finn_builds.ingest.thresholds import TABLE_CODES, Bends, counted
from finn_builds.ingest.wide import CLAMPS, clamp, wide_requantise
from finn_builds.network import Lookup, Tensor
from finn_builds.network.types import BIPOLAR


@dataclass(frozen=True, eq=False)
class Boundary:
    """An input of the integer network, and how it comes from an input of the model."""

    vector: int
    source: str  # the model's input
    take: np.ndarray  # (n,): elements of that input
    before: tuple[Step, ...]  # what the host does to them
    codes: Codes
    values: tuple[Step, ...]  # from the integers to the tensor `mark`
    datatype: str | None  # that the model declares for its input
    mark: Step  # the tensor of the model that the integers stand for


class Settling:
    """A model's tensors as symbols, and the growing network that these are functions of."""

    def __init__(self, graph: Graph, input_quant: InputQuant | None, host_input: bool) -> None:
        self.graph, self.input_quant, self.host_input = graph, input_quant, host_input
        self.net = Growing()
        self.symbols: dict[str, Symbol] = {}  # by tensor of the model
        self.boundaries: list[Boundary] = []
        self.inserted: set[str] = set()  # tensors of the model that the given quantizer is put on
        self._raw_names = [model_input.name for model_input in graph.inputs]
        self._settled: dict[int, tuple[Symbol, Symbol]] = {}

    def operand(self, node: GraphNode) -> Symbol:
        """Return the first input of a node that depends on the model's inputs."""
        return self.symbols[node.dynamic[0]]

    def operands(self, node: GraphNode) -> list[Symbol]:
        """Return all inputs of a node, its constants too."""
        like = self.operand(node)
        return [
            self.symbols[name] if name in self.symbols else _constant(node, name, like)
            for name in node.inputs
        ]

    # --- inputs ----------------------------------------------------------------------------

    def typed(self, name: str, datatype: str, symbol: Symbol) -> Symbol:
        """Return an input that the model itself declares to be integers."""
        kind = DataType[datatype]
        low, high = int(kind.min()), int(kind.max())
        if kind.bitwidth() > MAX_INPUT_BITS:
            raise UserError(
                f"input '{name}' is of type {datatype}; supported are 1 to {MAX_INPUT_BITS} bits: "
                "use a narrower type"
            )
        codes = Codes.of_range(low, high, bipolar=datatype == BIPOLAR)
        return self._boundary(symbol, symbol.steps, codes, (), datatype)

    def _taken_in(self, symbol: Symbol) -> Symbol:
        """Return a raw symbol, its last quantizer done by the host, on integers of the network."""
        index = symbol.last_quantizer
        assert index is not None
        kept, moved = kept_and_moved(symbol.steps, index, symbol.size)
        codes = quantised_codes(symbol.steps, index, kept, symbol.size)
        if codes is None:  # what follows stays in the network
            kept = after_marks(symbol.steps, index + 1)
            codes, moved = Codes.of(symbol.steps[index]), symbol.steps[kept:]
        return self._boundary(symbol, symbol.steps[:kept], codes, moved, None)

    def _boundary(
        self,
        symbol: Symbol,
        before: tuple[Step, ...],
        codes: Codes,
        moved: tuple[Step, ...],
        datatype: str | None,
    ) -> Symbol:
        source = self._raw_names[int(symbol.vectors[0])]
        if (symbol.vectors != symbol.vectors[0]).any():
            raise UserError(
                "two inputs of the model are joined before they are quantised; put a quantizer "
                "behind each input"
            )
        n = symbol.size
        used = sum(b.source == source for b in self.boundaries)
        name = f"{source}_{used + 1}" if used else source
        box = (np.full(n, end, dtype=np.int64) for end in (codes.low, codes.high))
        vector = self.net.input(Tensor(name, codes.datatype, *box))
        # A MultiThreshold's own factor and offset lie between the codes and its tensor.
        between = () if before[-1].op == "Mark" else moved[: first_mark(moved)]
        mark = moved[len(between)] if between else before[-1]
        values = (*codes.to_values(), *between)
        plain = tuple(step for step in before if step.op != "Mark")
        self.boundaries.append(
            Boundary(vector, source, symbol.index, plain, codes, values, datatype, mark)
        )
        return Symbol.whole(symbol.shape, vector).then(*values, mark, *moved[len(between) :])

    # --- steps -----------------------------------------------------------------------------

    def extended(self, symbol: Symbol, step: Step, mark: Step) -> Symbol:
        """Return a symbol with one more step; a wide quantizer is settled at once."""
        if step.op != "Quant":
            return symbol.then(step)
        if symbol.raw:
            bits = quant_bits(step)
            if bits > MAX_INPUT_BITS:
                raise UserError(
                    f"{step} gives an input of {bits} bits; supported are 1 to {MAX_INPUT_BITS}: "
                    "use a narrower quantizer"
                )
            quantised = symbol.then(step)
            if self.host_input or not _is_binary(step.constants[0]):
                return quantised
            return self._taken_in(quantised.then(mark))
        return self._wide(symbol, step) if is_wide(step) else symbol.then(step)

    def shared(self, symbol: Symbol, where: str) -> Symbol:
        """Return a symbol that several nodes read, its quantizer done once for all of them."""
        waits = symbol.raw and self.input_quant is not None
        return symbol if waits else self.quantised(symbol, where)

    def quantised(self, symbol: Symbol, where: str) -> Symbol:
        """Return a symbol as it is, or, where a quantizer is among its steps, settled."""
        plain = symbol.last_quantizer is None or line_of(symbol.steps, symbol.size) is not None
        return symbol if plain else self.integers(symbol, where)

    def on_codes(self, symbol: Symbol, where: str) -> Symbol:
        """Return a symbol on the codes of its last quantizer, what follows left as steps."""
        index = symbol.last_quantizer
        if index is None:
            return self.integers(symbol, where) if symbol.raw else symbol
        kept = after_marks(symbol.steps, index + 1)
        quantised = replace(symbol, steps=symbol.steps[:kept])
        done = self._taken_in(quantised) if symbol.raw else self.integers(quantised, where)
        return done.then(*symbol.steps[kept:])

    def output(self, name: str) -> Symbol:
        """Return an output of the model on integers of the network, what follows left to the host.

        A quantizer at its end is done in the network.
        """
        symbol, where = self.symbols[name], f"output '{name}'"
        end = next((i for i, s in enumerate(symbol.steps) if ends(s)), len(symbol.steps))
        body = replace(symbol, steps=symbol.steps[:end])
        if symbol.raw:
            body = self._settle_raw(body, where)
        if body.last_quantizer is not None and line_of(body.steps, body.size) is None:
            body = self.on_codes(body, where)
        return body.then(*symbol.steps[end:])

    # --- integers --------------------------------------------------------------------------

    def integers(self, symbol: Symbol, where: str) -> Symbol:
        """Return a symbol as an exact line of integers of the network."""
        known = self._settled.get(id(symbol))
        if known is None:
            # The symbol is kept, too: its id stays its own.
            known = self._settled[id(symbol)] = (symbol, self._settle(symbol, where))
        return known[1]

    def code_count(self, symbol: Symbol) -> int:
        """Return how many different integers an element takes at most."""
        low, high = self.net.ranges(symbol)
        return int((high - low).max()) + 1

    def _settle(self, symbol: Symbol, where: str) -> Symbol:
        if symbol.raw:
            return self._settle_raw(symbol, where)
        steps, n = symbol.steps, symbol.size
        if line_of(steps, n) is not None:
            return symbol
        index = symbol.last_quantizer
        if index is None:
            return self._settle_few(symbol, where)
        kept, moved = kept_and_moved(steps, index, n)
        codes = quantised_codes(steps, index, kept, n)
        if codes is None:  # what follows is a function of the quantizer's own codes
            return self.integers(self.on_codes(symbol, where), where)
        tail = (*steps[:kept], *codes.from_values())
        result = self._counted(symbol, tail, codes, str(steps[index]))
        marks = [step for step in steps[kept - 1 : kept] if step.op == "Mark"]
        return Symbol.whole(symbol.shape, result).then(*codes.to_values(), *marks, *moved)

    def _settle_raw(self, symbol: Symbol, where: str) -> Symbol:
        if symbol.last_quantizer is not None:
            return self.integers(self._taken_in(symbol), where)
        name = self._raw_names[int(symbol.vectors[0])]
        if self.input_quant is None:
            raise UserError(
                f"input '{name}' reaches {where} without a quantizer; pass --input-quant INT8 to "
                "insert one, with --input-scale or with data to find its range from"
            )
        mark = last_mark(symbol.steps)
        self.inserted.add(mark.tensor)
        return self._taken_in(symbol.then(self.input_quant.step(), mark))

    def _settle_few(self, symbol: Symbol, where: str) -> Symbol:
        """Return a function of few codes, without a quantizer after it, as integers."""
        steps, n = symbol.steps, symbol.size
        low, high = self.net.ranges(symbol)
        count = int((high - low).max()) + 1
        first = _first_curved(steps, n)
        if count <= TABLE_CODES:
            grid = np.minimum(low + np.arange(count)[:, None], high).astype(np.float64)
            values = evaluate_steps(steps, grid)
            ones = np.full(n, Fraction(1))
            for unit in (*_units_of(steps, n), ones):
                size = np.array([abs(float(u)) or 1.0 for u in unit])
                if are_whole(values / size):
                    levels = np.unique(np.rint(values / size)).astype(np.int64)
                    codes = codes_of_levels(levels, size)
                    tail = (*steps, *codes.from_values())
                    result = self._counted(symbol, tail, codes, str(steps[first]))
                    found = Symbol.whole(symbol.shape, result).then(*codes.to_values())
                    # None where the node in front is done in several parts.
                    marks = [step for step in symbol.steps if step.op == "Mark"]
                    return found.then(*marks[-1:])
        clamped = self._clamped(symbol, first, where)
        if clamped is not None:
            return self.integers(clamped, where)
        raise UserError(
            f"the activations from {steps[first]} to {where} are not quantised; put a quantizer "
            "between the two"
        )

    def _clamped(self, symbol: Symbol, first: int, where: str) -> Symbol | None:
        """Return a symbol with the clamps from step `first` on done in the network.

        None where it has others there, or bounds that no integer stands for.
        """
        steps, end = symbol.steps, first
        while end < len(steps) and steps[end].op in (*CLAMPS, "Mark"):
            end += 1
        line = known_line(steps[:first], symbol.size)
        clamps = [step for step in steps[first:end] if step.op != "Mark"]
        low, high = self.net.ranges(symbol)
        op = clamp(line, clamps, int(low.min()), int(high.max()))
        if op is None:
            return None
        source = self.net.vector(symbol, where)
        found = Symbol.whole(symbol.shape, self.net.add(op, [source], where))
        return found.then(*line_steps(line, where), *steps[end - 1 :])

    def _wide(self, symbol: Symbol, quantizer: Step) -> Symbol:
        """Return a symbol after a quantizer of many levels."""
        split, where = len(symbol.steps), str(quantizer)
        while split and symbol.steps[split - 1].op in (*CLAMPS, "Mark"):
            split -= 1
        line = line_of(symbol.steps[:split], symbol.size, rounded=True)
        if line is None and symbol.last_quantizer is not None:
            # What follows the codes need not give multiples of their scale: this quantizer does.
            end = symbol.last_quantizer + 1
            codes_of = replace(symbol, steps=symbol.steps[:end])
            inner = self.integers(codes_of, where).then(*symbol.steps[end:])
            return self._wide(inner, quantizer)
        codes = Codes.of(quantizer)
        if line is None:
            steps = (*symbol.steps, quantizer, *codes.from_values())
            result = self._counted(symbol, steps, codes, where)
        else:
            low, high = self.net.ranges(symbol)
            clamps = [s for s in symbol.steps[split:] if s.op != "Mark"]
            sign, op = wide_requantise(line, clamps, quantizer, low, high)
            source = self.net.vector(symbol, where, sign)
            result = self.net.add(op, [source], where)
            codes = replace(codes, zero_point=0, divisor=1)
        return Symbol.whole(symbol.shape, result).then(*codes.to_values())

    def _counted(self, symbol: Symbol, steps: Sequence[Step], codes: Codes, where: str) -> int:
        """Return the vector of the codes that steps lead to, in order of the elements."""
        low, high = self.net.ranges(symbol)
        found = counted(steps, low, high, codes.all(), where)
        if isinstance(found, Bends):
            return self._risen_and_fallen(symbol, found, where)
        sign, op = (None, found) if isinstance(found, Lookup) else found
        source = self.net.vector(symbol, where, sign)
        return self.net.add(op, [source], where)

    def _risen_and_fallen(self, symbol: Symbol, found: Bends, where: str) -> int:
        source, shape = self.net.vector(symbol, where), (1, symbol.size)
        counts = (self.net.add(op, [source], where) for op in (found.rises, found.falls))
        both = side_by_side([Symbol.whole(shape, count) for count in counts])
        eye = np.eye(symbol.size, dtype=np.int64)
        return self.net.linear(both, np.vstack([eye, -eye]), found.base, where)


def ends(step: Step) -> bool:
    """Return whether a step is one of the network's end, which the host does."""
    return step.op in (*FINAL, "ArgMax")


def _constant(node: GraphNode, name: str, like: Symbol) -> Symbol:
    """Return a constant as a symbol beside others."""
    values = np.asarray(node.value(name), dtype=np.float64)
    return like.fixed(values.shape, values.reshape(-1), node.name)


def _first_curved(steps: Sequence[Step], n: int) -> int:
    """Return the index of the first step that is not part of a line."""
    return next(i for i in range(len(steps)) if line_of(steps[: i + 1], n) is None)


def _units_of(steps: Sequence[Step], n: int) -> Iterator[np.ndarray]:
    """Yield units, (n,), of which a function of integers may give whole numbers."""
    first = _first_curved(steps, n)
    scale = known_line(steps[:first], n).scale
    for branch in steps[first].branches:
        curved = line_of(branch, n) is None
        for unit in _units_of(branch, n) if curved else [known_line(branch, n).scale]:
            yield scale * unit
    if not steps[first].branches:
        yield scale
        yield scale * scale


def _is_binary(scale: np.ndarray) -> bool:
    """Return whether scales are powers of two."""
    return bool((np.frexp(np.asarray(scale, dtype=np.float64))[0] == 0.5).all())
