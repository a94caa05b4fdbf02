"""From an integer network to an operator graph, one operation after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from finn_builds.network import (
    ArgMax,
    IntegerNetwork,
    Linear,
    Lookup,
    Max,
    Node,
    Product,
    Requantise,
    Tensor,
)
from finn_builds.network.types import BIPOLAR, common_datatype, range_of
from finn_builds.sparse.collapse import collapsed
from finn_builds.sparse.edges import taken_apart
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Builder, Graph, compacted
from finn_builds.sparse.largest import index_of_largest, largest
from finn_builds.sparse.matrix import Matrix
from finn_builds.sparse.nodes import Field
from finn_builds.sparse.options import Options, Site
from finn_builds.sparse.product import product
from finn_builds.sparse.values import Value, addressed, constant, plain, settled, tabled, unsigned


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
    return lower_traced(network, family, options, in_datatype, out_datatype).graph


@dataclass(frozen=True)
class Lowered:
    """An operator graph, and where the network's tensors are in it."""

    graph: Graph
    # by tensor, an element each; None for one that is not in the graph: no output depends on it, or
    # a table has taken its place and that of what reads it
    values: Mapping[str, tuple[Value | None, ...]]
    # by the beginning of their labels, tensors of sums that are built with what counts them
    sums: Mapping[str, str]


def lower_traced(
    network: IntegerNetwork,
    family: Family,
    options: Options | None = None,
    in_datatype: str | None = None,
    out_datatype: str | None = None,
) -> Lowered:
    """Return the operator graph as `lower` does, and where the network's tensors are in it."""
    outputs = [network.tensor(name) for name in network.outputs]
    in_datatype = in_datatype or stream_datatype(network.inputs)
    out_datatype = out_datatype or stream_datatype(outputs)
    for tensors, datatype in ((network.inputs, in_datatype), (outputs, out_datatype)):
        for tensor in tensors:
            _check_stream(tensor, datatype)
    builder = Builder(sum(tensor.size for tensor in network.inputs))
    walk = _Walk(network, Site(builder, family, options or Options()), in_datatype)
    nodes: list[int] = []
    for tensor in outputs:
        for value in walk.known[tensor.name]:
            value = _bit(builder, value) if out_datatype == BIPOLAR else value
            nodes.append(plain(walk.site, value, 0, 1, f"y{len(nodes)}"))
    whole = builder.whole_graph(nodes)
    graph, at = compacted(whole if walk.site.options.quick else collapsed(whole, family))

    def kept(value: Value) -> Value | None:
        node = at.get(value.node)
        return None if node is None else Value(node, value.scale, value.offset)

    values = {name: tuple(map(kept, known)) for name, known in walk.known.items()}
    return Lowered(graph, values, walk.sums)


def stream_datatype(tensors: tuple[Tensor, ...] | list[Tensor]) -> str:
    """Return the type of a stream's elements on which tensors lie side by side."""
    return common_datatype([tensor.datatype for tensor in tensors])


def _check_stream(tensor: Tensor, datatype: str) -> None:
    low, high = range_of(datatype)
    least, most = tensor.bounds
    only_bipolar = datatype == BIPOLAR and tensor.datatype != BIPOLAR
    if only_bipolar or least < low or most > high:
        raise ValueError(f"expected a stream whose elements hold {tensor}, found {datatype}")


