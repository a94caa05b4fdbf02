"""Tables as LUTs and as operands of sums: the same functions, in fewer LUTs."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finn_builds.network import Linear, Lookup, Tensor, chain
from finn_builds.sparse.addtree import Joint, SumBuilder
from finn_builds.sparse.compiler import compile_network
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.emit import emit_core
from finn_builds.sparse.families.ecp5 import ECP5
from finn_builds.sparse.families.xc7 import XC7
from finn_builds.sparse.family import Family
from finn_builds.sparse.graph import Builder
from finn_builds.sparse.interpret import evaluate, evaluate_nodes
from finn_builds.sparse.logic import clip_luts, clip_net, logic_of, pack
from finn_builds.sparse.lookups import shared_lut
from finn_builds.sparse.lower import lower
from finn_builds.sparse.nodes import Clip, Field, Sum, Table, Term
from finn_builds.sparse.options import Options
from finn_builds.sparse.splits import splits
from finn_builds.sparse.tablenet import DUAL_INPUTS, TableNet, net_of, pairs, table_luts
from tests.finn_builds.sparse.sparse_networks import clipped_edges, random_edges

SEEDS = st.integers(0, 2**31)


def executed(net: TableNet, n: int) -> np.ndarray:
    """Return the functions of a net at every address, side by side as an integer."""
    a = np.arange(1 << n)
    values = [(a >> k) & 1 for k in range(n)]
    for c in net.cells:
        if c.select is not None:
            values.append(np.where(values[c.select], *(values[i] for i in reversed(c.inputs))))
            continue
        address = sum((values[i] << k for k, i in enumerate(c.inputs)), start=0 * a)
        values.append(np.array([(c.bits >> int(at)) & 1 for at in address]))
    return sum((values[n + cell] << k for k, cell in enumerate(net.outs)), start=0 * a)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 9), kind=st.sampled_from("rtc"), k=st.sampled_from((6, 4)))
def test_nets_are_their_tables(seed: int, n: int, kind: str, k: int) -> None:
    rng = np.random.default_rng(seed)
    a = np.arange(1 << n)
    if kind == "r":
        values = rng.integers(0, 16, 1 << n)
    elif kind == "t":
        values = np.searchsorted(np.sort(rng.integers(0, 1 << n, 15)), a, side="right")
    else:
        values = np.clip((a >> 1) + (a & 1) - int(rng.integers(1 << n)) // 4, 0, 15)
    net = net_of(values.tolist(), n, 4, k)
    assert np.array_equal(executed(net, n), values)
    assert all(len(c.inputs) <= k for c in net.cells if c.select is None)
    assert net.luts(k) <= net.single_luts
    assert table_luts(values.tolist(), n, 4, k) == net.luts(k)
    assert not shared_with_multiplexers(net)


def shared_with_multiplexers(net: TableNet) -> list[int]:
    """Return the cells that a slice multiplexer is wired to, and something else reads too."""
    readers = Counter(i for c in net.cells for i in c.reads)
    readers.update(net.n_vars + k for k in net.outs)
    into = {i for c in net.cells if c.select is not None for i in c.inputs}
    return sorted(i for i in into if i >= net.n_vars and readers[i] > 1)


def test_multiplexers_that_share_multiplexers_have_their_own() -> None:
    """Four functions of six bits whose quarters are the same four functions, in all orders."""
    rng = np.random.default_rng(6)
    quarters = [rng.integers(0, 2, 16) for _ in range(4)]
    orders = ((0, 1, 2, 3), (0, 1, 3, 2), (2, 3, 0, 1), (0, 1, 0, 2))
    values = sum(np.concatenate([quarters[q] for q in o]) << k for k, o in enumerate(orders))
    net = net_of(values.tolist(), 6, 4, 4)
    assert np.array_equal(executed(net, 6), values)
    assert not shared_with_multiplexers(net)
    assert net.single_luts == 16


def test_functions_that_share_a_half_make_it_twice_for_two_multiplexers() -> None:
    """Four inputs a LUT: f is h below and g above, the other is h below and k above."""
    rng = np.random.default_rng(5)
    h, g, k = (rng.integers(0, 2, 16) for _ in range(3))
    values = np.concatenate([h + 2 * h, g + 2 * k])
    net = net_of(values.tolist(), 5, 2, 4)
    assert np.array_equal(executed(net, 5), values)
    assert not shared_with_multiplexers(net)
    assert net.single_luts == 4


def test_bits_of_a_clip_share_what_finds_out_where_the_number_is() -> None:
    """One LUT for below and above, and a LUT a bit, where bits apart take two each."""
    values = [min(max((a >> 1) + (a & 1) - 5, 0), 15) for a in range(128)]
    assert net_of(values, 7, 4, 6).luts(6) <= 5


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, n=st.integers(0, 40), k=st.sampled_from((6, 4)))
def test_pairs_fit_a_lut(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    cells = [
        (int(rng.integers(2)), frozenset(rng.integers(0, 9, rng.integers(1, 7)).tolist()))
        for _ in range(n)
    ]
    found = pairs(cells, k)
    used = [i for pair in found for i in pair]
    assert len(used) == len(set(used))
    for i, j in found:
        (level, reads), (other, also) = cells[i], cells[j]
        assert i < j and level == other and reads & also
        assert len(reads | also) <= DUAL_INPUTS[k]


def test_functions_of_the_same_five_bits_share_luts_of_six_inputs_alone() -> None:
    values = np.random.default_rng(1).integers(0, 16, 32).tolist()
    assert table_luts(values, 5, 4, 6) == 2
    assert net_of(values, 5, 4, 4).luts(4) == net_of(values, 5, 4, 4).single_luts


@settings(max_examples=100, deadline=None)
@given(
    lo=st.integers(-700, 300),
    span=st.integers(1, 1500),
    shift=st.integers(0, 4),
    bits=st.integers(1, 5),
    base=st.integers(0, 3),
    family=st.sampled_from((XC7, ECP5)),
)
def test_clips(lo: int, span: int, shift: int, bits: int, base: int, family: Family) -> None:
    """Of signed and unsigned numbers, with the window anywhere."""
    builder = Builder(1)
    node = builder.sum([Term(builder.input(0, 0, span))], lo)
    base <<= bits
    clip = builder.clip(node, shift, (1 << bits) - 1, "", base)
    graph = builder.finish([clip])
    x = np.arange(span + 1)[:, None]
    found = evaluate(graph, x)[:, 0]
    assert np.array_equal(found, np.clip(((x[:, 0] + lo) >> shift) - base, 0, (1 << bits) - 1))
    for index, kind in enumerate(graph.nodes):
        if not isinstance(kind, Clip):
            continue
        logic = logic_of(graph, index, family)
        assert logic is not None
        values = evaluate_nodes(graph, x)
        reads = [((values[b.src] >> b.index) & 1) ^ b.inv for b in logic.reads]
        address = sum((bit << k for k, bit in enumerate(reads)), start=0 * x[:, 0])
        assert np.array_equal(executed(logic.net, len(reads))[address], found)
        ends = graph.ranges[kind.src]
        assert logic.net.luts(family.lut_inputs) <= clip_luts(kind, *ends, family.lut_inputs)


def test_a_clip_of_many_bits_takes_a_tree() -> None:
    net = clip_net(4, 14, True, 4, 0, 0b1011, 6)
    assert net.luts(6) <= 2 + 2 + 4
    assert all(len(c.inputs) <= 6 for c in net.cells)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, bits=st.integers(1, 7), smooth=st.booleans())
def test_splits_are_the_function(seed: int, bits: int, smooth: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 64, 1 << bits)
    if smooth:
        values = np.cumsum(rng.integers(0, 3, 1 << bits))
    values = values - values.min()
    for split in splits(values.tolist(), bits):
        assert split.values() == values.tolist()
        assert all(min(part) >= 0 for part, _ in split.parts())
        moved = split.moved(2, 3)
        add = (2 << split.unit) + (3 if split.low else 0)
        assert moved.values() == (values + add).tolist()
        builder = Builder(1)
        nodes = split.build(builder, builder.whole(builder.input(0, 0, (1 << bits) - 1)), "")
        own = evaluate_nodes(builder.whole_graph([]), np.arange(1 << bits)[:, None])
        assert np.array_equal(sum(own[node] << k for node, k in nodes), values)


@pytest.mark.parametrize("scale", [3 << 9, 3 << 27])
def test_splits_of_wide_values_are_found_as_quickly(scale: int) -> None:
    """Heights of blocks are too many to look at them all; the lowest ones show equal shapes."""
    rng = np.random.default_rng(1)
    shapes = rng.integers(0, 2, (3, 4)) * scale
    blocks = shapes[rng.integers(0, 3, 16)] + 4 * scale * rng.integers(0, 9, (16, 1))
    values = (blocks - blocks.min()).ravel().tolist()
    found = list(splits(values, 6))
    assert all(split.values() == values for split in found)
    assert any(split.shapes and len(split.low) == 16 for split in found)


def test_a_smooth_function_of_seven_bits_costs_half_as_much_in_two() -> None:
    values = [round(20 + 20 * np.sin(code / 30)) for code in range(128)]
    ways = list(splits(values, 7))
    assert min(way.luts(XC7) for way in ways) <= 0.6 * ways[0].luts(XC7)


def test_the_range_of_nodes_that_depend_on_each_other() -> None:
    builder = Builder(2)
    a, b = builder.input(0, 0, 3), builder.input(1, 0, 7)
    sums = SumBuilder(builder, [a, b], 3, True, [Joint(a, b, 4, 1, 2, 12)])
    assert sums.range_of(np.array([4, 1]), 0) == (2, 12)
    assert sums.range_of(np.array([-8, -2]), 1) == (-23, -3)
    assert sums.range_of(np.array([4, 2]), 0) == (0, 26)


def test_what_a_node_adds_counts_once_in_a_range() -> None:
    """A node that depends on two others, in a sum of the three."""
    builder = Builder(3)
    a, b, c = (builder.input(k, 0, 7) for k in range(3))
    sums = SumBuilder(
        builder, [a, b, c], 3, True, [Joint(a, b, 1, 1, 3, 8), Joint(a, c, 1, 1, 3, 8)]
    )
    assert sums.range_of(np.array([1, 1, 1]), 0) == (3, 15)


@pytest.mark.parametrize("bits", [6, 7, 8])
def test_equal_shifted_and_negated_tables_are_one(bits: int) -> None:
    """The second neuron has the first one's tables, moved and some negated: it costs its chains."""
    rng = np.random.default_rng(bits)
    own = np.cumsum(rng.integers(-2, 3, (4, 1 << bits)), axis=1)
    signs = np.array([1, -1, -1, 1])[:, None]
    again = signs * own + rng.integers(-9, 10, (4, 1))
    others = np.cumsum(rng.integers(-2, 3, (4, 1 << bits)), axis=1)
    costs = []
    for second in (again, others):
        lookup = Lookup([*range(4)] * 2, [0] * 8, np.concatenate([own, second]), 4)
        summed = Linear(np.repeat(np.eye(2, dtype=np.int64), 4, axis=0))
        network = chain(Tensor.of_type("x", f"UINT{bits}", 4), [("t", lookup), ("s", summed)])
        graph = lower(network, XC7)
        x = rng.integers(0, 1 << bits, (500, 4))
        assert np.array_equal(evaluate(graph, x), network.execute(x))
        costs.append(estimate(graph, XC7).luts)
    assert costs[0] <= 0.8 * costs[1]


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, family=st.sampled_from((XC7, ECP5)), alike=st.booleans())
def test_networks_of_random_edges(seed: int, family: Family, alike: bool) -> None:
    network = random_edges(seed, alike)
    rng = np.random.default_rng(seed)
    low, high = network.input.low, network.input.high
    x = rng.integers(low, high + 1, (500, network.input.size))
    for quick in (False, True):
        graph = lower(network, family, Options(restarts=0, quick=quick))
        assert np.array_equal(evaluate(graph, x), network.execute(x))


