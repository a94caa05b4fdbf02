"""Every elementwise operation of the host's part of a network, with only numpy.

:func:`evaluate` is the only definition of each; it works in the precision of its argument. Quant
and rounding are as QONNX defines them.
"""

import math

import numpy as np

from deploy.errors import HostModelError


def unknown_part(what: str) -> HostModelError:
    """Return the error for a part of a description that this code does not know."""
    return HostModelError(
        f"the host model has an {what} that this code does not know: use the driver of the "
        "accelerator's own package"
    )


def _round_half_up(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


def _round_half_down(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.ceil(np.abs(x) - 0.5)


def _round_away(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.ceil(np.abs(x))


# The rounding modes of the QONNX Quant operator, by the names that operator gives them.
ROUNDING = {
    "ROUND": np.round,
    "HALF_EVEN": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": _round_away,
    "DOWN": np.fix,
    "HALF_UP": _round_half_up,
    "HALF_DOWN": _round_half_down,
}


def level_range(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """Return the smallest and the largest integer of a QONNX Quant; one signed bit is -1 and +1."""
    if signed and bits == 1:
        return -1, 1
    if signed:
        return -(2 ** (bits - 1)) + int(narrow), 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - int(narrow)


def _quant(op: dict, x: np.ndarray) -> np.ndarray:
    """QONNX Quant: clamp, then round, as the operator is defined."""
    y = x / op["scale"]
    if op.get("wide"):  # an integer zero point lifts qonnx's own arithmetic to double
        y = y.astype(np.float64)
    y = y + op["zero_point"]
    low, high = level_range(op["bits"], op["signed"], op["narrow"])
    if op["signed"] and op["bits"] == 1:
        y = np.where(y >= 0, y.dtype.type(1), y.dtype.type(-1))
    else:
        y = ROUNDING[op["rounding"]](np.clip(y, low, high))
    return ((y - op["zero_point"]) * op["scale"]).astype(x.dtype)


def _clip(op: dict, x: np.ndarray) -> np.ndarray:
    if op.get("min") is not None:
        x = np.maximum(x, op["min"])
    if op.get("max") is not None:
        x = np.minimum(x, op["max"])
    return x


def _softmax(op: dict, x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _log_softmax(op: dict, x: np.ndarray) -> np.ndarray:
    d = x - x.max(axis=-1, keepdims=True)
    return d - np.log(np.exp(d).sum(axis=-1, keepdims=True))


def _sigmoid(op: dict, x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def _bipolar(op: dict, x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, x.dtype.type(1), x.dtype.type(-1)) * op["scale"]


def _softplus(op: dict, x: np.ndarray) -> np.ndarray:
    return np.logaddexp(x, x.dtype.type(0))


def _erf(op: dict, x: np.ndarray) -> np.ndarray:
    return np.array([math.erf(v) for v in x.ravel()], dtype=x.dtype).reshape(x.shape)


def _exponential(op: dict, x: np.ndarray) -> np.ndarray:
    """Elu, Selu and Celu: ``gamma * (x if x > 0 else alpha * (exp(x / width) - 1))``."""
    below = op["alpha"] * np.expm1(np.minimum(x, 0) / op["width"])
    return np.where(x > 0, x, below).astype(x.dtype) * op["gamma"]


def _thresholds(op: dict, x: np.ndarray) -> np.ndarray:
    """MultiThreshold: the thresholds that each element has reached, scaled and moved."""
    rows = op["rows"] if len(op["rows"]) == x.shape[1] else np.repeat(op["rows"], x.shape[1], 0)
    counts = np.stack([(x[:, j, None] >= row).sum(axis=1) for j, row in enumerate(rows)], axis=1)
    return counts.astype(x.dtype) * op["scale"] + op["value"]


def _joined(op: dict, x: np.ndarray) -> np.ndarray:
    """Two functions of the same elements, joined element by element."""
    left, right = x, x
    for inner in op["left"]:
        left = evaluate(inner, left)
    for inner in op["right"]:
        right = evaluate(inner, right)
    return np.asarray(JOINED[op["by"]](left, right), dtype=x.dtype)


def _switch(op: dict, x: np.ndarray) -> np.ndarray:
    """Functions of some of the elements each."""
    y = np.empty_like(x)
    for columns, branch in zip(op["columns"], op["branches"], strict=True):
        part = x[:, columns]
        for inner in branch:
            part = evaluate(inner, part)
        y[:, columns] = part
    return y


#: Operations of two numbers, by their names in ONNX.
JOINED = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Max": np.maximum,
    "Min": np.minimum,
}

_EVALUATE = {
    "add": lambda op, x: x + op["value"],
    "sub": lambda op, x: x - op["value"],
    "rsub": lambda op, x: op["value"] - x,
    "mul": lambda op, x: x * op["value"],
    "div": lambda op, x: x / op["value"],
    "rdiv": lambda op, x: op["value"] / x,
    "relu": lambda op, x: np.maximum(x, x.dtype.type(0)),
    "leaky": lambda op, x: np.where(x < 0, op["value"] * x, x),
    "exponential": _exponential,
    "softplus": _softplus,
    "softsign": lambda op, x: x / (1 + np.abs(x)),
    "clip": _clip,
    "tanh": lambda op, x: np.tanh(x),
    "sigmoid": _sigmoid,
    "erf": _erf,
    "sign": lambda op, x: np.sign(x),
    "round": lambda op, x: np.round(x),
    "floor": lambda op, x: np.floor(x),
    "ceil": lambda op, x: np.ceil(x),
    "trunc": lambda op, x: np.trunc(x),
    "abs": lambda op, x: np.abs(x),
    "exp": lambda op, x: np.exp(x),
    "log": lambda op, x: np.log(x),
    "sqrt": lambda op, x: np.sqrt(x),
    "sin": lambda op, x: np.sin(x),
    "cos": lambda op, x: np.cos(x),
    "atan": lambda op, x: np.arctan(x),
    "pow": lambda op, x: np.power(x, op["value"]),
    "ge": lambda op, x: (x >= op["value"]).astype(x.dtype),
    "gt": lambda op, x: (x > op["value"]).astype(x.dtype),
    "le": lambda op, x: (x <= op["value"]).astype(x.dtype),
    "lt": lambda op, x: (x < op["value"]).astype(x.dtype),
    "eq": lambda op, x: (x == op["value"]).astype(x.dtype),
    "where": lambda op, x: np.where(x != 0, op["min"], op["max"]).astype(x.dtype),
    "joined": _joined,
    "switch": _switch,
    "thresholds": _thresholds,
    "quant": _quant,
    "bipolar": _bipolar,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
}

_CONSTANTS = ("value", "scale", "zero_point", "min", "max", "alpha", "gamma", "width", "rows")


def _inner(op: dict) -> list:
    """Return the lists of operations within an operation."""
    return [*(op[name] for name in ("left", "right") if name in op), *op.get("branches", [])]


def evaluate(op: dict, x: np.ndarray) -> np.ndarray:
    """Return one operation of a description applied to float32 or float64 (frames, features).

    `op` has constants of the dtype of `x`, scalar or of shape (features,); the result has it too.
    """
    if op["op"] not in _EVALUATE:
        raise unknown_part(f"operation '{op['op']}'")
    return _EVALUATE[op["op"]](op, x)


def with_dtype(op: dict, dtype: type) -> dict:
    """Return an operation with its constants as arrays of a floating point type."""
    found = {
        k: np.asarray(v, dtype=dtype) if k in _CONSTANTS and v is not None else v
        for k, v in op.items()
    }
    for name in ("left", "right"):
        if name in found:
            found[name] = [with_dtype(inner, dtype) for inner in found[name]]
    if "branches" in found:
        found["branches"] = [[with_dtype(o, dtype) for o in branch] for branch in op["branches"]]
    return found


class Operations:
    """Operations of a description, ready to execute; HostModelError for one that is unknown."""

    def __init__(self, ops: list) -> None:
        self.ops = [with_dtype(op, np.float32) for op in ops]
        unknown = [name for op in self.ops for name in _names(op) if name not in _EVALUATE]
        if unknown:
            raise unknown_part(f"operation '{unknown[0]}'")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return what they make of (frames, features), float32."""
        with np.errstate(all="ignore"):  # NaN and infinity are looked at where they matter
            for op in self.ops:
                x = evaluate(op, x)
        return x


def _names(op: dict) -> list:
    inner = [name for branch in _inner(op) for o in branch for name in _names(o)]
    return [op["op"], *inner]
