"""The elementwise operations a network may have, as steps and as what the host computes.

Each becomes one or more operations of ``deploy.host_model``, which alone defines what they compute;
here is how an ONNX node maps to them and whether it keeps or turns the order of its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from deploy.host_operations import evaluate, level_range, with_dtype
from finn_builds.ingest.steps import Step

Op = dict[str, Any]

COMPARISONS = {
    "Greater": ("gt", "lt"),
    "GreaterOrEqual": ("ge", "le"),
    "Less": ("lt", "gt"),
    "LessOrEqual": ("le", "ge"),
}
#: What gives integers: their levels are known, whatever comes in.
QUANTIZERS = ("Quant", "BipolarQuant", "MultiThreshold", *COMPARISONS)
AFFINE = ("Add", "Sub", "Mul", "Div")
#: Functions that grow with their argument.
GROWING = {
    "Relu": "relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Round": "round",
    "Floor": "floor",
    "Ceil": "ceil",
    "Trunc": "trunc",
    "Erf": "erf",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Exp": "exp",
    "Log": "log",
    "Sqrt": "sqrt",
    "Atan": "atan",
}
UNARY = {**GROWING, "Abs": "abs", "Sin": "sin", "Cos": "cos"}
EXPONENTIAL = ("Elu", "Selu", "Celu")
#: The host's operation of a step, and what it calls the step's constants.
_CONSTANTS = {
    "BipolarQuant": ("bipolar", "scale"),
    "Clip": ("clip", "min", "max"),
    "Min": ("clip", "max"),
    "Max": ("clip", "min"),
    "Where": ("where", "min", "max"),
    "Pow": ("pow", "value"),
    "Equal": ("eq", "value"),
    "LeakyRelu": ("leaky", "value"),
}
FINAL = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}


def quant_bits(step: Step) -> int:
    """Return the width of a quantizer's integers."""
    match step.op:
        case "Quant":
            return int(step.constants[2])
        case "MultiThreshold":
            return int(step.constants[0].shape[1]).bit_length()
        case _:
            return 1


def quant_levels(step: Step) -> tuple[int, int, int]:
    """Return the smallest and the largest value of a quantizer and the distance of neighbours.

    They are in units of the quantizer's scale.
    """
    match step.op:
        case "BipolarQuant":
            return -1, 1, 2
        case "Quant":
            low, high = level_range(
                quant_bits(step), bool(step.attrs["signed"]), bool(step.attrs["narrow"])
            )
            zero = int(step.constants[1])
            one_bit = quant_bits(step) == 1 and bool(step.attrs["signed"])
            return low - zero, high - zero, 2 if one_bit else 1
        case "MultiThreshold":
            return 0, int(step.constants[0].shape[1]), 1
        case _:
            return 0, 1, 1


def quant_scale(step: Step) -> np.ndarray:
    """Return what one unit of a quantizer is worth, float32, () or one per element."""
    scaled = step.op in ("Quant", "BipolarQuant")
    return np.asarray(step.constants[0] if scaled else 1, dtype=np.float32)


def operations(step: Step, dtype: type) -> list[Op]:
    """Return a step as operations of the host model.

    float32 gives the operations onnxruntime does, to the bit (it folds a BatchNormalization into
    one factor and one addend); float64 gives the definition of the ONNX standard,
    ``(x - mean) / sqrt(var + epsilon) * scale + bias``, in double precision.
    """
    return [with_dtype(op, dtype) for op in _operations(step, dtype)]


def _operations(step: Step, dtype: type) -> list[Op]:
    c = step.constants
    match step.op:
        case "Mark":
            return []
        case "Line":
            return _line(*c)
        case "Quant":
            return [
                {
                    "op": "quant",
                    "scale": c[0],
                    "zero_point": c[1],
                    "bits": quant_bits(step),
                    "signed": bool(step.attrs["signed"]),
                    "narrow": bool(step.attrs["narrow"]),
                    "rounding": step.attrs["rounding_mode"],
                    "wide": np.asarray(c[1]).dtype.kind in "iu",
                }
            ]
        case "MultiThreshold":
            return [{"op": "thresholds", "rows": c[0], "scale": 1.0, "value": 0.0}]
        case "BatchNormalization":
            return _batch_norm(step, dtype)
        case "Elu" | "Selu" | "Celu":
            alpha, width, gamma = (step.attrs[k] for k in ("alpha", "width", "gamma"))
            return [{"op": "exponential", "alpha": alpha, "width": width, "gamma": gamma}]
        case "Joined":
            left, right = (_all(branch, dtype) for branch in step.branches)
            return [{"op": "joined", "by": step.attrs["by"], "left": left, "right": right}]
        case "Switch":
            columns = [np.flatnonzero(c[0] == k) for k in range(len(step.branches))]
            branches = [
                _all([s.selected(at, len(c[0])) for s in branch], dtype)
                for at, branch in zip(columns, step.branches, strict=True)
            ]
            return [{"op": "switch", "columns": columns, "branches": branches}]
        case "Add" | "Sub" | "Mul" | "Div":
            turned = step.position == 1 and step.op in ("Sub", "Div")
            return [{"op": ("r" if turned else "") + step.op.lower(), "value": c[0]}]
        case op if op in COMPARISONS:
            return [{"op": COMPARISONS[op][step.position], "value": c[0]}]
        case op if op in _CONSTANTS:
            name, *keys = _CONSTANTS[op]
            return [{"op": name, **dict(zip(keys, c, strict=True))}]
        case op:
            return [{"op": {**UNARY, **FINAL}[op]}]


