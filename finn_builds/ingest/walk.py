"""From a tidied model to an integer network: every tensor as functions of single integers.

The walk goes through the nodes in order. Elementwise nodes only add steps to a `Symbol`; a node
that needs integers (a matrix, a product, a maximum) *settles* its inputs first: whatever lies
between the integers there are and those that are needed becomes thresholds, a factor and a shift,
or a table. What comes before the first integers stays with the host, and so does what follows the
last ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from onnx import NodeProto
from onnx.helper import make_attribute
from qonnx.core.datatype import DataType

from finn_builds.errors import UserError
from finn_builds.ingest.canonical import ELEMENTWISE, steps_of
from finn_builds.ingest.elementwise import COMPARISONS, FINAL, evaluate_steps, quant_bits
from finn_builds.ingest.growing import Growing
from finn_builds.ingest.input_quant import InputQuant
from finn_builds.ingest.integers import (
    MAX_INPUT_BITS,
    Codes,
    codes_of_levels,
    is_wide,
    kept_and_moved,
    quantised_codes,
)
from finn_builds.ingest.linear import MATRICES, bias_of, matrix_of
from finn_builds.ingest.reading import Graph, GraphNode
from finn_builds.ingest.steps import Step
from finn_builds.ingest.symbol import (
    Line,
    Symbol,
    common_unit,
    line_of,
    side_by_side,
    uniform,
)
from finn_builds.ingest.thresholds import TABLE_CODES, counted
from finn_builds.ingest.wide import CLAMPS, clamp, wide_requantise
from finn_builds.ingest.wiring import WIRING, executed, patches
from finn_builds.network import Lookup, Max, Product, Tensor
from finn_builds.network.types import BIPOLAR

#: Largest factor that brings the scales of two joined tensors to a common one, and of a tensor's
#: own elements in front of a matrix, where it is part of the weights.
MAX_JOINED = 1 << 16
MAX_FACTOR = 1 << 32
#: Products of a matrix of the network with another one.
MAX_PRODUCTS = 1 << 14

#: What two functions of the same elements may be joined by, and what stays exact on lines.
_JOINED = ("Add", "Sub", "Mul", "Div", "Max", "Min")
_EXACT = ("Add", "Sub", "Mul")
JOINS = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "And", "Or", *COMPARISONS)
MAXIMA = ("MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin")
CHOICES = ("ArgMax", "TopK")
#: Sums over an axis of a function of each element.
NORMS = ("ReduceSumSquare", "ReduceL1", "ReduceL2")
SUPPORTED = (
    *ELEMENTWISE,
    *WIRING,
    *MATRICES,
    *JOINS,
    *MAXIMA,
    *CHOICES,
    *FINAL,
    "Pow",
    "OneHot",
    *NORMS,
)


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


class Walk:
    """The state of the walk: the growing network, and a symbol for each tensor of the model."""

    def __init__(self, graph: Graph, input_quant: InputQuant | None, host_input: bool) -> None:
        self.graph, self.input_quant, self.host_input = graph, input_quant, host_input
        self.net = Growing()
        self.symbols: dict[str, Symbol] = {}
        self.boundaries: list[Boundary] = []
        self._raw_names = [model_input.name for model_input in graph.inputs]
        self.inserted: set[str] = set()  # tensors of the model that the given quantizer is put on
        self._settled: dict[int, tuple[Symbol, Symbol]] = {}
        self._failed: set[str] = set()
        self._wrong: list[str] = []

    def run(self) -> None:
        """Walk through all nodes; UserError names everything that can't be built."""
        for number, model_input in enumerate(self.graph.inputs):
            symbol = Symbol.whole(model_input.shape, number, raw=True)
            symbol = symbol.then(_mark(model_input.name, symbol.shape))
            if model_input.datatype is not None:
                symbol = self._typed(model_input.name, model_input.datatype, symbol)
            self.symbols[model_input.name] = symbol
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
                found.append(self._output(name))
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

    # --- nodes -----------------------------------------------------------------------------

    def _node(self, node: GraphNode) -> None:
        if node.op not in SUPPORTED:
            raise UserError(_unsupported(node))
        final = [name for name in node.dynamic if _is_final(self.symbols[name])]
        if final and node.op not in ("Identity", "Cast", *WIRING):
            step = next(s for s in self.symbols[final[0]].steps if _ends(s))
            raise UserError(
                f"{step} is supported at the network's end only, and {node} follows it; leave it "
                "out, or move it there"
            )
        outputs = self._outputs(node)
        for name, symbol in zip(node.outputs, outputs, strict=False):
            marked = symbol.then(_mark(name, symbol.shape))
            if self.graph.readers.get(name, 0) > 1:
                marked = self._shared(marked, str(node))
            self.symbols[name] = marked

    def _outputs(self, node: GraphNode) -> list[Symbol]:
        op, several = node.op, len(node.dynamic) > 1
        if op in WIRING and not (op == "Gather" and node.inputs[0] not in self.symbols):
            return self._wired(node)
        if op in ("Gather", "OneHot"):
            return [self._rows_of_table(node)]
        if op in MATRICES:
            return [self._product_of_matrices(node) if several else self._matrix(node)]
        if op in MAXIMA:
            return [self._maxima(node)]
        if op in CHOICES:
            return self._choice(node)
        if op in FINAL:
            return [self._final(node)]
        if op in NORMS:
            return [self._norm(node)]
        if op == "Where" and several:
            return [self._chosen(node)]
        if op == "Pow" and not several and (np.asarray(node.constant(1)) == 2).all():
            symbol = self.symbols[node.dynamic[0]]
            return [self._joined("Mul", symbol, symbol, str(node))]
        if op in ("Sum", "Mean") or several:
            return [self._join(node)]
        return [self._elementwise(node)]

    def _elementwise(self, node: GraphNode) -> Symbol:
        (name,) = node.dynamic
        symbol = self.symbols[name]
        shape = node.broadcast(symbol.shape)
        if shape != symbol.shape:
            places = np.arange(symbol.size).reshape(symbol.shape)
            symbol = symbol.selected(np.broadcast_to(places, shape), shape)
        for step in steps_of(node.as_step(name), symbol.shape):
            symbol = self._extended(symbol, step, _mark(node.outputs[0], symbol.shape))
        return symbol

    def _extended(self, symbol: Symbol, step: Step, mark: Step) -> Symbol:
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

    def _wired(self, node: GraphNode) -> list[Symbol]:
        """Return the outputs of a node that moves elements."""
        symbols = [self.symbols[name] for name in node.dynamic]
        if node.op == "Concat":
            symbols = [
                self._constant(node, x, symbols[0]) if x not in self.symbols else self.symbols[x]
                for x in node.inputs
            ]
            symbols = [self._concatenated(s, str(node)) for s in symbols]
            if any(s.raw for s in symbols) and not all(s.raw for s in symbols):
                symbols = [self._integers(s, str(node)) for s in symbols]
        whole = symbols[0] if len(symbols) == 1 else side_by_side(symbols)
        places, begin = [], 0
        for symbol in symbols:
            places.append(np.arange(begin, begin + symbol.size).reshape(symbol.shape))
            begin += symbol.size
        if node.op == "Concat":
            found = executed(node.proto, places, self.graph.opset)
        else:
            others = [None if x == "" else node.value(x) for x in node.inputs[1:]]
            fill, proto = None, node.proto
            if node.op == "Im2Col":
                fill = float(node.attrs.get("pad_value", 0))
                found = [patches(places[0], node.proto, fill=-1)]
            else:
                if node.op == "Pad":
                    fill, proto, others = _fill(node, others)
                found = executed(proto, [places[0], *others], self.graph.opset)
            found = [at.astype(np.int64) for at in found]
            if fill is not None and (found[0] < 0).any():
                whole = side_by_side([whole, self._filled(whole, fill)])
                found = [np.where(found[0] < 0, whole.size - 1, found[0])]
        return [whole.selected(at, _with_batch(at.shape, node)) for at in found]

    def _concatenated(self, symbol: Symbol, where: str) -> Symbol:
        """Return a symbol as it is, or, where a quantizer is among its steps, on its codes."""
        settled = symbol.last_quantizer is None or line_of(symbol.steps, symbol.size) is not None
        return symbol if settled else self._integers(symbol, where)

    def _filled(self, like: Symbol, value: float) -> Symbol:
        """Return one element of a constant."""
        zero = Symbol((1, 1), like.vectors[:1], like.index[:1], (), like.raw)
        steps = (Step("Mul", "fill", (np.float32(0),)), Step("Add", "fill", (np.float32(value),)))
        return zero.then(*steps)

    def _constant(self, node: GraphNode, name: str, like: Symbol) -> Symbol:
        """Return a constant as a symbol beside others."""
        values = np.asarray(node.value(name), dtype=np.float32)
        n = values.size
        held = Symbol(values.shape, np.repeat(like.vectors[:1], n), np.repeat(like.index[:1], n))
        held = replace(held, raw=like.raw)
        return held.then(
            Step("Mul", node.name, (np.float32(0),)), Step("Add", node.name, (values.reshape(-1),))
        )

    # --- integers --------------------------------------------------------------------------

    def _typed(self, name: str, datatype: str, symbol: Symbol) -> Symbol:
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
        try:
            codes = quantised_codes(symbol.steps, index, kept, symbol.size)
        except UserError:  # what follows leaves the quantizer's multiples: it stays in the network
            kept = _after_marks(symbol.steps, index + 1)
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
        between = () if before[-1].op == "Mark" else moved[: _first_mark(moved)]
        mark = moved[len(between)] if between else before[-1]
        values = (*codes.to_values(), *between)
        plain = tuple(step for step in before if step.op != "Mark")
        self.boundaries.append(
            Boundary(vector, source, symbol.index, plain, codes, values, datatype, mark)
        )
        return Symbol.whole(symbol.shape, vector).then(*values, mark, *moved[len(between) :])

    def _wide(self, symbol: Symbol, quantizer: Step) -> Symbol:
        """Return a symbol after a quantizer of many levels."""
        split = len(symbol.steps)
        while split and symbol.steps[split - 1].op in (*CLAMPS, "Mark"):
            split -= 1
        line = line_of(symbol.steps[:split], symbol.size, rounded=True)
        if line is None and symbol.last_quantizer is not None:
            # What follows the codes need not give multiples of their scale: this quantizer does.
            end = symbol.last_quantizer + 1
            codes_of = replace(symbol, steps=symbol.steps[:end])
            inner = self._integers(codes_of, str(quantizer)).then(*symbol.steps[end:])
            return self._wide(inner, quantizer)
        low, high = self.net.ranges(symbol.vectors, symbol.index)
        codes = Codes.of(quantizer)
        if line is None:
            steps = (*symbol.steps, quantizer, *codes.from_values())
            result = self._counted(symbol, steps, codes, str(quantizer))
        else:
            clamps = [s for s in symbol.steps[split:] if s.op != "Mark"]
            sign, op = wide_requantise(line, clamps, quantizer, low, high)
            source = self.net.vector(symbol.vectors, symbol.index, str(quantizer), sign)
            result = self.net.add(op, [source], str(quantizer))
            codes = replace(codes, zero_point=0, divisor=1)
        return Symbol.whole(symbol.shape, result).then(*codes.to_values())

    def _counted(self, symbol: Symbol, steps: Sequence[Step], codes: Codes, where: str) -> int:
        """Return the vector of the codes that steps lead to, in order of the elements."""
        low, high = self.net.ranges(symbol.vectors, symbol.index)
        found = counted(steps, low, high, codes.all())
        sign = None if isinstance(found, Lookup) else found[0]
        op = found if isinstance(found, Lookup) else found[1]
        source = self.net.vector(symbol.vectors, symbol.index, where, sign)
        return self.net.add(op, [source], where)

    def _shared(self, symbol: Symbol, where: str) -> Symbol:
        """Return a symbol that several nodes read, its quantizer done once for all of them."""
        steps = symbol.steps
        quantised = symbol.last_quantizer is not None
        if not quantised or (symbol.raw and self.input_quant is not None):
            return symbol
        if line_of(steps, symbol.size) is not None:
            return symbol
        return self._integers(symbol, where)

    def _integers(self, symbol: Symbol, where: str) -> Symbol:
        """Return a symbol as an exact line of integers of the network."""
        known = self._settled.get(id(symbol))
        if known is None:
            # The symbol is kept, too: its id stays its own.
            known = self._settled[id(symbol)] = (symbol, self._settle(symbol, where))
        return known[1]

    def _settle(self, symbol: Symbol, where: str) -> Symbol:
        if symbol.raw:
            return self._settle_raw(symbol, where)
        steps, n = symbol.steps, symbol.size
        if line_of(steps, n) is not None:
            return symbol
        index = symbol.last_quantizer
        if index is not None:
            kept, moved = kept_and_moved(symbol.steps, index, n)
            codes = quantised_codes(symbol.steps, index, kept, n)
            steps = (*symbol.steps[:kept], *codes.from_values())
            result = self._counted(symbol, steps, codes, str(symbol.steps[index]))
            marks = [step for step in symbol.steps[kept - 1 : kept] if step.op == "Mark"]
            return Symbol.whole(symbol.shape, result).then(*codes.to_values(), *marks, *moved)
        return self._settle_few(symbol, where)

    def _settle_few(self, symbol: Symbol, where: str) -> Symbol:
        """Return a function of few codes, without a quantizer after it, as integers."""
        steps, n = symbol.steps, symbol.size
        low, high = self.net.ranges(symbol.vectors, symbol.index)
        count = int((high - low).max()) + 1
        first = _first_curved(steps, n)
        if count <= TABLE_CODES:
            grid = np.minimum(low + np.arange(count)[:, None], high).astype(np.float64)
            values = evaluate_steps(steps, grid)
            for unit in _units_of(steps, n):
                size = np.array([abs(float(u)) or 1.0 for u in unit])
                if np.abs(values / size - np.rint(values / size)).max() < 1e-6:
                    levels = np.unique(np.rint(values / size)).astype(np.int64)
                    codes = codes_of_levels(levels, size)
                    ends = (*steps, *codes.from_values())
                    result = self._counted(symbol, ends, codes, str(steps[first]))
                    found = Symbol.whole(symbol.shape, result).then(*codes.to_values())
                    return found.then(_last_mark(symbol.steps))
        clamped = self._clamped(symbol, first, where)
        if clamped is not None:
            return self._integers(clamped, where)
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
        line = self._line(replace(symbol, steps=steps[:first]))
        clamps = [step for step in steps[first:end] if step.op != "Mark"]
        low, high = self.net.ranges(symbol.vectors, symbol.index)
        op = clamp(line, clamps, int(low.min()), int(high.max()))
        if op is None:
            return None
        source = self.net.vector(symbol.vectors, symbol.index, where)
        found = Symbol.whole(symbol.shape, self.net.add(op, [source], where))
        return found.then(*_line_steps(line, where), *steps[end - 1 :])

    def _settle_raw(self, symbol: Symbol, where: str) -> Symbol:
        if symbol.last_quantizer is not None:
            return self._integers(self._taken_in(symbol), where)
        name = self._raw_names[int(symbol.vectors[0])]
        if self.input_quant is None:
            raise UserError(
                f"input '{name}' reaches {where} without a quantizer; pass --input-quant INT8 to "
                "insert one, with --input-scale or with data to find its range from"
            )
        mark = _last_mark(symbol.steps)
        self.inserted.add(mark.tensor)
        return self._taken_in(symbol.then(self.input_quant.step(), mark))

    # --- matrices --------------------------------------------------------------------------

    def _line(self, symbol: Symbol) -> Line:
        line = line_of(symbol.steps, symbol.size)
        assert line is not None
        return line

    def _matrix(self, node: GraphNode, given: Symbol | None = None) -> Symbol:
        """Return the output of a node that is a matrix with constant weights."""
        symbol = self.symbols[node.dynamic[0]] if given is None else given
        matrix = matrix_of(node, symbol.shape, self.graph.opset)
        symbol = self._integers(symbol, str(node))
        result = self._weighted(symbol, matrix.integers, matrix.scale, matrix.shape, str(node))
        bias = bias_of(node)
        if bias is not None:
            for step in steps_of(bias, result.shape):
                result = result.then(step)
        return result

    def _norm(self, node: GraphNode) -> Symbol:
        """Return a sum of squares or of magnitudes; the root of the former is a function of it."""
        symbol = self.symbols[node.dynamic[0]]
        if node.op == "ReduceL1":
            each = symbol.then(Step("Abs", node.name))
        else:
            each = self._joined("Mul", symbol, symbol, str(node))
        total = self._matrix(replace(node, op="ReduceSum"), each)
        return total.then(Step("Sqrt", node.name)) if node.op == "ReduceL2" else total

    def _weighted(
        self,
        symbol: Symbol,
        integers: np.ndarray,
        scale: np.ndarray,
        shape: tuple[int, ...],
        where: str,
        most: int = MAX_FACTOR,
    ) -> Symbol:
        """Return ``values @ (integers * scale)`` as sums of the network.

        The scale is an array of Fraction that broadcasts to the integers, (n, n_out). Scales that
        differ are brought to a common one by factors of up to `most`.
        """
        line = self._line(symbol)
        n, n_out = integers.shape
        if uniform(line.scale) and scale.shape[0] == 1:
            unit = np.broadcast_to(scale[0] * line.scale[0], n_out)
            weights = integers
        else:
            weights, unit = _common(integers, line.scale, scale, where, most)
        offsets = np.full(n_out, Fraction(0))
        moved = [i for i, offset in enumerate(line.offset) if offset]
        for i in moved:
            row = integers[i].astype(object) * line.offset[i]
            offsets = offsets + row * np.broadcast_to(scale, (n, n_out))[i]
        vector = self.net.linear(symbol.vectors, symbol.index, weights, None, where)
        return Symbol.whole(shape, vector).then(*_line_steps(Line(unit, offsets), where))

    def _product_of_matrices(self, node: GraphNode) -> Symbol:
        """Return a matrix of the network times another one, as products and their sums."""
        if node.op not in ("MatMul", "Gemm") or len(node.dynamic) != 2:
            raise UserError(f"{node} takes its weights from the network, which is not supported")
        left, right = (self._integers(self.symbols[name], str(node)) for name in node.dynamic)
        a, b = (np.arange(s.size).reshape(s.shape) for s in (left, right))
        if node.op == "Gemm":
            a = np.swapaxes(a, -1, -2) if node.attrs.get("transA") else a
            b = np.swapaxes(b, -1, -2) if node.attrs.get("transB") else b
        pairs = np.broadcast_arrays(a[..., :, :, None], b[..., None, :, :])
        inner = pairs[0].shape[-2]
        shape = (*pairs[0].shape[:-2], pairs[0].shape[-1])
        if pairs[0].size > MAX_PRODUCTS:
            raise UserError(
                f"{node} multiplies {pairs[0].size:,} pairs of numbers of the network; supported "
                f"are {MAX_PRODUCTS:,}"
            )
        at = [np.moveaxis(p, -2, -1).reshape(-1) for p in pairs]
        products = self._multiplied(
            left.selected(at[0], (1, len(at[0]))), right.selected(at[1], (1, len(at[1]))), str(node)
        )
        sums = np.kron(
            np.eye(products.size // inner, dtype=np.int64), np.ones((inner, 1), np.int64)
        )
        one = np.full((1, 1), Fraction(1))
        return self._weighted(products, sums, one, shape, str(node))

    def _rows_of_table(self, node: GraphNode) -> Symbol:
        """Return a Gather of a constant at computed places, or a OneHot, as tables."""
        if node.op == "OneHot":
            depth = int(np.asarray(node.constant(1)).reshape(-1)[0])
            off, on = np.asarray(node.constant(2), dtype=np.float64)
            table, axis = np.where(np.eye(depth, dtype=bool), on, off), 0
            symbol = self.symbols[node.dynamic[0]]
            if int(node.attrs.get("axis", -1)) not in (-1, len(symbol.shape)):
                raise UserError(f"{node} has axis {node.attrs['axis']}; supported is the last one")
        else:
            table, axis = np.asarray(node.constant(0), dtype=np.float64), node.attrs.get("axis", 0)
            symbol = self.symbols[node.dynamic[0]]
        if axis % table.ndim:
            table = np.moveaxis(table, axis, 0)
            if symbol.size != 1:
                raise UserError(f"{node} looks up along axis {axis}; supported is axis 0")
        table = table.reshape(len(table), -1) if table.ndim > 1 else table[:, None]
        return self._looked_up(self._on_codes(symbol, str(node)), table, node)

    def _on_codes(self, symbol: Symbol, where: str) -> Symbol:
        """Return a symbol on the codes of its last quantizer, what follows left as steps."""
        index = symbol.last_quantizer
        if index is None:
            return self._integers(symbol, where) if symbol.raw else symbol
        kept = _after_marks(symbol.steps, index + 1)
        quantised = replace(symbol, steps=symbol.steps[:kept])
        done = self._taken_in(quantised) if symbol.raw else self._integers(quantised, where)
        return done.then(*symbol.steps[kept:])

    def _codes(self, symbol: Symbol) -> int:
        """Return how many different integers an element takes at most."""
        low, high = self.net.ranges(symbol.vectors, symbol.index)
        return int((high - low).max()) + 1

    def _looked_up(self, symbol: Symbol, table: np.ndarray, node: GraphNode) -> Symbol:
        low, high = self.net.ranges(symbol.vectors, symbol.index)
        count = self._codes(symbol)
        if count > TABLE_CODES:
            raise UserError(
                f"{node} looks up by {count:,} different numbers; supported are {TABLE_CODES:,}: "
                "quantise its index to 12 bits or fewer"
            )
        steps = symbol.steps
        grid = np.minimum(low + np.arange(count)[:, None], high).astype(np.float64)
        places = np.rint(evaluate_steps(steps, grid)).astype(np.int64)
        places = np.where(places < 0, places + len(table), places)
        if (places < 0).any() or (places >= len(table)).any():
            raise UserError(
                f"{node} looks up entry {int(places.max())} of {len(table)}; its index is out of "
                "the table for some inputs: export the model again"
            )
        values = table[places]  # (codes, n, columns)
        unit = common_unit([Fraction(float(v)) for v in np.unique(values)])
        integers = (
            np.array(
                [
                    [[int(Fraction(float(v)) / unit) for v in row] for row in plane]
                    for plane in values
                ]
            )
            if unit != 1
            else np.rint(values).astype(np.int64)
        )
        if np.abs(integers).max(initial=0) >= MAX_JOINED:
            raise UserError(
                f"{node} has entries that are not multiples of one number; expected a table of "
                "integers or of quantised values: quantise the table"
            )
        columns = values.shape[2]
        source = np.repeat(np.arange(symbol.size), columns)
        tables = integers.transpose(1, 2, 0).reshape(symbol.size * columns, count)
        vector = self.net.vector(symbol.vectors, symbol.index, str(node))
        result = self.net.add(Lookup(source, low[source], tables, symbol.size), [vector], str(node))
        shape = (*symbol.shape, columns) if columns > 1 else symbol.shape
        line = Line(np.full(len(source), unit), np.full(len(source), Fraction(0)))
        return Symbol.whole(shape, result).then(*_line_steps(line, str(node)))

    # --- two tensors -----------------------------------------------------------------------

    def _join(self, node: GraphNode) -> Symbol:
        op = {"Sum": "Add", "Mean": "Add", "And": "Mul", "Or": "Max"}.get(node.op, node.op)
        operands: list[Symbol] = []
        for name in node.inputs:
            if name in self.symbols:
                operands.append(self.symbols[name])
            else:
                operands.append(self._constant(node, name, self.symbols[node.dynamic[0]]))
        shape = np.broadcast_shapes(*(symbol.shape for symbol in operands))
        wide = [_broadcast(symbol, shape) for symbol in operands]
        result = wide[0]
        for other in wide[1:]:
            result = self._joined(op, result, other, str(node))
        if node.op == "Mean":
            result = result.then(Step("Div", node.name, (np.float32(len(operands)),)))
        return result

    def _chosen(self, node: GraphNode) -> Symbol:
        """Return a Where of several results: what a bit, 1 or 0, chooses of two."""
        where, like = str(node), self.symbols[node.dynamic[0]]
        known = [self.symbols.get(name) for name in node.inputs]
        shape = np.broadcast_shapes(
            *(
                np.shape(node.value(name)) if symbol is None else symbol.shape
                for name, symbol in zip(node.inputs, known, strict=True)
            )
        )
        first, second = (
            _broadcast(self._constant(node, name, like) if symbol is None else symbol, shape)
            for name, symbol in zip(node.inputs[1:], known[1:], strict=True)
        )
        if known[0] is None:
            chosen = np.broadcast_to(np.asarray(node.value(node.inputs[0]), bool), shape)
            places = np.arange(first.size).reshape(shape)
            both = side_by_side([self._integers(x, where) for x in (first, second)])
            return both.selected(np.where(chosen, places, places + first.size), shape)
        more = self._joined("Sub", first, second, where)
        gated = self._joined("Mul", _broadcast(known[0], shape), more, where)
        return self._joined("Add", second, gated, where)

    def _joined(self, op: str, left: Symbol, right: Symbol, where: str) -> Symbol:
        lines = [line_of(s.steps, s.size) for s in (left, right)]
        exact = all(line is not None for line in lines) and not left.raw
        several = left.same_elements(right) and op in _JOINED and not (exact and op in _EXACT)
        # Of many codes no table can be made: better join the integers, where there are any.
        apart = not left.raw and self._codes(left) > TABLE_CODES
        apart &= all(
            line is not None or symbol.last_quantizer is not None
            for line, symbol in zip(lines, (left, right), strict=True)
        )
        if several and not apart:
            branches = (left.steps, right.steps)
            step = Step("Joined", _node_name(where), (), {"by": op}, branches=branches)
            return Symbol(left.shape, left.vectors, left.index, (step,), left.raw)
        left, right = self._integers(left, where), self._integers(right, where)
        if op == "Mul":
            return self._multiplied(left, right, where)
        if op in ("Max", "Min"):
            return self._largest(left, right, where, negative=op == "Min")
        if op in ("Add", "Sub", *COMPARISONS):
            both = side_by_side([left, right])
            n = left.size
            sums = np.vstack([np.eye(n, dtype=np.int64), np.eye(n, dtype=np.int64)])
            sums[n:] *= 1 if op == "Add" else -1
            one = np.full((1, 1), Fraction(1))
            found = self._weighted(both, sums, one, left.shape, where, most=MAX_JOINED)
            if op in COMPARISONS:
                return found.then(Step(op, _node_name(where), (np.float32(0),)))
            return found
        raise UserError(
            f"{where} takes two results of the network, which is not supported; supported are Add, "
            "Sub, Mul, Max, Min and comparisons of two results"
        )

    def _multiplied(self, left: Symbol, right: Symbol, where: str) -> Symbol:
        """Return the product of two symbols, element by element."""
        n = left.size
        same = left.same_elements(right) and _equal_lines(self._line(left), self._line(right))
        first = self._units(left, where)
        second = first if same else self._units(right, where)
        sources = list(dict.fromkeys((first[0], second[0])))
        begin = self.net.tensors[first[0]].size if len(sources) > 1 else 0
        at = np.arange(n)
        op = Product(
            first[1][at], second[1][at] + begin, sum(self.net.tensors[s].size for s in sources)
        )
        result = self.net.add(op, sources, where)
        line = Line(first[2] * second[2], np.full(n, Fraction(0)))
        return Symbol.whole(left.shape, result).then(*_line_steps(line, where))

    def _units(self, symbol: Symbol, where: str) -> tuple[int, np.ndarray, np.ndarray]:
        """Return a vector, places in it, and units: values are ``unit * integer``."""
        line = self._line(symbol)
        if not line.offset.any():
            whole = (symbol.vectors == symbol.vectors[0]).all()
            if whole:
                return int(symbol.vectors[0]), symbol.index, line.scale
            vector = self.net.vector(symbol.vectors, symbol.index, where)
            return vector, np.arange(symbol.size), line.scale
        unit = np.array(
            [common_unit([s, o]) for s, o in zip(line.scale, line.offset, strict=True)],
            dtype=object,
        )
        factor = np.array([int(v) for v in line.scale / unit], dtype=object)
        bias = np.array([int(v) for v in line.offset / unit], dtype=object)
        _check_factors(
            np.abs(np.concatenate([factor, bias])), line.scale[0], line.offset.max(), where
        )
        vector = self.net.linear(
            symbol.vectors,
            symbol.index,
            np.diag(factor.astype(np.int64)),
            bias.astype(np.int64),
            where,
        )
        return vector, np.arange(symbol.size), unit

    def _common_unit(self, symbol: Symbol, where: str) -> tuple[int, Fraction]:
        """Return a vector whose integers are the symbol's values in one positive unit."""
        line = self._line(symbol)
        unit = common_unit([*line.scale, *line.offset])
        factor, bias = line.scale / unit, line.offset / unit
        _check_factors(np.abs(factor), line.scale.min(), line.scale.max(), where)
        if (factor == 1).all() and not bias.any():
            return self.net.vector(symbol.vectors, symbol.index, where), unit
        weights = np.diag(factor.astype(np.int64))
        bias = bias.astype(np.int64)
        return self.net.linear(symbol.vectors, symbol.index, weights, bias, where), unit

    def _largest(self, left: Symbol, right: Symbol, where: str, *, negative: bool) -> Symbol:
        n = left.size
        both = side_by_side([left, right])
        groups = np.stack([np.arange(n), np.arange(n) + n], axis=1)
        return self._maximum(both, groups, left.shape, where, negative=negative)

    def _maximum(
        self,
        symbol: Symbol,
        groups: np.ndarray,
        shape: tuple[int, ...],
        where: str,
        *,
        negative: bool,
    ) -> Symbol:
        turn = Step("Mul", _node_name(where), (np.float32(-1),))
        symbol = self._integers(symbol, where)
        vector, unit = self._common_unit(symbol.then(turn) if negative else symbol, where)
        result = self.net.add(Max(groups, symbol.size), [vector], where)
        n = len(groups)
        line = Line(np.full(n, -unit if negative else unit), np.full(n, Fraction(0)))
        return Symbol.whole(shape, result).then(*_line_steps(line, where))

    def _maxima(self, node: GraphNode) -> Symbol:
        """Return a pooling or a reduction to the largest or the smallest element."""
        symbol = self.symbols[node.dynamic[0]]
        # Which elements go into which result: those that, alone positive, make it so. Pools do
        # the same to each channel.
        pooled = node.op in ("MaxPool", "GlobalMaxPool") and len(symbol.shape) > 2
        channels = symbol.shape[1] if pooled else 1
        size = symbol.size // channels
        ones = np.eye(size).reshape(size, *((1,) if pooled else ()), *symbol.shape[1 + pooled :])
        op = node.op.replace("Min", "Max")
        proto = type(node.proto)()
        proto.CopyFrom(node.proto)
        proto.op_type = op
        others = [None if x == "" else node.value(x) for x in node.inputs[1:]]
        found = executed(proto, [ones, *others], self.graph.opset)[0]
        hit = found.reshape(size, -1) > 0
        counts = hit.sum(axis=0)
        groups = np.zeros((hit.shape[1], int(counts.max())), dtype=np.int64)
        for j in range(hit.shape[1]):
            members = np.flatnonzero(hit[:, j])
            groups[j] = np.resize(members, groups.shape[1])
        groups = np.concatenate([groups + k * size for k in range(channels)])
        shape = (1, *((channels,) if pooled else ()), *found.shape[1 + pooled :])
        return self._maximum(symbol, groups, shape, str(node), negative=op != node.op)

    # --- the end ---------------------------------------------------------------------------

    def _output(self, name: str) -> Symbol:
        """Return an output of the model on integers of the network, what follows left to the host.

        A quantizer at its end is done in the network.
        """
        symbol = self.symbols[name]
        end = next((i for i, s in enumerate(symbol.steps) if _ends(s)), len(symbol.steps))
        body = replace(symbol, steps=symbol.steps[:end])
        if symbol.raw:
            body = self._settle_raw(body, f"output '{name}'")
        index = body.last_quantizer
        if index is not None and line_of(body.steps, body.size) is None:
            kept = _after_marks(body.steps, index + 1)
            done = self._integers(replace(body, steps=body.steps[:kept]), f"output '{name}'")
            body = done.then(*body.steps[kept:])
        return body.then(*symbol.steps[end:])

    def _final(self, node: GraphNode) -> Symbol:
        symbol = self.symbols[node.dynamic[0]]
        default = 1 if self.graph.opset < 13 else -1
        axis = int(node.attrs.get("axis", default))
        self._check_axis(node, axis, symbol)
        return symbol.then(Step(node.op, node.name))

    def _choice(self, node: GraphNode) -> list[Symbol]:
        symbol = self.symbols[node.dynamic[0]]
        axis = int(node.attrs.get("axis", 0 if node.op == "ArgMax" else -1))
        self._check_axis(node, axis, symbol)
        if node.attrs.get("select_last_index"):
            raise UserError(
                f"{node} takes the last of equal outputs; supported is the first: export it with "
                "select_last_index 0"
            )
        if node.op == "ArgMax":
            return [symbol.then(Step("ArgMax", node.name))]
        k = int(np.asarray(node.constant(1)).reshape(-1)[0])
        if k != 1 or not int(node.attrs.get("largest", 1)):
            raise UserError(
                f"{node} takes {k} elements; supported is the one largest: use ArgMax, or TopK "
                "with k = 1"
            )
        values, indices = node.outputs[0], node.outputs[1] if len(node.outputs) > 1 else ""
        found = [symbol, symbol.then(Step("ArgMax", node.name))]
        if values in self.graph.used:
            groups = np.arange(symbol.size)[None, :]
            shape = (1, 1)
            found[0] = self._maximum(symbol, groups, shape, str(node), negative=False)
        return found if indices else found[:1]

    def _check_axis(self, node: GraphNode, axis: int, symbol: Symbol) -> None:
        if symbol.shape[axis % len(symbol.shape)] != symbol.size:
            raise UserError(
                f"{node} works along axis {axis}; supported is the axis of the features: set axis "
                "to -1 in the model"
            )


def _first_curved(steps: Sequence[Step], n: int) -> int:
    """Return the index of the first step that is not part of a line."""
    return next(i for i in range(len(steps)) if line_of(steps[: i + 1], n) is None)


def _units_of(steps: Sequence[Step], n: int) -> Iterator[np.ndarray]:
    """Yield units, (n,), of which a function of integers may give whole numbers."""
    first = _first_curved(steps, n)
    line = line_of(steps[:first], n)
    assert line is not None
    for branch in steps[first].branches:
        curved = line_of(branch, n) is None
        for unit in _units_of(branch, n) if curved else [_line_scale(branch, n)]:
            yield line.scale * unit
    if not steps[first].branches:
        yield line.scale
        yield line.scale * line.scale


def _line_scale(steps: Sequence[Step], n: int) -> np.ndarray:
    line = line_of(steps, n)
    assert line is not None
    return line.scale


def _mark(tensor: str, shape: tuple[int, ...]) -> Step:
    """Return a step that does nothing but say which of the model's tensors is reached."""
    return Step("Mark", "", attrs={"shape": shape}, tensor=tensor)


def _after_marks(steps: Sequence[Step], index: int) -> int:
    """Return the place of the first step from `index` on that is not a mark."""
    while index < len(steps) and steps[index].op == "Mark":
        index += 1
    return index


def _first_mark(steps: Sequence[Step]) -> int:
    """Return the place of the first mark."""
    return next(i for i, step in enumerate(steps) if step.op == "Mark")


def _last_mark(steps: Sequence[Step]) -> Step:
    """Return the last mark of some steps."""
    return next(step for step in reversed(steps) if step.op == "Mark")


def _is_final(symbol: Symbol) -> bool:
    return any(_ends(step) for step in symbol.steps)


def _ends(step: Step) -> bool:
    return step.op in (*FINAL, "ArgMax")


def _is_binary(scale: np.ndarray) -> bool:
    """Return whether scales are powers of two."""
    return bool((np.frexp(np.asarray(scale, dtype=np.float64))[0] == 0.5).all())


def _node_name(where: str) -> str:
    return where.split("'")[1] if "'" in where else where


def _with_batch(shape: tuple[int, ...], node: GraphNode) -> tuple[int, ...]:
    """Return a shape with its batch of 1 first; UserError where something else is there."""
    shape = shape or (1,)
    if shape[0] != 1:
        raise UserError(
            f"{node} moves data between frames: it gives {shape}; expected the batch to stay the "
            "first dimension: keep it in the model's reshape"
        )
    return shape


def _broadcast(symbol: Symbol, shape: tuple[int, ...]) -> Symbol:
    if symbol.shape == shape:
        return symbol
    places = np.arange(symbol.size).reshape(symbol.shape)
    return symbol.selected(np.broadcast_to(places, shape), shape)


def _fill(
    node: GraphNode, others: list[np.ndarray | None]
) -> tuple[float, NodeProto, list[np.ndarray | None]]:
    """Return what a Pad fills with, and the node and its constants with a fill of no place, -1."""
    if node.attrs.get("mode", "constant") not in ("constant", b"constant"):
        return 0.0, node.proto, others
    proto = NodeProto()
    proto.CopyFrom(node.proto)
    if not others:  # before version 11 all of it is attributes
        kept = [a for a in proto.attribute if a.name != "value"]
        del proto.attribute[:]
        proto.attribute.extend([*kept, make_attribute("value", -1.0)])
        return float(node.attrs.get("value", 0.0)), proto, others
    value = others[1] if len(others) > 1 else None
    fill = float(np.asarray(value).reshape(-1)[0]) if value is not None and value.size else 0.0
    if len(proto.input) < 3:
        proto.input.append("")
    proto.input[2] = proto.input[2] or "fill"
    return fill, proto, [others[0], np.asarray(-1), *others[2:]]


def _equal_lines(left: Line, right: Line) -> bool:
    return bool((left.scale == right.scale).all() and (left.offset == right.offset).all())


def _line_steps(line: Line, where: str) -> tuple[Step, ...]:
    """Return a line as a step, none where it changes nothing."""
    if (line.scale == 1).all() and not line.offset.any():
        return ()
    scale = line.scale[0] if uniform(line.scale) else line.scale
    offset = line.offset[0] if uniform(line.offset) else line.offset
    return (Step("Line", _node_name(where), (scale, offset)),)


def _common(
    integers: np.ndarray, line: np.ndarray, scale: np.ndarray, where: str, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return integers (n, n_out) for scales that differ from input to input, and their units."""
    n, n_out = integers.shape
    wide = np.broadcast_to(scale, (n, n_out))
    weights, units = np.zeros_like(integers), []
    for j in range(n_out):
        used = np.flatnonzero(integers[:, j])
        worth = [wide[i, j] * line[i] for i in used]
        unit = common_unit(list(dict.fromkeys(worth)))
        factors = [int(v / unit) for v in worth]
        if factors and max(map(abs, factors)) > most:
            small, large = min(worth, key=abs), max(worth, key=abs)
            raise _no_common_unit(small, large, where, most)
        weights[used, j] = integers[used, j] * np.array(factors, dtype=np.int64)
        units.append(unit)
    return weights, np.array(units, dtype=object)


def _check_factors(factors: np.ndarray, small: Fraction, large: Fraction, where: str) -> None:
    if max(factors) > MAX_JOINED:
        raise _no_common_unit(small, large, where, MAX_JOINED)


def _no_common_unit(small: Fraction, large: Fraction, where: str, most: int) -> UserError:
    return UserError(
        f"{where} joins numbers of scales {float(small):.9g} and {float(large):.9g}, which are not "
        f"multiples of a common one by factors up to {most:,}; train them with one scale, or "
        "with powers of two, or put a quantizer in front of it"
    )


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
