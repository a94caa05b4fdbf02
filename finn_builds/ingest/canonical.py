"""Rewrite a chain of a model's own nodes into the few forms the build works on."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from finn_builds.errors import UserError
from finn_builds.ingest.chain import Chain, QuantisedConstant, Step
from finn_builds.ingest.constants import plain, quantizer_attrs, quantizer_constants
from finn_builds.ingest.elementwise import ELEMENTWISE, FINAL, QUANTIZERS
from finn_builds.ingest.reading import LAYERS, PASSED, RESHAPES
from finn_builds.ingest.weights import check_weight
from finn_builds.network.types import weight_datatype


def canonical(chain: Chain) -> Chain:
    """Return a checked chain in canonical form (see :mod:`.tidy`); errors name the node."""
    steps: list[Step] = []
    shape = chain.input_shape
    if len(shape) > 2:
        steps.append(Step("Flatten", "flatten_input", attrs={"axis": 1}))
    for step in chain.steps:
        new, shape = _rewrite(step, shape)
        steps += [s for s in new if not _is_identity(s)]
    if not any(s.op == "MatMul" for s in steps):
        raise UserError(
            "the model has no MatMul or Gemm layer; expected a quantised MLP: export the whole "
            "network"
        )
    return replace(chain, steps=tuple(steps))


def _rewrite(step: Step, shape: tuple[int, ...]) -> tuple[list[Step], tuple[int, ...]]:
    """Return a step in canonical form and the shape after it, batch of 1 first."""
    if step.op in LAYERS:
        return _layer(step, shape)
    step = replace(step, constants=tuple(None if c is None else plain(c) for c in step.constants))
    if step.op in PASSED:
        return _passed(step), shape
    if step.op in RESHAPES:
        return [], _reshaped(step, shape)
    if step.op in FINAL or step.op == "ArgMax":
        return [_final(step, shape)], shape
    _check_constants(step)
    if step.op == "BatchNormalization":
        return [_batch_norm(step, shape)], shape
    if step.op in QUANTIZERS:
        return [_quantizer(step, shape)], shape
    return [_shaped(s, shape) for s in _lowered(step)], shape


def _check_constants(step: Step) -> None:
    bound = step.op in ("Clip", "Min", "Max")
    for constant in step.constants:
        if constant is None:
            continue
        if np.isnan(constant).any() or not (bound or np.isfinite(constant).all()):
            raise UserError(
                f"{step} has a constant that is not finite; expected numbers: train or export the "
                "model again"
            )
    if step.op == "Div" and step.position == 0 and (step.constants[0] == 0).any():
        raise UserError(
            f"{step} divides by zero; expected another divisor: train or export the model again"
        )


def _passed(step: Step) -> list[Step]:
    if step.op == "Cast" and step.attrs["to"] != 1:
        raise UserError(
            f"{step} casts to another type than float32, the only one supported; export the model "
            "without the cast"
        )
    training = step.op == "Dropout" and len(step.constants) > 1 and step.constants[1]
    if training:
        raise UserError(f"{step} is in training mode; export the model in evaluation mode")
    return []


def _reshaped(step: Step, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape after a reshape that keeps the batch; the frame's order never changes."""
    if step.op == "Reshape":
        asked = [int(d) for d in np.asarray(step.constants[0]).reshape(-1)]
        asked = [shape[i] if d == 0 and i < len(shape) else d for i, d in enumerate(asked)]
        new = np.empty(shape, dtype=bool).reshape(asked).shape
    elif step.op == "Flatten":
        axis = int(step.attrs.get("axis", 1)) % (len(shape) + 1)
        new = (int(np.prod(shape[:axis])), int(np.prod(shape[axis:])))
    else:
        axes = step.attrs.get("axes", step.constants[0] if step.constants else None)
        axes = None if axes is None else tuple(int(a) for a in np.asarray(axes).reshape(-1))
        squeeze = step.op == "Squeeze"
        if squeeze and axes is None:
            axes = tuple(i for i, d in enumerate(shape) if d == 1 and i)
        empty = np.empty(shape, dtype=bool)
        new = (np.squeeze(empty, axes) if squeeze else np.expand_dims(empty, axes)).shape
    if len(new) < 2 or new[0] != 1:
        raise UserError(
            f"{step} moves data between frames: it turns {shape} into {new}; expected the batch to "
            "stay the first dimension: keep it in the model's reshape"
        )
    return new


def _features(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape[1:]))


