"""Nodes that move elements and change none, executed on arrays of anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
    "Resize",
)


class TooManyError(UserError):
    """A node of more numbers than fit an FPGA by far."""


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


#: Where a place of the result lies in its source, by how Resize transforms coordinates: place,
#: number of places, size of the source, places of the result for one of the source.
_COORDINATES: dict[str, Callable[[np.ndarray, int, int, float], np.ndarray]] = {
    "half_pixel": lambda at, n, size, scale: (at + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda at, n, size, scale: (at + 0.5) / scale - 0.5 if n > 1 else 0 * at,
    "asymmetric": lambda at, n, size, scale: at / scale,
    "tf_half_pixel_for_nn": lambda at, n, size, scale: (at + 0.5) / scale,
    "align_corners": lambda at, n, size, scale: at * (size - 1) / max(n - 1, 1),
}
_NEAREST: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def enlarged(
    x: np.ndarray, node: NodeProto, scales: np.ndarray | None, sizes: np.ndarray | None
) -> np.ndarray:
    """Return what a Resize to the nearest element makes of a tensor; other modes mix elements.

    onnx's own does it element by element, which takes seconds for images.
    """
    attrs = {a.name: get_attribute_value(a) for a in node.attribute}
    mode = attrs.get("mode", b"nearest").decode()
    way = attrs.get("coordinate_transformation_mode", b"half_pixel").decode()
    rounding = attrs.get("nearest_mode", b"round_prefer_floor").decode()
    more = {"axes", "keep_aspect_ratio_policy", "antialias"} & set(attrs)
    if mode != "nearest" or way not in _COORDINATES or rounding not in _NEAREST or more:
        raise UserError(
            f"node '{node.name}' (Resize) has mode {mode}, coordinates {way}, {rounding} "
            f"{' '.join(sorted(more))}; supported is mode nearest with one factor for each axis: "
            "enlarge with that, or with a transposed convolution"
        )
    given = sizes if sizes is not None and sizes.size else scales
    if given is None or given.size != x.ndim:
        raise UserError(
            f"node '{node.name}' (Resize) has {0 if given is None else given.size} factors or "
            f"sizes for {x.ndim} axes; expected one for each: export the model again"
        )
    for axis, (value, size) in enumerate(zip(given.tolist(), x.shape, strict=True)):
        of_size = given is sizes
        n = int(value) if of_size else int(np.floor(size * value))
        if axis == 0 and (of_size or value == 1):  # frames stay apart, whatever their number
            continue
        at = _COORDINATES[way](np.arange(n), n, size, n / size if of_size else value)
        places = np.clip(_NEAREST[rounding](at), 0, size - 1).astype(np.int64)
        x = np.take(x, places, axis=axis)
    return x


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
    if node.op_type == "Resize":
        data, _, scales, sizes = [*inputs, None, None, None][:4]
        assert data is not None
        return [enlarged(data, node, scales, sizes)]
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


def on_unit_vectors(
    run: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], most: int, where: str
) -> np.ndarray:
    """Return what a function of a tensor gives for unit vectors of its elements.

    That is (n, ...), the shape of one result after the n vectors. They go through it side by side
    along the first axis, and one by one where that gives something else. Raises TooManyError,
    naming `where`, for more than `most` numbers.
    """
    n = int(np.prod(shape))
    first, last = np.zeros((2, *shape))
    first.flat[0] = last.flat[-1] = 1
    ends = run(first), run(last)
    if n * max(n, ends[0].size) > most:
        raise TooManyError(
            f"{where} has {n:,} inputs and {ends[0].size:,} outputs, too many for hardware that "
            f"has them all at once; supported are {most:,} pairs of them: make the layer smaller"
        )
    unit = np.eye(n).reshape(n, *shape)
    try:
        found = run(unit.reshape(-1, *shape[1:]))
    except UserError:  # rows of a first axis that mean something
        found = np.zeros(0)
    if found.shape[1:] == ends[0].shape[1:] and found.size == n * ends[0].size:
        found = found.reshape(n, *ends[0].shape)
        if np.array_equal(found[0], ends[0]) and np.array_equal(found[-1], ends[1]):
            return found
    return np.stack([run(one) for one in unit])
