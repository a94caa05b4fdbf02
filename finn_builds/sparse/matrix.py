"""A matrix, and what counts its sums: for each neuron the cheapest of several forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gcd

import numpy as np

from finn_builds.network import Affine, Linear, Requantise, Tensor
from finn_builds.network.ops import IntArray
from finn_builds.sparse.addtree import Joint, Operand, SumBuilder
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.graph import Builder
from finn_builds.sparse.levels import steps_of
from finn_builds.sparse.logic import MAX_TOP_BITS, clip_luts
from finn_builds.sparse.neurons import Neuron, on_node, operands_of
from finn_builds.sparse.nodes import Clip
from finn_builds.sparse.options import Site
from finn_builds.sparse.scaled import Scaled, levels_luts, multiplied
from finn_builds.sparse.share import SharedSums, plain_sums, signed_digits
from finn_builds.sparse.solve import Search, cheapest_sums
from finn_builds.sparse.tablenet import table_luts
from finn_builds.sparse.thresholds import best_plan, clip_shape, count_passed, reachable
from finn_builds.sparse.uniform import MAX_DIGITS, fitted
from finn_builds.sparse.values import Value, of_operand, tabled

# A neuron over more input bits than this is not tried as one truth table.
MAX_NEURON_BITS = 10
# The same for one that is multiplied: it has a digit or two to an output bit to beat.
MAX_SCALED_BITS = 8


class Matrix:
    """Builds one matrix in the network's builder."""

    def __init__(
        self,
        site: Site,
        values: list[Value],
        linear: Linear,
        sums: Tensor,
        requantise: Requantise | None,
        prefix: str,
        joint: Sequence[Joint] = (),
    ) -> None:
        builder = site.builder
        self.site, self.builder, self.family, self.options = (
            site,
            builder,
            site.family,
            site.options,
        )
        self.prefix, self.requantise = prefix, requantise
        self.sources: list[int] = []
        row_of = self.rows = dict[int, int]()
        for v in values:
            lo, hi = builder.ranges[v.node]
            if lo < hi and v.node not in row_of:
                row_of[v.node] = len(self.sources)
                self.sources.append(v.node)
        matrix = np.zeros((len(self.sources), linear.n_out), dtype=np.int64)
        const = linear.bias.copy()
        for i, v in enumerate(values):
            w = linear.weights[i]
            const += w * v.offset
            lo, hi = builder.ranges[v.node]
            if lo == hi:
                const += w * (v.scale * lo)
            else:
                matrix[row_of[v.node]] += w * v.scale
        self.ranges = [builder.ranges[s] for s in self.sources]
        self.widths = [builder.width(s) for s in self.sources]
        self.joint = [both for both in joint if both.a in row_of and both.b in row_of]
        self.sums = site.sums(self.sources, self.joint)
        steps = None if requantise is None else steps_of(requantise.form, sums.low, sums.high)
        self.neurons = [
            self._neuron(matrix[:, j], int(const[j]), j, None if steps is None else steps[j])
            for j in range(linear.n_out)
        ]

    def _neuron(
        self, column: IntArray, const: int, j: int, steps: tuple[int, list[int]] | None
    ) -> Neuron:
        if self.requantise is None:
            return Neuron(column, None, 0, const)
        g = gcd(*(int(c) for c in column)) or 1
        column = column // g
        if steps is None:
            assert isinstance(self.requantise.form, Affine)
            return Neuron(
                column, None, 0, 0, g, scaled=Scaled.of(self.requantise.form, j, g, const)
            )
        lo, hi = self.sums.range_of(column, 0)
        passed, row = steps
        bounds = [-((const - t) // g) for t in row]
        always, rest = reachable(bounds, lo, hi)
        if not rest:
            column = np.zeros_like(column)
        form = self.requantise.form
        own = Scaled.of(form, j, g, const) if isinstance(form, Affine) else None
        raw = tuple(t - const for t in row[always : always + len(rest)])
        return Neuron(column, tuple(rest), passed + always, 0, g, raw, own=own)

    def build(self, signed: bool) -> list[Value]:
        """Return the outputs; sums that are not counted as plain signed nodes if so asked."""
        out: dict[int, Value] = {}
        summed = []
        for j, neuron in enumerate(self.neurons):
            if neuron.thresholds == ():
                out[j] = self._value(self.builder.const(0), 1, neuron.always)
            elif not neuron.column.any():
                out[j] = self._constant(neuron)
            elif self._prefers_table(neuron):
                out[j] = self._as_table(neuron, f"{self.prefix}_n{j}")
            else:
                summed.append(j)
        if summed:
            out.update(self._as_sums(summed, signed))
        return [out[j] for j in range(len(self.neurons))]

    def _constant(self, neuron: Neuron) -> Value:
        if neuron.scaled is None:
            return Value(self.builder.const(0), 1, neuron.bias)
        (level,) = neuron.scaled.count(np.zeros(1, dtype=np.int64)).tolist()
        return self._level(Value(self.builder.const(0), 1, level))

    def _value(self, node: int, scale: int, offset: int) -> Value:
        """Return a count of thresholds as an output value."""
        counted = self.requantise
        assert counted is not None
        return Value(node, counted.step * scale, counted.bias + counted.step * offset)

    def _level(self, level: Value) -> Value:
        """Return a level, counted from that of the number 0, as an output value."""
        assert self.requantise is not None and isinstance(self.requantise.form, Affine)
        return self._value(level.node, level.scale, level.offset + self.requantise.form.zero)

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
        if neuron.scaled is not None:
            return rows, [int(v) for v in neuron.scaled.count(acc)]
        assert neuron.thresholds is not None
        return rows, [int(v) for v in np.searchsorted(neuron.thresholds, acc, side="right")]

    def _prefers_table(self, neuron: Neuron) -> bool:
        bits = sum(w for w, c in zip(self.widths, neuron.column, strict=True) if c)
        most = MAX_NEURON_BITS if neuron.scaled is None else MAX_SCALED_BITS
        if bits > most or not neuron.is_counted:
            return False
        _, values = self._table(neuron)
        low = min(values) if neuron.scaled is not None else 0
        values = [v - low for v in values]
        scratch, sums = self._scratch()
        ops = operands_of(plain_sums(neuron.column[:, None]).outputs[0], sums, {})
        value = self._counted(neuron, ops, scratch, sums, "")
        most = estimate(scratch.builder.finish([value.node]), self.family).luts
        width, k = max(values).bit_length(), self.family.lut_inputs
        return table_luts(values, bits, width, k) <= most

    def _as_table(self, neuron: Neuron, label: str) -> Value:
        rows, values = self._table(neuron)
        fields = [self.builder.whole(self.sources[i]) for i in rows]
        if neuron.scaled is not None:
            return self._level(tabled(self.builder, fields, values, label))
        return self._value(self.builder.table(fields, values, label), 1, neuron.always)

    # --- sums ------------------------------------------------------------------------------

    def _scratch(self) -> tuple[Site, SumBuilder]:
        """Return a place with the sources as its inputs, to try a form in."""
        site, inputs = self.site.scratch(self.ranges)
        moved = [
            replace(both, a=inputs[self.rows[both.a]], b=inputs[self.rows[both.b]])
            for both in self.joint
        ]
        return site, site.sums(inputs, moved)

    def _as_sums(self, summed: list[int], signed: bool) -> dict[int, Value]:
        matrix = np.stack([self.neurons[j].column for j in summed], axis=1)
        options = self.options
        search = Search(self.family.max_terms, options.by_level, options.restarts, options.quick)
        plain = plain_sums(matrix)
        if not (np.count_nonzero(matrix, axis=1) > 1).any():
            best = plain  # nothing to share
        else:
            best = cheapest_sums(
                matrix, self.ranges, search, lambda sums: self._cost_of(sums, summed)
            )
        builder = self.sums
        out = {}
        shared = self._shared(best, builder)
        for j, terms in zip(summed, best.outputs, strict=True):
            ops = operands_of(terms, builder, shared)
            out[j] = self._finish(self.neurons[j], ops, builder, f"{self.prefix}_n{j}", signed)
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
            target = None if neuron.is_counted else neuron.bias
            op = builder.total(operands_of(terms, builder, shared), "", target)
            if op is not None:
                roots.append(op.form.node)
        return estimate(scratch.builder.finish(roots), self.family).luts

    def _finish(
        self, neuron: Neuron, ops: list[Operand], sums: SumBuilder, label: str, signed: bool
    ) -> Value:
        """Return a neuron's output, its accumulator summed and its levels counted."""
        if neuron.is_counted:
            return self._counted(neuron, ops, self.site, sums, label)
        total = sums.total(ops, f"{label}_acc", neuron.bias if signed else None)
        assert total is not None
        return Value(total.form.node, 1, 0) if signed else of_operand(total, neuron.bias)

    def _counted(
        self, neuron: Neuron, ops: list[Operand], site: Site, sums: SumBuilder, label: str
    ) -> Value:
        """Return the levels of a neuron counted: on its accumulator, or by a clip of it."""
        if neuron.scaled is not None:
            return self._level(multiplied(site, sums, ops, neuron.scaled, label))
        builder = site.builder
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
            if clipped is None:
                clipped = self._uniform(neuron, ops, site, sums, label)
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

    def _uniform(
        self, neuron: Neuron, ops: list[Operand], site: Site, sums: SumBuilder, label: str
    ) -> tuple[int, Value] | None:
        """Return LUTs and output of uniform thresholds of any step as a multiplication."""
        assert neuron.thresholds and self.requantise is not None
        found: list[tuple[int, Value]] = []
        form = self.requantise.form
        own = neuron.own if isinstance(form, Affine) else None
        if own is not None and len(signed_digits(own.factor)) <= MAX_DIGITS:
            luts, value = self._spent(own, ops, site, sums, label)
            found.append((luts, self._level(value)))
        fit = fitted(neuron.thresholds)
        if fit is not None:
            luts, value = self._spent(fit, ops, site, sums, label)
            found.append((luts, self._value(value.node, value.scale, neuron.always + value.offset)))
        return min(found, key=lambda one: one[0]) if found else None

    def _spent(
        self, form: Scaled, ops: list[Operand], site: Site, sums: SumBuilder, label: str
    ) -> tuple[int, Value]:
        """Return LUTs and levels of a multiplication."""
        before, first = sums.spent, len(site.builder.nodes)
        value = multiplied(site, sums, ops, form, label)
        return sums.spent - before + levels_luts(site, first), value

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
        modulus = (shape.top + 1) << shape.shift
        if shape.const % modulus:
            total = sums.total(ops, f"{label}_moved", shape.const)
            assert total is not None
            clip = Clip(total.form.node, shape.shift, shape.top)
        else:
            # Nothing is added: the clip begins elsewhere.
            total = sums.total(ops, f"{label}_acc")
            assert total is not None
            const = shape.const - (total.form.offset << total.shift)
            shift = shape.shift - total.shift
            over = builder.width(total.form.node) - shift - shape.top.bit_length()
            if total.sign < 0 or const % modulus or shift < 0 or over > MAX_TOP_BITS:
                return None
            clip = Clip(total.form.node, shift, shape.top, -const >> shape.shift)
        luts = (
            sums.spent - before + clip_luts(clip, *builder.ranges[clip.src], self.family.lut_inputs)
        )
        node = builder.clip(clip.src, clip.shift, clip.top, label, clip.base)
        return luts, self._value(node, 1, neuron.always - shape.surplus)
