"""From integer layers to an operator graph: for each layer the cheapest of several forms."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from finn_builds.network import IntegerNetwork, Layer, Tensor
from finn_builds.network.ops import IntArray
from finn_builds.network.types import BIPOLAR, range_of
from finn_builds.sparse.addtree import Operand, SumBuilder
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Builder, Graph
from finn_builds.sparse.lutnet import table_luts
from finn_builds.sparse.neurons import Neuron, Value, on_node, operands_of
from finn_builds.sparse.nodes import Field
from finn_builds.sparse.share import SharedSums, plain_sums, signed_digits
from finn_builds.sparse.solve import Search, cheapest_sums
from finn_builds.sparse.thresholds import best_plan, clip_shape, count_passed, reachable

# A neuron over more input bits than this is not tried as one truth table.
MAX_NEURON_BITS = 10


@dataclass(frozen=True)
class Options:
    """How hard the optimiser tries.

    Parameters
    ----------
    by_level : bool
        Balance adder trees: fewer stages for about one per cent more LUTs.
    restarts : int
        Orders of rows and columns in which alkaid is asked again; a few per cent of LUTs.
    quick : bool
        Look for shared sums once: up to ten per cent more LUTs in a small part of the time.
    """

    by_level: bool = True
    restarts: int = 12
    quick: bool = False


def lower(
    network: IntegerNetwork,
    family: Family,
    options: Options | None = None,
    in_datatype: str | None = None,
    out_datatype: str | None = None,
) -> Graph:
    """Return the operator graph of a network, without pipeline registers.

    The arguments and errors are those of `compile_network`.
    """
    layers = network.layers()
    if len(network.nodes) != sum(1 + (layer.requantise is not None) for layer in layers):
        raise ValueError(f"expected a chain of Linear and Requantise, found\n{network}")
    in_datatype = in_datatype or network.input.datatype
    out_datatype = out_datatype or network.output.datatype
    for tensor, datatype in ((network.input, in_datatype), (network.output, out_datatype)):
        _check_stream(tensor, datatype)
    options = options or Options()
    builder = Builder(network.input.size)
    values = _inputs(builder, network.input, in_datatype)
    for k, layer in enumerate(layers):
        builder.layer = k
        values = _Layer(builder, values, layer, family, options, f"l{k}").build()
    if out_datatype == BIPOLAR:
        values = [_bit(value) for value in values]
    outputs = [_materialise(builder, v, family, f"y{j}") for j, v in enumerate(values)]
    return builder.finish(outputs)


def _check_stream(tensor: Tensor, datatype: str) -> None:
    low, high = range_of(datatype)
    least, most = tensor.bounds
    only_bipolar = datatype == BIPOLAR and tensor.datatype != BIPOLAR
    if only_bipolar or least < low or most > high:
        raise ValueError(f"expected a stream whose elements hold {tensor}, found {datatype}")


def _inputs(builder: Builder, tensor: Tensor, datatype: str) -> list[Value]:
    """Return the elements of the input as unsigned nodes."""
    values = []
    for i, (lo, hi) in enumerate(zip(tensor.low.tolist(), tensor.high.tolist(), strict=True)):
        if lo == hi:
            values.append(Value(builder.const(0), 1, lo))
        elif datatype == BIPOLAR:
            values.append(Value(builder.input(i, 0, 1), 2, -1))
        elif tensor.datatype == BIPOLAR:
            # Of -1 and 1 in two's complement the sign bit says it all; it is flipped in the node.
            sign = Field(builder.input(i, lo, hi), 1, 1)
            values.append(Value(builder.concat([sign], f"x{i}_sign"), 2, -1))
        else:
            node = builder.input(i, lo, hi)
            values.append(Value(node, 1, lo - builder.ranges[node][0]))
    return values


def _bit(value: Value) -> Value:
    """Return a bipolar element as its bit."""
    if value.scale % 2:
        raise ValueError("expected a bipolar output to be made by a Requantise of step 2")
    return Value(value.node, value.scale // 2, (value.offset + 1) // 2)


class _Layer:
    """Builds one layer in the network's builder."""

    def __init__(
        self,
        builder: Builder,
        values: list[Value],
        layer: Layer,
        family: Family,
        options: Options,
        prefix: str,
    ) -> None:
        self.builder, self.layer, self.family = builder, layer, family
        self.options, self.prefix = options, prefix
        self.sources: list[int] = []
        row_of: dict[int, int] = {}
        for v in values:
            lo, hi = builder.ranges[v.node]
            if lo < hi and v.node not in row_of:
                row_of[v.node] = len(self.sources)
                self.sources.append(v.node)
        matrix = np.zeros((len(self.sources), layer.n_out), dtype=np.int64)
        const = layer.linear.bias.copy()
        for i, v in enumerate(values):
            w = layer.linear.weights[i]
            const += w * v.offset
            lo, hi = builder.ranges[v.node]
            if lo == hi:
                const += w * (v.scale * lo)
            else:
                matrix[row_of[v.node]] += w * v.scale
        self.ranges = [builder.ranges[s] for s in self.sources]
        self.widths = [builder.width(s) for s in self.sources]
        self.rows: IntArray | None = None
        if layer.requantise is not None:
            sums = layer.accumulators
            self.rows = layer.requantise.form.thresholds(sums.low, sums.high)
        self.neurons = [self._neuron(matrix[:, j], int(const[j]), j) for j in range(layer.n_out)]

    def _neuron(self, column: IntArray, const: int, j: int) -> Neuron:
        if self.rows is None:
            return Neuron(column, None, 0, const)
        row = self.rows[j].tolist()
        g = gcd(*(int(c) for c in column)) or 1
        column = column // g
        lo = sum(int(c) * r[int(c < 0)] for c, r in zip(column, self.ranges, strict=True))
        hi = sum(int(c) * r[int(c > 0)] for c, r in zip(column, self.ranges, strict=True))
        bounds = [-((const - t) // g) for t in row]
        always, rest = reachable(bounds, lo, hi)
        if not rest:
            column = np.zeros_like(column)
        raw = tuple(t - const for t in row[always : always + len(rest)])
        return Neuron(column, tuple(rest), always, 0, g, raw)

    def build(self) -> list[Value]:
        """Return the layer's outputs."""
        out: dict[int, Value] = {}
        summed = []
        for j, neuron in enumerate(self.neurons):
            if neuron.thresholds == ():
                out[j] = self._value(self.builder.const(0), 1, neuron.always)
            elif not neuron.column.any():
                out[j] = Value(self.builder.const(0), 1, neuron.bias)
            elif self._prefers_table(neuron):
                out[j] = self._as_table(neuron, f"{self.prefix}_n{j}")
            else:
                summed.append(j)
        if summed:
            out.update(self._as_sums(summed))
        return [out[j] for j in range(self.layer.n_out)]

    def _value(self, node: int, scale: int, offset: int) -> Value:
        """Return a count of thresholds as an output value."""
        counted = self.layer.requantise
        assert counted is not None
        return Value(node, counted.step * scale, counted.bias + counted.step * offset)

    # --- a whole neuron as one truth table -------------------------------------------------

    def _table(self, neuron: Neuron) -> tuple[list[int], list[int]]:
        """Return the sources of a neuron's truth table, and its values."""
        rows = [int(i) for i in np.nonzero(neuron.column)[0]]
        acc = np.zeros(1, dtype=np.int64)
        for i in rows:
            lo, hi = self.ranges[i]
            # Addresses that the source never takes repeat its nearest value: don't cares.
            own = np.clip(np.arange(1 << self.widths[i]), lo, hi) * int(neuron.column[i])
            acc = (own[:, None] + acc[None, :]).ravel()
        if neuron.thresholds is None:
            return rows, [int(v) for v in acc]
        return rows, [int(v) for v in np.searchsorted(neuron.thresholds, acc, side="right")]

    def _prefers_table(self, neuron: Neuron) -> bool:
        bits = sum(w for w, c in zip(self.widths, neuron.column, strict=True) if c)
        if bits > MAX_NEURON_BITS or neuron.thresholds is None:
            return False
        _, values = self._table(neuron)
        luts = table_luts(values, bits, max(values).bit_length(), self.family.lut_inputs)
        scratch, sums = self._scratch()
        ops = operands_of(plain_sums(neuron.column[:, None]).outputs[0], sums, {})
        value = self._counted(neuron, ops, scratch, sums, "")
        return luts <= estimate(scratch.finish([value.node]), self.family).luts

    def _as_table(self, neuron: Neuron, label: str) -> Value:
        rows, values = self._table(neuron)
        fields = [self.builder.whole(self.sources[i]) for i in rows]
        return self._value(self.builder.table(fields, values, label), 1, neuron.always)

    # --- sums ------------------------------------------------------------------------------

    def _scratch(self) -> tuple[Builder, SumBuilder]:
        """Return a builder with the layer's sources as its inputs, to try a form in."""
        scratch = Builder(len(self.sources))
        inputs = [scratch.input(i, lo, hi) for i, (lo, hi) in enumerate(self.ranges)]
        by_level = self.options.by_level
        return scratch, SumBuilder(scratch, inputs, self.family.max_terms, by_level)

    def _as_sums(self, summed: list[int]) -> dict[int, Value]:
        matrix = np.stack([self.neurons[j].column for j in summed], axis=1)
        options = self.options
        search = Search(self.family.max_terms, options.by_level, options.restarts, options.quick)
        best = cheapest_sums(matrix, self.ranges, search, lambda sums: self._cost_of(sums, summed))
        builder = SumBuilder(self.builder, self.sources, self.family.max_terms, options.by_level)
        out = {}
        shared = self._shared(best, builder)
        for j, terms in zip(summed, best.outputs, strict=True):
            ops = operands_of(terms, builder, shared)
            out[j] = self._finish(self.neurons[j], ops, builder, f"{self.prefix}_n{j}")
        return out

    def _shared(self, sums: SharedSums, builder: SumBuilder) -> dict[int, Operand | None]:
        """Return the operand of each shared symbol."""
        shared: dict[int, Operand | None] = {}
        for k, terms in enumerate(sums.symbols):
            ops = operands_of(terms, builder, shared)
            shared[sums.n_sources + k] = builder.total(ops, f"{self.prefix}_shared{k}")
        return shared

    def _cost_of(self, sums: SharedSums, summed: list[int]) -> int:
        """Return the LUTs of all accumulators of a shared form."""
        scratch, builder = self._scratch()
        shared = self._shared(sums, builder)
        roots = []
        for j, terms in zip(summed, sums.outputs, strict=True):
            neuron = self.neurons[j]
            target = neuron.bias if neuron.thresholds is None else None
            op = builder.total(operands_of(terms, builder, shared), "", target)
            if op is not None:
                roots.append(op.form.node)
        return estimate(scratch.finish(roots), self.family).luts

    def _finish(self, neuron: Neuron, ops: list[Operand], builder: SumBuilder, label: str) -> Value:
        """Return a neuron's output, its accumulator summed and its thresholds counted."""
        if neuron.thresholds is None:
            total = builder.total(ops, f"{label}_acc", neuron.bias)
            assert total is not None
            return Value(total.form.node, 1, 0)
        return self._counted(neuron, ops, self.builder, builder, label)

    def _counted(
        self,
        neuron: Neuron,
        ops: list[Operand],
        builder: Builder,
        sums: SumBuilder,
        label: str,
    ) -> Value:
        """Return the thresholds of a neuron counted: on its accumulator, or by a clip of it."""
        assert neuron.thresholds
        before = sums.spent
        total = sums.total(ops, f"{label}_acc")
        assert total is not None
        tree = sums.spent - before
        bounds = on_node(neuron.thresholds, total)
        lo, hi = builder.ranges[total.form.node]
        rest = [t for t in bounds if lo < t <= hi]
        if rest:
            plan = best_plan(rest, builder.width(total.form.node), hi, self.family)
            clipped = self._clipped(neuron, ops, builder, sums, label)
            if clipped is not None and clipped[0] < tree + plan.luts:
                return clipped[1]
        count = count_passed(
            builder, total.form.node, bounds, label, self.family, missed=total.sign < 0
        )
        if total.sign > 0:
            return self._value(count.node, count.scale, neuron.always + count.offset)
        # The node is minus the sum: what it passes is what the sum does not.
        n = len(bounds)
        return self._value(count.node, -count.scale, neuron.always + n - count.offset)

    def _clipped(
        self,
        neuron: Neuron,
        ops: list[Operand],
        builder: Builder,
        sums: SumBuilder,
        label: str,
    ) -> tuple[int, Value] | None:
        """Return LUTs and output of uniform thresholds as added constant, shift and clip.

        The constant is the third operand of the accumulator's last chain where chains have three.
        Thresholds that are uniform only before the common divisor of the weights is taken out
        need the divisor back in.
        """
        assert neuron.thresholds
        before = sums.spent
        lo, hi = sums.range_of(neuron.column, 0)
        shape = clip_shape(neuron.thresholds, lo, hi)
        if shape is None and neuron.factor > 1:
            lo, hi = lo * neuron.factor, hi * neuron.factor
            shape = clip_shape(neuron.raw, lo, hi)
            if shape is None:
                return None
            part = sums.total(ops, f"{label}_part")
            assert part is not None
            ops = [
                Operand(part.form, part.shift + k, part.sign * s, part.level)
                for k, s in signed_digits(neuron.factor)
            ]
        if shape is None:
            return None
        total = sums.total(ops, f"{label}_moved", shape.const)
        assert total is not None
        node = total.form.node
        luts = sums.spent - before + shape.luts(lo, hi, self.family)
        clip = builder.clip(node, shape.shift, shape.top, label)
        return luts, self._value(clip, 1, neuron.always - shape.surplus)


def _materialise(builder: Builder, value: Value, family: Family, label: str) -> int:
    """Return the node that is an output element itself, in plain or two's complement binary."""
    lo, hi = builder.ranges[value.node]
    if lo == hi:
        return builder.const(value.scale * lo + value.offset)
    if value.scale == 1 and value.offset == 0:
        return value.node
    width = builder.width(value.node)
    if width <= MAX_NEURON_BITS:
        values = [value.scale * min(max(a, lo), hi) + value.offset for a in range(1 << width)]
        return builder.table([builder.whole(value.node)], values, label)
    sums = SumBuilder(builder, [value.node], family.max_terms, False)
    ops = [Operand(sums.sources[0], k, s, 0) for k, s in signed_digits(value.scale)]
    total = sums.total(ops, label, value.offset)
    assert total is not None
    return total.form.node
