"""Every operation as logic against what it executes, corners included."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from finn_builds.network import (
    Affine,
    ArgMax,
    IntegerNetwork,
    Linear,
    Lookup,
    Max,
    Node,
    Operation,
    Product,
    Requantise,
    Tensor,
    Thresholds,
    chain,
    tensor_of,
)
from finn_builds.network.ops import ROUNDINGS
from finn_builds.network.types import BIPOLAR
from finn_builds.sparse.compiler import compile_network
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.families import FAMILIES
from finn_builds.sparse.families.ecp5 import ECP5
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.sparse.family import Family
from finn_builds.sparse.interpret import evaluate
from finn_builds.sparse.lower import lower, stream_datatype
from finn_builds.sparse.options import Options
from tests.finn_builds.network.networks import random_graph, random_inputs
from tests.finn_builds.sparse.sparse_networks import on_stream

QUICK = Options(restarts=0)


def check(network: IntegerNetwork, x: np.ndarray, family: Family = XC7) -> int:
    """Compare a network's graph with what it executes; return the LUTs."""
    graph = lower(network, family, QUICK)
    into = stream_datatype(network.inputs)
    out = stream_datatype([network.tensor(name) for name in network.outputs])
    found = evaluate(graph, on_stream(x, into))
    assert np.array_equal(found, on_stream(network.execute(x), out))
    return estimate(graph, family).luts


def one(source: Tensor, op: Operation) -> IntegerNetwork:
    return chain(source, [("y", op)])


def every_value(source: Tensor) -> np.ndarray:
    """Return all frames of a few elements."""
    ranges = [range(low, high + 1) for low, high in zip(source.low, source.high, strict=True)]
    return np.array(list(itertools.product(*ranges)))


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(seed: int) -> None:
    network = random_graph(seed)
    family = list(FAMILIES.values())[seed % len(FAMILIES)]
    check(network, random_inputs(network, 300, seed), family)


@pytest.mark.parametrize("family", [XC7, ECP5], ids=lambda f: f.name)
@pytest.mark.parametrize("bits", [3, 9, 12])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rounding_of_every_number(rounding: str, bits: int, family: Family) -> None:
    """Few levels and many, of signed and unsigned numbers, narrow and full, with ties."""
    rng = np.random.default_rng(bits)
    for datatype, zero, top in (
        ("INT9", 1 << (bits - 1), (1 << bits) - 1),
        ("INT9", (1 << (bits - 1)) - 1, (1 << bits) - 2),
        ("UINT9", 0, (1 << bits) - 1),
        ("INT9", 5, 5),
    ):
        source = Tensor.of_type("x", datatype, 1)
        for factor, shift in ((1, 0), (1, 1), (2, 2), (77, 6), (12, 2)):
            for offset in (0, int(rng.integers(-200, 200))):
                form = Affine([factor], [(zero << shift) + offset], [shift], top, rounding, zero)
                network = one(source, Requantise(form, -zero))
                x = np.arange(source.low[0], source.high[0] + 1)[:, None]
                check(network, x, family)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_many_levels_are_a_multiplication(rounding: str) -> None:
    """Of 24 bits: nothing that takes each level into its hands would come to an end."""
    top, zero = (1 << 24) - 1, 1 << 23
    form = Affine([45_679] * 3, [(zero << 12) + 17] * 3, [12] * 3, top, rounding, zero)
    w = np.random.default_rng(0).integers(-100, 100, (4, 3))
    source = Tensor.of_type("x", "INT16", 4)
    network = chain(source, [("a", Linear(w)), ("y", Requantise(form, -zero))])
    assert check(network, random_inputs(network, 2000)) < 1000


def test_a_power_of_two_is_wires_and_a_clip() -> None:
    """A 16-bit number of a 24-bit one costs the half that is added, a tie's bit and the clip."""
    form = Affine([1], [1 << 23], [8], (1 << 16) - 1, "ROUND", 1 << 15)
    network = one(Tensor.of_type("x", "INT24", 1), Requantise(form, -(1 << 15)))
    assert check(network, random_inputs(network, 3000)) <= 24 + 16 + 5


def test_few_attainable_levels_of_many_are_thresholds() -> None:
    """What a form may give and what it does give are not the same."""
    form = Affine([3], [1 << 22], [2], (1 << 20) - 1)
    source = Tensor.of_type("x", "INT5", 1)
    network = one(source, Requantise(form, -(1 << 20)))
    assert check(network, every_value(source)) <= 25


