"""Sums beyond a double's mantissa: reference and network against Python's own big integers."""

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from deploy.packing import padded
from finn_builds.ingest import HostSplit, Reference, split_host, tidy
from finn_builds.sim import SimDesign, Simulator, compile_designs
from finn_builds.sparse.compiler import compile_network
from tests.finn_builds.ingest.graphs import Graph, Layer, Quantizer
from tests.finn_builds.network.networks import check_ranges, naive, random_inputs
from tests.finn_builds.sparse.sparse_networks import on_stream, pack

FRAMES = 12
#: Without the shrinking of failures, which takes minutes here.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
W16 = Quantizer(16, 1.0)
ROUNDINGS = {
    "ROUND": round,
    "FLOOR": floor,
    "CEIL": ceil,
    "DOWN": int,
    "HALF_UP": lambda v: floor(abs(v) + Fraction(1, 2)) * (1 if v > 0 else -1),
}


class Both:
    """A model's nodes, and what they give in fractions, side by side."""

    def __init__(self, bits: int, scale: float, size: int, rng: np.random.Generator) -> None:
        self.graph, self.rng = Graph((1, size)), rng
        self.graph.quantize(Quantizer(bits, scale))
        top = 1 << (bits - 1)
        x = rng.integers(-top, top, (FRAMES, size))
        x[0], x[1] = -top, top - 1
        self.x = x
        self.rows = [[int(v) * Fraction(scale) for v in row] for row in x]

    def layer(self, bits: int, scales: np.ndarray, n_out: int) -> None:
        """Add a matrix with a scale for each of its columns."""
        top = 1 << (bits - 1)
        integers = self.rng.integers(-top, top, (len(self.rows[0]), n_out))
        self.graph.layer(Layer(integers * scales.astype(np.float32), Quantizer(bits, scales)))
        columns = [
            [int(v) * Fraction(float(s)) for v in column]
            for column, s in zip(integers.T, np.broadcast_to(scales, n_out), strict=True)
        ]
        self.rows = [
            [sum(a * b for a, b in zip(row, column, strict=True)) for column in columns]
            for row in self.rows
        ]

    def bias(self, values: np.ndarray) -> None:
        self.graph.add("Add", values.astype(np.float32))
        self.rows = [
            [v + Fraction(float(b)) for v, b in zip(row, values.astype(np.float32), strict=True)]
            for row in self.rows
        ]

    def square(self) -> None:
        self.graph.add("Mul", self.graph.current)
        self.rows = [[v * v for v in row] for row in self.rows]

    def relu(self) -> None:
        self.graph.add("Relu")
        self.rows = [[max(v, Fraction(0)) for v in row] for row in self.rows]

    def quantise(self, q: Quantizer) -> None:
        self.graph.quantize(q)
        (low, high), scale = q.limits(), Fraction(q.scale)
        how = ROUNDINGS[q.rounding]
        self.rows = [
            [min(max(how(v / scale), low), high) * scale for v in row] for row in self.rows
        ]

    def compare(self) -> HostSplit:
        model = tidy(self.graph.model((1, len(self.rows[0]))))
        split = split_host(model)
        network, reference = split.network, Reference(model, split)
        y = network.execute(self.x)
        np.testing.assert_array_equal(y, reference.run(self.x))
        (link,) = split.outputs
        expected = np.array(
            [[row[p] for p in link.places] for row in self.rows], dtype=object
        ).reshape(FRAMES, -1)
        wanted = ((expected - link.offset) / link.scale).astype(np.int64)
        np.testing.assert_array_equal(y[:, link.at], wanted)
        assert y[:2].tolist() == [naive(network, row) for row in self.x[:2]]
        check_ranges(network, self.x)
        assert reference.is_exact == (max(t.high.max() for t in tensors(network)) >= 1 << 40)
        assert 0 <= reference.float32_disagreements(self.x) <= FRAMES
        return split


def largest(rows) -> Fraction:
    return max(abs(v) for row in rows for v in row)


