"""Sums beyond a double's mantissa: reference and network against Python's own big integers."""

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from finn_builds.ingest import HostSplit, Reference, rational, split_host, tidy
from tests.finn_builds.ingest.graphs import Graph, Layer, Quantizer
from tests.finn_builds.network.networks import check_ranges, naive

FRAMES = 12
#: Without the shrinking of failures, which takes minutes here.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
SCALES = st.floats(0.01, 4).map(lambda v: float(np.float32(v)))
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
        assume(reference.is_exact)
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
        assert 0 <= reference.float32_disagreements(self.x) <= FRAMES
        return split


def largest(rows) -> Fraction:
    return max(abs(v) for row in rows for v in row)


@st.composite
def chains(draw):
    """Return a network whose sums are of 45 to 60 bits, by matrices one after another or squares."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    end = draw(st.sampled_from(["none", "narrow", "narrow", "wide"]))
    free = draw(st.booleans()) and end != "wide"
    one = draw(SCALES) if free else 2.0 ** draw(st.integers(-8, 4))
    squared = draw(st.booleans())
    bits = draw(st.sampled_from([16, 20] if squared else [16, 20, 24]))
    both = Both(bits, one, draw(st.integers(1, 4)), rng)
    if squared:
        both.layer(draw(st.integers(2, 7)), np.float32([1.0]), 2)
        both.square()
    else:
        for bits in (14, draw(st.integers(12, 16))):
            n_out = draw(st.integers(1, 3))
            scales = [1.0]
            if bits != 14 and end != "wide":
                scales = [draw(SCALES) for _ in range(n_out)]
            both.layer(bits, np.float32(scales), n_out)
    if draw(st.booleans()):
        both.bias(rng.normal(size=len(both.rows[0])))
    if end == "narrow":
        bits, signed = draw(st.integers(1, 8)), draw(st.booleans())
        if draw(st.booleans()):
            both.relu()
        scale = float(np.float32(max(largest(both.rows), 1) / 2**bits * Fraction(draw(SCALES))))
        rounding = draw(st.sampled_from(list(ROUNDINGS)))
        both.quantise(Quantizer(max(bits, 2), scale, signed=signed, rounding=rounding))
    elif end == "wide":
        # Powers of two of the sums' own unit: a shift is exact whatever the width.
        top = floor(largest(both.rows)).bit_length()
        both.quantise(
            Quantizer(16, 2.0 ** (top - 14), rounding=draw(st.sampled_from(list(ROUNDINGS))))
        )
    return both


@settings(max_examples=60, deadline=None, phases=PHASES)
@given(chains())
def test_chains_equal_python_integers(both):
    both.compare()
