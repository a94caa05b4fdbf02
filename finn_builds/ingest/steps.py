"""Nodes of a model as small records: elementwise steps, constants, and how messages name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

QONNX_DOMAIN = "qonnx.custom_op.general"
QONNX_OPS = ("Quant", "BipolarQuant", "MultiThreshold", "Trunc")

# Where exporters have put the quantizers over the years.
OLD_DOMAINS = ("", "qonnx", "onnx.brevitas", "finn", "finn.custom_op.general")


@dataclass(frozen=True, eq=False)
class QuantisedConstant:
    """A constant behind a Quant or BipolarQuant: ``value = integers * scale``."""

    integers: np.ndarray  # int64, the zero point already taken off
    scale: np.ndarray  # float32, broadcasts to the shape of `integers`
    bits: int  # as declared

    def value(self) -> np.ndarray:
        """Return the constant as float64, exact: integers of up to 29 bits times 24 bits."""
        value: np.ndarray = self.integers * self.scale.astype(np.float64)
        return value

    def rearranged(self, how: Callable[[np.ndarray], np.ndarray]) -> QuantisedConstant:
        """Return the constant with its elements rearranged by a function of an array."""
        scale = np.broadcast_to(self.scale, self.integers.shape)
        return QuantisedConstant(how(self.integers), how(scale), self.bits)


Constant = np.ndarray | QuantisedConstant


@dataclass(frozen=True, eq=False)
class Step:
    """One elementwise operation on the elements of a tensor, as a vector.

    Constants are scalars or have one value per element, so that any selection of the elements has
    the selected constants.
    """

    op: str
    name: str  # that of the node, which messages use
    constants: tuple[Any, ...] = ()  # the other inputs in order, None where left out
    attrs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))  # strings as str
    position: int = 0  # which input the data come in by
    tensor: str = ""  # the model's tensor that this step completes; empty within a node
    places: np.ndarray | None = None  # (n,) where the elements lie in that tensor
    branches: tuple[tuple[Step, ...], ...] = ()  # of the ops Joined and Switch

    def __str__(self) -> str:
        return f"node '{self.name}' ({self.attrs.get('node_op', self.op)})"

    def selected(self, index: np.ndarray, n: int) -> Step:
        """Return the step for some of the n elements that it was for."""
        return replace(
            self,
            constants=tuple(
                c if c is None or np.ndim(c) == 0 else np.asarray(c)[index] for c in self.constants
            ),
            places=index if self.places is None else self.places[index],
            branches=tuple(
                tuple(step.selected(index, n) for step in branch) for branch in self.branches
            ),
        )


def mark(tensor: str, shape: tuple[int, ...]) -> Step:
    """Return a step that does nothing but say which of the model's tensors is reached."""
    return Step("Mark", "", attrs={"shape": shape}, tensor=tensor)


def first_mark(steps: Sequence[Step]) -> int:
    """Return the place of the first mark."""
    return next(i for i, step in enumerate(steps) if step.op == "Mark")


def last_mark(steps: Sequence[Step]) -> Step:
    """Return the last mark of some steps."""
    return next(step for step in reversed(steps) if step.op == "Mark")


def after_marks(steps: Sequence[Step], index: int) -> int:
    """Return the place of the first step from `index` on that is not a mark."""
    while index < len(steps) and steps[index].op == "Mark":
        index += 1
    return index


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