def random_chain(seed: int) -> Both:
    """Return a network with sums of up to 59 bits, of matrices one after another or squares."""
    rng = np.random.default_rng(seed)

    def scale() -> float:
        return float(np.float32(rng.uniform(0.01, 4)))

    end = rng.choice(["none", "narrow", "narrow", "wide"])
    free = end != "wide" and bool(rng.integers(2))
    squared = bool(rng.integers(2))
    bits = int(rng.choice([16, 20] if squared else [20, 24]))
    one = scale() if free else 2.0 ** int(rng.integers(-8, 5))
    both = Both(bits, one, int(rng.integers(2, 4 if squared else 7)), rng)
    if squared:
        both.layer(int(rng.integers(3, 8)), np.float32([1.0]), 2)
        both.square()
    else:
        both.layer(int(rng.integers(15, 17)), np.float32([1.0]), int(rng.integers(3, 8)))
        n_out = int(rng.integers(1, 4))
        scales = [1.0] if end == "wide" else [scale() for _ in range(n_out)]
        both.layer(int(rng.integers(15, 17)), np.float32(scales), n_out)
    if rng.integers(2):
        both.bias(rng.normal(size=len(both.rows[0])))
    rounding = str(rng.choice(list(ROUNDINGS)))
    if end == "narrow":
        if rng.integers(2):
            both.relu()
        bits, signed = int(rng.integers(2, 9)), bool(rng.integers(2))
        step = float(np.float32(max(largest(both.rows), 1) / 2**bits * Fraction(scale())))
        both.quantise(Quantizer(bits, step, signed=signed, rounding=rounding))
    elif end == "wide":
        # Powers of two of the sums' own unit: a shift is exact whatever the width.
        top = floor(largest(both.rows)).bit_length()
        both.quantise(Quantizer(16, 2.0 ** (top - 14), rounding=rounding))
    return both


@settings(max_examples=60, deadline=None, phases=PHASES)
@given(st.integers(0, 2**32 - 1))
def test_chains_equal_python_integers(seed):
    random_chain(seed).compare()


@pytest.mark.slow
def test_chains_in_verilator_with_stalls(tmp_path):
    networks = []
    for seed in range(40):
        network = random_chain(seed).compare().network
        if max(t.high.max() for t in tensors(network)) > 1 << 53:
            networks.append((seed, network))
    networks = networks[:6]
    assert len(networks) == 6
    made = []
    for seed, network in networks:
        family = ("xc7", "xcup", "ecp5")[seed % 3]
        compiled = compile_network(network, f"wide{seed}", family, clock_ns=15.0)
        made.append((seed, network, compiled, design_of(compiled, tmp_path / f"wide{seed}")))
    library = compile_designs([design for *_, design in made], build_dir=tmp_path / "build")
    for seed, network, compiled, design in made:
        x = random_inputs(network, 200, seed)
        expected = on_stream(network.execute(x), compiled.out_datatype)
        beats = pack(on_stream(x, compiled.in_datatype), compiled.in_width)
        with Simulator(library, tmp_path, design=design.name, randomise=seed) as simulator:
            run = simulator.run(beats, len(beats), stall_in=0.4, stall_out=0.5, seed=seed, drain=50)
        assert np.array_equal(run.outputs, pack(expected, compiled.out_width))


def tensors(network):
    return [node.output for node in network.nodes]


def design_of(compiled, folder):
    folder.mkdir()
    for name, text in compiled.files().items():
        (folder / name).write_text(text)
    return SimDesign(
        compiled.name,
        sorted(folder.iterdir()),
        compiled.name,
        padded(compiled.combinational.n_in * compiled.in_width),
        padded(len(compiled.combinational.outputs) * compiled.out_width),
    )


def test_a_batch_norm_a_pool_and_a_residual_connection():
    """What a chain does not have, against the network alone."""
    rng = np.random.default_rng(6)
    graph = Graph((1, 2, 6))
    graph.quantize(Quantizer(24, 0.25))
    kernel = graph.quantized_constant(rng.integers(-(1 << 15), 1 << 15, (2, 2, 3)) * 1.0, W16)
    start = graph.add("Conv", kernel, rng.integers(-9, 9, 2), pads=[1, 1])
    graph.add("Conv", kernel, pads=[1, 1])
    graph.add("Add", start)
    norm = (rng.uniform(0.5, 2, (4, 2)) * np.array([[1], [1], [2.0**40], [1]])).astype(np.float32)
    graph.add("AveragePool", kernel_shape=[3], strides=[1])
    graph.add("MaxPool", kernel_shape=[2])
    graph.add("BatchNormalization", *norm)
    graph.quantize(Quantizer(6, 2.0**52))
    model = tidy(graph.model(None))
    split = split_host(model)
    reference = Reference(model, split)
    assert reference.is_exact
    x = random_inputs(split.network, 40, 1)
    np.testing.assert_array_equal(split.network.execute(x), reference.run(x))


def test_reading_back_keeps_exact_scales(tmp_path):
    split = random_chain(3).compare()
    (tmp_path / "intermediate_models").mkdir()
    split.save(tmp_path, "step")
    (link,) = HostSplit.load(tmp_path, "step").outputs
    np.testing.assert_array_equal(link.scale, split.outputs[0].scale)
    np.testing.assert_array_equal(link.offset, split.outputs[0].offset)
