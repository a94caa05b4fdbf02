"""The part of a network that runs on the host: before the first and after the last integer.

Standardising and quantising the raw features, and scaling, biasing or normalising the results, is
floating point and stays on the host. A build describes it in ``host_model.json``;
:class:`HostModel` executes it with only numpy, on the board and where the build is verified.

Arithmetic is float32, operation by operation in the order of the QONNX graph, so
:meth:`HostModel.before` returns the integers of the graph itself. :func:`evaluate` is the only
definition of every elementwise operation; it works in the precision of its argument.
"""

import json
from pathlib import Path

import numpy as np

FORMAT_VERSION = 1

OUTPUT_KINDS = ("logits", "probabilities", "levels", "argmax")


class HostModelError(ValueError):
    """Wrong data for the host's part of the network, or a description of another format."""


def _unknown(what: str) -> HostModelError:
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


_EVALUATE = {
    "add": lambda op, x: x + op["value"],
    "sub": lambda op, x: x - op["value"],
    "rsub": lambda op, x: op["value"] - x,
    "mul": lambda op, x: x * op["value"],
    "div": lambda op, x: x / op["value"],
    "relu": lambda op, x: np.maximum(x, x.dtype.type(0)),
    "clip": _clip,
    "tanh": lambda op, x: np.tanh(x),
    "sigmoid": _sigmoid,
    "sign": lambda op, x: np.sign(x),
    "round": lambda op, x: np.round(x),
    "floor": lambda op, x: np.floor(x),
    "ceil": lambda op, x: np.ceil(x),
    "quant": _quant,
    "bipolar": _bipolar,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
}

# Operations that keep the order of a frame's outputs: the class does not depend on them.
_ORDER_KEEPING = ("softmax", "log_softmax", "sigmoid")

_CONSTANTS = ("value", "scale", "zero_point", "min", "max")


def evaluate(op: dict, x: np.ndarray) -> np.ndarray:
    """Return one operation of a description applied to float32 or float64 (frames, features).

    `op` has constants of the dtype of `x`, scalar or of shape (features,); the result has it too.
    """
    if op["op"] not in _EVALUATE:
        raise _unknown(f"operation '{op['op']}'")
    return _EVALUATE[op["op"]](op, x)


def with_dtype(op: dict, dtype: type) -> dict:
    """Return an operation with its constants as arrays of a floating point type."""
    return {
        k: np.asarray(v, dtype=dtype) if k in _CONSTANTS and v is not None else v
        for k, v in op.items()
    }


