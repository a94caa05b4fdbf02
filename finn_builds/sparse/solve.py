"""The cheapest of many shared forms of a matrix: solvers, restarts, and a weighing of each share.

Both solvers are greedy and break ties by the order of rows and columns, so other orders give other
results, a few per cent apart. All forms are costed as they would be built; the best are refined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from finn_builds.network.ops import IntArray
from finn_builds.sparse.blocks import equal_blocks, side_by_side
from finn_builds.sparse.refine import Weigher, refine
from finn_builds.sparse.share import (
    SharedSums,
    SignedTerm,
    alkaid_sums,
    greedy_sums,
    plain_sums,
    within_alkaid,
)

# Pairs of terms beyond which looking for shared ones takes too long, and weights for alkaid.
MAX_PAIRS = 1_500_000
MAX_ALKAID_WEIGHTS = 6_000
# Pairs of terms from which alkaid's solver, where it is asked, is asked once and no other: that
# takes seconds, each of its depths and of the others as long again or longer.
LONG_PAIRS = 1_000_000
# Weights of all orders tried together, which keeps large layers quick.
RESTART_WEIGHTS = 8_000
# Forms that are refined, the cheapest first, and terms of all of them together.
REFINED = 6
REFINE_TERMS = 4_000
# Forms of a matrix of equal blocks that are costed as they would be built.
BLOCK_FORMS = 3
# For a quick estimate: pairs of terms, and terms times neurons, within which alkaid's solver takes
# at most about five seconds, and pairs within which the greedy one does.
QUICK_PAIRS = 1_000_000
QUICK_CELLS = 6_000_000
QUICK_GREEDY_PAIRS = 500_000


@dataclass(frozen=True)
class Search:
    """How to look for shared sums for chains of `max_terms`, trees balanced if `by_level`.

    Alkaid's solver is asked again for `restarts` random orders of rows and columns. A `quick`
    search asks one solver once and refines nothing.
    """

    max_terms: int
    by_level: bool
    restarts: int
    quick: bool = False


def reordered(
    matrix: IntArray, ranges: list[tuple[int, int]], rng: np.random.Generator
) -> SharedSums:
    """Return what alkaid's solver finds with rows and columns in a random order."""
    rows, columns = rng.permutation(matrix.shape[0]), rng.permutation(matrix.shape[1])
    found = alkaid_sums(matrix[np.ix_(rows, columns)], [ranges[i] for i in rows])
    n = found.n_sources

    def back(terms: tuple[SignedTerm, ...]) -> tuple[SignedTerm, ...]:
        return tuple((int(rows[i]) if i < n else i, k, s) for i, k, s in terms)

    outputs: list[tuple[SignedTerm, ...]] = [()] * matrix.shape[1]
    for at, terms in zip(columns, found.outputs, strict=True):
        outputs[at] = back(terms)
    return SharedSums(n, tuple(back(t) for t in found.symbols), tuple(outputs))


def is_searched(terms: Sequence[int], weights: int) -> bool:
    """Return whether shared sums are looked for: by digits of outputs and nonzero weights."""
    return _pairs(terms) <= MAX_PAIRS or weights <= MAX_ALKAID_WEIGHTS


def _pairs(terms: Sequence[int]) -> int:
    return sum(n * (n - 1) // 2 for n in terms)


def shared_forms(
    matrix: IntArray, ranges: list[tuple[int, int]], search: Search
) -> list[SharedSums]:
    """Return several shared forms of a matrix (n_sources, n_outputs), none refined.

    The ranges of the sources are inclusive and not negative.
    """
    plain = plain_sums(matrix)
    terms = [len(body) for body in plain.outputs]
    pairs = _pairs(terms)
    widths = [hi.bit_length() for _, hi in ranges]
    by_alkaid = within_alkaid(matrix)
    save = 0.5 if search.max_terms == 3 else 1.0
    if search.quick:
        if by_alkaid and pairs <= QUICK_PAIRS and sum(terms) * len(terms) <= QUICK_CELLS:
            return [plain, alkaid_sums(matrix, ranges, thorough=False)]
        if pairs <= QUICK_GREEDY_PAIRS:
            return [plain, greedy_sums(matrix, widths, save, 2.0)]
        return [plain]
    forms = [plain]
    weights = int(np.count_nonzero(matrix))
    if by_alkaid and pairs > LONG_PAIRS and weights <= MAX_ALKAID_WEIGHTS:
        return [*forms, alkaid_sums(matrix, ranges, thorough=False)]
    if pairs <= MAX_PAIRS:
        forms += [greedy_sums(matrix, widths, save, bias) for bias in (-1.0, 2.0)]
    if by_alkaid and weights <= MAX_ALKAID_WEIGHTS:
        forms.append(alkaid_sums(matrix, ranges))
        rng = np.random.default_rng(0)
        restarts = min(search.restarts, RESTART_WEIGHTS // max(1, weights))
        forms += [reordered(matrix, ranges, rng) for _ in range(restarts)]
    return forms


def _best_forms(
    matrix: IntArray, ranges: list[tuple[int, int]], search: Search
) -> list[SharedSums]:
    """Return the cheapest forms by their spans, as found and refined, each once."""
    spans = [hi - lo for lo, hi in ranges]
    weigher = Weigher(spans, search.max_terms, search.by_level)
    forms = sorted(shared_forms(matrix, ranges, search), key=weigher.total)[:REFINED]
    if search.quick:
        return forms[:1]
    terms = sum(len(body) for body in (*forms[0].symbols, *forms[0].outputs))
    few = forms[: REFINE_TERMS // max(1, terms)]
    refined = [refine(form, spans, search.max_terms, search.by_level) for form in few]
    return list(dict.fromkeys([*forms, *refined]))


def _forms_of_blocks(
    matrix: IntArray, ranges: list[tuple[int, int]], search: Search
) -> list[SharedSums] | None:
    """Return the best forms of a matrix of equal blocks, each block solved once, or None."""
    groups = equal_blocks(matrix, ranges)
    if groups is None:
        return None
    found: list[list[SharedSums]] = []
    for blocks in groups:
        rows, columns = blocks[0]
        found.append(
            _best_forms(matrix[np.ix_(rows, columns)], [ranges[i] for i in rows.tolist()], search)
        )
    count = min(BLOCK_FORMS, max(len(forms) for forms in found))
    return [
        side_by_side(
            matrix.shape[0],
            matrix.shape[1],
            [
                (block, forms[min(k, len(forms) - 1)])
                for blocks, forms in zip(groups, found, strict=True)
                for block in blocks
            ],
        )
        for k in range(count)
    ]


def cheapest_sums(
    matrix: IntArray,
    ranges: list[tuple[int, int]],
    search: Search,
    cost: Callable[[SharedSums], int],
) -> SharedSums:
    """Return the shared form of a matrix that costs least, by the LUTs that it takes when built.

    The first arguments are those of `shared_forms`.
    """
    forms = _forms_of_blocks(matrix, ranges, search) or _best_forms(matrix, ranges, search)
    best = min(forms, key=cost) if len(forms) > 1 else forms[0]
    if not np.array_equal(best.matrix(), matrix):
        raise AssertionError("a shared form does not amount to its matrix")
    return best
