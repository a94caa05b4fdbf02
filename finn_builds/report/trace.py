"""Every tensor of a network for given frames: the integers, and what the model has beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finn_builds.network import IntegerNetwork, Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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

    def plot(self) -> Figure:
        """Draw the range that each tensor had, in that which it can have, in that of its type.

        The axis is logarithmic to both sides of zero, as integers of 1 to 24 bits lie on it.
        """
        from matplotlib.figure import Figure
        from qonnx.core.datatype import DataType

        rows = self.rows()
        figure = Figure(figsize=(7, 1 + 0.32 * len(rows)), layout="constrained")
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
        axes.set_yticks(range(len(rows)), [f"{t.name}: {t.datatype}" for t, *_ in rows], fontsize=8)
        axes.invert_yaxis()
        axes.set_xlabel("integers")
        figure.legend(loc="outside upper center", ncols=3, fontsize=8)
        return figure
