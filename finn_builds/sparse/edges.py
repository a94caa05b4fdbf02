"""Sums of tables: each edge as the tables that cost least where it is, constants inside them.

An edge is a function of one code that a single neuron reads. Nobody else sees its values, so it may
be split (`splits`), and any constant may be added to it as long as its bits hold the values. What
uniform thresholds ask to be added in front of a clip moves there, and no chain is spent on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from finn_builds.network import Linear
from finn_builds.sparse.addtree import Joint, Operand
from finn_builds.sparse.matrix import Matrix
from finn_builds.sparse.neurons import Neuron, operands_of
from finn_builds.sparse.nodes import Field, Table
from finn_builds.sparse.options import Site
from finn_builds.sparse.share import plain_sums
from finn_builds.sparse.splits import Split, splits
from finn_builds.sparse.thresholds import clip_shape
from finn_builds.sparse.values import Value

# Ways to write an edge that are compared within their sum, the cheapest alone first.
MAX_WAYS = 4
# Rounds in which each edge of a sum is looked at again.
ROUNDS = 3
# Orders of operands in which a constant is spread over their tables.
MAX_ORDERS = 6


@dataclass(frozen=True)
class Edge:
    """Row `row` of a matrix, made by table `node`, as a function of a code.

    The neuron's sum has `least`, and `values`, at least 0, in units of ``sign * 2^shift``.
    Others read a `shared` table too: it stays as it is, so that all of them have the same parts.
    """

    row: int
    node: int
    code: Field
    values: tuple[int, ...]
    shift: int
    least: int
    sign: int
    shared: bool


@dataclass(frozen=True)
class Apart:
    """A layer's operands, and its matrix, with edges taken apart."""

    values: list[Value]
    linear: Linear
    joint: tuple[Joint, ...]


def taken_apart(
    site: Site,
    matrix: Matrix,
    values: Sequence[Value],
    linear: Linear,
    own: NDArray[np.bool_],
    label: str,
) -> Apart | None:
    """Return the operands of a layer with its edges taken apart; None if it has no edges.

    `values` are the operands of `matrix`; those that are tables which this layer alone reads are
    marked in `own`.
    """
    builder = site.builder
    new_values = list(values)
    weights = linear.weights.copy()
    extra: list[tuple[int, Value]] = []
    joint: list[Joint] = []
    for j, neuron in enumerate(matrix.neurons):
        edges = _edges(site, values, linear, own, neuron, j)
        if not edges:
            continue
        chosen = _Sum(site, matrix, neuron, edges).best()
        for edge, split in zip(edges, chosen, strict=True):
            unit = edge.sign * neuron.factor << edge.shift
            nodes = split.build(builder, edge.code, f"{label}_n{j}_e{edge.row}")
            # The constants in the tables come off again: thresholds take them in.
            moved = split.values()[0] - edge.values[0]
            w, old = int(linear.weights[edge.row, j]), values[edge.row]
            offset = w * old.offset + neuron.factor * edge.least - unit * moved
            parts = [Value(node, unit << k, 0) for node, k in nodes]
            parts[0] = Value(parts[0].node, parts[0].scale, offset)
            weights[edge.row] = 0
            extra += [(j, part) for part in parts]
            if len(parts) == 2:
                (high, up), (low, down) = nodes
                ends = min(split.values()), max(split.values())
                joint.append(Joint(high, low, 1 << up, 1 << down, *ends))
    if not extra:
        return None
    rows = np.zeros((len(extra), linear.n_out), dtype=np.int64)
    for k, (j, _) in enumerate(extra):
        rows[k, j] = 1
    new_values += [part for _, part in extra]
    # Equal edges of several neurons are the same nodes.
    once = tuple(dict.fromkeys(joint))
    return Apart(new_values, Linear(np.vstack([weights, rows]), linear.bias), once)


def _edges(
    site: Site,
    values: Sequence[Value],
    linear: Linear,
    own: NDArray[np.bool_],
    neuron: Neuron,
    j: int,
) -> list[Edge]:
    """Return the edges of a neuron: tables times a power of two that this layer alone reads."""
    found = []
    reads = Counter[int]()
    for value, row in zip(values, linear.weights, strict=True):
        reads[value.node] += int(np.count_nonzero(row))
    for i in np.flatnonzero(own & (linear.weights[:, j] != 0)).tolist():
        node = site.builder.nodes[values[i].node]
        alone = np.count_nonzero(linear.weights[i]) == 1
        if not (alone and isinstance(node, Table) and len(node.fields) == 1):
            continue
        factor, rest = divmod(int(linear.weights[i, j]) * values[i].scale, neuron.factor)
        if rest or abs(factor) & (abs(factor) - 1):
            continue
        # A table that melts into the chain of its neuron costs nothing to have again.
        shared = reads[values[i].node] > 1 and node.fields[0].width > site.family.absorbs
        sign = -1 if shared and factor < 0 else 1
        table = [sign * factor * v for v in node.values]
        least = min(table)
        step = gcd(*(v - least for v in table))
        shift = (step & -step).bit_length() - 1
        moved = tuple((v - least) >> shift for v in table)
        found.append(
            Edge(i, values[i].node, node.fields[0], moved, shift, sign * least, sign, shared)
        )
    return found


