"""Shared sums: a constant matrix in as few terms as possible.

A constant matrix-vector product is written as signed power-of-two terms (non-adjacent form), and
pairs of terms that several neurons have in common, up to a shift and a sign, become symbols of
their own. Which pairs pay is decided for carry chains that add three terms at once: taking one
term out of a neuron saves half a chain there, a whole one where chains add two. (Solvers that
count every addition as one adder share too eagerly for chains of three.)

`alkaid_sums` gets the same form from alkaid's solver, so that the cheaper of the two is built.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from alkaid.cmvm import cmvm_solve

from finn_builds.network.ops import IntArray

# One term of a sum: symbol, left shift, sign.
SignedTerm = tuple[int, int, int]
# Largest weight that alkaid's solver, which computes in float32, takes exactly: of its 24 bits one
# is for the differences of columns that it forms.
_ALKAID_MOST = 1 << 23
# A pair of terms up to shift and sign: symbols a <= b, shift of b against a, product of signs.
Pair = tuple[int, int, int, int]


@dataclass(frozen=True)
class SharedSums:
    """A matrix as sums of shared symbols.

    Symbols 0 .. n_sources-1 are the sources; symbol n_sources + k is `symbols[k]`, which only
    refers to smaller symbols.
    """

    n_sources: int
    symbols: tuple[tuple[SignedTerm, ...], ...]
    outputs: tuple[tuple[SignedTerm, ...], ...]

    def matrix(self) -> IntArray:
        """Return the matrix (n_sources, n_outputs) that the sums amount to."""
        rows = list(np.eye(self.n_sources, dtype=np.int64))
        zero = np.zeros(self.n_sources, dtype=np.int64)
        for terms in self.symbols:
            rows.append(sum((s * (rows[i] << k) for i, k, s in terms), start=zero))
        out = [sum((s * (rows[i] << k) for i, k, s in t), start=zero) for t in self.outputs]
        return np.stack(out, axis=1)


def signed_digits(value: int) -> list[tuple[int, int]]:
    """Return the non-adjacent form of an integer as (shift, sign) pairs, lowest first."""
    digits = []
    shift = 0
    while value:
        if value & 1:
            sign = 2 - (value & 3)
            digits.append((shift, sign))
            value -= sign
        value >>= 1
        shift += 1
    return digits


def plain_sums(matrix: IntArray) -> SharedSums:
    """Return every output as its own sum of signed digits, nothing shared."""
    outputs = []
    for column in matrix.T:
        terms = [
            (int(i), k, s) for i in np.nonzero(column)[0] for k, s in signed_digits(int(column[i]))
        ]
        outputs.append(tuple(terms))
    return SharedSums(matrix.shape[0], (), tuple(outputs))


class _Sharing:
    """State of the greedy extraction: terms of every output and where each pair occurs."""

    def __init__(self, matrix: IntArray, widths: list[int], save: float, bias: float) -> None:
        self.widths = list(widths)
        self.save, self.bias = save, bias
        self.symbols: list[tuple[SignedTerm, ...]] = []
        # Per output: (symbol, shift) -> sign.
        self.terms: list[dict[tuple[int, int], int]] = [
            {(i, k): s for i, k, s in t} for t in plain_sums(matrix).outputs
        ]
        self.n_sources = matrix.shape[0]
        # pair -> {output: number of places}
        self.places: dict[Pair, dict[int, int]] = {}
        self.heap: list[tuple[float, Pair]] = []
        for o, terms in enumerate(self.terms):
            items = list(terms.items())
            for n, a in enumerate(items):
                for b in items[n + 1 :]:
                    self._count(_pair(a, b), o, 1)
        for pair in self.places:
            self._push(pair)

    def _count(self, pair: Pair, output: int, by: int) -> None:
        places = self.places.setdefault(pair, {})
        n = places.get(output, 0) + by
        if n:
            places[output] = n
        else:
            del places[output]
            if not places:
                del self.places[pair]

    def width(self, pair: Pair) -> int:
        """Return the bits of a pair's sum."""
        a, b, d, _ = pair
        return max(self.widths[a], self.widths[b] + d) - min(d, 0) + 1

    def gain(self, pair: Pair) -> float:
        """Return the LUTs that making a symbol of a pair saves."""
        uses = sum(self.places.get(pair, {}).values())
        a, b, d, sign = pair
        if d >= 0:
            overlap = min(self.widths[a], self.widths[b] + d) - d
        else:
            overlap = min(self.widths[a] - d, self.widths[b]) + d
        top = self.width(pair)
        own = max(0, overlap) if sign > 0 else max(0, top - 1 - abs(d))
        return uses * self.save * (top + self.bias) - own - 0.01 * top

    def _push(self, pair: Pair) -> None:
        if sum(self.places[pair].values()) > 1:
            gain = self.gain(pair)
            if gain > 0:
                heapq.heappush(self.heap, (-gain, pair))

    def _remove(self, output: int, key: tuple[int, int]) -> None:
        sign = self.terms[output].pop(key)
        for other in self.terms[output].items():
            self._count(_pair((key, sign), other), output, -1)

    def _insert(self, output: int, key: tuple[int, int], sign: int, fresh: set[Pair]) -> None:
        terms = self.terms[output]
        if key in terms:
            # The same term twice: once at double weight, or not at all.
            twice = terms[key] == sign
            self._remove(output, key)
            if twice:
                self._insert(output, (key[0], key[1] + 1), sign, fresh)
            return
        for other in terms.items():
            pair = _pair((key, sign), other)
            self._count(pair, output, 1)
            fresh.add(pair)
        terms[key] = sign

    def _extract(self, pair: Pair) -> None:
        a, b, d, rel = pair
        symbol = len(self.widths)
        base = max(0, -d)
        self.symbols.append(((a, base, 1), (b, base + d, rel)))
        self.widths.append(self.width(pair))
        fresh: set[Pair] = set()
        for output in list(self.places[pair]):
            terms = self.terms[output]
            for key in sorted(k for k in terms if k[0] == a):
                other = (b, key[1] + d)
                if key not in terms or other not in terms or other == key:
                    continue
                if terms[key] * terms[other] != rel:
                    continue
                sign = terms[key]
                self._remove(output, key)
                self._remove(output, other)
                self._insert(output, (symbol, key[1] - base), sign, fresh)
        for p in sorted(fresh):
            if p in self.places:
                self._push(p)

    def run(self) -> SharedSums:
        """Extract pairs, the most saving first, until none saves."""
        while self.heap:
            gain, pair = heapq.heappop(self.heap)
            if pair not in self.places:
                continue
            now = self.gain(pair)
            if now <= 0:
                continue
            if now < -gain - 1e-9:
                heapq.heappush(self.heap, (-now, pair))
                continue
            if sum(self.places[pair].values()) > 1:
                self._extract(pair)
        outputs = tuple(tuple((i, k, s) for (i, k), s in t.items()) for t in self.terms)
        return SharedSums(self.n_sources, tuple(self.symbols), outputs)


