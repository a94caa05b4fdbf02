"""Linear nodes as integer matrices: what a node does to unit vectors is its matrix."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from finn_builds.errors import UserError
from finn_builds.ingest.constants import plain
from finn_builds.ingest.reading import GraphNode
from finn_builds.ingest.steps import Constant, QuantisedConstant, Step
from finn_builds.ingest.symbol import common_unit, fractions
from finn_builds.ingest.wiring import TooManyError, executed, on_unit_vectors

WEIGHTED = ("MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum")
POOLS = ("AveragePool", "GlobalAveragePool", "ReduceMean")
SUMS = ("ReduceSum", "CumSum")
MATRICES = (*WEIGHTED, *POOLS, *SUMS)

MAX_WEIGHT_BITS = 16
#: Entries of a matrix that are looked at.
MAX_ENTRIES = 1 << 26


@dataclass(frozen=True, eq=False)
class Matrix:
    """``x @ (integers * scale)``, and the shape of the result."""

    integers: np.ndarray  # int64 (n, n_out)
    scale: np.ndarray  # of Fraction, (1, 1), (1, n_out) or (n, n_out)
    shape: tuple[int, ...]  # batch of 1 first


def matrix_of(node: GraphNode, shape: tuple[int, ...], opset: int) -> Matrix:
    """Return a node of `MATRICES` on data of a shape as a matrix, without its bias."""
    if node.op in WEIGHTED:
        return _weighted(node, shape, opset)
    found = _on_unit_vectors(node, shape, opset, {})
    entries = found.reshape(len(found), -1)
    out = found.shape[1:] or (1,)
    if node.op in SUMS:
        return Matrix(np.rint(entries).astype(np.int64), np.full((1, 1), Fraction(1)), out)
    # A mean: each result has one factor, 1 / count.
    counts = np.rint(1 / entries.max(axis=0)).astype(np.int64)
    integers = np.rint(entries * counts).astype(np.int64)
    scale = np.array([[Fraction(1, int(count)) for count in counts]], dtype=object)
    return Matrix(integers, scale, out)


def bias_of(node: GraphNode) -> Step | None:
    """Return what a Gemm or a Conv adds to its sums, constants as they are, or None."""
    if node.op not in ("Gemm", "Conv", "ConvTranspose") or len(node.inputs) < 3:
        return None
    if not node.inputs[2]:
        return None
    bias = np.asarray(node.constant(2), dtype=np.float64)
    if node.op == "Gemm":
        bias = bias * np.float32(node.attrs.get("beta", 1.0))
    else:
        spatial = plain(node.constants[node.inputs[1]]).ndim - 2
        bias = bias.reshape(1, -1, *(1 for _ in range(spatial)))
    if not np.isfinite(bias).all():
        raise UserError(
            f"{node} has a bias that is not finite; expected numbers: train or export the model "
            "again"
        )
    return Step("Add", node.name, (bias,))


def _weighted(node: GraphNode, shape: tuple[int, ...], opset: int) -> Matrix:
    data = node.dynamic[0]
    if node.op == "Gemm" and node.attrs.get("transA"):
        raise UserError(
            f"{node} transposes its activations (transA), which is not supported; export the layer "
            "as a plain Linear or MatMul"
        )
    name = next((x for x in node.inputs[:2] if x != data), data)
    weight = _integer_weights(node, node.constants.get(name))
    _check(node, weight)
    scale = np.broadcast_to(weight.scale, weight.integers.shape)
    exact = fractions(scale) * fractions(np.float32(node.attrs.get("alpha", 1.0)))
    flat = node.inputs[0] == data and all(d == 1 for d in shape[:-1])
    if node.op in ("MatMul", "Gemm") and flat and weight.integers.ndim == 2:
        turned = node.op == "Gemm" and node.attrs.get("transB")
        integers, exact = (x.T if turned else x for x in (weight.integers, exact))
        if len(integers) != shape[-1]:
            raise _contradiction(node, len(integers), shape[-1])
        out = (*shape[:-1], integers.shape[1])
        return Matrix(integers, _narrow(exact), out)
    # Which weight joins which input and output: the node with the weights' numbers as weights.
    shaped = weight.integers.shape
    numbers = np.arange(1, weight.integers.size + 1, dtype=np.float64).reshape(shaped)
    try:
        found = _on_unit_vectors(node, shape, opset, {name: numbers})
        counts = found
        if node.op == "Einsum":  # which may also sum weights
            counts = _on_unit_vectors(node, shape, opset, {name: np.ones(shaped)})
    except TooManyError:
        raise
    except UserError as error:
        raise UserError(
            f"{node} does not take data of shape {shape} with weights of shape "
            f"{weight.integers.shape}: the model contradicts itself, export it again"
        ) from error
    if counts is not found and counts.max(initial=0) > 1:
        raise UserError(
            f"{node} sums weights before it multiplies with them, which is not supported; write "
            "the sum as a layer of its own"
        )
    at = np.rint(found.reshape(len(found), -1)).astype(np.int64)
    used = at > 0
    integers = np.where(used, weight.integers.reshape(-1)[at - 1], 0)
    factor = exact.reshape(-1)[at - 1]
    factor[~used] = Fraction(0)
    if (scale == scale.flat[0]).all():
        factor = exact.reshape(-1)[:1].reshape(1, 1)
    else:
        factor = _narrow(factor, used)
    return Matrix(integers, factor, found.shape[1:] or (1,))


def _integer_weights(node: GraphNode, weight: Constant | None) -> QuantisedConstant:
    """Return the constant of a node as integers: an incidence matrix, too, needs no quantizer."""
    if isinstance(weight, QuantisedConstant):
        return weight
    if weight is not None and weight.size and np.isfinite(weight).all():
        values, at = np.unique(np.asarray(weight, dtype=np.float64), return_inverse=True)
        exact = [Fraction(float(v)) for v in values]
        unit = common_unit(exact)
        integers = [int(v / unit) for v in exact]
        bits = max(max(-v - 1, v) for v in integers).bit_length() + 1
        if bits <= MAX_WEIGHT_BITS:
            found = np.array(integers, dtype=np.int64)[at].reshape(weight.shape)
            return QuantisedConstant(found, np.asarray(unit, dtype=np.float32), bits)
    raise UserError(
        f"{node} has float weights; supported are weights after a Quant or BipolarQuant of 1 "
        f"to {MAX_WEIGHT_BITS} bits, and constants that are such integers times one number: train "
        "the layer quantised"
    )


def _contradiction(node: GraphNode, expected: int, found: int) -> UserError:
    return UserError(
        f"{node} has weights for {expected} inputs; its input has {found}: the model contradicts "
        "itself, export it again"
    )


def _check(node: GraphNode, weight: QuantisedConstant) -> None:
    if not weight.integers.size:
        raise UserError(f"{node} has no weights at all; expected some: export the model again")
    low, high = int(weight.integers.min()), int(weight.integers.max())
    # A declared width counts where the numbers need it; a zero point may add a bit to them.
    needed = max(-low - 1, high).bit_length() + 1
    if needed > MAX_WEIGHT_BITS + (weight.bits <= MAX_WEIGHT_BITS):
        raise UserError(
            f"{node} has {weight.bits}-bit weights, from {low} to {high}; supported are 1 to "
            f"{MAX_WEIGHT_BITS} bits: train it with narrower weights"
        )
    if not (np.isfinite(weight.scale) & (weight.scale > 0)).all():
        raise UserError(
            f"{node} has a weight scale that is not a positive number; expected one above 0: train "
            "or export the model again"
        )


def _narrow(scale: np.ndarray, used: np.ndarray | None = None) -> np.ndarray:
    """Return scales as one row where every row has the same, entries that are not used aside."""
    used = np.ones(scale.shape, dtype=bool) if used is None else used
    first = used.argmax(axis=0)
    row = scale[first, np.arange(scale.shape[1])]
    row = np.array([v if v else Fraction(1) for v in row], dtype=object)
    same = ((scale == row) | ~used).all()
    if not same:
        return scale
    return row[None, :1] if all(v == row[0] for v in row) else row[None, :]


def _on_unit_vectors(
    node: GraphNode, shape: tuple[int, ...], opset: int, constants: dict[str, np.ndarray]
) -> np.ndarray:
    """Return the node's results for unit vectors, (n, ...)."""
    given: list[np.ndarray | None] = []
    for position, name in enumerate(node.inputs):
        if name == node.dynamic[0] or not name or (position == 2 and node.op in WEIGHTED):
            given.append(None)
        else:
            given.append(constants.get(name, node.value(name)))
    proto = node.proto
    if node.op in WEIGHTED and len(node.inputs) > 2:
        proto = type(proto)()
        proto.CopyFrom(node.proto)
        del proto.input[2:]
        given = given[:2]
    if "alpha" in node.attrs or "beta" in node.attrs:
        plain_proto = type(proto)()
        plain_proto.CopyFrom(proto)
        kept = [a for a in proto.attribute if a.name not in ("alpha", "beta")]
        del plain_proto.attribute[:]
        plain_proto.attribute.extend(kept)
        proto = plain_proto
    at = node.inputs.index(node.dynamic[0])

    def run(x: np.ndarray) -> np.ndarray:
        return executed(proto, [*given[:at], x, *given[at + 1 :]], opset)[0]

    return on_unit_vectors(run, shape, MAX_ENTRIES, str(node))
