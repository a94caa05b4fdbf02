"""From any ONNX graph to a chain of its own nodes, with every structural check."""

from collections import defaultdict
from typing import Any

from onnx import NodeProto, TensorProto
from qonnx.core.modelwrapper import ModelWrapper

from finn_builds.errors import UserError
from finn_builds.ingest.chain import (
    Chain,
    Constant,
    Step,
    annotation,
    describe,
    metadata,
    node_attrs,
)
from finn_builds.ingest.constants import all_constants
from finn_builds.ingest.elementwise import ELEMENTWISE, FINAL

RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
PASSED = ("Identity", "Dropout", "Cast")
LAYERS = ("MatMul", "Gemm")
SUPPORTED = (*LAYERS, *ELEMENTWISE, "Neg", "HardSigmoid", *RESHAPES, *PASSED, *FINAL, "ArgMax")

_MLP = (
    "supported is a chain of MatMul or Gemm layers with quantised weights, BatchNormalization, "
    "activation functions and quantizers"
)


def dynamic_nodes(model: ModelWrapper, start: str) -> list[NodeProto]:
    """Return the nodes whose values depend on the input's values, in order, up to the output.

    A Shape node depends on the shape alone, so it ends the dependency.
    """
    needed = {o.name for o in model.graph.output}
    live = []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            live.append(node)
    reached = {start}
    result = []
    for node in reversed(live):
        if node.op_type != "Shape" and reached & set(node.input):
            reached |= set(node.output)
            result.append(node)
    return result


def check_operators(nodes: list[NodeProto]) -> None:
    """Raise UserError for the first node whose operator an MLP does not have."""
    for node in nodes:
        if node.op_type not in SUPPORTED:
            raise UserError(
                f"{describe(node)} is not supported: {_MLP}. Train and export the network without "
                "it"
            )


def _input_datatype(model: ModelWrapper, into: Any) -> str | None:
    declared = annotation(model, into.name)
    element = into.type.tensor_type.elem_type
    if declared or element == TensorProto.FLOAT:
        return declared
    if element in (TensorProto.INT8, TensorProto.UINT8):
        return TensorProto.DataType.Name(element)
    raise UserError(
        f"input '{into.name}' has element type {TensorProto.DataType.Name(element)}; supported "
        "are FLOAT, INT8 and UINT8: export the model with float32 inputs"
    )


def read_checked(model: ModelWrapper, batch_first: tuple[int, ...]) -> Chain:
    """Return a model as a chain of its nodes; where the graph is none, the error names the node.

    Its constants are folded but for those behind quantizers, its nodes named and in topological
    order, its input of shape `batch_first`.
    """
    constants = all_constants(model)
    into = next(i for i in model.graph.input if i.name not in constants)
    out = model.graph.output[0]
    nodes = dynamic_nodes(model, into.name)
    consumers: dict[str, list[NodeProto]] = defaultdict(list)
    for node in nodes:
        for x in node.input:
            consumers[x].append(node)
    dynamic = {into.name, *(x for n in nodes for x in n.output)}
    steps = []
    current, producer = into.name, "the input"
    while current != out.name or consumers[current]:
        users = consumers[current]
        if not users:
            raise UserError(
                f"output '{out.name}' does not depend on input '{into.name}'; expected a chain "
                "from one to the other: export the model again"
            )
        if len(users) > 1 or current == out.name:
            names = ", ".join(f"'{n.name}' ({n.op_type})" for n in users)
            also = " and by the model's output" if current == out.name else ""
            raise UserError(
                f"the graph branches: the result of {producer} is used by {names}{also}; {_MLP}. "
                "Train a network without branches"
            )
        node = users[0]
        steps.append(_step(node, current, constants, dynamic))
        current, producer = node.output[0], describe(node)
    return Chain(
        into.name,
        batch_first,
        _input_datatype(model, into),
        out.name,
        tuple(steps),
        metadata(model),
    )


def _step(node: NodeProto, current: str, constants: dict[str, Constant], dynamic: set[str]) -> Step:
    position = list(node.input).index(current)
    others = [x for i, x in enumerate(node.input) if i != position]
    unknown = [x for x in others if x and x not in constants]
    if unknown and unknown[0] not in dynamic:
        raise UserError(
            f"{describe(node)} takes '{unknown[0]}', a constant that is changed after its "
            "quantizer; supported there are Transpose and a mask of zeros and ones: quantise "
            "after any other change"
        )
    if unknown:
        raise UserError(
            f"{describe(node)} joins two results of the network ('{current}' and "
            f"'{unknown[0]}'): {_MLP}"
        )
    return Step(
        op=node.op_type,
        name=node.name,
        constants=tuple(constants[x] if x else None for x in others),
        attrs=node_attrs(node),
        position=position,
    )
