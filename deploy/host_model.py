"""The part of a network that runs on the host: before the first and after the last integer.

Standardising and quantising the raw features, and scaling, biasing or normalising the results, is
floating point and stays on the host. A build describes it in ``host_model.json``;
:class:`HostModel` executes it with only numpy, on the board and where the build is verified.

Arithmetic is float32, operation by operation in the order of the QONNX graph, so
:meth:`HostModel.before` returns the integers of the graph itself.

Inputs and outputs lie side by side on the accelerator's streams, in the order of the description.
"""

import json
import math
from pathlib import Path

import numpy as np

from deploy.errors import HostModelError
from deploy.host_ports import HostInput, HostOutput

FORMAT_VERSION = 2


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
