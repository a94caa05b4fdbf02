"""Elementwise nodes of a model as steps: constants flattened to the elements, few operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from finn_builds.errors import UserError
from finn_builds.ingest.constants import quantizer_attrs, quantizer_constants
from finn_builds.ingest.elementwise import AFFINE, COMPARISONS, UNARY
from finn_builds.ingest.steps import Step

#: Nodes that are one elementwise function of one tensor, all other inputs constant.
ELEMENTWISE = (
    *AFFINE,
    *UNARY,
    *COMPARISONS,
    "Equal",
    "Quant",
    "BipolarQuant",
    "MultiThreshold",
    "Trunc",
    "BatchNormalization",
    "Clip",
    "Min",
    "Max",
    "Where",
    "Pow",
    "Neg",
    "Not",
    "Reciprocal",
    "LeakyRelu",
    "PRelu",
    "Elu",
    "Selu",
    "Celu",
    "ThresholdedRelu",
    "HardSigmoid",
    "HardSwish",
    "Mish",
    "Gelu",
    "Swish",
    "Cast",
    "Identity",
    "Dropout",
)

_FLOATS = (1, 11)  # FLOAT, DOUBLE
_INTEGERS = (2, 3, 4, 5, 6, 7, 12, 13)
_BOOL = 9


def steps_of(step: Step, shape: tuple[int, ...]) -> list[Step]:
    """Return an elementwise node on data of a shape (batch of 1 first) as steps.

    Its constants are arrays as in the model. Steps that change nothing are left out. Raises
    UserError with the node's name for constants that make no sense.
    """
    _check_constants(step)
    if step.op == "BatchNormalization":
        steps = [_batch_norm(step, shape)]
    elif step.op in ("Quant", "BipolarQuant"):
        steps = [_quantizer(step, shape)]
    elif step.op == "MultiThreshold":
        steps = _multi_threshold(step, shape)
    elif step.op == "Trunc":
        steps = _truncation(step, shape)
    else:
        steps = [_shaped(s, shape) for s in _lowered(step)]
    return [s for s in steps if not _is_identity(s)]


def _check_constants(step: Step) -> None:
    bound = step.op in ("Clip", "Min", "Max")
    for constant in step.constants:
        if constant is None:
            continue
        if np.asarray(constant).dtype.kind not in "biuf":
            raise UserError(
                f"{step} has a constant that is not numbers; expected numbers: export the model "
                "again"
            )
        if np.isnan(constant).any() or not (bound or np.isfinite(constant).all()):
            raise UserError(
                f"{step} has a constant that is not finite; expected numbers: train or export the "
                "model again"
            )
    if step.op == "Div" and step.position == 0 and (step.constants[0] == 0).any():
        raise UserError(
            f"{step} divides by zero; expected another divisor: train or export the model again"
        )


def _flat(step: Step, constant: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a constant as a scalar or with one value per feature."""
    array = np.asarray(constant)
    if array.size == 1:
        return array.reshape(())
    try:
        wide = np.broadcast_to(array, shape)
    except ValueError:
        raise UserError(
            f"{step} has a constant of shape {array.shape}, which does not fit data of shape "
            f"{shape}; expected one value, or one per feature"
        ) from None
    return wide.reshape(-1)


def _shaped(step: Step, shape: tuple[int, ...]) -> Step:
    constants = tuple(
        None if c is None else _flat(step, np.asarray(c, dtype=np.float64), shape)
        for c in step.constants
    )
    branches = tuple(tuple(_shaped(s, shape) for s in branch) for branch in step.branches)
    return replace(step, constants=constants, branches=branches)


def _batch_norm(step: Step, shape: tuple[int, ...]) -> Step:
    if step.attrs.get("training_mode"):
        raise UserError(f"{step} is in training mode; export the model in evaluation mode")
    # Channels are dimension 1, whatever follows them.
    per_channel = (-1, *(1 for _ in shape[2:]))
    constants = []
    for constant in step.constants:
        if np.size(constant) not in (1, shape[1]):
            raise UserError(
                f"{step} has {np.size(constant)} channels; its input has {shape[1]}: the model "
                "contradicts itself, export it again"
            )
        wide = np.broadcast_to(np.reshape(constant, per_channel), shape)
        constants.append(np.asarray(wide, dtype=np.float32).reshape(-1))
    epsilon = float(step.attrs.get("epsilon", 1e-5))
    if (constants[3].astype(np.float64) + epsilon <= 0).any():
        raise UserError(
            f"{step} has a variance that is not positive; expected one above 0 for every channel: "
            "train or export the model again"
        )
    return replace(step, constants=tuple(constants), attrs={"epsilon": epsilon})


