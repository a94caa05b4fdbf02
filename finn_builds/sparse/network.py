"""The integer network that the sparse style turns into logic, and what it computes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finn_builds.errors import UserError

IntArray = NDArray[np.int64]

# Accumulators beyond this leave no room for the bookkeeping of offsets in int64.
MAX_MAGNITUDE = 1 << 50


@dataclass(frozen=True, eq=False)
class SparseLayer:
    """One fully connected layer on integers, with or without thresholds.

    For an input frame `x`, the accumulator is `a = x @ weights`. Without thresholds the output is
    `a` itself; with thresholds it is `out_bias + out_step * #{k : a >= thresholds[:, k]}`, the
    meaning of QONNX's MultiThreshold.

    Parameters
    ----------
    weights : int64 array (n_in, n_out)
    thresholds : int64 array (n_out, n_steps), each row ascending, or None
    out_bias, out_step : int
        The integers that the count of passed thresholds is mapped to. Both must be left at 0
        and 1 when there are no thresholds.
    in_lo, in_hi : int
        Inclusive range of every input element.

    Raises
    ------
    UserError
        If shapes do not fit, a row of thresholds is not ascending, or the range is empty.
    """

    weights: IntArray
    thresholds: IntArray | None
    out_bias: int
    out_step: int
    in_lo: int
    in_hi: int

    def __post_init__(self) -> None:
        """Check the shapes and freeze the arrays."""
        weights = np.array(self.weights, dtype=np.int64)
        if weights.ndim != 2 or 0 in weights.shape:
            raise UserError(
                f"sparse layer: expected weights of shape (n_in, n_out), found {weights.shape}; "
                "give every layer at least one input and one neuron"
            )
        if self.in_lo > self.in_hi:
            raise UserError(
                f"sparse layer: expected an input range with lo <= hi, found "
                f"[{self.in_lo}, {self.in_hi}]; check the input's datatype"
            )
        weights.flags.writeable = False
        object.__setattr__(self, "weights", weights)
        if self.thresholds is not None:
            self._freeze_thresholds(weights.shape[1])
        elif self.out_bias != 0 or self.out_step != 1:
            raise UserError(
                "sparse layer: expected out_bias 0 and out_step 1 without thresholds, found "
                f"{self.out_bias} and {self.out_step}; fold them into the next layer"
            )
        reach = max(abs(self.in_lo), abs(self.in_hi)) * int(np.abs(weights).sum(axis=0).max())
        if reach >= MAX_MAGNITUDE:
            raise UserError(
                f"sparse layer: expected accumulators below 2^50, found up to {reach}; quantise "
                "the inputs or the weights to fewer bits"
            )

    def _freeze_thresholds(self, n_out: int) -> None:
        thresholds = np.array(self.thresholds, dtype=np.int64)
        if thresholds.ndim != 2 or thresholds.shape[0] != n_out:
            raise UserError(
                f"sparse layer: expected thresholds of shape ({n_out}, n_steps), found "
                f"{thresholds.shape}; repeat a shared row once per neuron"
            )
        if np.any(np.diff(thresholds, axis=1) < 0):
            row = int(np.nonzero(np.any(np.diff(thresholds, axis=1) < 0, axis=1))[0][0])
            raise UserError(
                f"sparse layer: expected ascending thresholds, found neuron {row} out of order; "
                "sort each row"
            )
        # Thresholds beyond any accumulator are common (never, always); keep sums inside int64.
        thresholds = np.clip(thresholds, -2 * MAX_MAGNITUDE, 2 * MAX_MAGNITUDE)
        thresholds.flags.writeable = False
        object.__setattr__(self, "thresholds", thresholds)

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return int(self.weights.shape[0])

    @property
    def n_out(self) -> int:
        """Number of neurons."""
        return int(self.weights.shape[1])

    def evaluate(self, x: IntArray) -> IntArray:
        """Return the outputs of a batch, (n, n_in) -> (n, n_out)."""
        acc = np.asarray(x, dtype=np.int64) @ self.weights
        if self.thresholds is None:
            return acc
        out = np.empty_like(acc)
        for j in range(self.n_out):
            out[:, j] = np.searchsorted(self.thresholds[j], acc[:, j], side="right")
        return self.out_bias + self.out_step * out

    def accumulator_range(self, neuron: int) -> tuple[int, int]:
        """Return the exact inclusive range of a neuron's accumulator over the input box."""
        w = self.weights[:, neuron]
        pos, neg = int(w[w > 0].sum()), int(w[w < 0].sum())
        return pos * self.in_lo + neg * self.in_hi, pos * self.in_hi + neg * self.in_lo

    def output_range(self) -> tuple[int, int]:
        """Return an inclusive range that holds every output of the layer."""
        if self.thresholds is None:
            ranges = [self.accumulator_range(j) for j in range(self.n_out)]
            return min(r[0] for r in ranges), max(r[1] for r in ranges)
        last = self.out_bias + self.out_step * self.thresholds.shape[1]
        return min(self.out_bias, last), max(self.out_bias, last)


@dataclass(frozen=True, eq=False)
class SparseNetwork:
    """Sparse layers one behind the other, fused into one pipeline.

    Parameters
    ----------
    layers : tuple of SparseLayer
        Each layer's `n_in` is its predecessor's `n_out`, and its input range holds the
        predecessor's outputs.
    name : str
        Prefix of the emitted modules; a Verilog identifier.
    """

    layers: tuple[SparseLayer, ...]
    name: str = "sparse"

    def __post_init__(self) -> None:
        """Check that neighbouring layers fit."""
        if not self.layers:
            raise UserError("sparse network: expected at least one layer, found none; add one")
        if not (self.name.isidentifier() and self.name.isascii()):
            raise UserError(
                f"sparse network: expected a Verilog identifier as name, found {self.name!r}; "
                "use letters, digits and underscores"
            )
        for k, (a, b) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            lo, hi = a.output_range()
            if a.n_out != b.n_in or lo < b.in_lo or hi > b.in_hi:
                raise UserError(
                    f"sparse network: expected layer {k + 1} to take {a.n_out} inputs in "
                    f"[{lo}, {hi}], found {b.n_in} in [{b.in_lo}, {b.in_hi}]; check the order "
                    "of the layers and their datatypes"
                )

    def evaluate(self, x: IntArray) -> IntArray:
        """Return the outputs of a batch, (n, n_in) -> (n, n_out)."""
        for layer in self.layers:
            x = layer.evaluate(x)
        return x

    @property
    def n_in(self) -> int:
        """Number of inputs of the first layer."""
        return self.layers[0].n_in

    @property
    def n_out(self) -> int:
        """Number of outputs of the last layer."""
        return self.layers[-1].n_out
