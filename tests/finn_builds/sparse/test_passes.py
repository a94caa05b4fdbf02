"""The parts of the optimiser one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finn_builds.sparse.interpret import evaluate_nodes
from finn_builds.sparse.ir import Builder
from finn_builds.sparse.share import alkaid_sums, greedy_sums, plain_sums, signed_digits
from finn_builds.sparse.thresholds import count_passed, uniform_step
from finn_builds.sparse.truth import bit_column, lut_count, shrink, table_luts


@given(st.integers(-(2**40), 2**40))
def test_signed_digits(value: int) -> None:
    digits = signed_digits(value)
    assert sum(s << k for k, s in digits) == value
    places = [k for k, _ in digits]
    assert all(b - a >= 2 for a, b in itertools.pairwise(places))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_shared_forms_amount_to_the_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 12, 2)
    matrix = rng.integers(-20, 21, (n, m)) * (rng.random((n, m)) < rng.random())
    widths = [int(w) for w in rng.integers(1, 9, n)]
    ranges = [(0, (1 << w) - 1) for w in widths]
    forms = [plain_sums(matrix), alkaid_sums(matrix, ranges)]
    forms += [greedy_sums(matrix, widths, save, bias) for save in (0.5, 1.0) for bias in (-1, 2)]
    for form in forms:
        assert np.array_equal(form.matrix(), matrix)


def test_sharing_saves_terms() -> None:
    pattern = np.array([3, -5, 7, 1])
    matrix = np.stack([pattern, 2 * pattern, -pattern, 4 * pattern + np.array([0, 0, 0, 9])], 1)

    def terms(form) -> int:
        return sum(len(t) for t in (*form.symbols, *form.outputs))

    assert terms(greedy_sums(matrix, [4] * 4, 0.5, 0.5)) < 0.6 * terms(plain_sums(matrix))


@settings(max_examples=150, deadline=None)
@given(
    top=st.integers(1, 3000),
    thresholds=st.lists(st.integers(-20, 3100), min_size=1, max_size=40),
)
def test_free_thresholds(top: int, thresholds: list[int]) -> None:
    _check_count(top, sorted(thresholds))


@settings(max_examples=80, deadline=None)
@given(
    top=st.integers(1, 3000),
    first=st.integers(-600, 3000),
    step=st.integers(0, 8),
    bits=st.integers(1, 5),
)
def test_uniform_thresholds(top: int, first: int, step: int, bits: int) -> None:
    thresholds = [first + (k << step) for k in range((1 << bits) - 1)]
    if bits > 1:
        assert uniform_step(thresholds) == step
    _check_count(top, thresholds)


def _check_count(top: int, thresholds: list[int]) -> None:
    builder = Builder(1)
    node = builder.input(0, 0, top)
    count = count_passed(builder, node, thresholds, "t")
    graph = builder.finish([node, count.node])
    u = np.arange(top + 1)
    found = evaluate_nodes(graph, u[:, None])[graph.outputs[1]]
    expected = np.searchsorted(thresholds, u, side="right")
    assert np.array_equal(count.scale * found + count.offset, expected)


def test_not_uniform() -> None:
    assert uniform_step([1, 2, 4]) is None
    assert uniform_step([1, 4, 7]) is None
    assert uniform_step([1, 3]) is None


@pytest.mark.parametrize(
    ("values", "n", "luts"),
    [
        ([0, 1], 1, 0),
        ([0, 0, 0, 1], 2, 1),
        ([bin(a).count("1") & 1 for a in range(64)], 6, 1),
        ([bin(a).count("1") & 1 for a in range(128)], 7, 2),
        ([a & 1 for a in range(256)], 8, 0),
    ],
)
def test_lut_count(values: list[int], n: int, luts: int) -> None:
    assert lut_count(bit_column(values, 0), n) == luts


def test_shrink_drops_unused_variables() -> None:
    bits = bit_column([(a >> 2) & a & 1 for a in range(16)], 0)
    assert shrink(bits, 4) == (0b1000, 2)


def test_equal_columns_cost_once() -> None:
    values = [3 * (a == 5) for a in range(64)]
    assert table_luts(values, 6, 2) == 1