def _line(scale: Any, offset: Any) -> list[Op]:
    """Return an exact line; an offset of whole units is added before the scale, without error."""
    units = None if (np.asarray(scale) == 0).any() else np.asarray(offset / scale)
    if units is not None and all(Fraction(v).denominator == 1 for v in np.atleast_1d(units)):
        ops = [{"op": "add", "value": units}, {"op": "mul", "value": scale}]
    else:
        ops = [{"op": "mul", "value": scale}, {"op": "add", "value": offset}]
    neutral = {"add": 0, "mul": 1}
    return [op for op in ops if not (np.asarray(op["value"]) == neutral[op["op"]]).all()]


def _all(steps: Sequence[Step], dtype: type) -> list[Op]:
    return [op for step in steps for op in _operations(step, dtype)]


def _batch_norm(step: Step, dtype: type) -> list[Op]:
    constants: list[np.ndarray] = [np.asarray(c, dtype=dtype) for c in step.constants]
    gamma, beta, mean, var = constants
    epsilon = np.dtype(dtype).type(np.float32(step.attrs["epsilon"]))
    if dtype is np.float64:
        return [
            {"op": "sub", "value": mean},
            {"op": "div", "value": np.sqrt(var + epsilon)},
            {"op": "mul", "value": gamma},
            {"op": "add", "value": beta},
        ]
    factor = np.float32(1) / np.sqrt(var + epsilon) * gamma
    return [{"op": "mul", "value": factor}, {"op": "add", "value": beta - mean * factor}]


def evaluate_steps(steps: Sequence[Step], x: np.ndarray) -> np.ndarray:
    """Return elementwise steps applied to `x`, shape (frames, elements), in its precision."""
    with np.errstate(all="ignore"):
        for step in steps:
            for op in operations(step, x.dtype.type):
                x = evaluate(op, x)
    return x


def direction(steps: Sequence[Step], n: int) -> np.ndarray | None:
    """Return, per element, whether steps grow (1), fall (-1) or are constant (0).

    None where some step is not known to be monotone. A monotone function is so in real and in
    rounded arithmetic alike, and so is a chain of them.
    """
    result = np.ones(n, dtype=np.int64)
    for step in steps:
        found = _direction(step, n)
        if found is None:
            return None
        result = result * found
    return result


def _direction(step: Step, n: int) -> np.ndarray | int | None:
    match step.op:
        case "Mark":
            return 1
        case "Line":
            return np.array([1 if v > 0 else -1 for v in np.atleast_1d(step.constants[0])])
        case "Sub" if step.position == 1:
            return -1
        case "Div" if step.position == 1:
            return None
        case "Mul" | "Div" | "BatchNormalization":
            return np.sign(np.asarray(step.constants[0])).astype(np.int64)
        case "LeakyRelu":
            return 1 if (np.asarray(step.constants[0]) >= 0).all() else None
        case "Elu" | "Selu" | "Celu":
            fits = step.attrs["alpha"] * step.attrs["width"] >= 0 and step.attrs["gamma"] > 0
            return 1 if fits else None
        case "Switch":
            found = [direction(branch, n) for branch in step.branches]
            turns = [turn for turn in found if turn is not None]
            if len(turns) < len(found):
                return None
            return np.asarray(np.choose(step.constants[0], turns))
        case op if op in COMPARISONS:
            return 1 if COMPARISONS[op][step.position][0] == "g" else -1
        case "Quant" | "BipolarQuant" | "MultiThreshold" | "Add" | "Sub" | "Clip" | "Min" | "Max":
            return 1
        case op if op in GROWING:
            return 1
        case _:
            return None
