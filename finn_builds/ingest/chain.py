"""A graph without branches as a list of steps, read from and written to a qonnx model.

Everything in this package works on such lists: an MLP is a chain, and a list of frozen records is
easier to rewrite than a protobuf. The state between two stages is the model alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import qonnx_make_model

QONNX_DOMAIN = "qonnx.custom_op.general"
QONNX_OPS = ("Quant", "BipolarQuant", "MultiThreshold")

# Where exporters have put the quantizers over the years.
OLD_DOMAINS = ("", "onnx.brevitas", "finn", "finn.custom_op.general")

# Double precision Clip came with opset 12; Softmax is per axis from 13 on.
OPSET = 13


@dataclass(frozen=True, eq=False)
class QuantisedConstant:
    """A constant behind a Quant or BipolarQuant: ``value = integers * scale``."""

    integers: np.ndarray  # int64, the zero point already taken off
    scale: np.ndarray  # float32, broadcasts to the shape of `integers`
    bits: int  # as declared

    def value(self) -> np.ndarray:
        """Return the constant as the model's float32 arithmetic gives it."""
        return (self.integers * self.scale.astype(np.float64)).astype(np.float32)

    def transposed(self, perm: Sequence[int] | None = None) -> "QuantisedConstant":
        """Return the constant with its axes permuted (reversed by default)."""
        scale = np.broadcast_to(self.scale, self.integers.shape)
        return QuantisedConstant(self.integers.transpose(perm), scale.transpose(perm), self.bits)


Constant = np.ndarray | QuantisedConstant


@dataclass(frozen=True, eq=False)
class Step:
    """One node of a chain."""

    op: str
    name: str  # that of the node, which messages use
    constants: tuple[Any, ...] = ()  # the other inputs in order, None where left out
    attrs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))  # strings as str
    position: int = 0  # which input the chain comes in by
    datatype: str | None = None  # annotated on the output
    weight_datatype: str | None = None  # annotated on the first constant

    def __str__(self) -> str:
        return f"node '{self.name}' ({self.op})"


@dataclass(frozen=True, eq=False)
class Chain:
    """A whole model as a chain; datatypes are QONNX names."""

    input_name: str
    input_shape: tuple[int, ...]  # with its batch of 1
    input_datatype: str | None
    output_name: str
    steps: tuple[Step, ...]
    metadata: Mapping[str, str]  # the model's metadata props


def describe(node: NodeProto) -> str:
    """Return a node's name and operator, for messages; a `Step` says the same of itself."""
    return f"node '{node.name}' ({node.op_type})"


def fix_domains(graph: GraphProto) -> None:
    """Give the quantizers of a graph, in place, the name and domain qonnx knows them by."""
    for node in graph.node:
        if node.op_type in ("IntQuant", *QONNX_OPS) and node.domain in OLD_DOMAINS:
            node.domain = QONNX_DOMAIN
        if node.op_type == "IntQuant":
            node.op_type = "Quant"


def node_attrs(node: NodeProto) -> dict[str, Any]:
    """Return the attributes of an ONNX node as a dict, byte strings decoded."""
    attrs = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {k: v.decode(errors="replace") if isinstance(v, bytes) else v for k, v in attrs.items()}


def _integer_name(name: str) -> str | None:
    """Return QONNX's name of an integer datatype, None for any other; BINARY is called UINT1."""
    try:
        datatype = DataType[name]
    except (KeyError, ValueError, AssertionError):
        return None
    if not datatype.is_integer():
        return None
    return "UINT1" if datatype.name == "BINARY" else datatype.name


def annotation(model: ModelWrapper, tensor: str) -> str | None:
    """Return the integer datatype annotated on a tensor, or ``None``."""
    for a in model.graph.quantization_annotation:
        if a.tensor_name == tensor:
            for entry in a.quant_parameter_tensor_names:
                if entry.key == "finn_datatype":
                    return _integer_name(entry.value)
    return None


