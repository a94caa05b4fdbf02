"""The constants of a graph: initialisers, and what quantizers make of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, numpy_helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from deploy.host_operations import ROUNDING
from finn_builds.errors import UserError
from finn_builds.ingest.steps import Constant, QuantisedConstant, annotation, describe, node_attrs
from finn_builds.ingest.weights import bipolar_constant, quantise_constant
from finn_builds.ingest.wiring import WIRING, executed


def all_constants(model: ModelWrapper) -> dict[str, Constant]:
    """Return every constant of a graph by name, those after a quantizer as integers and scale.

    Nodes come in topological order, all constants folded but for those behind quantizers.
    """
    constants: dict[str, Constant] = {}
    opset = model.get_opset_imports()[""]
    for tensor in model.graph.initializer:
        array = np.asarray(numpy_helper.to_array(tensor))
        datatype = annotation(model, tensor.name)
        if datatype and array.size and (array == np.rint(array)).all():
            bits = DataType[datatype].bitwidth()
            integers = array.astype(np.int64)
            constants[tensor.name] = QuantisedConstant(integers, np.ones((), np.float32), bits)
        else:
            constants[tensor.name] = array
    for node in model.graph.node:
        if node.input and all(x in constants for x in node.input if x):
            result = _computed(node, [constants[x] for x in node.input if x], opset)
            if result is not None:
                constants[node.output[0]] = result
    return constants


def plain(constant: Constant) -> np.ndarray:
    """Return the value of a constant."""
    return constant.value() if isinstance(constant, QuantisedConstant) else constant


def _computed(node: NodeProto, inputs: list[Constant], opset: int) -> Constant | None:
    """Return what a node makes of constants, or ``None`` for nodes that are not followed."""
    where = describe(node)
    attrs = node_attrs(node)
    if node.op_type in ("Quant", "BipolarQuant") and not np.isfinite(plain(inputs[0])).all():
        raise UserError(
            f"{where} quantises a constant that holds NaN or infinity; expected numbers: train or "
            "export the model again"
        )
    if node.op_type == "Quant":
        quantizer_attrs(attrs, where)
        quantizer_constants(inputs[1:], where)
        return quantise_constant([plain(c) for c in inputs], attrs)
    if node.op_type == "BipolarQuant":
        value, scale = (plain(c) for c in inputs)
        return bipolar_constant(value, scale)
    if node.op_type in WIRING and isinstance(inputs[0], QuantisedConstant):
        others = [plain(c) for c in inputs[1:]]
        return inputs[0].rearranged(lambda array: executed(node, [array, *others], opset)[0])
    if node.op_type == "Identity":
        return inputs[0]
    return _masked(inputs) if node.op_type == "Mul" else None


def _masked(inputs: list[Constant]) -> QuantisedConstant | None:
    """Return a quantised constant times a mask of zeros and ones, or ``None`` if it is none."""
    for weight, other in (inputs, inputs[::-1]):
        mask = plain(other)
        if isinstance(weight, QuantisedConstant) and np.isin(mask, (0, 1)).all():
            integers = weight.integers * mask.astype(np.int64)
            return QuantisedConstant(integers, weight.scale, weight.bits)
    return None


def quantizer_attrs(attrs: dict[str, Any], where: str) -> None:
    """Fill in the defaults of a Quant's attributes and check its rounding mode, in place."""
    for name in ("signed", "narrow"):
        value = attrs.get(name, 1)
        if value not in (0, 1):
            raise UserError(
                f"{where} has {name} {value!r}; expected 0 or 1: export the model again"
            )
        attrs[name] = int(value)
    mode = str(attrs.get("rounding_mode", "ROUND")).upper()
    # Brevitas' name for what the QONNX standard calls DOWN.
    mode = "DOWN" if mode == "ROUND_TO_ZERO" else mode
    if mode not in ROUNDING:
        raise UserError(
            f"{where} has rounding mode {mode}; supported are {', '.join(ROUNDING)}: train and "
            "export with one of them"
        )
    attrs["rounding_mode"] = mode


def quantizer_constants(constants: Sequence[Constant | None], where: str) -> None:
    """Raise UserError unless scale, zero point and width of a Quant make sense."""
    given = [plain(c) for c in constants if c is not None]
    if len(given) != 3:
        raise UserError(
            f"{where} has {len(given)} constant parameters; expected scale, zero point and width: "
            "export the quantizer with fixed parameters"
        )
    scale, zero_point, bits = given
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise UserError(
            f"{where} has a scale that is not a positive number; expected one above 0: train or "
            "export the model again"
        )
    if not (zero_point == np.rint(zero_point)).all():
        raise UserError(
            f"{where} has a zero point that is not an integer; expected a whole number: train it "
            "with an integer zero point, or with none"
        )
    if bits.size != 1:
        raise UserError(
            f"{where} has {bits.size} widths; supported is one whole number of bits: for narrower "
            "elements give the widest one, and clip or train them to their range"
        )
    if bits.flat[0] != int(bits.flat[0]) or bits.flat[0] < 1:
        raise UserError(
            f"{where} has width {bits.tolist()}; supported is one whole number of bits: train it "
            "with one width for the tensor"
        )