def _pair(a: tuple[tuple[int, int], int], b: tuple[tuple[int, int], int]) -> Pair:
    if a[0] > b[0]:
        a, b = b, a
    return a[0][0], b[0][0], b[0][1] - a[0][1], a[1] * b[1]


def greedy_sums(matrix: IntArray, widths: list[int], save: float, bias: float) -> SharedSums:
    """Return shared sums of a matrix (n_sources, n_outputs) by greedy extraction of pairs.

    `widths` are the bits of each source, `save` is the number of carry chains that one term less in
    a sum saves (0.5 where chains add three terms), `bias` the bits by which the chains further down
    are wider than the pair.
    """
    return inline_single(_Sharing(matrix, widths, save, bias).run())


def inline_single(sums: SharedSums) -> SharedSums:
    """Return the sums with symbols used only once written out where they are used."""
    n = sums.n_sources
    uses = [0] * (n + len(sums.symbols))
    for terms in (*sums.symbols, *sums.outputs):
        for i, _, _ in terms:
            uses[i] += 1
    flat: dict[int, tuple[SignedTerm, ...]] = {}
    at = {i: i for i in range(n)}
    kept: list[tuple[SignedTerm, ...]] = []

    def spread(terms: tuple[SignedTerm, ...]) -> tuple[SignedTerm, ...]:
        out: list[SignedTerm] = []
        for i, k, s in terms:
            if i in flat:
                out.extend((j, k + m, s * r) for j, m, r in flat[i])
            else:
                out.append((at[i], k, s))
        return tuple(out)

    for index, terms in enumerate(sums.symbols, start=n):
        if uses[index] == 1:
            flat[index] = spread(terms)
        elif uses[index] > 1:
            kept.append(spread(terms))
            at[index] = n + len(kept) - 1
    return SharedSums(n, tuple(kept), tuple(spread(t) for t in sums.outputs))


def within_alkaid(matrix: IntArray) -> bool:
    """Tell whether alkaid's solver is exact on a matrix: it holds it, and differences, as float32.

    Weights of constant products, as scales of their own for each feature make them, are wider.
    """
    return int(np.abs(matrix).max(initial=0)) <= _ALKAID_MOST


def alkaid_sums(
    matrix: IntArray, ranges: list[tuple[int, int]], thorough: bool = True
) -> SharedSums:
    """Return the shared sums of a matrix (n_sources, n_outputs) that alkaid's solver finds.

    `ranges` are those of the sources; `thorough` tries every depth of the solver's first step.
    """
    stages = cmvm_solve(
        np.ascontiguousarray(matrix, dtype=np.float32),
        method0="wmc",
        method1="auto",
        hard_dc=-1,
        decompose_dc=-2,
        qintervals=[(float(lo), float(hi), 1.0) for lo, hi in ranges],
        latencies=[0.0] * len(ranges),
        search_all_decompose_dc=thorough,
    )
    n = matrix.shape[0]
    symbols: list[tuple[SignedTerm, ...]] = []
    # A stage's value is `sign * symbol * 2^shift`; None is zero.
    ports: list[SignedTerm | None] = [(i, 0, 1) for i in range(n)]
    for stage in stages:
        ports = [p and (p[0], p[1] + s, p[2]) for p, s in zip(ports, stage.inp_shifts, strict=True)]
        buf: list[SignedTerm | None] = []
        for op in stage.ops:
            if op.opcode == -1:
                buf.append(ports[op.data[0]])
                continue
            if op.opcode not in (0, 1):
                raise ValueError(f"alkaid's solver gave an operation that is no addition: {op}")
            a, b = buf[op.addr[0]], buf[op.addr[1]]
            second = b and (b[0], b[1] + op.data[0], -b[2] if op.opcode == 1 else b[2])
            terms = [t for t in (a, second) if t is not None]
            if not terms:
                buf.append(None)
                continue
            low = min(t[1] for t in terms)
            symbols.append(tuple((i, k - low, s) for i, k, s in terms))
            buf.append((n + len(symbols) - 1, low, 1))
        ports = []
        for idx, shift, neg in zip(stage.out_idxs, stage.out_shifts, stage.out_negs, strict=True):
            t = buf[idx] if idx >= 0 else None
            ports.append(t and (t[0], t[1] + shift, -t[2] if neg else t[2]))
    outputs = tuple((p,) if p else () for p in ports)
    return inline_single(SharedSums(n, tuple(symbols), outputs))
