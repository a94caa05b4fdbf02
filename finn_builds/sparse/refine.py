"""Shared sums made cheaper: sharing that does not pay where chains add three terms is undone.

A solver that counts additions shares a sum of two terms as soon as two neurons have it in common.
On chains of three terms that costs a chain and saves two halves of one, so it pays only where the
chain is narrower than those it shortens. Here every use of a shared sum is weighed by the trees
that would really be built with it and without it.
"""

from __future__ import annotations

from bisect import insort
from typing import NamedTuple

from finn_builds.sparse.addtree import PARTNERS, chain_luts, pick
from finn_builds.sparse.share import SharedSums, SignedTerm, inline_single

# Passes over all shared sums; the third rarely finds anything.
PASSES = 3


class _Number(NamedTuple):
    """A number on its way into a tree; the order of its fields is that in which trees take them."""

    rank: int  # its level where trees are balanced
    top: int  # the position above its highest
    low: int  # its lowest position
    span: int  # highest value less lowest, in units of the lowest position
    level: int  # chains that it has passed


class Weigher:
    """What the trees of sums cost, by the rules of `SumBuilder`, from the spans of values alone."""

    def __init__(self, spans: list[int], max_terms: int, by_level: bool) -> None:
        self.numbers = [_Number(0, s.bit_length(), 0, s, 0) for s in spans]
        self.max_terms, self.by_level = max_terms, by_level
        self._known: dict[tuple[tuple[int, int], ...], tuple[int, _Number]] = {}

    def weigh(self, terms: tuple[SignedTerm, ...]) -> tuple[int, _Number]:
        """Return the LUTs of the tree over a sum's terms, and the sum."""
        key = tuple([(i, k) for i, k, _ in terms])
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
        live = []
        for i, k, _ in terms:
            rank, top, low, span, level = self.numbers[i]
            live.append(_Number(rank, top + k, low + k, span, level))
        if not live:
            return 0, _Number(0, 0, 0, 0, 0)
        live.sort()
        luts = 0
        while len(live) > 1:
            arity = 3 if self.max_terms == 3 and len(live) % 2 else 2
            head = live[: PARTNERS + 1]
            levels = [n.level for n in head] if self.by_level else None
            picked = pick([(n.low, n.top) for n in head], arity, levels)
            chosen = [head[k] for k in picked]
            for k in reversed(picked):
                del live[k]
            own = chain_luts([(n.low, n.top) for n in chosen])
            low = min(n.low for n in chosen)
            span = sum(n.span << (n.low - low) for n in chosen)
            level = max(n.level for n in chosen) + (own > 0)
            rank = level if self.by_level else 0
            insort(live, _Number(rank, low + span.bit_length(), low, span, level))
            luts += own
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

    `spans` are the highest less the lowest value of each source.
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
    readers: dict[int, set[int]] = {}
    for k, terms in enumerate(bodies):
        for i, _, _ in terms:
            readers.setdefault(i, set()).add(k)
    for symbol in reversed(range(n, n + len(sums.symbols))):
        body = bodies[symbol - n]
        own = weigher.weigh(body)[0]
        users = sorted(readers.get(symbol, ()))
        spread = {k: _with(bodies[k], symbol, body) for k in users}
        extra = {k: weigher.weigh(spread[k])[0] - weigher.weigh(bodies[k])[0] for k in users}
        everywhere = sum(extra.values()) <= own
        for k in users:
            if everywhere or extra[k] < 0:
                bodies[k] = spread[k]
                for i, _, _ in spread[k]:
                    readers.setdefault(i, set()).add(k)
    symbols = len(sums.symbols)
    return inline_single(SharedSums(n, tuple(bodies[:symbols]), tuple(bodies[symbols:])))