class _Sum:
    """The search for the cheapest form of the edges of one neuron."""

    def __init__(self, site: Site, matrix: Matrix, neuron: Neuron, edges: list[Edge]) -> None:
        self.site, self.edges = site, edges
        family = site.family
        # An operand's bit on a chain, about.
        self.per_bit = 1.1 / (family.max_terms - 1)
        self.ways: list[list[Split]] = []
        for edge in edges:
            bits = len(edge.values).bit_length() - 1
            ways = sorted(splits(edge.values, bits), key=self._alone)
            self.ways.append(ways[:MAX_WAYS])
        self.rest = neuron.column.copy()
        self.rest[[matrix.rows[edge.node] for edge in edges]] = 0
        self.ranges = matrix.ranges
        self.add = _asked(neuron, matrix)

    def _alone(self, split: Split) -> float:
        bits = sum(max(values).bit_length() for values, _ in split.parts())
        return split.luts(self.site.family) + self.per_bit * bits

    def best(self) -> list[Split]:
        """Return a form of each edge, constants added."""
        chosen = [ways[0] for ways in self.ways]
        cost = self._cost(chosen)
        for _ in range(ROUNDS):
            before = cost
            for k, ways in enumerate(self.ways):
                for way in ways:
                    tried = [*chosen[:k], way, *chosen[k + 1 :]]
                    own = self._cost(tried)
                    if own < cost:
                        chosen, cost = tried, own
            if cost == before:
                break
        return self._moved(chosen)

    def _parts(self, chosen: Sequence[Split]) -> list[tuple[Edge, int, int]]:
        """Return the edge, the highest value and the shift of every operand."""
        return [
            (edge, max(values), edge.shift + shift)
            for edge, split in zip(self.edges, chosen, strict=True)
            for values, shift in split.parts()
        ]

    def _cost(self, chosen: Sequence[Split]) -> float:
        """Return the LUTs of tables and chains."""
        parts = self._parts(chosen)
        ranges = [*self.ranges, *((0, top) for _, top, _ in parts)]
        scratch, inputs = self.site.scratch(ranges)
        sums = scratch.sums(inputs)
        column = np.concatenate([self.rest, np.zeros(len(parts), dtype=np.int64)])
        ops = operands_of(plain_sums(column[:, None]).outputs[0], sums, {})
        first = len(self.ranges)
        ops += [
            Operand(sums.sources[first + k], shift, edge.sign, 0)
            for k, (edge, _, shift) in enumerate(parts)
        ]
        fits = _spread(parts, self.add, range(len(parts))) is not None
        sums.total(ops, "", None if fits else self.add)
        return sums.spent + sum(split.luts(self.site.family) for split in chosen)

    def _moved(self, chosen: list[Split]) -> list[Split]:
        """Return splits with the constant that is asked for in their tables, where it fits."""
        parts = self._parts(chosen)
        found: tuple[float, list[Split]] | None = None
        for k in range(min(MAX_ORDERS, len(parts))):
            order = [*range(k, len(parts)), *range(k)]
            constants = _spread(parts, self.add, order)
            if constants is None:
                break
            left = iter(constants)
            moved = [split.moved(next(left), next(left) if split.low else 0) for split in chosen]
            luts = sum(split.luts(self.site.family) for split in moved)
            if found is None or luts < found[0]:
                found = luts, moved
        return chosen if found is None else found[1]


def _asked(neuron: Neuron, matrix: Matrix) -> int:
    """Return what a neuron's sum is to be raised by so that its levels are a clip of its bits."""
    if not neuron.thresholds:
        return 0
    shape = clip_shape(neuron.thresholds, *matrix.sums.range_of(neuron.column, 0))
    return 0 if shape is None else shape.const % ((shape.top + 1) << shape.shift)


def _spread(
    parts: Sequence[tuple[Edge, int, int]], total: int, order: Sequence[int]
) -> list[int] | None:
    """Return constants for operands of given highest values and shifts, `total` in sum.

    None where their bits do not hold that much. Operands of high units take what they can first,
    those of equal units in the given order; shared ones nothing.
    """
    constants = [0] * len(parts)
    for k in sorted(order, key=lambda k: -parts[k][2]):
        edge, top, shift = parts[k]
        room = 0 if edge.shared else (1 << top.bit_length()) - 1 - top
        constants[k] = min(room, total >> shift)
        total -= constants[k] << shift
    return None if total else constants