class HostModel:
    """Executes the host's part of a network.

    Attributes
    ----------
    input_shape
        Of one frame, without the batch.
    n_in, n_out
        Integers per frame into and out of the accelerator.
    input_datatype, output_datatype
        QONNX names of the types of these integers, such as ``UINT4`` or ``INT20``.
    kind
        The kind of output of :meth:`after`: one of ``OUTPUT_KINDS``.
    feature_names, class_names
        Empty if the model file has none.
    """

    def __init__(self, description: dict) -> None:
        try:
            version = description["version"]
            if version != FORMAT_VERSION:
                raise HostModelError(
                    f"this host model has format version {version}; this code reads version "
                    f"{FORMAT_VERSION}: use the driver of the accelerator's own package"
                )
            into, out = description["input"], description["output"]
            self.input_name: str = into["name"]
            self.input_shape: tuple[int, ...] = tuple(int(d) for d in into["shape"])
            self.input_values: dict | None = into.get("values")
            self.input_datatype: str = into["datatype"]
            self.n_in = int(into["n"])
            self.output_name: str = out["name"]
            self.output_datatype: str = out["datatype"]
            self.n_out = int(out["n"])
            self.kind: str = out["kind"]
            self._codes: dict = description["codes"]
            self._before = [with_dtype(op, np.float32) for op in description["before"]]
            self._after = [with_dtype(op, np.float32) for op in description["after"]]
            unknown = [op["op"] for op in self._before + self._after if op["op"] not in _EVALUATE]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, HostModelError):
                raise
            raise HostModelError(
                f"this is not a host model description: {error!r}; give a build's host_model.json"
            ) from error
        if unknown:
            raise _unknown(f"operation '{unknown[0]}'")
        if self.kind not in OUTPUT_KINDS:
            raise _unknown(f"output kind '{self.kind}'")
        self.feature_names: tuple[str, ...] = tuple(description.get("feature_names") or ())
        self.class_names: tuple[str, ...] = tuple(description.get("class_names") or ())
        self._description = description

    @classmethod
    def from_dict(cls, description: dict) -> "HostModel":
        """Return the model of a description."""
        return cls(description)

    @classmethod
    def from_json(cls, text: str | Path) -> "HostModel":
        """Return the model of a description in JSON: its text, or the path of a file."""
        try:
            if isinstance(text, Path):
                text = text.read_text(encoding="utf-8")
            return cls(json.loads(text))
        except (OSError, json.JSONDecodeError) as error:
            raise HostModelError(
                f"can't read the host model: {error}; give a build's host_model.json"
            ) from error

    def to_dict(self) -> dict:
        """Return the description this model was made from."""
        return self._description

    def before(self, x: np.ndarray) -> np.ndarray:
        """Return the integers, int64 (frames, n_in), that the accelerator takes for raw frames.

        `x` is (frames, *input_shape) or (frames, n_in) of any real type, taken as float32.
        `HostModelError` if shape or type is wrong, or a value NaN or outside the input's type.
        """
        y = self._front(x)
        with np.errstate(invalid="ignore", over="ignore"):  # NaN is an error below
            for op in self._before:
                y = evaluate(op, y)
            codes = np.rint(y / np.float32(self._codes["scale"]))
        if np.isnan(codes).any():
            row, column = np.argwhere(np.isnan(codes))[0]
            raise HostModelError(
                f"frame {row}, feature {self._feature(column)} becomes NaN in front of the "
                "accelerator: the model can't take its value, replace or drop it"
            )
        return codes.astype(np.int64) // self._codes["divisor"] + self._codes["zero_point"]

    def saturated(self, x: np.ndarray) -> np.ndarray:
        """Return which values of raw frames a quantiser cuts off, bool (frames, n_in).

        Beyond half a step outside of what the host's quantisers can represent.
        """
        y = self._front(x)
        lost = ~np.isfinite(y)
        with np.errstate(invalid="ignore", over="ignore"):
            for op in self._before:
                if op["op"] == "quant" and not (op["signed"] and op["bits"] == 1):
                    low, high = level_range(op["bits"], op["signed"], op["narrow"])
                    levels = y / op["scale"] + op["zero_point"]
                    lost |= (levels < low - 0.5) | (levels > high + 0.5)
                y = evaluate(op, y)
        return lost

    def after(self, y: np.ndarray) -> np.ndarray:
        """Return the network's output for integers (frames, n_out) from the accelerator.

        float32 (frames, n_out); for the kind ``argmax`` (frames, 1).
        """
        return self._back(y, for_class=False)

    def classify(self, y: np.ndarray) -> np.ndarray:
        """Return the class, int64 (frames,), from the accelerator's integers (frames, n_out).

        The largest output is the class, the first of several equal ones. With a single output
        the class is 1 where that output is positive before a final sigmoid, else 0.
        """
        z = self._back(y, for_class=True)
        if self.n_out == 1:
            return (z[:, 0] > 0).astype(np.int64)
        return z.argmax(axis=1).astype(np.int64)

    def _front(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x)
        if x.dtype.kind not in "buif":
            raise HostModelError(
                f"input '{self.input_name}' has dtype {x.dtype}; it must hold real "
                "numbers: convert it"
            )
        expected = ["(frames, " + ", ".join(str(d) for d in self.input_shape) + ")"]
        if self.input_shape != (self.n_in,):
            expected.append(f"(frames, {self.n_in})")
        if x.ndim < 2 or x.shape[1:] not in ((self.n_in,), self.input_shape):
            raise HostModelError(
                f"input '{self.input_name}' has shape {x.shape}; expected "
                + " or ".join(expected)
                + ": reshape it"
            )
        with np.errstate(over="ignore"):  # too large for float32: infinite, and saturates
            x = x.reshape(len(x), self.n_in).astype(np.float32)
        if np.isnan(x).any():
            row, column = np.argwhere(np.isnan(x))[0]
            raise HostModelError(
                f"input '{self.input_name}' has a NaN in frame {row}, "
                f"feature {self._feature(column)}: replace or drop it"
            )
        if self.input_values is not None:
            self._check_values(x)
        return x

    def _check_values(self, x: np.ndarray) -> None:
        """Check that values are of the integer type that the model declares for its input."""
        low, high = self.input_values["min"], self.input_values["max"]
        bad = (x != np.rint(x)) | (x < low) | (x > high)
        if self.input_values["datatype"] == "BIPOLAR":
            bad |= x == 0
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise HostModelError(
                f"input '{self.input_name}' takes {self.input_values['datatype']} values "
                f"({low} to {high}); frame {row}, feature {self._feature(column)} is "
                f"{x[row, column]:g}: quantise the data to these values"
            )

    def _feature(self, column: int) -> str:
        if len(self.feature_names) == self.n_in:
            return f"{column} ({self.feature_names[column]})"
        return str(column)

    def _back(self, y: np.ndarray, *, for_class: bool) -> np.ndarray:
        y = np.asarray(y)
        if y.ndim != 2 or y.shape[1] != self.n_out:
            raise HostModelError(
                f"the accelerator's output has shape {y.shape}; expected (frames, {self.n_out})"
            )
        integral = y.dtype.kind in "biu" or (y.dtype.kind == "f" and (y == np.rint(y)).all())
        if not integral:
            raise HostModelError(
                f"the accelerator's output must be integers; found dtype {y.dtype} with fractions"
            )
        ops = self._after
        if for_class:
            while ops and ops[-1]["op"] in _ORDER_KEEPING:
                ops = ops[:-1]
        z = y.astype(np.float32)
        for op in ops:
            z = evaluate(op, z)
        if self.kind == "argmax" and not for_class:
            return z.argmax(axis=1).astype(np.float32)[:, None]
        return z
