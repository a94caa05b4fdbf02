"""The nodes of a tidied model that depend on its inputs, in order, with their constants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto
from qonnx.core.modelwrapper import ModelWrapper

from finn_builds.errors import UserError
from finn_builds.ingest.constants import all_constants, plain
from finn_builds.ingest.steps import Constant, Step, annotation, metadata, node_attrs

#: Element types of an input that are integers already, and what QONNX calls them.
_INTEGER_TYPES = {
    TensorProto.INT8: "INT8",
    TensorProto.UINT8: "UINT8",
    TensorProto.INT16: "INT16",
    TensorProto.UINT16: "UINT16",
    TensorProto.BOOL: "UINT1",
}
#: Those that are numbers to quantise: more of them than hardware takes.
_WIDE_TYPES = (TensorProto.FLOAT, TensorProto.INT32, TensorProto.UINT32, TensorProto.INT64)
#: Nodes that broadcast their data and constants against each other.
_BROADCASTING = ("Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "PRelu", "Where", "Equal")
_COMPARING = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")


@dataclass(frozen=True, eq=False)
class GraphNode:
    """A node, its inputs by name."""

    proto: NodeProto
    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dynamic: tuple[str, ...]  # inputs that depend on the model's inputs, in order
    constants: Mapping[str, Constant]
    attrs: Mapping[str, Any]

    def __str__(self) -> str:
        return f"node '{self.name}' ({self.op})"

    def constant(self, position: int) -> np.ndarray:
        """Return the value of a constant input; UserError if it is absent or not constant."""
        if position >= len(self.inputs) or self.inputs[position] not in self.constants:
            raise UserError(
                f"{self} has an input {position} that is not a constant; expected a fixed value: "
                "export the model with it fixed"
            )
        return plain(self.constants[self.inputs[position]])

    def value(self, name: str) -> np.ndarray:
        """Return the value of a constant by its name."""
        return self.constant(self.inputs.index(name))

    def as_step(self, data: str) -> Step:
        """Return an elementwise node as a step on one of its inputs, constants as they are."""
        position = self.inputs.index(data)
        others = [x for i, x in enumerate(self.inputs) if i != position]
        constants = tuple(plain(self.constants[x]) if x else None for x in others)
        return Step(self.op, self.name, constants, self.attrs, position)

    def broadcast(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the result for data of a shape."""
        if self.op not in (*_BROADCASTING, *_COMPARING):
            return shape
        others = [plain(self.constants[x]).shape for x in self.inputs if x in self.constants]
        try:
            return np.broadcast_shapes(shape, *others)
        except ValueError:
            return shape  # the step says what does not fit


@dataclass(frozen=True)
class ModelInput:
    """An input of the model that some node reads."""

    name: str
    shape: tuple[int, ...]  # batch of 1 first
    datatype: str | None  # QONNX name, where the model says that it is integers


@dataclass(frozen=True, eq=False)
class Graph:
    """What a walk through a model needs."""

    inputs: tuple[ModelInput, ...]
    outputs: tuple[str, ...]
    nodes: tuple[GraphNode, ...]
    constants: Mapping[str, Constant]
    opset: int
    metadata: Mapping[str, str]
    readers: Mapping[str, int]  # nodes and outputs that read a tensor

    @property
    def used(self) -> set[str]:
        """Tensors that something reads."""
        return set(self.readers)


def read(model: ModelWrapper) -> Graph:
    """Return the graph of a tidied model; UserError for inputs of other types."""
    constants = all_constants(model)
    inputs = [value for value in model.graph.input if value.name not in constants]
    nodes = []
    known = {value.name for value in inputs}
    for proto in dynamic_nodes(model, known):
        names = tuple(proto.input)
        dynamic = tuple(x for x in names if x in known)
        known |= set(proto.output)
        unknown = [x for x in names if x and x not in known and x not in constants]
        if unknown:
            raise UserError(
                f"node '{proto.name}' ({proto.op_type}) takes '{unknown[0]}', a constant that is "
                "changed after its quantizer; supported there are moving its elements and a mask "
                "of zeros and ones: quantise after any other change"
            )
        nodes.append(
            GraphNode(
                proto,
                proto.op_type,
                proto.name,
                names,
                tuple(proto.output),
                dynamic,
                constants,
                node_attrs(proto),
            )
        )
    outputs = tuple(value.name for value in model.graph.output)
    readers = Counter(x for node in nodes for x in node.dynamic)
    readers.update(outputs)
    return Graph(
        tuple(ModelInput(value.name, _shape(value), _datatype(model, value)) for value in inputs),
        outputs,
        tuple(nodes),
        constants,
        model.get_opset_imports()[""],
        metadata(model),
        readers,
    )


def dynamic_nodes(model: ModelWrapper, inputs: set[str]) -> list[NodeProto]:
    """Return the nodes whose values depend on the inputs' values and lead to an output, in order.

    A Shape node depends on the shape alone, so it ends the dependency.
    """
    needed = {o.name for o in model.graph.output}
    live = []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            live.append(node)
    reached = set(inputs)
    result = []
    for node in reversed(live):
        if node.op_type != "Shape" and reached & set(node.input):
            reached |= set(node.output)
            result.append(node)
    return result


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)


def _datatype(model: ModelWrapper, value: Any) -> str | None:
    declared = annotation(model, value.name)
    element = value.type.tensor_type.elem_type
    if declared or element in _WIDE_TYPES:
        return declared
    if element in _INTEGER_TYPES:
        return _INTEGER_TYPES[element]
    raise UserError(
        f"input '{value.name}' has element type {TensorProto.DataType.Name(element)}; supported "
        "are FLOAT, BOOL, and integers of 8 to 64 bits: export the model with float32 inputs"
    )