def test_what_a_clip_asks_to_be_added_is_in_the_tables() -> None:
    """Five edges and a clip: two chains of three operands, none for a constant."""
    network = clipped_edges()
    graph = lower(network, XC7)
    assert [node.const for node in graph.nodes if isinstance(node, Sum)] == [0, 0]
    assert [node.base > 0 for node in graph.nodes if isinstance(node, Clip)] == [True]
    x = np.random.default_rng(3).integers(-16, 16, (500, 5))
    assert np.array_equal(evaluate(graph, x), network.execute(x))


def test_cells_that_share_a_lut_read_nothing_that_depends_on_them() -> None:
    design = compile_network(random_edges(5), "dut", "xc7", 10.0)
    graph = design.pipeline.graph
    packing = pack(graph, XC7)
    assert packing.partners
    for place, other in packing.partners.items():
        assert packing.partners[other] == place
        nets = [packing.logic[i].net.cells[k] for i, k in (place, other)]
        assert all(len(cell.inputs) <= 5 for cell in nets)
    luts = sum(isinstance(node, Table) for node in graph.nodes)
    assert luts and estimate(graph, XC7).luts == sum(estimate(graph, XC7).per_node)


def test_two_functions_in_verilog() -> None:
    """The first is the lower half, and each finds its inputs among those of both."""
    text = shared_lut("n", [("p", 0b0110, ["a", "b"]), ("q", 0b1000, ["c", "a"])], 6)
    assert ".a({1'b0, 1'b0, c, b, a})" in text and ".y(p), .z(q)" in text
    init = int(text.split("64'h")[1].split(")")[0], 16)
    for address in range(32):
        a, b, c = (address >> 0) & 1, (address >> 1) & 1, (address >> 2) & 1
        assert (init >> address) & 1 == a ^ b
        assert (init >> (32 + address)) & 1 == a & c


