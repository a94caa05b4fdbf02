"""Shared sums made cheaper: sharing that does not pay where chains add three terms is undone.

A solver that counts additions shares a sum of two terms as soon as two neurons have it in common.
On chains of three terms that costs a chain and saves two halves of one, so it pays only where the
chain is narrower than those it shortens. Here every use of a shared sum is weighed by the trees
that would really be built with it and without it.
"""

from __future__ import annotations

from dataclasses import dataclass

from finn_builds.sparse.addtree import chain_luts, pick
from finn_builds.sparse.share import SharedSums, SignedTerm, inline_single

# Passes over all shared sums; the third rarely finds anything.
PASSES = 3


@dataclass(frozen=True)
class _Number:
    """A number on its way into a tree: `span` of values (highest less lowest) at a shift."""

    shift: int
    span: int
    level: int

    @property
    def positions(self) -> tuple[int, int]:
        return self.shift, self.shift + self.span.bit_length()


def _order(number: _Number, by_level: bool) -> tuple[int, int, int]:
    low, top = number.positions
    return number.level if by_level else 0, top, low


def _merged(numbers: list[_Number]) -> tuple[int, _Number]:
    """Return the LUTs of a chain over numbers, and their sum."""
    luts = chain_luts([n.positions for n in numbers])
    shift = min(n.shift for n in numbers)
    span = sum(n.span << (n.shift - shift) for n in numbers)
    return luts, _Number(shift, span, max(n.level for n in numbers) + (luts > 0))


class Weigher:
    """What the trees of sums cost, by the rules of `SumBuilder`, from the spans of values alone."""

    def __init__(self, spans: list[int], max_terms: int, by_level: bool) -> None:
        self.numbers = [_Number(0, s, 0) for s in spans]
        self.max_terms, self.by_level = max_terms, by_level
        self._known: dict[tuple[SignedTerm, ...], tuple[int, _Number]] = {}

    def weigh(self, terms: tuple[SignedTerm, ...]) -> tuple[int, _Number]:
        """Return the LUTs of the tree over a sum's terms, and the sum."""
        key = tuple((i, k, 1) for i, k, _ in terms)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._tree(terms)
        return found

    def total(self, sums: SharedSums) -> int:
        """Return the LUTs of all trees of a form, and take on the numbers it shares."""
        del self.numbers[sums.n_sources :]
        self._known.clear()
        luts = 0
        for body in sums.symbols:
            own, number = self.weigh(body)
            self.numbers.append(number)
            luts += own
        return luts + sum(self.weigh(terms)[0] for terms in sums.outputs)

    def _tree(self, terms: tuple[SignedTerm, ...]) -> tuple[int, _Number]:
        live = [
            _Number(n.shift + k, n.span, n.level)
            for n, k in ((self.numbers[i], k) for i, k, _ in terms)
        ]
        if not live:
            return 0, _Number(0, 0, 0)
        luts = 0
        while len(live) > 1:
            live.sort(key=lambda n: _order(n, self.by_level))
            arity = 3 if self.max_terms == 3 and len(live) % 2 else 2
            levels = [n.level for n in live] if self.by_level else None
            picked = pick([n.positions for n in live], arity, levels)
            own, merged = _merged([live[k] for k in picked])
            luts += own
            live = [n for k, n in enumerate(live) if k not in picked] + [merged]
        return luts, live[0]


def _with(
    terms: tuple[SignedTerm, ...], symbol: int, body: tuple[SignedTerm, ...]
) -> tuple[SignedTerm, ...]:
    """Return a sum with a symbol written out; equal terms add up or cancel."""
    out: dict[tuple[int, int], int] = {}
    for i, k, s in terms:
        for j, m, r in body if i == symbol else ((i, 0, 1),):
            at, sign = (j, k + m), s * r
            while out.get(at) == sign:
                del out[at]
                at = (at[0], at[1] + 1)
            if out.get(at) == -sign:
                del out[at]
            else:
                out[at] = sign
    return tuple((i, k, s) for (i, k), s in out.items())


def refine(sums: SharedSums, spans: list[int], max_terms: int, by_level: bool) -> SharedSums:
    """Return the same sums with shared symbols written out wherever that takes fewer LUTs.

    Parameters
    ----------
    sums : SharedSums
    spans : list of int
        Highest less lowest value of each source.
    max_terms : int
        Terms that one carry chain adds.
    by_level : bool
        Whether trees are balanced.
    """
    weigher = Weigher(spans, max_terms, by_level)
    best, least = sums, weigher.total(sums)
    for _ in range(PASSES):
        sums = _one_pass(sums, weigher)
        # A pass weighs one share at a time; together they may have changed the order of a tree.
        luts = weigher.total(sums)
        if luts >= least:
            break
        best, least = sums, luts
    return best


def _one_pass(sums: SharedSums, weigher: Weigher) -> SharedSums:
    weigher.total(sums)
    n = sums.n_sources
    bodies = [*sums.symbols, *sums.outputs]
    for symbol in reversed(range(n, n + len(sums.symbols))):
        body = bodies[symbol - n]
        own = weigher.weigh(body)[0]
        users = [k for k, terms in enumerate(bodies) if any(i == symbol for i, _, _ in terms)]
        spread = {k: _with(bodies[k], symbol, body) for k in users}
        extra = {k: weigher.weigh(spread[k])[0] - weigher.weigh(bodies[k])[0] for k in users}
        everywhere = sum(extra.values()) <= own
        for k in users:
            if everywhere or extra[k] < 0:
                bodies[k] = spread[k]
    symbols = len(sums.symbols)
    return inline_single(SharedSums(n, tuple(bodies[:symbols]), tuple(bodies[symbols:])))
