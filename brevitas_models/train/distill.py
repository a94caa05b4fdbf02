"""Knowledge distillation: a teacher in a QONNX file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brevitas_models.errors import UserError

Floats = NDArray[np.float32]

# Frames of one execution: wide enough that the overhead of a node does not count, small enough
# that the intermediate tensors of all nodes stay within some ten megabytes.
_FRAMES_AT_ONCE = 16_384

# The metadata property that this project's export writes; see `export.METADATA_KEY`, which is not
# imported since that would import torch's exporter too.
_OWN_METADATA = "prunestream"


class Teacher:
    """A classifier in a QONNX file, executed by qonnx in batches.

    `takes_raw` says whether the graph standardises the features itself.
    """

    def __init__(self, path: Path, inputs: str = "auto") -> None:
        """Read the file.

        Parameters
        ----------
        path : Path
            QONNX (or plain ONNX) file with one input (n, n_features) and one output
            (n, n_classes), either probabilities or logits.
        inputs : {"auto", "raw", "standardised"}
            What the graph takes; ``auto`` is raw for files that carry this project's metadata.

        Raises
        ------
        UserError
            If there is no such file, it is no ONNX, or its shape is another one.
        """
        self.path = path
        self._model, ours = _read(path)
        graph = self._model.graph
        with_values = {tensor.name for tensor in graph.initializer}
        free = [tensor.name for tensor in graph.input if tensor.name not in with_values]
        if len(free) != 1 or len(graph.output) != 1:
            raise UserError(
                f"{path}: expected a teacher with one input and one output, found {len(free)} and "
                f"{len(graph.output)}; export it with features in and logits out alone"
            )
        self._input, self._output = free[0], graph.output[0].name
        self.n_features = self._width(self._input, "input")
        self.n_classes = self._width(self._output, "output")
        self.takes_raw = ours if inputs == "auto" else inputs == "raw"

    def _width(self, tensor: str, role: str) -> int:
        shape = self._model.get_tensor_shape(tensor)
        if shape is None or len(shape) != 2 or shape[1] < 1:
            raise UserError(
                f"{self.path}: expected the {role} of a teacher to have the shape (frames, "
                f"features) with a fixed number of features, found {shape} for {tensor}; export "
                f"it for flat features"
            )
        return int(shape[1])

    def check_fits(self, n_features: int, n_classes: int) -> None:
        """Raise a `UserError` unless the teacher has these numbers of inputs and outputs."""
        for role, own, needed in (
            ("takes", self.n_features, f"{n_features} features"),
            ("gives", self.n_classes, f"{n_classes} classes"),
        ):
            if own != int(needed.split()[0]):
                raise UserError(
                    f"{self.path}: this teacher {role} {own} {needed.split()[1]}, the data set has "
                    f"{needed}; give a teacher and a data set that belong together"
                )

    def logits(self, x: Floats) -> Floats:
        """Ask the teacher about features (n, n_features) as it takes them, see `takes_raw`.

        Returns logits (n, n_classes), free of a constant per row: the logarithm of the output where
        that holds probabilities, else the output itself.
        """
        blocks = range(0, len(x), _FRAMES_AT_ONCE)
        outputs = [self._execute(x[start : start + _FRAMES_AT_ONCE]) for start in blocks]
        output = np.concatenate(outputs).astype(np.float32)
        wrong = int((~np.isfinite(output).all(axis=1)).sum())
        if wrong:
            raise UserError(
                f"{self.path}: the teacher's answers to {wrong:,} of {len(x):,} frames are "
                f"infinite or NaN; expected numbers, give another one, or try "
                f"distillation.teacher_inputs"
            )
        if np.all(output >= 0) and np.allclose(output.sum(axis=1), 1, atol=1e-3):
            # A softmax in single precision gives zeros; their logarithm has to stay finite.
            return np.log(np.maximum(output, np.finfo(np.float32).tiny))
        return output

    def _execute(self, x: Floats) -> Any:
        from qonnx.core.onnx_exec import execute_onnx
        from qonnx.transformation.change_batchsize import ChangeBatchSize
        from qonnx.transformation.infer_shapes import InferShapes

        if self._model.get_tensor_shape(self._input)[0] != len(x):
            self._model = self._model.transform(ChangeBatchSize(len(x))).transform(InferShapes())
        try:
            return execute_onnx(self._model, {self._input: np.ascontiguousarray(x)})[self._output]
        except Exception as error:
            # Whatever a node of a foreign graph may raise: qonnx has no error of its own for it.
            raise _not_executable(self.path, error) from error


def _not_executable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path}: expected a teacher that qonnx can execute, found one that it can't "
        f"({type(error).__name__}: {error}); try its clean-up, qonnx-cleanup, or another export"
    )


def _read(path: Path) -> tuple[Any, bool]:
    """Read an ONNX file; returns a tidy qonnx ``ModelWrapper`` and whether it is an own export."""
    import onnx
    from google.protobuf.message import DecodeError
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.util.cleanup import cleanup_model

    if not path.is_file():
        raise UserError(
            f"{path}: no such file; expected the QONNX file of a teacher, check the path"
        )
    try:
        proto = onnx.load(str(path))
    except (DecodeError, OSError, onnx.checker.ValidationError) as error:
        raise UserError(f"{path}: not a readable ONNX file ({error}); give another one") from None
    if not proto.graph.node or not proto.opset_import:
        raise UserError(
            f"{path}: not a readable ONNX file (there is no graph in it); give another one"
        )
    with warnings.catch_warnings():
        # qonnx warns of every old-style domain name that it converts.
        warnings.simplefilter("ignore")
        model = ModelWrapper(proto)
        # Looked up here, since the clean-up does not keep what a file says about itself.
        ours = model.get_metadata_prop(_OWN_METADATA) is not None
        try:
            return cleanup_model(model), ours
        except Exception as error:  # a user's graph may raise anything in qonnx's passes
            raise _not_executable(path, error) from error
