"""The elementwise operations a network may have between its layers.

Each becomes one or more operations of ``deploy.host_model``, which alone defines what they compute;
here is how an ONNX node maps to them and whether it keeps or turns the order of its input.
"""

from typing import Any

import numpy as np

from deploy.host_model import evaluate, level_range, with_dtype
from finn_builds.ingest.chain import Step

Op = dict[str, Any]

QUANTIZERS = ("Quant", "BipolarQuant")
AFFINE = ("Add", "Sub", "Mul", "Div")
UNARY = {
    "Relu": "relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Round": "round",
    "Floor": "floor",
    "Ceil": "ceil",
}
ELEMENTWISE = (*QUANTIZERS, *AFFINE, *UNARY, "BatchNormalization", "Clip", "Min", "Max")
FINAL = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}


def quant_bits(step: Step) -> int:
    """Return the width of a Quant or BipolarQuant."""
    return 1 if step.op == "BipolarQuant" else int(step.constants[2])


def quant_levels(step: Step) -> tuple[int, int]:
    """Return the smallest and the largest value of a quantizer, in units of its scale."""
    if step.op == "BipolarQuant":
        return -1, 1
    low, high = level_range(
        quant_bits(step), bool(step.attrs["signed"]), bool(step.attrs["narrow"])
    )
    zero = int(step.constants[1])
    return low - zero, high - zero


def is_bipolar(step: Step) -> bool:
    """Return whether a quantizer has the two levels -1 and +1 alone."""
    return step.op == "BipolarQuant" or (quant_bits(step) == 1 and bool(step.attrs["signed"]))


def operations(step: Step, dtype: type) -> list[Op]:
    """Return an elementwise step of a tidied chain as operations of the host model.

    float32 gives the operations onnxruntime does, to the bit (it folds a BatchNormalization into
    one factor and one addend); float64 gives the definition of the ONNX standard,
    ``(x - mean) / sqrt(var + epsilon) * scale + bias``, in double precision.
    """
    return [with_dtype(op, dtype) for op in _operations(step, dtype)]


def _operations(step: Step, dtype: type) -> list[Op]:
    c = step.constants
    if step.op == "Quant":
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
    if step.op == "BipolarQuant":
        return [{"op": "bipolar", "scale": c[0]}]
    if step.op == "BatchNormalization":
        return _batch_norm(step, dtype)
    if step.op == "Clip":
        return [{"op": "clip", "min": c[0], "max": c[1]}]
    if step.op == "Min":
        return [{"op": "clip", "max": c[0]}]
    if step.op == "Max":
        return [{"op": "clip", "min": c[0]}]
    if step.op in AFFINE:
        name = "rsub" if step.op == "Sub" and step.position == 1 else step.op.lower()
        return [{"op": name, "value": c[0]}]
    return [{"op": {**UNARY, **FINAL}[step.op]}]


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


def evaluate_steps(steps: tuple[Step, ...] | list[Step], x: np.ndarray) -> np.ndarray:
    """Return elementwise steps applied to `x`, shape (frames, features), in its precision."""
    for step in steps:
        for op in operations(step, x.dtype.type):
            x = evaluate(op, x)
    return x


def direction(steps: tuple[Step, ...] | list[Step], n: int) -> np.ndarray:
    """Return, per channel, whether steps increase (1), decrease (-1) or are constant (0).

    Every supported elementwise step is monotone, in real and in rounded arithmetic alike, and so
    is a chain of them.
    """
    result = np.ones(n, dtype=np.int64)
    for step in steps:
        factor: np.ndarray | int = 1
        if step.op == "Sub" and step.position == 1:
            factor = -1
        elif step.op in ("Mul", "Div", "BatchNormalization"):
            factor = np.sign(np.asarray(step.constants[0])).astype(np.int64)
        result = result * factor
    return result
