"""The parts of the optimiser one by one."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finn_builds.network import Requantise, Tensor, Thresholds, chain
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.families.ecp5 import ECP5
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Builder
from finn_builds.sparse.interpret import evaluate, evaluate_nodes
from finn_builds.sparse.lower import lower
from finn_builds.sparse.lutnet import MUX_LEVELS, LutNet, lut_count, lut_net
from finn_builds.sparse.refine import Weigher, refine
from finn_builds.sparse.share import SharedSums, alkaid_sums, greedy_sums, plain_sums, signed_digits
from finn_builds.sparse.solve import Search, shared_forms
from finn_builds.sparse.tablenet import table_luts
from finn_builds.sparse.thresholds import best_plan, clip_shape, count_passed
from finn_builds.sparse.truth import bit_column, shrink_to
from finn_builds.sparse.uniform import MAX_DIGITS, fitted


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


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), max_terms=st.sampled_from((2, 3)), level=st.booleans())
def test_refined_forms_are_the_matrix_and_cost_no_more(
    seed: int, max_terms: int, level: bool
) -> None:
    rng = np.random.default_rng(seed)
    n, m = (int(v) for v in rng.integers(1, 12, 2))
    matrix = rng.integers(-20, 21, (n, m)) * (rng.random((n, m)) < rng.random())
    ranges = [(0, int(hi)) for hi in rng.integers(1, 200, n)]
    spans = [hi for _, hi in ranges]
    search = Search(max_terms, level, restarts=2)
    weigher = Weigher(spans, max_terms, level)
    for form in shared_forms(matrix, ranges, search):
        assert np.array_equal(form.matrix(), matrix)
        refined = refine(form, spans, max_terms, level)
        assert np.array_equal(refined.matrix(), matrix)
        assert weigher.total(refined) <= weigher.total(form)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), bits=st.sampled_from((23, 25, 30, 40)), quick=st.booleans())
def test_shared_forms_of_wide_weights(seed: int, bits: int, quick: bool) -> None:
    """Scales of their own for each feature make factors that float32, as alkaid has, can't hold."""
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-(1 << bits), 1 << bits, (rng.integers(1, 9), rng.integers(1, 5)))
    ranges = [(0, 255)] * len(matrix)
    forms = shared_forms(matrix, ranges, Search(3, True, restarts=2, quick=quick))
    assert forms
    for form in forms:
        assert np.array_equal(form.matrix(), matrix)


def test_a_share_that_does_not_pay_is_undone() -> None:
    """Three terms in one chain, twice, are cheaper than a shared pair and a third term, twice."""
    shared = SharedSums(
        4, (((0, 0, 1), (1, 0, 1)),), (((4, 0, 1), (2, 0, 1)), ((4, 0, 1), (3, 0, 1)))
    )
    assert refine(shared, [15] * 4, 3, True).symbols == ()
    assert refine(shared, [15] * 4, 2, True) == shared


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
    family=st.sampled_from((XC7, ECP5)),
)
def test_free_thresholds(top: int, thresholds: list[int], family: Family) -> None:
    _check_count(top, sorted(thresholds), family)


@settings(max_examples=80, deadline=None)
@given(
    top=st.integers(1, 3000),
    first=st.integers(-600, 3000),
    step=st.integers(0, 8),
    bits=st.integers(1, 5),
    family=st.sampled_from((XC7, ECP5)),
)
def test_uniform_thresholds(top: int, first: int, step: int, bits: int, family: Family) -> None:
    _check_count(top, [first + (k << step) for k in range((1 << bits) - 1)], family)


def _check_count(top: int, thresholds: list[int], family: Family) -> None:
    for missed in (False, True):
        builder = Builder(1)
        node = builder.input(0, 0, top)
        count = count_passed(builder, node, thresholds, "t", family, missed)
        graph = builder.finish([node, count.node])
        u = np.arange(top + 1)
        found = evaluate_nodes(graph, u[:, None])[graph.outputs[1]]
        expected = np.searchsorted(thresholds, u, side="right")
        assert np.array_equal(count.scale * found + count.offset, expected)


@settings(max_examples=200, deadline=None)
@given(
    lo=st.integers(-500, 500),
    span=st.integers(1, 900),
    first=st.integers(-600, 1400),
    step=st.integers(0, 7),
    n=st.integers(1, 40),
)
def test_clip_shapes(lo: int, span: int, first: int, step: int, n: int) -> None:
    hi = lo + span
    thresholds = [t for t in (first + (k << step) for k in range(n)) if lo < t <= hi]
    if not thresholds:
        return
    shape = clip_shape(thresholds, lo, hi)
    saturates = thresholds[-1] + (1 << step) <= hi and thresholds[0] - (1 << step) > lo
    if shape is None:
        assert saturates, "only a count that saturates at both ends may be no clip"
        assert len(thresholds) & (len(thresholds) + 1)
        return
    a = np.arange(lo, hi + 1)
    clipped = np.clip((a + shape.const) >> shape.shift, 0, shape.top) - shape.surplus
    assert np.array_equal(clipped, np.searchsorted(thresholds, a, side="right"))
    assert shape.top & (shape.top + 1) == 0
    if len(thresholds) == 1:
        assert shape.luts(lo, hi, XC7) == shape.luts(lo, hi, ECP5) == 0


