"""Small functions: some nodes as functions of a few bits beneath them, and what never occurs there.

A cut of a node is a set of bits of other nodes that it is a function of. The smallest cuts of a
node are found from those of its operands, a few each (Mishchenko et al., "Combinational and
sequential mapping with priority cuts", 2007).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from finn_builds.network.ops import IntArray
from finn_builds.sparse.nodes import (
    Clip,
    Compare,
    Concat,
    Const,
    Field,
    Input,
    Node,
    Reg,
    Sum,
    Table,
    width_of,
)

#: Bits of nodes, each a node and a place.
Cut: TypeAlias = frozenset[tuple[int, int]]

# Cuts that are kept of each node, the smallest.
MAX_CUTS = 6
# Most bits of a cut.
MAX_CUT_BITS = 10
# Values up to which those that a node takes are known one by one.
MAX_VALUES = 512


@dataclass
class Cones:
    """What is known of the nodes of a graph that grows: their cuts, and the values they take."""

    nodes: Sequence[Node]
    ranges: Sequence[tuple[int, int]]
    _cuts: dict[int, list[Cut]] = field(default_factory=dict)
    _values: dict[int, IntArray | None] = field(default_factory=dict)

    def width(self, node: int) -> int:
        """Return the number of bits of a node."""
        return width_of(*self.ranges[node])

    def _whole(self, node: int) -> Field:
        return Field(node, 0, self.width(node))

    def _reads(self, node: int) -> list[Field]:
        """Return what a node is a function of."""
        at = self.nodes[node]
        match at:
            case Input() | Const() | Reg():
                return []
            case Sum():
                return [self._whole(t.src) for t in at.terms]
            case Table() | Concat():
                return list(at.fields)
            case Compare():
                return [at.src, *at.select]
            case Clip():
                return [self._whole(at.src)]
            case _:
                assert_never(at)

    def cuts(self, fields: Iterable[Field]) -> list[Cut]:
        """Return small cuts of some fields together, the smallest first."""
        found: list[Cut] = [frozenset()]
        for own in fields:
            if isinstance(self.nodes[own.src], Const):
                continue
            each = [frozenset((own.src, own.lsb + k) for k in range(own.width))]
            each += self.below(own.src)
            both = {a | b for a in found for b in each}
            small = [cut for cut in both if len(cut) <= MAX_CUT_BITS]
            found = sorted(small, key=lambda cut: (len(cut), sorted(cut)))[:MAX_CUTS]
        return found

    def below(self, node: int) -> list[Cut]:
        """Return small cuts of a node among the nodes beneath it, the smallest first."""
        if node not in self._cuts:
            reads = self._reads(node)
            self._cuts[node] = self.cuts(reads) if reads else []
        return self._cuts[node]

    def values(self, node: int) -> IntArray | None:
        """Return the values that a node may take, ascending; None where they are too many."""
        if node not in self._values:
            self._values[node] = self._found(node)
        return self._values[node]

    def _found(self, node: int) -> IntArray | None:
        lo, hi = self.ranges[node]
        at = self.nodes[node]
        found: IntArray | None = None
        cuts = self.below(node)
        if cuts:
            cone = Cone(self, cuts[0])
            found = np.unique(cone.of(node)[cone.reached])
        elif isinstance(at, Sum):
            found = np.array([at.const])
            for term in at.terms:
                own = self.values(term.src)
                if own is None or len(found) * len(own) > MAX_VALUES**2:
                    return None
                full = (1 << self.width(term.src)) - 1
                own = (full - own if term.inv else own) << term.shift
                found = np.unique(found[:, None] + own)
        elif isinstance(at, Clip):
            own = self.values(at.src)
            if own is not None:
                found = np.unique(np.clip((own >> at.shift) - at.base, 0, at.top))
        elif isinstance(at, Reg):
            found = self.values(at.src)
        if found is None and hi - lo < MAX_VALUES:
            found = np.arange(lo, hi + 1)
        if found is None or len(found) > MAX_VALUES:
            return None
        return found[(found >= lo) & (found <= hi)]


class Cone:
    """Nodes at every address of the bits of a cut."""

    def __init__(self, cones: Cones, cut: Cut) -> None:
        self.cones = cones
        self.bits = sorted(cut)
        address = np.arange(1 << len(self.bits))
        self._known: dict[int, IntArray] = {}
        self._leaves: dict[int, tuple[int, IntArray]] = {}
        #: Whether an address may occur.
        self.reached: NDArray[np.bool_] = np.ones(len(address), dtype=bool)
        for node in dict.fromkeys(src for src, _ in self.bits):
            places = [(k, index) for k, (src, index) in enumerate(self.bits) if src == node]
            own = sum((((address >> k) & 1) << index for k, index in places), start=0 * address)
            mask = sum(1 << index for _, index in places)
            self._leaves[node] = mask, own
            values = cones.values(node)
            if values is not None:
                self.reached &= np.isin(own, values & mask)
            if cones.ranges[node][0] < 0:
                # Two's complement.
                sign = 1 << (cones.width(node) - 1)
                self._leaves[node] = mask, (own ^ sign) - sign if mask & sign else own

    @property
    def fields(self) -> list[Field]:
        """The bits, those that are side by side as one field."""
        found: list[Field] = []
        for src, index in self.bits:
            last = found[-1] if found else None
            if last is not None and (last.src, last.lsb + last.width) == (src, index):
                found[-1] = Field(src, last.lsb, last.width + 1)
            else:
                found.append(Field(src, index, 1))
        return found

    def of(self, node: int) -> IntArray:
        """Return a node's value at each address; that of an address that can't occur is any."""
        return self._masked(node, (1 << self.cones.width(node)) - 1)

    def at(self, fields: Iterable[Field]) -> IntArray:
        """Return fields side by side at each address."""
        word, place = np.zeros(len(self.reached), dtype=np.int64), 0
        for own in fields:
            mask = ((1 << own.width) - 1) << own.lsb
            word |= ((self._masked(own.src, mask) & mask) >> own.lsb) << place
            place += own.width
        return word

    def _masked(self, node: int, mask: int) -> IntArray:
        """Return a node's value of which the bits of a mask are asked for."""
        known, own = self._leaves.get(node, (0, None))
        if own is not None and not mask & ~known:
            return own
        if node not in self._known:
            self._known[node] = self._computed(node)
        return self._known[node]

    def _computed(self, node: int) -> IntArray:
        at = self.cones.nodes[node]
        match at:
            case Const():
                return np.full(len(self.reached), at.value, dtype=np.int64)
            case Sum():
                total = np.full(len(self.reached), at.const, dtype=np.int64)
                for term in at.terms:
                    own = self.of(term.src)
                    full = (1 << self.cones.width(term.src)) - 1
                    total += (full - own if term.inv else own) << term.shift
                return total
            case Table():
                return np.array(at.values)[self.at(at.fields)]
            case Concat():
                return self.at(at.fields)
            case Compare():
                bounds = np.array(at.bounds)[self.at(at.select)]
                return (self.at([at.src]) >= bounds).astype(np.int64)
            case Clip():
                return np.clip((self.of(at.src) >> at.shift) - at.base, 0, at.top)
            case Input() | Reg():
                raise AssertionError(f"node {node} is not a function of the cut {self.bits}")
            case _:
                assert_never(at)
