"""The jets' features and classes in the order used everywhere, found in what was downloaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from brevitas_models.datasets.base import Features
from brevitas_models.errors import UserError

FEATURES = (
    "zlogz",
    "c1_b0_mmdt",
    "c1_b1_mmdt",
    "c1_b2_mmdt",
    "c2_b1_mmdt",
    "c2_b2_mmdt",
    "d2_b1_mmdt",
    "d2_b2_mmdt",
    "d2_a1_b1_mmdt",
    "d2_a1_b2_mmdt",
    "m2_b1_mmdt",
    "m2_b2_mmdt",
    "n2_b1_mmdt",
    "n2_b2_mmdt",
    "mass_mmdt",
    "multiplicity",
)
"""Sums over the jet's constituents, energy correlations after mMDT grooming, groomed mass (GeV)
and number of constituents."""

CLASSES = ("g", "q", "t", "w", "z")
"""Gluon, light quark, top quark, W boson, Z boson."""


def find_columns(found: Sequence[str], wanted: Sequence[str], what: str) -> list[int]:
    """Return the position of each wanted name among those found in a download.

    Raises UserError if names are missing: all of them, and what was found, are named.
    """
    missing = [name for name in wanted if name not in found]
    if missing:
        raise UserError(
            f"{what}: feature{'s' * (len(missing) > 1)} {', '.join(missing)} missing; found "
            f"{', '.join(found)}. Download the data again, or choose another source."
        )
    return [found.index(name) for name in wanted]


def finite(x: npt.NDArray, where: Callable[[int], str]) -> Features:
    """Return raw features (n, 16) as float32; `where` says where row i is, for the message.

    Raises UserError if a value is NaN, infinite or too large for float32: its row and column are
    named.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = np.ascontiguousarray(x, dtype=np.float32)
    bad = np.argwhere(~np.isfinite(narrow))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        raise UserError(
            f"{where(row)}, feature {FEATURES[column]!r}: the value is {x[row, column]}; every "
            f"feature must be a finite number that fits float32. Remove such rows."
        )
    return narrow
