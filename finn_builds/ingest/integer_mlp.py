"""A streamlined network as plain integer arrays."""

from dataclasses import dataclass

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from finn_builds.ingest.chain import read_plain


@dataclass(frozen=True)
class IntegerLayer:
    """One layer: an integer matrix product, and thresholds unless it is the last.

    Attributes
    ----------
    name
        Of the MatMul node.
    weights
        int64, shape (n_in, n_out).
    weight_datatype, input_datatype, output_datatype
        QONNX names.
    accumulator_datatype
        QONNX name; the output's where there are no thresholds.
    thresholds
        int64, shape (n_out, steps), rows ascending, or ``None``.
    out_bias, out_step
        ``output = out_bias + out_step * (number of thresholds <= accumulator)``.
    """

    name: str
    weights: np.ndarray
    weight_datatype: str
    input_datatype: str
    output_datatype: str
    accumulator_datatype: str
    thresholds: np.ndarray | None
    out_bias: int = 0
    out_step: int = 1

    def execute(self, x: np.ndarray) -> np.ndarray:
        """Return the layer's output, int64 (frames, n_out), for int64 (frames, n_in)."""
        # BLAS has no integers; sums below 2**24 are exact in its doubles.
        a = (x.astype(np.float64) @ self.weights.astype(np.float64)).astype(np.int64)
        if self.thresholds is None:
            return a
        counts = np.empty_like(a)
        for j, row in enumerate(self.thresholds):
            counts[:, j] = np.searchsorted(row, a[:, j], side="right")
        return self.out_bias + self.out_step * counts


@dataclass(frozen=True)
class IntegerMLP:
    """A network of integer layers, in order."""

    layers: tuple[IntegerLayer, ...]

    def execute(self, x: np.ndarray) -> np.ndarray:
        """Return the output, int64 (frames, n_out), for integers of shape (frames, n_in)."""
        y = np.asarray(x).astype(np.int64)
        for layer in self.layers:
            y = layer.execute(y)
        return y


def integer_mlp(model: ModelWrapper) -> IntegerMLP:
    """Return a model from :func:`.to_thresholds` as integer arrays."""
    chain = read_plain(model)
    layers: list[IntegerLayer] = []
    datatype = chain.input_datatype or ""
    for i, step in enumerate(chain.steps):
        if step.op != "MatMul":
            continue
        after = chain.steps[i + 1] if i + 1 < len(chain.steps) else None
        sums = step.datatype or ""
        thresholds, bias, jump, out = None, 0, 1, sums
        if after is not None:
            thresholds = after.constants[0].astype(np.int64)
            bias, jump = int(after.attrs["out_bias"]), int(after.attrs["out_scale"])
            out = after.datatype or ""
        layers.append(
            IntegerLayer(
                name=step.name,
                weights=step.constants[0].astype(np.int64),
                weight_datatype=step.weight_datatype or "",
                input_datatype=datatype,
                output_datatype=out,
                accumulator_datatype=sums,
                thresholds=thresholds,
                out_bias=bias,
                out_step=jump,
            )
        )
        datatype = out
    return IntegerMLP(tuple(layers))