def metadata(model: ModelWrapper) -> dict[str, str]:
    """Return the metadata props of a model: those of the file and those qonnx keeps."""
    props = (*model.model.metadata_props, *model.graph.metadata_props)
    return {p.key: p.value for p in props}


def read_plain(model: ModelWrapper) -> Chain:
    """Read a model that :func:`write_chain` wrote: known to be a chain, no checks needed."""
    graph = model.graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    (into,) = graph.input
    (out,) = graph.output
    steps = []
    current = into.name
    for node in graph.node:
        position = list(node.input).index(current)
        others = [x for i, x in enumerate(node.input) if i != position]
        steps.append(
            Step(
                op=node.op_type,
                name=node.name,
                constants=tuple(constants[x] if x else None for x in others),
                attrs=node_attrs(node),
                position=position,
                datatype=annotation(model, node.output[0]),
                weight_datatype=annotation(model, others[0]) if others else None,
            )
        )
        current = node.output[0]
    return Chain(
        into.name,
        tuple(d.dim_value for d in into.type.tensor_type.shape.dim),
        annotation(model, into.name),
        out.name,
        tuple(steps),
        metadata(model),
    )


def _unique(names: Iterable[str]) -> list[str]:
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, n = name, 1
        while candidate in taken:
            candidate, n = f"{name}_{n}", n + 1
        taken.add(candidate)
        result.append(candidate)
    return result


def output_shape(step: Step, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape a step of a written chain gives for an input shape."""
    if step.op == "MatMul":
        return (*shape[:-1], step.constants[0].shape[1])
    if step.op == "Flatten":
        return (shape[0], int(np.prod(shape[1:])))
    if step.op == "ArgMax":
        return (*shape[:-1], 1)
    return shape


def write_chain(
    chain: Chain, *, dtype: type = np.float32, batch: str | None = None
) -> ModelWrapper:
    """Return a chain as a qonnx model, floating point in `dtype` (float32 or float64).

    `batch` names a symbolic batch dimension; without one the batch is the input shape's own.
    """
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes, initializers, infos, annotations = [], [], [], []
    shape = chain.input_shape
    current = chain.input_name
    if chain.input_datatype:
        annotations.append((current, chain.input_datatype))

    def info(name: str, dims: tuple[int, ...], kind: int = element) -> Any:
        return helper.make_tensor_value_info(name, kind, [batch or dims[0], *dims[1:]])

    graph_input = info(current, shape)
    for step, name in zip(chain.steps, _unique(s.name for s in chain.steps), strict=True):
        inputs = []
        for i, constant in enumerate(step.constants):
            if constant is None:
                inputs.append("")
                continue
            array = np.asarray(constant)
            kind = np.dtype(dtype) if array.dtype.kind == "f" else array.dtype
            inputs.append(f"{name}_param{i}")
            initializers.append(numpy_helper.from_array(array.astype(kind), inputs[-1]))
            if i == 0 and step.weight_datatype:
                annotations.append((inputs[-1], step.weight_datatype))
        inputs.insert(step.position, current)
        shape = output_shape(step, shape)
        current = chain.output_name if step is chain.steps[-1] else f"{name}_out0"
        if step.datatype:
            annotations.append((current, step.datatype))
        domain = QONNX_DOMAIN if step.op in QONNX_OPS else ""
        nodes.append(
            helper.make_node(step.op, inputs, [current], name=name, domain=domain, **step.attrs)
        )
        infos.append(info(current, shape, TensorProto.INT64 if step.op == "ArgMax" else element))
    graph = helper.make_graph(nodes, "mlp", [graph_input], [infos.pop()], initializers)
    graph.value_info.extend(infos)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(QONNX_DOMAIN, 1)]
    model = ModelWrapper(qonnx_make_model(graph, opset_imports=opsets, ir_version=8))
    for tensor, datatype in annotations:
        model.set_tensor_datatype(tensor, DataType[datatype])
    for key, value in chain.metadata.items():
        model.set_metadata_prop(key, value)
    return model
