# ruff: noqa: D102 (the attributes of TableLike are explained in Table)
"""One table of labelled rows before it is split, and what a reader of users' files returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from brevitas_models.datasets.base import Features, Labels, Scaler


@dataclass(frozen=True, eq=False)
class Table:
    """Checked rows of one origin, before they are split.

    Attributes
    ----------
    name, source, surrogate, feature_names, class_names
        As in `Dataset`.
    x : (n, n_features) float32
        Raw, finite features.
    y : (n,) int64 or None
        Index in `class_names`; None where there are targets instead.
    scaler : Scaler or None
        The one recorded with the data.
    parts : tuple of 3 int or None
        Numbers of rows of training, validation and test set, which lie in `x` in that order;
        None if the data come without splits.
    class_order : str
        What decides the order of the classes of a user's file, for people.
    targets : (n, n_targets) float32 or None
        Numbers that a network should give, of a file that holds no classes.
    target_names : tuple of str
        Of the columns of `targets`.
    digest : str
        SHA-256 of the user's file, or empty.
    """

    name: str
    source: str
    x: Features
    y: Labels | None
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    scaler: Scaler | None = None
    parts: tuple[int, int, int] | None = None
    surrogate: bool = False
    class_order: str = ""
    targets: Features | None = None
    target_names: tuple[str, ...] = ()
    digest: str = ""


class ScalerLike(Protocol):
    """What is used of a recorded scaler: see `Scaler`."""

    @property
    def mean(self) -> npt.NDArray[np.float32]: ...
    @property
    def scale(self) -> npt.NDArray[np.float32]: ...


class TableLike(Protocol):
    """What is used of a file that was read: the attributes of `Table`."""

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def x(self) -> Features: ...
    @property
    def y(self) -> Labels | None: ...
    @property
    def feature_names(self) -> tuple[str, ...]: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def scaler(self) -> ScalerLike | None: ...
    @property
    def parts(self) -> tuple[int, int, int] | None: ...
    @property
    def surrogate(self) -> bool: ...
    @property
    def class_order(self) -> str: ...
    @property
    def targets(self) -> Features | None: ...
    @property
    def target_names(self) -> tuple[str, ...]: ...
    @property
    def digest(self) -> str: ...


class ReadTable(Protocol):
    """Reads and checks a user's file; its errors are its own. Training gets it as an argument."""

    def __call__(
        self,
        path: Path,
        *,
        feature_names: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
        class_order: str = "",
        targets: bool = False,
    ) -> TableLike:
        """Return the rows of a file, columns and labels in a wanted order if one is given.

        With `targets` labels are numbers, also if they look like classes.
        """
        ...
