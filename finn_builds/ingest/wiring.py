"""Nodes that move elements and change none, executed on arrays of anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import GraphProto, NodeProto, ValueInfoProto
from onnx.reference import ReferenceEvaluator

from finn_builds.errors import UserError

#: Nodes whose outputs are elements of their inputs (or of a constant fill).
WIRING = (
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Slice",
    "Split",
    "Gather",
    "GatherElements",
    "GatherND",
    "Concat",
    "Pad",
    "Expand",
    "Tile",
    "DepthToSpace",
    "SpaceToDepth",
)


def executed(node: NodeProto, inputs: Sequence[np.ndarray | None], opset: int) -> list[np.ndarray]:
    """Return the outputs of a standard node by onnx's reference implementation.

    It computes in the types of its inputs, double stays double, as the given version of the
    operators has it. UserError, naming the node, if its data do not fit.
    """
    if node.op_type == "GlobalMaxPool":  # that of onnx is for images alone
        (x,) = (x for x in inputs if x is not None)
        return [x.max(axis=tuple(range(2, x.ndim)), keepdims=True)]
    if node.op_type == "OneHot" and inputs[1] is not None:  # a vector of one number is allowed
        inputs = [inputs[0], inputs[1].reshape(()), *inputs[2:]]
    names = [name for name in node.input if name]
    given = dict(zip(names, (x for x in inputs if x is not None), strict=True))
    ends = [[ValueInfoProto(name=name) for name in side] for side in (given, node.output)]
    graph = GraphProto(name="one", node=[node], input=ends[0], output=ends[1])
    try:
        return [np.asarray(y) for y in ReferenceEvaluator(graph, {"": opset}).run(None, given)]
    except Exception as error:  # whatever numpy makes of shapes that do not fit
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"node '{node.name}' ({node.op_type}) can't be computed: {first}; the model "
            "contradicts itself: export it again"
        ) from error
