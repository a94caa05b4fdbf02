"""The graph: named vectors of integers, and the operations between them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, assert_never

import numpy as np

from finn_builds.network.layers import Layer, layers_of
from finn_builds.network.ops import (
    Affine,
    ArgMax,
    IntArray,
    Linear,
    Lookup,
    Max,
    Operation,
    Product,
    Requantise,
    Thresholds,
    frozen,
    full_box,
)
from finn_builds.network.rules import check
from finn_builds.network.types import datatype_for, signed_datatype_for, step_of

FORMAT = 3


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
    origin: str = ""  # what of the user's model it was made for, in words


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
        last = self.nodes[-1]
        alone = self.outputs == (last.output.name,)
        return last.op if alone and isinstance(last.op, ArgMax) else None

    def values(self, inputs: Mapping[str, IntArray]) -> dict[str, IntArray]:
        """Return every tensor for a batch, int64 (frames, n), by name."""
        found = {name: np.asarray(x).astype(np.int64) for name, x in inputs.items()}
        for node in self.nodes:
            parts = [found[name] for name in node.inputs]
            x = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
            found[node.output.name] = node.op.execute(x)
        return found

    def split(self, x: IntArray) -> dict[str, IntArray]:
        """Return the inputs by name, for inputs side by side, (frames, n_in)."""
        sizes = [tensor.size for tensor in self.inputs]
        if np.shape(x)[1:] != (sum(sizes),):
            raise ValueError(f"expected frames of {sum(sizes)} integers, found {np.shape(x)}")
        parts = np.split(np.asarray(x), np.cumsum(sizes)[:-1], axis=1)
        return {tensor.name: part for tensor, part in zip(self.inputs, parts, strict=True)}

    def execute(self, x: IntArray) -> IntArray:
        """Return the outputs side by side, for inputs side by side, (frames, n_in).

        Raises ValueError for values that the inputs' types can't hold.
        """
        if (kind := np.asarray(x).dtype).kind not in "iubf":
            raise ValueError(f"expected frames of integers, found {kind}")
        inputs = self.split(x)
        for tensor in self.inputs:
            held = inputs[tensor.name]
            right = (held >= tensor.low) & (held <= tensor.high)  # false for NaN
            step = step_of(tensor.datatype)
            if step > 1 or held.dtype.kind == "f":
                right &= np.where(right, held - tensor.low, 0) % step == 0
            wrong = ~right
            if wrong.any():
                frame, place = (int(i) for i in np.argwhere(wrong)[0])
                raise ValueError(
                    f"input {tensor.name}: frame {frame} holds {held[frame, place]} in place "
                    f"{place}; expected {tensor.datatype} from {tensor.low[place]} to "
                    f"{tensor.high[place]}"
                )
        found = self.values(inputs)
        return np.concatenate([found[name] for name in self.outputs], axis=1)

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers in their order; an `ArgMax` at the end is not one (see `Layer`)."""
        return layers_of(self)

    def part(self, layers: Sequence[Layer]) -> IntegerNetwork:
        """Return neighbouring layers as a network of their own, without an `ArgMax`."""
        nodes = tuple(node for layer in layers for node in layer.nodes)
        outputs = tuple(tensor.name for tensor in layers[-1].outputs)
        return IntegerNetwork(layers[0].inputs, nodes, outputs)

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
            nodes.append(
                {
                    "op": text,
                    "inputs": list(node.inputs),
                    "output": tensor(node.output),
                    "origin": node.origin,
                }
            )
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
            op = _from_plain(item["op"], arrays)
            nodes.append(Node(op, tuple(item["inputs"]), output, item["origin"]))
        inputs = tuple(tensor(item) for item in header["inputs"])
        return cls(inputs, tuple(nodes), tuple(header["outputs"]))


def tensor_of(op: Operation, name: str, parts: Sequence[Tensor]) -> Tensor:
    """Return what an operation gives for tensors side by side, with its exact range.

    Accumulators are of the smallest signed type for all values of their inputs' types; codes are of
    the smallest type for all levels, BIPOLAR where these are -1 and 1.
    """
    low, high = op.range(
        np.concatenate([part.low for part in parts]), np.concatenate([part.high for part in parts])
    )
    match op:
        case Linear():
            boxes = [full_box(part.datatype, part.size) for part in parts]
            lows, highs = op.range(*(np.concatenate(ends) for ends in zip(*boxes, strict=True)))
            datatype = signed_datatype_for(int(lows.min()), int(highs.max()))
        case Requantise():
            levels = op.levels
            bipolar = op.step == 2 and levels == (-1, 1)
            datatype = "BIPOLAR" if bipolar else datatype_for(*levels)
        case Lookup() | Product() | Max():
            datatype = datatype_for(int(low.min()), int(high.max()))
        case ArgMax():
            datatype = datatype_for(0, int(high.max()))
        case _:
            assert_never(op)
    return Tensor(name, datatype, frozen(low), frozen(high))


def chain(source: Tensor, ops: Iterable[tuple[str, Operation]]) -> IntegerNetwork:
    """Return operations, each with the name of its output, one after another as a network."""
    nodes: list[Node] = []
    current = source
    for name, op in ops:
        output = tensor_of(op, name, [current])
        nodes.append(Node(op, (current.name,), output))
        current = output
    return IntegerNetwork((source,), tuple(nodes), (current.name,))


#: The classes of a network's operations, by the names that files have for them.
_CLASSES = {
    cls.__name__: cls
    for cls in (Linear, Requantise, Lookup, Product, Max, ArgMax, Thresholds, Affine)
}


def _as_plain(op: Operation | Thresholds | Affine) -> tuple[dict[str, Any], dict[str, IntArray]]:
    """Return an operation as JSON types, and its arrays by name."""
    plain: dict[str, Any] = {"op": type(op).__name__}
    held: dict[str, IntArray] = {}
    for name, value in vars(op).items():
        if isinstance(value, np.ndarray):
            held[name] = value
        elif isinstance(value, Thresholds | Affine):
            plain[name], inner = _as_plain(value)
            held |= inner
        else:
            plain[name] = value
    return plain, held


def _from_plain(item: Mapping[str, Any], held: Mapping[str, IntArray]) -> Any:
    """Undo `_as_plain`."""
    cls = _CLASSES.get(item["op"])
    if cls is None:
        raise ValueError(f"unknown operation {item['op']!r}")
    values: dict[str, Any] = {}
    for field_ in fields(cls):
        value = item.get(field_.name, held.get(field_.name))
        values[field_.name] = _from_plain(value, held) if isinstance(value, dict) else value
    return cls(**values)