def value_of(net: LutNet, address: int) -> int:
    """Return the value of a net at an address."""
    values = [(address >> v) & 1 for v in range(net.n_vars)]
    for c in net.cells:
        if c.select is None:
            values.append((c.bits >> sum(values[i] << k for k, i in enumerate(c.inputs))) & 1)
        else:
            values.append(values[c.inputs[values[c.select]]])
    return values[-1]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(0, 9),
    kind=st.sampled_from("rcp"),
    k=st.sampled_from((6, 4)),
)
def test_lut_nets_are_their_function(seed: int, n: int, kind: str, k: int) -> None:
    rng = np.random.default_rng(seed)
    a = np.arange(1 << n)
    if kind == "r":
        values = rng.integers(0, 2, 1 << n)
    elif kind == "c":  # a bit of a count of thresholds
        bounds = np.sort(rng.integers(0, 1 << n, 11))
        values = (np.searchsorted(bounds, a, side="right") >> int(rng.integers(3))) & 1
    else:  # sees half of the address through one bit
        low = a & ((1 << (n // 2)) - 1)
        values = rng.integers(0, 2, 2 << n)[
            (low >= rng.integers(1, 1 + (1 << n // 2))) + 2 * (a >> n // 2)
        ]
    bits = int("".join(str(int(v)) for v in values[::-1]), 2)
    net = lut_net(bits, n, k)
    assert [value_of(net, int(at)) for at in a] == values.tolist()
    assert all(len(c.inputs) <= k for c in net.cells if c.select is None)
    above = n - k - MUX_LEVELS[k]  # variables that LUTs have to select by, for lack of multiplexers
    assert net.luts <= (1 if n <= k else 2 ** (n - k) + (2**above - 1 if above > 0 else 0))
    levels: list[int] = []
    for c in net.cells:
        if c.select is None:
            levels.append(0)
            continue
        # What a multiplexer of a slice takes: two LUTs, or two multiplexers of the level below.
        behind = {levels[i - n] for i in c.inputs}
        assert len(behind) == 1 and all(len(net.cells[i - n].inputs) > 1 for i in c.inputs)
        levels.append(behind.pop() + 1)
    assert max(levels, default=0) <= MUX_LEVELS[k]


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
    assert shrink_to(bits, 4) == (0b1000, (0, 2))


def test_equal_columns_cost_once() -> None:
    values = [3 * (a == 5) for a in range(64)]
    assert table_luts(values, 6, 2) == 1


@settings(max_examples=150, deadline=None)
@given(
    first=st.fractions(-900, 900, max_denominator=50),
    step=st.fractions(1, 80, max_denominator=50),
    n=st.integers(4, 63),
)
def test_uniform_thresholds_of_any_step_are_a_multiplication(
    first: Fraction, step: Fraction, n: int
) -> None:
    thresholds = [math.ceil(first + step * k) for k in range(n)]
    form = fitted(thresholds)
    if form is None:
        return
    assert len(signed_digits(form.factor)) <= MAX_DIGITS
    x = np.arange(thresholds[0] - 200, thresholds[-1] + 200)
    assert np.array_equal(form.count(x), np.searchsorted(thresholds, x, side="right"))


@pytest.mark.parametrize(
    ("thresholds", "digits"),
    [
        (range(5, 50, 4), 1),  # a power of two
        ([math.ceil(Fraction(32, 3) * k) for k in range(1, 64)], 2),  # times 3, shifted by 5
        ([math.ceil(Fraction(16, 5) * k) for k in range(-30, 30)], 2),
        ([0, 1, 5, 6, 30, 31], None),
    ],
)
def test_the_factor_of_fewest_digits_is_found(thresholds: list[int], digits: int | None) -> None:
    form = fitted(list(thresholds))
    assert (None if form is None else len(signed_digits(form.factor))) == digits


def test_a_multiplication_takes_the_place_of_a_search_where_it_is_cheaper() -> None:
    """A scale of 3/32 is one adder and a clip; the search has six comparisons, most from tables."""
    rows = [[math.ceil(Fraction(32, 3) * k) for k in range(1, 64)]]
    source = Tensor.of_type("x", "INT12", 1)
    network = chain(source, [("y", Requantise(Thresholds(rows)))])
    graph = lower(network, XC7)
    x = np.arange(-2048, 2048)[:, None]
    assert np.array_equal(evaluate(graph, x), network.execute(x))
    assert estimate(graph, XC7).luts <= 22
    searched = best_plan([t + 2048 for t in rows[0]], 12, 4095, XC7)
    assert searched.luts >= 38
