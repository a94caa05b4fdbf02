"""What FINN's units take: which layers of a network can be folded, and why others can't."""

from __future__ import annotations

from finn_builds.network import Layer, Tensor
from finn_builds.network.types import bits_of, weight_datatype

#: Bits of weights and activations that a folded layer takes.
MAX_BITS = 8
#: FINN holds weights and thresholds as float32, which has every integer up to here.
MAX_SUM = 1 << 24


def why_not_folded(layer: Layer) -> str | None:
    """Return what keeps a layer from being folded, in words; None if nothing does."""
    if len(layer.inputs) > 1 or len(layer.outputs) > 1:
        kind, number = ("outputs", len(layer.outputs))
        if len(layer.inputs) > 1:
            kind, number = "inputs", len(layer.inputs)
        return f"it has {number} {kind}"
    if not layer.is_dense:
        kinds = dict.fromkeys(type(node.op).__name__ for node in layer.nodes)
        return f"it is not one matrix with its activation but made of {', '.join(kinds)}"
    weights = bits_of(weight_datatype(layer.linear.weights))
    if weights > MAX_BITS:
        return f"its weights have {weights} bits"
    for tensor, what in ((layer.input, "inputs"), (layer.output, "outputs")):
        # Sums that are not counted leave the unit as they are.
        counted = tensor is layer.input or layer.requantise is not None
        if counted and bits_of(tensor.datatype) > MAX_BITS:
            return f"its {what} have {bits_of(tensor.datatype)} bits"
    if _most(layer.accumulators) > MAX_SUM:
        return f"its sums reach {_most(layer.accumulators):,}"
    return None


def _most(tensor: Tensor) -> int:
    low, high = tensor.bounds
    return max(-low, high)
