"""What a layer is made of while it is lowered: neurons, and the operands of their sums."""

from __future__ import annotations

from dataclasses import dataclass

from finn_builds.network.ops import IntArray
from finn_builds.sparse.addtree import Operand, SumBuilder
from finn_builds.sparse.scaled import Scaled


@dataclass(frozen=True)
class Neuron:
    """A neuron over its layer's sources: `matrix column @ sources`, counted or as it is.

    Parameters
    ----------
    column : int64 array (n_sources,)
        Weights of the unsigned sources, their common divisor taken out if the sum is counted.
    thresholds : tuple of int, or None
        Thresholds of `column @ sources`, only those that decide.
    always : int
        Thresholds that are passed whatever the input.
    bias : int
        What is missing to the accumulator; only where it is not counted.
    factor : int
        The common divisor that was taken out.
    raw : tuple of int
        The thresholds of `factor * column @ sources`.
    scaled : Scaled, or None
        What counts levels too many for thresholds, on `column @ sources`.
    own : Scaled, or None
        The multiplication that the thresholds come from.
    """

    column: IntArray
    thresholds: tuple[int, ...] | None
    always: int
    bias: int
    factor: int = 1
    raw: tuple[int, ...] = ()
    scaled: Scaled | None = None
    own: Scaled | None = None

    @property
    def is_counted(self) -> bool:
        """Whether it gives codes, not sums."""
        return self.thresholds is not None or self.scaled is not None


def on_node(thresholds: tuple[int, ...], op: Operand) -> list[int]:
    """Return ascending thresholds of an operand's node; reversed in meaning if it is negated.

    The sum is `sign * ((node - offset) << shift)`. With a positive sign `sum >= t` is
    `node >= ceil(t / 2^shift) + offset`; with a negative one it is
    `not node >= floor(-t / 2^shift) + 1 + offset`.
    """
    k, offset = op.shift, op.form.offset
    if op.sign > 0:
        return [-((-t) >> k) + offset for t in thresholds]
    return sorted(((-t) >> k) + 1 + offset for t in thresholds)


def operands_of(
    terms: tuple[tuple[int, int, int], ...],
    builder: SumBuilder,
    shared: dict[int, Operand | None],
) -> list[Operand]:
    """Return signed terms as operands; terms of an empty shared sum vanish."""
    out = []
    for i, shift, sign in terms:
        if i < len(builder.sources):
            out.append(Operand(builder.sources[i], shift, sign, 0))
            continue
        op = shared[i]
        if op is not None:
            out.append(Operand(op.form, op.shift + shift, op.sign * sign, op.level))
    return out