def _bit(builder: Builder, value: Value) -> Value:
    """Return a bipolar element as its bit."""
    known = value.constant(builder)
    if known is not None:
        return constant(builder, (known + 1) // 2)
    if value.scale % 2:
        raise ValueError("expected a bipolar output to be made by a Requantise of step 2")
    return Value(value.node, value.scale // 2, (value.offset + 1) // 2)


class _Walk:
    """Lowers the nodes of a network in their order; `known` are the elements of every tensor."""

    def __init__(self, network: IntegerNetwork, site: Site, in_datatype: str) -> None:
        self.network, self.site, self.builder = network, site, site.builder
        self.known: dict[str, list[Value]] = {}
        self.pending: dict[str, list[Value]] = {}
        self.sums: dict[str, str] = {}
        index = 0
        for tensor in network.inputs:
            self.known[tensor.name] = self._inputs(tensor, in_datatype, index)
            index += tensor.size
        self.makers = {node.output.name: node for node in network.nodes}
        self.readers: dict[str, list[Node]] = {}
        for node in network.nodes:
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node)
        layers = network.layers()
        places = {
            node.output.name: (k, place)
            for k, layer in enumerate(layers)
            for place, node in enumerate(layer.nodes)
        }
        for node in network.nodes:
            # A choice of the class at the end is counted with the last layer.
            k, place = places.get(node.output.name, (max(0, len(layers) - 1), len(network.nodes)))
            self.builder.layer = k
            first = place == 0 or (place == 1 and node.inputs[0] in self.pending)
            self._lower(node, f"l{k}" if first else f"l{k}_t{place}")
        self.builder.layer = max(0, len(layers) - 1)

    def _inputs(self, tensor: Tensor, datatype: str, first: int) -> list[Value]:
        """Return the elements of an input as unsigned nodes."""
        builder = self.builder
        values = []
        for k, (lo, hi) in enumerate(zip(tensor.low.tolist(), tensor.high.tolist(), strict=True)):
            i = first + k
            if lo == hi:
                values.append(constant(builder, lo))
            elif datatype == BIPOLAR:
                values.append(Value(builder.input(i, 0, 1), 2, -1))
            elif tensor.datatype == BIPOLAR:
                # Of -1 and 1 in two's complement the sign bit says it all; the node flips it.
                sign = Field(builder.input(i, lo, hi), 1, 1)
                values.append(Value(builder.concat([sign], f"x{i}_sign"), 2, -1))
            else:
                node = builder.input(i, lo, hi)
                values.append(Value(node, 1, lo - builder.ranges[node][0]))
        return values

    def _lower(self, node: Node, prefix: str) -> None:
        op, out = node.op, node.output
        match op:
            case Linear():
                values = self._read(node)
                if self._is_counted(out.name):
                    self.pending[out.name] = values  # built with what counts it
                    return
                inside = out.name in self.readers
                signed = out.name in self.network.outputs
                made = self._matrix(node, values, op, out, None, prefix).build(signed)
                if inside and signed:
                    made = [unsigned(self.builder, v, f"{prefix}_n{j}") for j, v in enumerate(made)]
            case Requantise():
                made = self._counted(node, op, prefix)
            case Lookup():
                made = self._lookup(self._read(node), op, prefix)
            case Product():
                x = self._read(node)
                made = [
                    product(self.site, x[i], x[j], int(low), int(high), f"{prefix}_n{k}")
                    for k, (i, j, low, high) in enumerate(
                        zip(op.left, op.right, out.low, out.high, strict=True)
                    )
                ]
            case Max():
                x = self._read(node)
                made = [
                    largest(self.site, [x[i] for i in group], f"{prefix}_n{k}")
                    for k, group in enumerate(op.groups.tolist())
                ]
            case ArgMax():
                keys = [
                    Value(v.node, v.scale << op.shift, (v.offset << op.shift) + int(add))
                    for v, add in zip(self._read(node), op.offsets, strict=True)
                ]
                made = [index_of_largest(self.site, keys, prefix)]
            case _:
                assert_never(op)
        ends = zip(made, out.low.tolist(), out.high.tolist(), strict=True)
        self.known[out.name] = [settled(self.builder, v, lo, hi) for v, lo, hi in ends]

    def _read(self, node: Node) -> list[Value]:
        """Return the elements of a node's inputs side by side."""
        return [value for name in node.inputs for value in self.known[name]]

    def _is_counted(self, name: str) -> bool:
        """Return whether sums are read by nothing but what counts them."""
        readers = self.readers.get(name, [])
        return (
            len(readers) == 1
            and isinstance(readers[0].op, Requantise)
            and name not in self.network.outputs
        )

    def _counted(self, node: Node, op: Requantise, prefix: str) -> list[Value]:
        """Return the codes of a node's inputs, one after another, sums built with their counts."""
        made: list[Value] = []
        for name in node.inputs:
            sums = self.network.tensor(name)
            own = op.part(len(made), len(made) + sums.size)
            part = prefix if len(node.inputs) == 1 else f"{prefix}_{len(made)}"
            self.sums[part] = name
            if name in self.pending:
                maker, values = self.makers[name], self.pending[name]
                assert isinstance(maker.op, Linear)
                matrix = self._matrix(maker, values, maker.op, sums, own, part)
            else:
                equal = Linear(np.eye(sums.size, dtype=np.int64))
                matrix = Matrix(self.site, self.known[name], equal, sums, own, part)
            made += matrix.build(signed=False)
        return made

    def _is_own_table(self, name: str) -> bool:
        """Return whether a tensor is made by tables, for one reader alone."""
        maker = self.makers.get(name)
        return (
            maker is not None
            and isinstance(maker.op, Lookup)
            and len(self.readers[name]) == 1
            and name not in self.network.outputs
        )

    def _matrix(
        self,
        node: Node,
        values: list[Value],
        op: Linear,
        sums: Tensor,
        counted: Requantise | None,
        prefix: str,
    ) -> Matrix:
        """Return the matrix of a node, its operands that are tables of its own taken apart."""
        whole = Matrix(self.site, values, op, sums, counted, prefix)
        own = [self._is_own_table(name) for name in node.inputs]
        apart = None
        if any(own) and not self.site.options.quick:
            sizes = [self.network.tensor(name).size for name in node.inputs]
            apart = taken_apart(
                self.site, whole, values, op, np.repeat(np.array(own), sizes), prefix
            )
        if apart is None:
            return whole
        return Matrix(self.site, apart.values, apart.linear, sums, counted, prefix, apart.joint)

    def _lookup(self, x: list[Value], op: Lookup, prefix: str) -> list[Value]:
        """Return tables over the codes of elements."""
        builder = self.builder
        made = []
        for j, (i, first, table) in enumerate(
            zip(op.source.tolist(), op.first.tolist(), op.tables.tolist(), strict=True)
        ):
            value = x[i]
            known = value.constant(builder)
            if known is not None:
                made.append(constant(builder, table[known - first]))
                continue
            # What the element never is does not matter: the nearest entries.
            at = [value.of(u) - first for u in addressed(builder, value.node)]
            entries = [table[min(max(a, 0), len(table) - 1)] for a in at]
            fields = [builder.whole(value.node)]
            made.append(tabled(builder, fields, entries, f"{prefix}_n{j}"))
        return made
