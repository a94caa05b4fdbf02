"""The outputs of a network, and what each of them learns: classes, or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from brevitas_models.model.config import MLPConfig

CLASSES: Literal["cross_entropy"] = "cross_entropy"
Loss = Literal["cross_entropy", "mse", "huber"]


@dataclass(frozen=True)
class Head:
    """One output: some values of the last layer, and the loss that they are trained with."""

    name: str  # empty where the network has a single output without a name
    # Its values among those of the last layer
    start: int
    stop: int
    loss: Loss  # as of `train.settings.TrainingSettings`

    @property
    def values(self) -> slice:
        """Its values among those of the last layer."""
        return slice(self.start, self.stop)

    @property
    def size(self) -> int:
        """Number of its values."""
        return self.stop - self.start

    @property
    def is_class(self) -> bool:
        """Whether it names a class."""
        return self.loss == CLASSES


def heads_of(network: MLPConfig, loss: Loss | tuple[Loss, ...]) -> tuple[Head, ...]:
    """Return the heads of a network for the loss of all, or one for each.

    Raises ValueError if a list of losses is not one for each of its outputs.
    """
    outputs = network.outputs or {"": network.layers[-1]}
    losses = loss if isinstance(loss, tuple) else (loss,) * len(outputs)
    if len(losses) != len(outputs):
        raise ValueError(
            f"training.loss: expected one loss, or one for each of the {len(outputs)} outputs of "
            f"the network (network.outputs), found {len(losses)}"
        )
    found, start = [], 0
    for (name, size), own in zip(outputs.items(), losses, strict=True):
        found.append(Head(name, start, start + size, own))
        start += size
    return tuple(found)


def learns_classes(heads: Sequence[Head]) -> bool:
    """Return whether targets are classes: with a single head, that names one."""
    return len(heads) == 1 and heads[0].is_class