def test_a_constant_beside_others_is_written_down_in_a_shared_lut() -> None:
    """A constant has no net: two tables of {1, x[0]} and another input share a LUT."""
    builder = Builder(2)
    x, other = builder.input(0, 0, 1), builder.input(1, 0, 1)
    both = builder.concat([Field(x, 0, 1), Field(builder.const(1), 0, 1)], "both")
    fields = [Field(both, 0, 2), Field(other, 0, 1)]
    tables = [
        builder.table(fields, [(word >> a) & 1 for a in range(8)], name)
        for word, name in ((0b01101001, "t"), (0b10010111, "u"))
    ]
    graph = builder.finish(tables)
    (text,) = (t for name, t in emit_core(graph, XC7, "dut", 1, 1).items() if name == "dut.v")
    declared = set(re.findall(r"(?:wire|reg) (?:\[\d+:0\] )?(\w+)", text)) | {"x", "y"}
    (address,) = re.findall(r"ps_lut5x2 .*?\.a\(\{(.*?)\}\)", text)
    nets = [net.split("[")[0] for net in address.split(", ") if "'" not in net]
    assert nets and set(nets) <= declared


@pytest.mark.parametrize("family", ["xc7", "ecp5"])
def test_costs_of_layers_are_those_of_the_node(family: str) -> None:
    design = compile_network(random_edges(11), "dut", family, 10.0)
    own = estimate(design.pipeline.graph, design.family).luts
    assert sum(cost.luts for cost in design.layer_costs()) == own
