"""The part of a network that runs on the host: before the first and after the last integer.

Standardising and quantising the raw features, and scaling, biasing or normalising the results, is
floating point and stays on the host. A build describes it in ``host_model.json``;
:class:`HostModel` executes it with only numpy, on the board and where the build is verified.

Arithmetic is float32, operation by operation in the order of the QONNX graph, so
:meth:`HostModel.before` returns the integers of the graph itself. :func:`evaluate` is the only
definition of every elementwise operation; it works in the precision of its argument.

Inputs and outputs lie side by side on the accelerator's streams, in the order of the description.
"""

import json
import math
from pathlib import Path

import numpy as np

FORMAT_VERSION = 2

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

# Operations that keep the order of a frame's outputs: the class does not depend on them.
_ORDER_KEEPING = ("softmax", "log_softmax", "sigmoid")

# What an output of the scores of classes may end in.
_SOFTMAX = (("softmax",), ("log_softmax",))

_CONSTANTS = ("value", "scale", "zero_point", "min", "max", "alpha", "gamma", "width", "rows")


def _inner(op: dict) -> list:
    """Return the lists of operations within an operation."""
    return [*(op[name] for name in ("left", "right") if name in op), *op.get("branches", [])]


def evaluate(op: dict, x: np.ndarray) -> np.ndarray:
    """Return one operation of a description applied to float32 or float64 (frames, features).

    `op` has constants of the dtype of `x`, scalar or of shape (features,); the result has it too.
    """
    if op["op"] not in _EVALUATE:
        raise _unknown(f"operation '{op['op']}'")
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


class _Known:
    """Operations of a description, ready to execute; HostModelError for one that is unknown."""

    def __init__(self, ops: list) -> None:
        self.ops = [with_dtype(op, np.float32) for op in ops]
        unknown = [name for op in self.ops for name in _names(op) if name not in _EVALUATE]
        if unknown:
            raise _unknown(f"operation '{unknown[0]}'")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):  # NaN and infinity are looked at where they matter
            for op in self.ops:
                x = evaluate(op, x)
        return x


def _names(op: dict) -> list:
    inner = [name for branch in _inner(op) for o in branch for name in _names(o)]
    return [op["op"], *inner]


