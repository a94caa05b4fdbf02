"""Where a frame is in a pipeline, clock by clock, and which tensor each of its nets belongs to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from finn_builds.network import IntegerNetwork
from finn_builds.network.ops import IntArray
from finn_builds.network.types import BIPOLAR
from finn_builds.sparse.compiler import CompiledNetwork
from finn_builds.sparse.emit import net_names
from finn_builds.sparse.interpret import evaluate_nodes
from finn_builds.sparse.nodes import Const, Reg, operands

#: What a net held: its bits and which of them are known; None where it is not there.
Sample = tuple[int, int]
Read = Callable[[str, int], Sample | None]


#: Values that a net must have taken to be known as an element by them.
_VALUES = 3


@dataclass(frozen=True)
class Element:
    """An element of a tensor, and the net that holds it: `scale * net + offset`."""

    tensor: str
    index: int
    scale: Fraction
    offset: Fraction

    def of(self, net: int) -> int:
        """Return the element for a value of the net, to the nearest integer."""
        return round(self.scale * net + self.offset)


@dataclass(frozen=True)
class Difference:
    """The first net of a frame that differs, with its values as plain numbers.

    `element` is the first element of a tensor that differs with it, with `integers` expected and
    found: its own, or the first one that the net leads to; None where it leads to none.
    """

    net: str
    stage: int  # registers between the input and the net
    values: tuple[int, int]
    element: Element | None
    integers: tuple[int, int] | None


class Probes:
    """The nets of a compiled network, with what frames (frames, n_in) make of them."""

    def __init__(self, compiled: CompiledNetwork, network: IntegerNetwork, x: IntArray) -> None:
        self.network = network
        graph = self.graph = compiled.pipeline.graph
        self.names = net_names(graph)
        raw = (x + 1) // 2 if compiled.in_datatype == BIPOLAR else x
        self.values = evaluate_nodes(graph, np.asarray(raw))
        self.tensors = network.values(network.split(x))
        self.order = {name: k for k, name in enumerate(self.tensors)}
        self.stages: list[int] = []
        self.bases: list[int] = []  # the node that a register delays
        for i, node in enumerate(graph.nodes):
            crossed = max((self.stages[s] for s in operands(node)), default=0)
            self.stages.append(crossed + isinstance(node, Reg))
            self.bases.append(self.bases[node.src] if isinstance(node, Reg) else i)
        self.elements: dict[int, Element] = {}
        for at, element in self._elements(compiled):
            before = self.elements.get(at)
            if before is None or self._place(element) < self._place(before):
                self.elements[at] = element

    def _place(self, element: Element) -> tuple[int, int]:
        return self.order[element.tensor], element.index

    def _elements(self, compiled: CompiledNetwork) -> Iterator[tuple[int, Element]]:
        """Yield the nodes that hold elements of tensors."""
        # Each operator is in the pipeline once, in the same order; the rest are registers.
        at = [i for i, node in enumerate(self.graph.nodes) if not isinstance(node, Reg)]
        assert len(at) == len(compiled.combinational.nodes)
        for tensor, values in compiled.lowered.values.items():
            for index, value in enumerate(values):
                if value is not None and not isinstance(self.graph.nodes[at[value.node]], Const):
                    parts = Fraction(value.scale), Fraction(value.offset)
                    yield at[value.node], Element(tensor, index, *parts)
        for prefix, tensor in compiled.lowered.sums.items():
            # A sum lies on a net of its own, or on one that several neurons share.
            pattern = re.compile(rf"{prefix}_(?:n(\d+)_(?:acc|moved|part)|shared\d+)")
            for node in at:
                match = pattern.fullmatch(self.graph.labels[node])
                if match is None:
                    continue
                every = range(self.network.tensor(tensor).size)
                for index in every if match[1] is None else [int(match[1])]:
                    line = _line(self.values[node], self.tensors[tensor][:, index])
                    if line is not None:
                        yield node, Element(tensor, index, *line)

    def first_difference(self, frame: int, read: Read) -> Difference | None:
        """Return where a frame first goes wrong; None if no net of it differs.

        `read` gives what a net held when the frame had crossed a number of registers.
        """
        graph = self.graph
        found: list[int | None] = []
        wrong: list[bool] = []  # the net differs, or if it is not known, one that it reads
        for i, node in enumerate(graph.nodes):
            sample = None if isinstance(node, Const) else read(self.names[i], self.stages[i])
            if sample is None:
                found.append(None)
                wrong.append(any(wrong[s] for s in operands(node)))
                continue
            value = self._value(i, frame, sample)
            found.append(value)
            wrong.append(value != int(self.values[i][frame]))
        roots = [
            i
            for i, node in enumerate(graph.nodes)
            if found[i] is not None and wrong[i] and not any(wrong[s] for s in operands(node))
        ]
        known = [(root, self._element(root, found, wrong)) for root in roots]
        root, shown = next(((r, e) for r, e in known if e is not None), (None, None))
        if root is None:
            if not roots:
                return None
            root = roots[0]
        held = found[root]
        assert held is not None
        values = int(self.values[root][frame]), held
        if shown is None:
            return Difference(self.names[root], self.stages[root], values, None, None)
        element, at = shown
        other = found[at]
        assert other is not None
        expected = int(self.tensors[element.tensor][frame, element.index])
        integers = expected, element.of(other)
        return Difference(self.names[root], self.stages[root], values, element, integers)

    def _element(
        self, root: int, found: list[int | None], wrong: list[bool]
    ) -> tuple[Element, int] | None:
        """Return the first element that goes wrong with a net, and the node that shows it."""
        reached = {root}
        for i in range(root + 1, len(self.graph.nodes)):
            if wrong[i] and any(s in reached for s in operands(self.graph.nodes[i])):
                reached.add(i)
        seen = [
            i for i in sorted(reached) if found[i] is not None and self.bases[i] in self.elements
        ]
        if not seen:
            return None
        # The net itself, as long as it is one; else what comes first in the network.
        if seen[0] == root:
            node = root
        else:
            node = min(seen, key=lambda i: self._place(self.elements[self.bases[i]]))
        return self.elements[self.bases[node]], node

    def _value(self, i: int, frame: int, sample: Sample) -> int:
        """Return what bits on the wires of a node say; unknown ones are taken as right."""
        width = self.graph.width(i)
        full = (1 << width) - 1
        bits, known = sample
        expected = (int(self.values[i][frame]) & full) ^ self.graph.wiring.wires[i].inverted
        plain = ((bits & known) | (expected & ~known)) & full
        plain ^= self.graph.wiring.wires[i].inverted
        negative = self.graph.ranges[i][0] < 0 and plain >> (width - 1)
        return plain - (1 << width) if negative else plain


def _line(net: IntArray, element: IntArray) -> tuple[Fraction, Fraction] | None:
    """Return scale and offset that make the element of the net, exactly and in every frame.

    None if there are none, or too few values to be sure.
    """
    low, high = int(net.argmin()), int(net.argmax())
    if len(np.unique(net)) < _VALUES:
        return None
    scale = Fraction(int(element[high] - element[low]), int(net[high] - net[low]))
    offset = int(element[low]) - scale * int(net[low])
    exact = all(scale * int(n) + offset == int(e) for n, e in zip(net, element, strict=True))
    return (scale, offset) if exact else None