def _layer(step: Step, shape: tuple[int, ...]) -> tuple[list[Step], tuple[int, ...]]:
    """Return a MatMul or Gemm as MatMul, scale, and what a Gemm adds."""
    if step.position != 0:
        raise UserError(
            f"{step} has the activations as its input {step.position}; supported is activations "
            "first, weights second: transpose both in the model"
        )
    weight = step.constants[0]
    if not isinstance(weight, QuantisedConstant):
        raise UserError(
            f"{step} has float weights; supported are weights after a Quant or BipolarQuant of 1 "
            "to 8 bits: train the layer quantised"
        )
    attrs = step.attrs
    if attrs.get("transA"):
        raise UserError(
            f"{step} transposes its activations (transA), which is not supported; export the layer "
            "as a plain Linear or MatMul"
        )
    if attrs.get("transB"):
        weight = weight.transposed()
    n = _features(shape)
    if weight.integers.ndim != 2 or any(d != 1 for d in shape[:-1]) or shape[-1] != n:
        raise UserError(
            f"{step} multiplies {shape} by {weight.integers.shape}; supported is one row of "
            "features by a matrix: flatten the features before the layer"
        )
    if weight.integers.shape[0] != n:
        raise UserError(
            f"{step} has weights for {weight.integers.shape[0]} inputs; its input has {n}: the "
            "model contradicts itself, export it again"
        )
    integers, scale = check_weight(step, weight)
    new_shape = (*shape[:-1], integers.shape[1])
    steps = [
        Step(
            "MatMul",
            step.name,
            (integers.astype(np.float32),),
            weight_datatype=weight_datatype(integers),
        ),
        Step("Mul", f"{step.name}_weight_scale", (np.asarray(scale, dtype=np.float32),)),
    ]
    if step.op == "Gemm":
        alpha, beta = (np.float32(attrs.get(k, 1.0)) for k in ("alpha", "beta"))
        steps.append(Step("Mul", f"{step.name}_alpha", (alpha,)))
        if len(step.constants) > 1 and step.constants[1] is not None:
            bias = np.asarray(plain(step.constants[1]), dtype=np.float32) * beta
            if not np.isfinite(bias).all():
                raise UserError(
                    f"{step} has a bias that is not finite; expected numbers: train or export the "
                    "model again"
                )
            steps.append(_shaped(Step("Add", f"{step.name}_bias", (bias,)), new_shape))
    return steps, new_shape


def _final(step: Step, shape: tuple[int, ...]) -> Step:
    axis = int(step.attrs.get("axis", 0 if step.op == "ArgMax" else -1))
    if shape[axis % len(shape)] != _features(shape):
        raise UserError(
            f"{step} works along axis {axis}; supported is the axis of the features: set axis to "
            "-1 in the model"
        )
    if step.op == "ArgMax":
        if step.attrs.get("select_last_index"):
            raise UserError(
                f"{step} takes the last of equal outputs; supported is the first: export it with "
                "select_last_index 0"
            )
        return Step("ArgMax", step.name, attrs={"axis": 1, "keepdims": 1})
    return Step(step.op, step.name, attrs={"axis": 1})


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
        None if c is None else _flat(step, np.asarray(c, dtype=np.float32), shape)
        for c in step.constants
    )
    return replace(step, constants=constants)


def _batch_norm(step: Step, shape: tuple[int, ...]) -> Step:
    if step.attrs.get("training_mode"):
        raise UserError(f"{step} is in training mode; export the model in evaluation mode")
    # Channels are dimension 1, whatever follows them.
    per_channel = (-1, *(1 for _ in shape[2:]))
    n = _features(shape)
    constants = []
    for constant in step.constants:
        if np.size(constant) not in (1, shape[1]):
            raise UserError(
                f"{step} has {np.size(constant)} channels; its input has {shape[1]}: the model "
                "contradicts itself, export it again"
            )
        wide = np.broadcast_to(np.reshape(constant, per_channel), shape[1:])
        constants.append(np.asarray(wide, dtype=np.float32).reshape(n))
    epsilon = float(step.attrs.get("epsilon", 1e-5))
    if (constants[3].astype(np.float64) + epsilon <= 0).any():
        raise UserError(
            f"{step} has a variance that is not positive; expected one above 0 for every channel: "
            "train or export the model again"
        )
    return replace(step, constants=tuple(constants), attrs={"epsilon": epsilon})


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


def _lowered(step: Step) -> Iterator[Step]:
    """Yield an elementwise step in terms of fewer operators."""
    if step.op == "Div" and step.position == 1:
        raise UserError(
            f"{step} divides a constant by the data, which is not supported; leave the division "
            "out of the model"
        )
    if step.op == "Neg":
        yield Step("Mul", step.name, (np.float32(-1),))
    elif step.op == "HardSigmoid":
        alpha = np.float32(step.attrs.get("alpha", 0.2))
        if alpha <= 0:
            raise UserError(
                f"{step} has alpha {alpha:g}; supported is a positive slope: use another activation"
            )
        yield Step("Mul", f"{step.name}_alpha", (alpha,))
        yield Step("Add", f"{step.name}_beta", (np.float32(step.attrs.get("beta", 0.5)),))
        yield Step("Clip", step.name, (np.float32(0), np.float32(1)))
    elif step.op == "Clip":
        bounds = list(step.constants) + [None] * (2 - len(step.constants))
        low, high = (
            np.float32(step.attrs[k]) if k in step.attrs else c
            for k, c in zip(("min", "max"), bounds, strict=True)
        )
        # An infinite bound is none, and JSON has no infinity.
        low, high = (None if b is None or np.isinf(b).all() else b for b in (low, high))
        yield Step("Clip", step.name, (low, high))
    elif step.op in ("Min", "Max"):
        for i, constant in enumerate(step.constants):
            yield Step(step.op, step.name if not i else f"{step.name}_{i}", (constant,))
    elif step.op in ("Add", "Mul"):
        yield Step(step.op, step.name, step.constants)
    elif step.op in ELEMENTWISE:
        yield Step(step.op, step.name, step.constants, position=step.position)
    else:
        raise AssertionError(f"{step} has passed the checks but has no canonical form")


def _is_identity(step: Step) -> bool:
    """Return whether a step changes nothing, exactly."""
    neutral = {"Mul": 1, "Div": 1, "Add": 0, "Sub": 0}
    if step.op not in neutral or step.position != 0:
        return False
    return bool((np.asarray(step.constants[0]) == neutral[step.op]).all())
