"""Every tensor of a network for given frames: the integers, and what the model has beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finn_builds.network import IntegerNetwork, Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Of the largest number of a tensor: what sums in float32 may be off by.
_FLOAT_ERROR = 1e-5


@dataclass(frozen=True, eq=False)
class Pair:
    """A tensor of the network and the one of the model that holds the same numbers.

    Attributes
    ----------
    tensor : Tensor
    name : str
        Of the model's tensor; empty where there is none.
    scale, offset : ndarray of float64, shape (n,)
        For each element: the model's number is ``scale * integer + offset``. NaN where it did not
        change in the frames of the trace.
    """

    tensor: Tensor
    name: str
    scale: np.ndarray
    offset: np.ndarray


def _line(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return slope and offset of the line through (x, y) of least squares, for each column."""
    dx, dy = x - x.mean(axis=0), y - y.mean(axis=0)
    slope = (dx * dy).sum(axis=0) / (dx * dx).sum(axis=0)
    return slope, y.mean(axis=0) - slope * x.mean(axis=0)


@dataclass(frozen=True, eq=False)
class Trace:
    """What some frames become on their way through a network.

    Attributes
    ----------
    network : IntegerNetwork
    integers : mapping of str to ndarray of int64, shape (frames, n)
        Every tensor of the network by its name, inputs first.
    tensors : mapping of str to ndarray of float32, shape (frames, ...)
        Every tensor of the QONNX model that depends on its input, by its name there.
    """

    network: IntegerNetwork
    integers: Mapping[str, np.ndarray]
    tensors: Mapping[str, np.ndarray]

    def rows(self) -> list[tuple[Tensor, int, int]]:
        """Return each tensor of the network with the smallest and the largest integer it had."""
        every = (*self.network.inputs, *(node.output for node in self.network.nodes))
        found = ((tensor, self.integers[tensor.name]) for tensor in every)
        return [(tensor, int(held.min()), int(held.max())) for tensor, held in found]

    def pairs(self) -> list[Pair]:
        """Return each tensor of the network with the model's tensor that holds the same numbers.

        That is the first one, in the model's order, whose elements are the integers' times a scale
        and plus an offset in all frames, as far as float32 goes; elements that did not change in
        these frames say nothing. A tensor without one (an operation that the model writes in other
        steps) has an empty name.
        """
        return [self._pair(tensor, self.integers[tensor.name]) for tensor, *_ in self.rows()]

    def _pair(self, tensor: Tensor, integers: np.ndarray) -> Pair:
        moved = np.ptp(integers, axis=0) > 0
        for name, found in self.tensors.items():
            values = found.reshape(len(found), -1).astype(np.float64)
            if values.shape != integers.shape or not moved.any():
                continue
            scale, offset = _line(integers[:, moved], values[:, moved])
            least = np.abs(values[:, moved] - integers[:, moved] * scale - offset).max()
            if np.all(scale) and least <= _FLOAT_ERROR * max(np.abs(values).max(), 1e-30):
                every = np.full((2, integers.shape[1]), np.nan)
                every[:, moved] = scale, offset
                return Pair(tensor, name, *every)
        return Pair(tensor, "", *np.full((2, integers.shape[1]), np.nan))

    def plot(self) -> Figure:
        """Draw the range that each tensor had, in that which it can have, in that of its type.

        The axis is logarithmic to both sides of zero, as integers of 1 to 24 bits lie on it.
        """
        from matplotlib.figure import Figure
        from qonnx.core.datatype import DataType

        rows = self.rows()
        figure = Figure(figsize=(7, 1 + 0.4 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for place, (tensor, low, high) in enumerate(rows):
            kind, (least, most) = DataType[tensor.datatype], tensor.bounds
            ends = (
                (int(kind.min()), int(kind.max()), "0.88", "its type"),
                (least, most, "0.7", "any input"),
                (low, high, "C0", "these frames"),
            )
            for left, right, color, label in ends:
                shown = label if place == 0 else None
                axes.barh(place, right - left or 1, left=left, color=color, label=shown)
        axes.set_xscale("symlog", linthresh=1)
        names = [f"{p.tensor.name}: {p.tensor.datatype}\n{p.name}".strip() for p in self.pairs()]
        axes.set_yticks(range(len(rows)), names, fontsize=7)
        axes.invert_yaxis()
        axes.set_xlabel("integers")
        figure.legend(loc="outside upper center", ncols=3, fontsize=8)
        return figure
