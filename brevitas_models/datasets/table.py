"""One table of labelled rows before it is split, and what a reader of users' files returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from brevitas_models.datasets.base import Features, Labels, Scaler


@dataclass(frozen=True, eq=False)
class Table:
    """Checked rows of one origin, before they are split; fields of `Dataset` are as there."""

    name: str
    source: str
    x: Features  # (n, n_features), raw and finite
    y: Labels | None  # (n,), index in `class_names`; None where there are targets instead
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    scaler: Scaler | None = None  # the one recorded with the data
    # Numbers of rows of training, validation and test set, which lie in `x` in that order; None if
    # the data come without splits
    parts: tuple[int, int, int] | None = None
    surrogate: bool = False
    class_order: str = ""  # what decides the order of the classes of a user's file, for people
    # (n, n_targets), numbers that a network should give, of a file that holds no classes
    targets: Features | None = None
    target_names: tuple[str, ...] = ()  # of the columns of `targets`
    digest: str = ""  # SHA-256 of the user's file, or empty


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
    ) -> Any:
        """Return the rows of a file as an object with the attributes of `Table`.

        Columns and labels are in a wanted order if one is given. With `targets` labels are numbers,
        also if they look like classes.
        """
        ...
