"""How hard the optimiser tries, and where: what every part of lowering is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finn_builds.sparse.addtree import Joint, SumBuilder
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Builder


@dataclass(frozen=True)
class Options:
    """How hard the optimiser tries.

    Parameters
    ----------
    by_level : bool
        Balance adder trees: fewer stages for about one per cent more LUTs.
    restarts : int
        Orders of rows and columns in which alkaid is asked again; a few per cent of LUTs.
    quick : bool
        Look for shared sums once: up to ten per cent more LUTs in a small part of the time.
    """

    by_level: bool = True
    restarts: int = 12
    quick: bool = False


@dataclass(frozen=True)
class Site:
    """Where nodes are built, and for what."""

    builder: Builder
    family: Family
    options: Options

    @classmethod
    def empty(cls, family: Family, options: Options) -> Site:
        """Return a place without inputs."""
        return cls(Builder(0), family, options)

    def sums(self, sources: list[int], joint: Sequence[Joint] = ()) -> SumBuilder:
        """Return a builder of sums of some nodes, of which `joint` depend on each other."""
        return SumBuilder(
            self.builder, sources, self.family.max_terms, self.options.by_level, joint
        )

    def scratch(self, ranges: list[tuple[int, int]]) -> tuple[Site, list[int]]:
        """Return a place to try a form in, and its inputs of the given ranges."""
        builder = Builder(len(ranges))
        inputs = [builder.input(i, lo, hi) for i, (lo, hi) in enumerate(ranges)]
        return Site(builder, self.family, self.options), inputs
