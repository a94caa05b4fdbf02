"""The graph: named vectors of integers, and the operations between them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

import numpy as np

from finn_builds.network.ops import (
    Affine,
    ArgMax,
    IntArray,
    Linear,
    Operation,
    Requantise,
    Thresholds,
    frozen,
    full_box,
)
from finn_builds.network.rules import check
from finn_builds.network.types import datatype_for, signed_datatype_for

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named vector of integers.

    The range of each element is exact over all legal inputs of the network, taken as independent.
    """

    name: str
    datatype: str  # QONNX name of a type that holds every element
    low: IntArray  # (n,)
    high: IntArray

    @classmethod
    def of_type(cls, name: str, datatype: str, size: int) -> Tensor:
        """Return a vector whose elements take every value of a type."""
        return cls(name, datatype, *full_box(datatype, size))

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.low)

    @property
    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest value of any element."""
        return int(self.low.min()), int(self.high.max())

    def __str__(self) -> str:
        low, high = self.bounds
        return f"{self.name}: {self.size} x {self.datatype} in {low}..{high}"


@dataclass(frozen=True, eq=False)
class Node:
    """One operation: the elements of its inputs side by side go in, ``output`` comes out."""

    op: Operation
    inputs: tuple[str, ...]
    output: Tensor


@dataclass(frozen=True)
class Layer:
    """A `Linear` and the `Requantise` after it, if any: what becomes one layer of hardware."""

    name: str  # that of the accumulators
    linear: Linear
    requantise: Requantise | None
    input: Tensor
    accumulators: Tensor
    output: Tensor

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return int(self.linear.weights.shape[0])

    @property
    def n_out(self) -> int:
        """Number of neurons."""
        return int(self.linear.weights.shape[1])


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """An immutable acyclic graph of exact integer operations, its rules checked when it is made."""

    inputs: tuple[Tensor, ...]
    nodes: tuple[Node, ...]  # each after the nodes whose outputs it reads
    outputs: tuple[str, ...]  # names of tensors
    _tensors: Mapping[str, Tensor] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        every = (*self.inputs, *(node.output for node in self.nodes))
        object.__setattr__(self, "_tensors", {tensor.name: tensor for tensor in every})
        check(self)

    def tensor(self, name: str) -> Tensor:
        """Return a tensor by its name."""
        return self._tensors[name]

    @property
    def input(self) -> Tensor:
        """The only input."""
        (only,) = self.inputs
        return only

    @property
    def output(self) -> Tensor:
        """The only output."""
        (only,) = self.outputs
        return self.tensor(only)

    @property
    def head(self) -> ArgMax | None:
        """The choice of the class that the network ends in, or None."""
        last = self.nodes[-1].op
        return last if isinstance(last, ArgMax) else None

    def values(self, inputs: Mapping[str, IntArray]) -> dict[str, IntArray]:
        """Return every tensor for a batch, int64 (frames, n), by name."""
        found = {name: np.asarray(x).astype(np.int64) for name, x in inputs.items()}
        for node in self.nodes:
            parts = [found[name] for name in node.inputs]
            x = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
            found[node.output.name] = node.op.execute(x)
        return found

    def execute(self, x: IntArray) -> IntArray:
        """Return the outputs side by side, for inputs side by side, (frames, n_in)."""
        sizes = [tensor.size for tensor in self.inputs]
        if np.shape(x)[1:] != (sum(sizes),):
            raise ValueError(f"expected frames of {sum(sizes)} integers, found {np.shape(x)}")
        parts = np.split(np.asarray(x), np.cumsum(sizes)[:-1], axis=1)
        named = {tensor.name: part for tensor, part in zip(self.inputs, parts, strict=True)}
        found = self.values(named)
        return np.concatenate([found[name] for name in self.outputs], axis=1)

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers of a chain in their order; an `ArgMax` at its end is no layer."""
        found: list[Layer] = []
        nodes = [node for node in self.nodes if not isinstance(node.op, ArgMax)]
        for node, after in zip(nodes, [*nodes[1:], None], strict=True):
            if not isinstance(node.op, Linear):
                continue
            (source,) = node.inputs
            counts = None if after is None or isinstance(after.op, Linear) else after
            found.append(
                Layer(
                    name=node.output.name,
                    linear=node.op,
                    requantise=None if counts is None else _requantise(counts.op),
                    input=self.tensor(source),
                    accumulators=node.output,
                    output=node.output if counts is None else counts.output,
                )
            )
        return tuple(found)

    def part(self, layers: Sequence[Layer]) -> IntegerNetwork:
        """Return neighbouring layers as a network of their own, without an `ArgMax`."""
        first, last = layers[0].input, layers[-1].output
        names = [node.output.name for node in self.nodes]
        begin = names.index(layers[0].accumulators.name)
        end = names.index(last.name) + 1
        return IntegerNetwork((first,), self.nodes[begin:end], (last.name,))

    def without_head(self) -> IntegerNetwork:
        """Return the network up to what an `ArgMax` at its end chooses from."""
        return self if self.head is None else self.part(self.layers())

    def with_head(self, head: ArgMax, name: str = "top1") -> IntegerNetwork:
        """Return the network with a choice of the class at its end; the index fills whole bytes."""
        classes = self.output.size
        bits = -(-max(1, (classes - 1).bit_length()) // 8) * 8
        output = Tensor(name, f"UINT{bits}", *head.range(self.output.low, self.output.high))
        node = Node(head, self.outputs, output)
        return IntegerNetwork(self.inputs, (*self.nodes, node), (name,))

    def __str__(self) -> str:
        lines = [f"input  {tensor}" for tensor in self.inputs]
        for node in self.nodes:
            lines.append(f"  {node.op}({', '.join(node.inputs)})\n    -> {node.output}")
        lines += [f"output {name}" for name in self.outputs]
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        """Write the network as one ``.npz``: equal networks give equal bytes."""
        arrays: dict[str, IntArray] = {}

        def tensor(item: Tensor) -> dict[str, Any]:
            arrays[f"{item.name}.low"], arrays[f"{item.name}.high"] = item.low, item.high
            return {"name": item.name, "datatype": item.datatype}

        nodes = []
        for node in self.nodes:
            text, held = _as_plain(node.op)
            arrays |= {f"{node.output.name}.{key}": array for key, array in held.items()}
            nodes.append({**text, "inputs": list(node.inputs), "output": tensor(node.output)})
        header = {
            "format": FORMAT,
            "inputs": [tensor(item) for item in self.inputs],
            "nodes": nodes,
            "outputs": list(self.outputs),
        }
        with path.open("wb") as file:
            np.savez_compressed(
                file, allow_pickle=False, header=np.array(json.dumps(header)), **arrays
            )

    @classmethod
    def load(cls, path: Path) -> IntegerNetwork:
        """Read what `save` wrote; ValueError for another format or a rule that is broken."""
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
        header = json.loads(str(held.pop("header")))
        if header["format"] != FORMAT:
            raise ValueError(f"{path}: a network of format {header['format']}, expected {FORMAT}")

        def tensor(item: Mapping[str, str]) -> Tensor:
            name = item["name"]
            low, high = frozen(held[f"{name}.low"]), frozen(held[f"{name}.high"])
            return Tensor(name, item["datatype"], low, high)

        nodes = []
        for item in header["nodes"]:
            output = tensor(item["output"])
            prefix = f"{output.name}."
            arrays = {k.removeprefix(prefix): v for k, v in held.items() if k.startswith(prefix)}
            nodes.append(Node(_from_plain(item, arrays), tuple(item["inputs"]), output))
        inputs = tuple(tensor(item) for item in header["inputs"])
        return cls(inputs, tuple(nodes), tuple(header["outputs"]))


def _requantise(op: Operation) -> Requantise:
    if not isinstance(op, Requantise):
        raise TypeError(f"expected a Requantise after a Linear, found {op}")
    return op


def chain(source: Tensor, ops: Iterable[tuple[str, Operation]]) -> IntegerNetwork:
    """Return operations, each with the name of its output, one after another as a network.

    Accumulators are of the smallest signed type for all values of their input's type; codes are of
    the smallest type for all levels, BIPOLAR where these are -1 and 1.
    """
    nodes: list[Node] = []
    current = source
    for name, op in ops:
        low, high = op.range(current.low, current.high)
        match op:
            case Linear():
                lows, highs = op.range(*full_box(current.datatype, current.size))
                datatype = signed_datatype_for(int(lows.min()), int(highs.max()))
            case Requantise():
                levels = op.levels
                bipolar = op.step == 2 and levels == (-1, 1)
                datatype = "BIPOLAR" if bipolar else datatype_for(*levels)
            case ArgMax():
                datatype = datatype_for(0, int(high.max()))
            case _:
                assert_never(op)
        output = Tensor(name, datatype, frozen(low), frozen(high))
        nodes.append(Node(op, (current.name,), output))
        current = output
    return IntegerNetwork((source,), tuple(nodes), (current.name,))


def _as_plain(op: Operation) -> tuple[dict[str, Any], dict[str, IntArray]]:
    """Return an operation as JSON types, and its arrays by name."""
    match op:
        case Linear():
            return {"op": "Linear"}, {"weights": op.weights, "bias": op.bias}
        case Requantise(form=Thresholds() as form):
            plain = {"op": "Requantise", "bias": op.bias, "step": op.step}
            return plain, {"rows": form.rows}
        case Requantise(form=Affine() as form):
            plain = {"op": "Requantise", "bias": op.bias, "step": op.step, "top": form.top}
            return plain, {"factor": form.factor, "offset": form.offset, "shift": form.shift}
        case ArgMax():
            return {"op": "ArgMax", "shift": op.shift}, {"offsets": op.offsets}
        case _:
            raise TypeError(f"no file form of {op}")


def _from_plain(item: Mapping[str, Any], held: Mapping[str, IntArray]) -> Operation:
    """Undo `_as_plain`."""
    match item["op"]:
        case "Linear":
            return Linear(held["weights"], held["bias"])
        case "Requantise":
            form: Thresholds | Affine
            if "rows" in held:
                form = Thresholds(held["rows"])
            else:
                form = Affine(held["factor"], held["offset"], held["shift"], item["top"])
            return Requantise(form, item["bias"], item["step"])
        case "ArgMax":
            return ArgMax(item["shift"], held["offsets"])
        case name:
            raise ValueError(f"unknown operation {name!r}")