def _multi_threshold(step: Step, shape: tuple[int, ...]) -> list[Step]:
    """Return FINN's MultiThreshold: thresholds by channel, then its scale and bias."""
    rows = np.asarray(step.constants[0], dtype=np.float64)
    if step.attrs.get("data_layout", "NCHW") in ("NHWC", "NWC"):
        channels = np.broadcast_to(np.arange(shape[-1]), shape)
    else:
        per = (1, -1, *(1 for _ in shape[2:])) if len(shape) > 1 else (-1,)
        channels = np.broadcast_to(np.arange(shape[min(1, len(shape) - 1)]).reshape(per), shape)
    if rows.ndim != 2 or len(rows) not in (1, int(channels.max()) + 1):
        raise UserError(
            f"{step} has thresholds of shape {rows.shape}; expected one row, or one per channel "
            f"of {shape}: export the model again"
        )
    rows = np.sort(rows if len(rows) > 1 else np.repeat(rows, channels.max() + 1, axis=0), axis=1)
    scale, bias = (float(step.attrs.get(k, d)) for k, d in (("out_scale", 1), ("out_bias", 0)))
    return [
        replace(step, constants=(rows[channels.reshape(-1)],), attrs={}),
        Step("Mul", step.name, (np.float32(scale),)),
        Step("Add", step.name, (np.float32(bias),)),
    ]


def _quantizer(step: Step, shape: tuple[int, ...]) -> Step:
    if step.position != 0:
        raise UserError(
            f"{step} takes a constant as its data; supported are constant parameters: swap its "
            "inputs"
        )
    if step.op == "BipolarQuant":
        scale = np.asarray(step.constants[0], dtype=np.float32)
        if not (scale > 0).all():
            raise UserError(
                f"{step} has a scale that is not a positive number; expected one above 0: train or "
                "export the model again"
            )
        return replace(step, constants=(_flat(step, scale, shape),), attrs={})
    attrs = dict(step.attrs)
    quantizer_attrs(attrs, str(step))
    quantizer_constants(list(step.constants), str(step))
    scale, zero_point, bits = step.constants
    zero_point = np.asarray(zero_point)
    if zero_point.size > 1 and not (zero_point == zero_point.flat[0]).all():
        raise UserError(
            f"{step} has a zero point per channel; supported is one for the tensor: train it with "
            "a quantizer per tensor"
        )
    zero_point = zero_point.reshape(-1)[0]
    if zero_point == 0:
        zero_point = np.float32(0)
    scale = _flat(step, np.asarray(scale, dtype=np.float32), shape)
    return replace(
        step,
        constants=(scale, np.asarray(zero_point), np.float32(np.asarray(bits).flat[0])),
        attrs={k: attrs[k] for k in ("signed", "narrow", "rounding_mode")},
    )


def _truncation(step: Step, shape: tuple[int, ...]) -> list[Step]:
    """Return qonnx's Trunc: quantised numbers without some of their last bits.

    In its first version the integers lose bits and keep their scale, in its second, which has a
    scale for its output, the scale grows instead.
    """
    if step.position != 0 or len(step.constants) not in (4, 5) or None in step.constants:
        raise UserError(
            f"{step} does not have constant parameters; expected scale, zero point and widths: "
            "export it again"
        )
    scale, zero_point, bits, *out_scale, out_bits = (
        np.asarray(c, dtype=np.float32) for c in step.constants
    )
    # Without a sign in the first version, so with room for one.
    attrs = {"signed": 1, "narrow": 0, **step.attrs}
    room = np.float32(not out_scale)
    worth = np.rint(np.log2(out_scale[0] / scale)) if out_scale else bits - out_bits
    factor = np.exp2(worth).astype(np.float32)
    given = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}
    whole = Step("Quant", step.name, (scale, zero_point, bits + 1), given)
    kept = (scale * factor, zero_point / factor, out_bits + room)
    steps = [_quantizer(s, shape) for s in (whole, Step("Quant", step.name, kept, attrs))]
    back = [
        Step("Div", step.name, (kept[0],)),
        Step("Add", step.name, (kept[1] - (kept[1] if out_scale else zero_point),)),
        Step("Mul", step.name, (out_scale[0] if out_scale else scale,)),
    ]
    unchanged = out_scale and (out_scale[0] == kept[0]).all()
    return steps if unchanged else [*steps, *(_shaped(s, shape) for s in back)]


