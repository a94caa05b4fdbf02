"""Coordinates in which a data set's frames can be mixed and stay possible frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from brevitas_models.datasets import jets_features
from brevitas_models.datasets.base import Features

Floats = npt.NDArray[np.float64]

# Smallest magnitude of which a logarithm is taken.
_TINY = 1e-7
# c1_b0 is a sum of products of momentum fractions, which is below one half.
_C1_B0_END = 0.5


class Space(Protocol):
    """Turns raw features into free coordinates, any values of which belong to a frame, and back."""

    def free(self, x: Features) -> Floats:
        """Return the coordinates (n, k) of raw features (n, n_features)."""
        ...

    def raw(self, u: Floats) -> Features:
        """Return the raw features (n, n_features) of coordinates (n, k)."""
        ...


class JetSpace:
    """Logarithms of the jets' features, without those that follow from others.

    D2 = C2 / C1 at equal angular exponents, and D2 of the exponents 1 and 2 is
    C2(1) C1(1)^2 / C1(2)^1.5: Larkoski, Moult and Neill, "Power counting to better jet observables"
    (2014), arXiv 1409.6298; of 501 real jets both hold to a thousandth. The features span decades,
    and in logarithms they depend on each other almost linearly, so what is mixed from neighbours is
    nearly a jet.
    """

    def __init__(self) -> None:
        names = jets_features.FEATURES
        self.at = {name.removesuffix("_mmdt"): index for index, name in enumerate(names)}
        self.kept = [index for name, index in self.at.items() if not name.startswith("d2_")]

    def free(self, x: Features) -> Floats:
        """Return the coordinates (n, 12) of raw features (n, 16)."""
        u = x[:, self.kept].astype(np.float64)
        u[:, self._column("zlogz")] *= -1.0  # negative by definition
        part = self._column("c1_b0")
        u[:, part] = u[:, part] / np.maximum(_C1_B0_END - u[:, part], 1e-4)
        logs: Floats = np.log(np.maximum(u, _TINY))
        return logs

    def raw(self, u: Floats) -> Features:
        """Return the raw features (n, 16) of coordinates (n, 12)."""
        values = np.exp(u)
        values[:, self._column("zlogz")] *= -1.0
        part = self._column("c1_b0")
        values[:, part] = _C1_B0_END * values[:, part] / (1.0 + values[:, part])
        x = np.empty((len(u), len(self.at)))
        x[:, self.kept] = values
        x[:, self.at["multiplicity"]] = np.rint(x[:, self.at["multiplicity"]])
        c1, c1_2, c2, c2_2 = (x[:, self.at[name]] for name in ("c1_b1", "c1_b2", "c2_b1", "c2_b2"))
        x[:, self.at["d2_b1"]] = x[:, self.at["d2_a1_b1"]] = c2 / c1
        x[:, self.at["d2_b2"]] = c2_2 / c1_2
        x[:, self.at["d2_a1_b2"]] = c2 * c1**2 / c1_2**1.5
        return x.astype(np.float32)

    def _column(self, name: str) -> int:
        return self.kept.index(self.at[name])


def space_of(feature_names: Sequence[str]) -> Space | None:
    """Return the space of frames with these features, if one is known."""
    return JetSpace() if tuple(feature_names) == jets_features.FEATURES else None