@pytest.mark.parametrize("family", [XC7, ECP5], ids=lambda f: f.name)
@pytest.mark.parametrize("datatype", ["UINT1", BIPOLAR, "INT4", "UINT6", "INT12"])
def test_lookups(datatype: str, family: Family) -> None:
    source = Tensor.of_type("x", datatype, 2)
    span = int(source.high[0] - source.low[0])
    rng = np.random.default_rng(1)
    steps = np.arange(span + 1) - span // 2
    tables = [steps**2, steps // 3, np.sign(steps) * 40 - 3, 0 * steps + 7]
    tables.append(rng.integers(-9, 9, span + 1) if span < 99 else steps)
    op = Lookup([0, 1, 1, 0, 1], [int(source.low[0])] * 5, tables, 2)
    x = random_inputs(one(source, op), 2000)
    check(one(source, op), x, family)


def test_entries_that_an_element_never_reads_do_not_matter() -> None:
    source = Tensor("x", "UINT4", np.array([3]), np.array([6]))
    table = np.array([[99, 99, 99, 1, 2, 3, 4] + [99] * 9])
    assert check(one(source, Lookup([0], [0], table, 1)), every_value(source)) <= 3


@pytest.mark.parametrize("family", [XC7, ECP5], ids=lambda f: f.name)
@pytest.mark.parametrize(
    ("low", "high"), [(-8, 7), (0, 15), (-5, 2), (3, 9), (-16, -1), (-128, 127), (0, 255)]
)
def test_products(low: int, high: int, family: Family) -> None:
    source = Tensor("x", "INT9", np.array([low, -3]), np.array([high, 12]))
    network = one(source, Product([0, 0, 1], [0, 1, 1], 2))
    check(network, every_value(source), family)


@pytest.mark.parametrize("family", [XC7, ECP5], ids=lambda f: f.name)
@pytest.mark.parametrize("bits", [11, 16])
def test_wide_products(bits: int, family: Family) -> None:
    source = Tensor.of_type("x", f"INT{bits}", 2)
    network = one(source, Product([0, 0], [0, 1], 2))
    corners = [source.low[0], -1, 0, 1, source.high[0]]
    x = np.concatenate(
        [np.array(list(itertools.product(corners, corners))), random_inputs(network, 2000)]
    )
    check(network, x, family)


def test_products_cost_less_than_rows_of_partial_products() -> None:
    """n x n bits as rows of ANDs are n^2 LUTs and as much again to add them."""
    for bits, most in ((4, 30), (8, 105), (12, 240)):
        source = Tensor.of_type("x", f"UINT{bits}", 2)
        product = one(source, Product([0], [1], 2))
        square = one(source, Product([0], [0], 2))
        times = check(product, random_inputs(product, 100))
        assert times <= most
        assert check(square, random_inputs(square, 100)) <= 0.65 * times


def test_products_with_a_constant_are_wires() -> None:
    source = Tensor("x", "INT8", np.array([4, -128, 0]), np.array([4, 127, 0]))
    network = one(source, Product([0, 2], [1, 1], 3))
    assert check(network, random_inputs(network, 300)) <= 1


@pytest.mark.parametrize("family", [XC7, ECP5], ids=lambda f: f.name)
@pytest.mark.parametrize("datatype", ["UINT1", BIPOLAR, "INT3", "UINT8", "INT16"])
def test_largest(datatype: str, family: Family) -> None:
    source = Tensor.of_type("x", datatype, 5)
    network = one(source, Max([[0, 1, 2, 3, 4], [1, 1, 1, 1, 1], [4, 0, 4, 0, 4]], 5))
    check(network, random_inputs(network, 2000), family)


def test_largest_of_different_forms() -> None:
    """Of elements with other offsets and signs, of constants, and where some never win."""
    source = Tensor.of_type("x", "INT6", 3)
    sums = Linear([[1, -1, 2, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, -3]], [5, 0, -70, 9, -500])
    groups = [[0, 1, 2], [1, 3, 3], [2, 4, 4], [3, 3, 3], [4, 4, 4]]
    network = chain(source, [("a", sums), ("y", Max(groups, 5))])
    check(network, random_inputs(network, 3000))


@pytest.mark.parametrize("datatype", ["UINT2", "INT4", "UINT12"])
def test_index_of_the_largest(datatype: str) -> None:
    """The first of equal ones, also where a network does not end in it."""
    source = Tensor.of_type("x", datatype, 5)
    head = ArgMax(1, [0, -1, 1, 0, 3])
    chosen = tensor_of(head, "top1", [source])
    summed = tensor_of(Linear([[2]]), "y", [chosen])
    nodes = (Node(head, ("x",), chosen), Node(Linear([[2]]), ("top1",), summed))
    for outputs in (("y",), ("y", "x"), ("top1",)):
        network = IntegerNetwork((source,), nodes[: 1 + ("y" in outputs)], outputs)
        check(network, random_inputs(network, 2000))


def test_ends_of_every_kind() -> None:
    """Inputs and outputs side by side in one type: constants, passed on, read inside, twice."""
    a = Tensor("a", "UINT3", np.array([0, 5]), np.array([7, 5]))
    b = Tensor.of_type("b", BIPOLAR, 2)
    linear = Linear([[1, 2], [0, 1], [-1, 0], [1, 1]], [3, -2])
    sums = tensor_of(linear, "sums", [a, b])
    count = Requantise(Thresholds([[1, 3, 5]] * 2), -2)
    codes = tensor_of(count, "codes", [sums])
    nodes = (Node(linear, ("a", "b"), sums), Node(count, ("sums",), codes))
    network = IntegerNetwork((a, b), nodes, ("codes", "a", "sums", "b", "codes"))
    x = random_inputs(network, 500)
    check(network, x)
    compiled = compile_network(network, "net", clock_ns=10.0)
    assert (compiled.in_datatype, compiled.out_datatype) == ("INT4", sums.datatype)
    alone = IntegerNetwork((a, b), nodes, ("sums",))
    # Both forms of the sums, signed and not, differ by their sign bits.
    assert (
        check(network, x)
        <= check(alone, x) + check(IntegerNetwork((a, b), nodes, ("codes",)), x) + 2 * sums.size + 4
    )


def test_bipolar_streams_stay_bits() -> None:
    source, other = (Tensor.of_type(name, BIPOLAR, 2) for name in "ab")
    linear = Linear([[1], [1], [-1], [1]])
    sums = tensor_of(linear, "s", [source, other])
    sign = Requantise(Thresholds([[0]]), -1, 2)
    nodes = (Node(linear, ("a", "b"), sums), Node(sign, ("s",), tensor_of(sign, "y", [sums])))
    network = IntegerNetwork((source, other), nodes, ("y", "a"))
    check(network, random_inputs(network, 64))
    compiled = compile_network(network, "net", clock_ns=10.0)
    assert (compiled.in_width, compiled.out_width) == (1, 1)