def _lowered(step: Step) -> Iterator[Step]:
    """Yield an elementwise step in terms of fewer operators."""
    name, attrs, constants = step.name, step.attrs, step.constants

    def own(op: str, *values: float, **more: float) -> Step:
        return Step(op, name, tuple(np.float32(v) for v in values), {"node_op": step.op, **more})

    def joined(left: list[Step], right: list[Step]) -> Step:
        attrs = {"node_op": step.op, "by": "Mul"}
        return Step("Joined", name, (), attrs, branches=(tuple(left), tuple(right)))

    match step.op:
        case "Identity":
            return
        case "Dropout":
            if len(constants) > 1 and constants[1]:
                raise UserError(f"{step} is in training mode; export the model in evaluation mode")
        case "Cast":
            yield from _cast(step)
        case "Neg":
            yield own("Mul", -1)
        case "Not":
            yield Step("Sub", name, (np.float32(1),), position=1)
        case "Reciprocal":
            yield Step("Div", name, (np.float32(1),), position=1)
        case "HardSigmoid":
            yield from _hard_sigmoid(own, attrs.get("alpha", 0.2), attrs.get("beta", 0.5))
        case "HardSwish":
            yield joined([], list(_hard_sigmoid(own, 1 / 6, 0.5)))
        case "Mish":
            yield joined([], [own("Softplus"), own("Tanh")])
        case "Swish":
            yield joined([], [own("Mul", attrs.get("alpha", 1.0)), own("Sigmoid")])
        case "Gelu" if attrs.get("approximate", "none") == "tanh":
            cubic = [joined([], [joined([], []), own("Mul", 0.044715), own("Add", 1)])]
            inner = [*cubic, own("Mul", np.sqrt(2 / np.pi)), own("Tanh")]
            yield joined([own("Mul", 0.5)], [*inner, own("Add", 1)])
        case "Gelu":
            inner = [own("Mul", np.sqrt(0.5)), own("Erf"), own("Add", 1), own("Mul", 0.5)]
            yield joined([], inner)
        case "ThresholdedRelu":
            yield joined([], [own("Greater", attrs.get("alpha", 1.0))])
        case "LeakyRelu":
            yield own("LeakyRelu", attrs.get("alpha", 0.01))
        case "PRelu":
            yield Step("LeakyRelu", name, constants, {"node_op": "PRelu"})
        case "Elu":
            yield own("Elu", alpha=attrs.get("alpha", 1.0), width=1.0, gamma=1.0)
        case "Selu":
            alpha, gamma = attrs.get("alpha", 1.6732632), attrs.get("gamma", 1.0507010)
            yield own("Selu", alpha=alpha, width=1.0, gamma=gamma)
        case "Celu":
            alpha = attrs.get("alpha", 1.0)
            yield own("Celu", alpha=alpha, width=alpha, gamma=1.0)
        case "Clip":
            bounds = list(constants) + [None] * (2 - len(constants))
            low, high = (
                np.float32(attrs[k]) if k in attrs else c
                for k, c in zip(("min", "max"), bounds, strict=True)
            )
            # An infinite bound is none, and JSON has no infinity.
            low, high = (None if b is None or np.isinf(b).all() else b for b in (low, high))
            yield Step("Clip", name, (low, high))
        case "Min" | "Max":
            for constant in constants:
                yield Step(step.op, name, (constant,))
        case "Add" | "Mul":
            yield Step(step.op, name, constants)
        case _:
            yield Step(step.op, name, constants, position=step.position)


def _hard_sigmoid(own: Callable[..., Step], alpha: float, beta: float) -> Iterator[Step]:
    yield own("Mul", alpha)
    yield own("Add", beta)
    yield own("Clip", 0, 1)


def _cast(step: Step) -> Iterator[Step]:
    to = int(step.attrs["to"])
    if to in _INTEGERS:
        yield Step("Trunc", step.name, attrs={"node_op": "Cast"})
    elif to == _BOOL:
        yield Step("Equal", step.name, (np.float32(0),), {"node_op": "Cast"})
        yield Step("Sub", step.name, (np.float32(1),), position=1)
    elif to not in _FLOATS:
        raise UserError(
            f"{step} casts to a type of less precision than float32, which is not supported; "
            "export the model without the cast"
        )


def _is_identity(step: Step) -> bool:
    """Return whether a step changes nothing, exactly."""
    neutral = {"Mul": 1, "Div": 1, "Add": 0, "Sub": 0}
    if step.op not in neutral or step.position != 0:
        return False
    return bool((np.asarray(step.constants[0]) == neutral[step.op]).all())