class HostInput:
    """One part of the accelerator's input, and how it comes from an input of the model."""

    def __init__(self, held: dict) -> None:
        codes = held["codes"]
        self.name: str = held["name"]  # the model's input that it is computed from
        # Of one frame of that input, without the batch
        self.shape: tuple[int, ...] = tuple(int(d) for d in held["shape"])
        self.values: dict | None = held.get("values")
        self.n = int(held["n"])  # integers per frame
        self.datatype: str = held["datatype"]  # QONNX name of the integers' type
        self.low, self.high = int(codes["min"]), int(codes["max"])  # of the integers
        self._take = None if held.get("take") is None else np.asarray(held["take"], dtype=np.int64)
        self._before = _Known(held["before"])
        self._codes = codes

    @property
    def size(self) -> int:
        """Values of one frame of the model's input."""
        return math.prod(self.shape)

    def front(self, x: np.ndarray, last: int | None = None) -> np.ndarray:
        """Return the values after the operations (up to `last`), in float32."""
        if self._take is not None:
            x = x[:, self._take]
        return x if last == 0 else _Known(self._before.ops[:last])(x)

    def codes(self, x: np.ndarray) -> np.ndarray:
        """Return the integers, in floating point, for (frames, size) of the model's input."""
        scale = np.asarray(self._codes["scale"], dtype=np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            return np.rint(self.front(x) / scale)

    def saturated(self, x: np.ndarray) -> np.ndarray:
        """Return which values quantisers cut off, bool, for (frames, size) of the model's input.

        Beyond half a step outside of what a quantiser on the host can represent.
        """
        y = self.front(x, 0)
        lost = ~np.isfinite(y)
        with np.errstate(all="ignore"):
            for op in self._before.ops:
                if op["op"] == "quant" and not (op["signed"] and op["bits"] == 1):
                    low, high = level_range(op["bits"], op["signed"], op["narrow"])
                    levels = y / op["scale"] + op["zero_point"]
                    cut = (levels < low - 0.5) | (levels > high + 0.5)
                    lost = lost | cut if lost.shape == cut.shape else cut
                y = evaluate(op, y)
        return lost

    def shifted(self, codes: np.ndarray) -> np.ndarray:
        """Return integers of the model as those that the accelerator takes."""
        return codes.astype(np.int64) // self._codes["divisor"] + self._codes["zero_point"]


class HostOutput:
    """One output of the model, and how it comes from the accelerator's integers."""

    def __init__(self, held: dict) -> None:
        self.name: str = held["name"]  # that of the model
        self.kind: str = held["kind"]  # one of ``OUTPUT_KINDS``
        # Of one frame, without the batch
        self.shape: tuple[int, ...] = tuple(int(d) for d in held["shape"])
        if self.kind not in OUTPUT_KINDS:
            raise _unknown(f"output kind '{self.kind}'")
        # Places of its integers in all that the accelerator gives; None for all of them
        self.take = None if held.get("take") is None else np.asarray(held["take"], dtype=np.int64)
        self._after = _Known(held["after"])

    @property
    def operations(self) -> tuple[str, ...]:
        """The names of what the host does to the integers."""
        return tuple(op["op"] for op in self._after.ops)

    def values(self, y: np.ndarray) -> np.ndarray:
        """Return the output, float32 (frames, n), for all integers of the accelerator."""
        z = self._after(self._taken(y))
        if self.kind == "argmax":
            return z.argmax(axis=1).astype(np.float32)[:, None]
        return z

    def scores(self, y: np.ndarray) -> np.ndarray:
        """Return the values whose largest is the class: those before a final softmax."""
        ops = self._after.ops
        while ops and ops[-1]["op"] in _ORDER_KEEPING:
            ops = ops[:-1]
        return _Known(ops)(self._taken(y))

    def _taken(self, y: np.ndarray) -> np.ndarray:
        y = y.astype(np.float32)
        return y if self.take is None else y[:, self.take]


def classes_right(outputs: np.ndarray, targets: np.ndarray, columns: slice) -> np.ndarray:
    """Return in which frames an output says the right class, bool (n,).

    `outputs` and `targets`, (n, values), have in `columns` the class, or a score of each class.
    """
    found, wanted = outputs[:, columns], targets[:, columns]
    if found.shape[1] == 1:
        return np.rint(found[:, 0]) == wanted[:, 0]
    return found.argmax(axis=1) == wanted.argmax(axis=1)


class HostModel:
    """Executes the host's part of a network."""

    def __init__(self, description: dict) -> None:
        try:
            version = description["version"]
            if version != FORMAT_VERSION:
                raise HostModelError(
                    f"this host model has format version {version}; this code reads version "
                    f"{FORMAT_VERSION}: use the driver of the accelerator's own package"
                )
            # Parts of the accelerator's input, and outputs of the model, in order
            self.inputs = tuple(HostInput(held) for held in description["inputs"])
            self.outputs = tuple(HostOutput(held) for held in description["outputs"])
            # Integers per frame into and out of the accelerator, side by side
            self.n_in = sum(part.n for part in self.inputs)
            self.n_out = int(description["n_out"])
            # QONNX names of types that hold all these integers, such as ``UINT4`` or ``INT20``
            self.input_datatype: str = description["input_datatype"]
            self.output_datatype: str = description["output_datatype"]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, HostModelError):
                raise
            raise HostModelError(
                f"this is not a host model description: {error!r}; give a build's host_model.json"
            ) from error
        # Empty if the model file has none
        self.feature_names: tuple[str, ...] = tuple(description.get("feature_names") or ())
        self.class_names: tuple[str, ...] = tuple(description.get("class_names") or ())
        # What each value of all outputs was trained with, if targets are numbers: ``cross_entropy``
        # for the score of a class. Else empty
        self.losses: tuple[str, ...] = tuple(description.get("losses") or ())
        # Which rows of which file the training has not used, see `training_rows`; or None
        self.split: object = description.get("split")
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

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of one frame of each of the model's inputs, by name."""
        return {part.name: part.shape for part in self.inputs}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one frame: that of the only input, or all values side by side."""
        shapes = list(self.input_shapes.values())
        return shapes[0] if len(shapes) == 1 else (sum(math.prod(shape) for shape in shapes),)

    @property
    def main(self) -> HostOutput:
        """The output that says the class: the first of several values, else the first."""
        wide = [out for out in self.outputs if math.prod(out.shape) > 1 or out.kind == "argmax"]
        return (wide or list(self.outputs))[0]

    @property
    def kind(self) -> str:
        """The kind of the main output."""
        return self.main.kind

    @property
    def numbers(self) -> list[int]:
        """Places, among the values of all outputs, of those that are not scores of classes."""
        return self.numbers_beside(self.class_heads)

    def numbers_beside(self, heads: "list[tuple[str, slice]]") -> list[int]:
        """Return the places of `numbers`, for outputs of classes as `judged` gives them."""
        classes = {at for _, columns in heads for at in range(columns.start, columns.stop)}
        return [at for at in range(sum(self._sizes)) if at not in classes]

    @property
    def _sizes(self) -> list[int]:
        return [math.prod(out.shape) for out in self.outputs]

    @property
    def class_heads(self) -> "list[tuple[str, slice]]":
        """The outputs that say a class where there are numbers beside: name, and places.

        Places are among the values of all outputs: one that is the class, or a score of each. They
        are known by what the training says, or by the argmax or softmax that they end in.
        """
        trained = len(self.losses) == sum(self._sizes)
        if len(self.outputs) == 1 and not trained:
            return []
        found, begin = [], 0
        for out, size in zip(self.outputs, self._sizes, strict=True):
            place = slice(begin, begin + size)
            begin += size
            chosen = out.kind == "argmax" or (size > 1 and out.operations[-1:] in _SOFTMAX)
            if set(self.losses[place]) == {"cross_entropy"} if trained else chosen:
                found.append((out.name, place))
        return found

    def judged(self, targets: np.ndarray) -> "tuple[np.ndarray, list[tuple[str, slice]]]":
        """Return targets with one column for each value of all outputs, and the `class_heads`.

        `targets` is (n, values), or has one column, the class counted from 0, for each output of
        several scores: then these outputs are classes. `HostModelError` if they do not fit.
        """
        sizes, width = self._sizes, targets.shape[1]
        if width == sum(sizes):
            return targets, self.class_heads
        if width != len(sizes) or width == 1:
            raise HostModelError(
                f"{width} targets a frame, but the model has {sum(sizes)} outputs; give a target "
                "for each of them, or of each output of scores its class"
            )
        parts, heads, begin = [], [], 0
        for out, size, column in zip(self.outputs, sizes, targets.T, strict=True):
            if size > 1 and not np.isin(column, np.arange(size)).all():
                raise HostModelError(
                    f"{width} targets a frame, of which that of output '{out.name}' is not a class "
                    f"from 0 to {size - 1}; give a target for each of all {sum(sizes)} values, or "
                    "classes"
                )
            if size > 1 or out.kind == "argmax":
                heads.append((out.name, slice(begin, begin + size)))
            whole = column[:, None] == np.arange(size) if size > 1 else column[:, None]
            parts.append(whole.astype(targets.dtype))
            begin += size
        return np.concatenate(parts, axis=1), heads

    @property
    def n_scores(self) -> int:
        """Values of the main output that the class is chosen from."""
        return self.n_out if self.main.take is None else len(self.main.take)

    def before(self, x: "np.ndarray | dict[str, np.ndarray]") -> np.ndarray:
        """Return the integers, int64 (frames, n_in), that the accelerator takes for raw frames.

        `x` is (frames, *shape) or (frames, values) of any real type, taken as float32; where the
        model has several inputs, a dictionary of such arrays by name, or all values side by side.
        `HostModelError` if a shape or type is wrong, or a value NaN or outside the input's type.
        """
        raw = self._by_name(x)
        return np.concatenate(
            [self._integers(part, raw[part.name]) for part in self.inputs], axis=1
        )

    def saturated(self, x: "np.ndarray | dict[str, np.ndarray]") -> np.ndarray:
        """Return which values of raw frames a quantiser cuts off, bool (frames, values)."""
        raw = self._by_name(x)
        return np.concatenate([part.saturated(raw[part.name]) for part in self.inputs], axis=1)

    def after(self, y: np.ndarray) -> "np.ndarray | dict[str, np.ndarray]":
        """Return the network's output for integers (frames, n_out) from the accelerator.

        float32 (frames, values), for the kind ``argmax`` (frames, 1); where the model has several
        outputs, a dictionary of such arrays by name.
        """
        y = self._checked(y)
        found = {out.name: out.values(y) for out in self.outputs}
        return found if len(found) > 1 else found[self.outputs[0].name]

    def classify(self, y: np.ndarray) -> np.ndarray:
        """Return the class, int64 (frames,), from the accelerator's integers (frames, n_out).

        The largest value of the main output is the class, the first of several equal ones. With a
        single value the class is 1 where it is positive before a final sigmoid, else 0.
        """
        z = self.main.scores(self._checked(y))
        if z.shape[1] == 1:
            return (z[:, 0] > 0).astype(np.int64)
        return z.argmax(axis=1).astype(np.int64)

    def _by_name(self, x: "np.ndarray | dict[str, np.ndarray]") -> dict:
        """Return each input of the model, checked, as float32 (frames, values)."""
        shapes = self.input_shapes
        if not isinstance(x, dict):
            if len(shapes) == 1:
                return {name: self._front(name, shape, x) for name, shape in shapes.items()}
            sizes = [math.prod(shape) for shape in shapes.values()]
            x = np.asarray(x)
            if x.ndim != 2 or x.shape[1] != sum(sizes):
                raise HostModelError(
                    f"the model has {len(shapes)} inputs ({', '.join(shapes)}); expected a "
                    "dictionary of arrays (as a file: an .npz with an array of each), or "
                    f"{sum(sizes)} values side by side, found {x.shape}"
                )
            parts = np.split(x, np.cumsum(sizes)[:-1], axis=1)
            x = dict(zip(shapes, parts, strict=True))
        if set(x) != set(shapes):
            raise HostModelError(
                f"expected the inputs {', '.join(shapes)}, found {', '.join(map(str, x))}: give "
                "an array for each"
            )
        found = {name: self._front(name, shape, x[name]) for name, shape in shapes.items()}
        if len({len(values) for values in found.values()}) > 1:
            counts = ", ".join(f"{name} {len(values)}" for name, values in found.items())
            raise HostModelError(f"the inputs have different numbers of frames: {counts}")
        return found

    def _integers(self, part: HostInput, x: np.ndarray) -> np.ndarray:
        codes = part.codes(x)
        if np.isnan(codes).any():
            row, column = np.argwhere(np.isnan(codes))[0]
            raise HostModelError(
                f"frame {row}, feature {self._feature(column)} becomes NaN in front of the "
                "accelerator: the model can't take its value, replace or drop it"
            )
        return part.shifted(codes)

    def _front(self, name: str, shape: tuple, x: np.ndarray) -> np.ndarray:
        x, size = np.asarray(x), math.prod(shape)
        if x.dtype.kind not in "buif":
            raise HostModelError(
                f"input '{name}' has dtype {x.dtype}; it must hold real numbers: convert it"
            )
        expected = ["(frames, " + ", ".join(str(d) for d in shape) + ")"]
        if shape != (size,):
            expected.append(f"(frames, {size})")
        if x.ndim < 2 or x.shape[1:] not in ((size,), shape):
            raise HostModelError(
                f"input '{name}' has shape {x.shape}; expected "
                + " or ".join(expected)
                + ": reshape it"
            )
        with np.errstate(over="ignore"):  # too large for float32: infinite, and saturates
            x = x.reshape(len(x), size).astype(np.float32)
        if np.isnan(x).any():
            row, column = np.argwhere(np.isnan(x))[0]
            raise HostModelError(
                f"input '{name}' has a NaN in frame {row}, feature {self._feature(column)}: "
                "replace or drop it"
            )
        for part in self.inputs:
            if part.name == name and part.values is not None:
                self._check_values(name, part.values, x)
        return x

    def _check_values(self, name: str, values: dict, x: np.ndarray) -> None:
        """Check that values are of the integer type that the model declares for its input."""
        low, high = values["min"], values["max"]
        bad = (x != np.rint(x)) | (x < low) | (x > high)
        if values["datatype"] == "BIPOLAR":
            bad |= x == 0
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise HostModelError(
                f"input '{name}' takes {values['datatype']} values "
                f"({low} to {high}); frame {row}, feature {self._feature(column)} is "
                f"{x[row, column]:g}: quantise the data to these values"
            )

    def _feature(self, column: int) -> str:
        if len(self.feature_names) == self.n_in:
            return f"{column} ({self.feature_names[column]})"
        return str(column)

    def _checked(self, y: np.ndarray) -> np.ndarray:
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
        return y
