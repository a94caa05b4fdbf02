"""What is asked of a file with data: what a model takes and gives, as far as it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deploy.errors import UserError

__all__ = ["Wanted", "checked_names"]


@dataclass
class Wanted:
    """What a reader of data has to find; nothing given: all as it is in the file."""

    # What a model expects, in its order; columns and labels are found by their names. Further
    # columns are left out; a wanted class need not have a row
    feature_names: Sequence[str] | None = None
    class_names: Sequence[str] | None = None
    class_order: str = "as the model has them"  # where the order of the classes is from, for people
    n_features: int | None = None  # sizes of the model that the rows are for
    n_outputs: int | None = None  # two classes may have a single one
    targets: bool = False  # labels are numbers to be given, also if they look like classes
    labelled: bool = True  # the file must hold labels; else it may hold features alone
    # Only rows to measure on: the test set if the file has splits, which may then be all it holds,
    # else every row in its own order
    test_only: bool = False

    def __post_init__(self) -> None:
        if self.feature_names is not None:
            self.feature_names = tuple(self.feature_names)
        if self.class_names is not None:
            self.class_names = checked_names(self.class_names, None, "classes")


def checked_names(values: Sequence[Any], expected: int | None, what: str) -> tuple[str, ...]:
    """Return names as text; none may be empty or occur twice, and their number must fit."""
    names = tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values)
    if expected is not None and len(names) != expected:
        raise UserError(f"{what}: {len(names)} names for {expected} columns; give one for each.")
    for position, name in enumerate(names):
        if not name.strip():
            raise UserError(f"{what}: name {position + 1} of {len(names)} is empty; give it one.")
        if name in names[:position]:
            raise UserError(f"{what}: the name {name!r} occurs twice; names must differ.")
    return names
