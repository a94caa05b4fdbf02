"""Matrices of equal blocks: weights that are shared over positions are solved once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from finn_builds.network.ops import IntArray
from finn_builds.sparse.share import SharedSums, SignedTerm

#: Rows and columns of a block within the whole matrix.
Block = tuple[IntArray, IntArray]


def equal_blocks(
    matrix: IntArray, ranges: Sequence[tuple[int, int]]
) -> list[tuple[Block, ...]] | None:
    """Return the blocks of a matrix (n_sources, n_outputs) that share no source.

    Equal ones, of the same weights and ranges of sources, are together. None where blocks that
    repeat, of several outputs each, hold less than half of the weights.
    """
    n, m = matrix.shape
    rows, columns = np.nonzero(matrix)
    joined = coo_array((np.ones(len(rows)), (rows, columns + n)), shape=(n + m, n + m))
    count, part = connected_components(joined, directed=False)
    groups: dict[tuple[object, ...], list[Block]] = {}
    for k in range(count):
        members = np.flatnonzero(part == k)
        block = members[members < n], members[members >= n] - n
        if not len(block[1]):
            continue
        weights = matrix[np.ix_(*block)]
        key = (weights.shape, weights.tobytes(), tuple(ranges[i] for i in block[0]))
        groups.setdefault(key, []).append(block)
    repeated = sum(
        np.count_nonzero(matrix[np.ix_(*blocks[0])]) * len(blocks)
        for blocks in groups.values()
        if len(blocks) > 1 and len(blocks[0][1]) > 1
    )
    if 2 * repeated < len(rows):
        return None
    return [tuple(blocks) for blocks in groups.values()]


def side_by_side(
    n_sources: int, n_outputs: int, parts: Sequence[tuple[Block, SharedSums]]
) -> SharedSums:
    """Return the sums of a whole matrix, from those of its blocks."""
    symbols: list[tuple[SignedTerm, ...]] = []
    outputs: list[tuple[SignedTerm, ...]] = [()] * n_outputs
    for (rows, columns), sums in parts:
        at = [
            *rows.tolist(),
            *range(n_sources + len(symbols), n_sources + len(symbols) + len(sums.symbols)),
        ]

        def moved(terms: tuple[SignedTerm, ...], at: list[int] = at) -> tuple[SignedTerm, ...]:
            return tuple((at[i], k, s) for i, k, s in terms)

        symbols += [moved(terms) for terms in sums.symbols]
        for column, terms in zip(columns.tolist(), sums.outputs, strict=True):
            outputs[column] = moved(terms)
    return SharedSums(n_sources, tuple(symbols), tuple(outputs))
