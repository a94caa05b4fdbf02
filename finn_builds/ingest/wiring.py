"""Nodes that move elements and change none, executed on arrays of anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import GraphProto, NodeProto, ValueInfoProto
from onnx.helper import get_attribute_value
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
    "Im2Col",
)


def patches(x: np.ndarray, node: NodeProto, fill: float | None = None) -> np.ndarray:
    """Return what qonnx's Im2Col makes of frames (n, h, w, c): the pixels under its kernel.

    That is (n, rows, columns, kernel * c). `fill` takes the place of the node's own padding value.
    """
    attrs = {a.name: get_attribute_value(a) for a in node.attribute}
    above, left, below, right = attrs.get("pad_amount", (0, 0, 0, 0))
    value = attrs.get("pad_value", 0) if fill is None else fill
    padded = np.pad(x, ((0, 0), (above, below), (left, right), (0, 0)), constant_values=value)
    ways = zip(
        padded.shape[1:3],
        attrs["kernel_size"],
        attrs["stride"],
        attrs.get("dilations", (1, 1)),
        strict=True,
    )
    # Where the kernel begins, and its pixels from there on, along each side.
    down, across = (
        np.arange(0, size - apart * (k - 1), stride)[:, None] + apart * np.arange(k)
        for size, k, stride, apart in ways
    )
    found = padded[:, down[:, None, :, None], across[None, :, None, :]]
    return found.reshape(len(x), len(down), len(across), -1)


def executed(node: NodeProto, inputs: Sequence[np.ndarray | None], opset: int) -> list[np.ndarray]:
    """Return the outputs of a standard node by onnx's reference implementation.

    It computes in the types of its inputs, double stays double, as the given version of the
    operators has it. UserError, naming the node, if its data do not fit.
    """
    if node.op_type == "GlobalMaxPool":  # that of onnx is for images alone
        (x,) = (x for x in inputs if x is not None)
        return [x.max(axis=tuple(range(2, x.ndim)), keepdims=True)]
    if node.op_type == "Im2Col":  # of qonnx
        (x,) = (x for x in inputs if x is not None)
        return [patches(x, node)]
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
