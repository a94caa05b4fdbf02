"""Random networks of every kind: the integer network equals reference and exact arithmetic."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.finn_builds.ingest.graphs import Layer, Quantizer, exact_forward
from tests.finn_builds.ingest.integers import batch_norm, built, codes_for, to_codes
from tests.finn_builds.network.networks import check_ranges, naive

FREE = st.floats(0.01, 4).map(lambda v: float(np.float32(v)))
POWER = st.integers(-4, 2).map(lambda e: 2.0**e)


@st.composite
def quantizers(draw, scales):
    bits = draw(st.integers(1, 8))
    signed = draw(st.booleans())
    zero_point = draw(st.sampled_from([0, 0, 1, -3, 2 ** (bits - 1)]))
    return Quantizer(
        bits,
        draw(scales),
        signed=signed,
        narrow=draw(st.booleans()) and bits > 1,
        zero_point=zero_point,
        plain=zero_point != 0 or draw(st.booleans()),  # BipolarQuant has no zero point
        rounding=draw(st.sampled_from(["ROUND", "FLOOR", "CEIL", "HALF_UP", "DOWN"])),
    )


@st.composite
def networks(draw, scales, unit_variance):
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers = []
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        bits = draw(st.integers(1, 8))
        per_channel = draw(st.booleans())
        scale = np.float32([draw(scales) for _ in range(n_out if per_channel else 1)])
        weight = Quantizer(bits, scale if per_channel else scale[0], narrow=False)
        low, high = (-1, 1) if bits == 1 else weight.limits()
        raw = (rng.integers(low, high + 1, size=(n_in, n_out)) * scale).astype(np.float32)
        norm = None
        if draw(st.booleans()):
            gamma = rng.choice([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0], size=n_out)
            var = np.ones(n_out) if unit_variance else rng.uniform(0.1, 4, size=n_out)
            mean = rng.integers(-4, 5, size=n_out) / 2
            norm = batch_norm(gamma, rng.integers(-4, 5, size=n_out) / 4, mean, var)
        last = i == len(sizes) - 2
        act = None if last and draw(st.booleans()) else draw(quantizers(scales))
        layers.append(
            Layer(
                raw,
                weight,
                bias=rng.integers(-8, 9, size=n_out) / 8 if draw(st.booleans()) else None,
                batch_norm=norm,
                relu=draw(st.booleans()) if act is not None else False,
                activation=act,
                form=draw(st.sampled_from(["matmul", "gemm", "transpose"])),
                # Variance 1 and epsilon 0 keep the arithmetic rational.
                epsilon=0.0 if unit_variance else 1e-5,
            )
        )
    return layers, draw(quantizers(scales)), rng


@settings(max_examples=60, deadline=None)
@given(networks(FREE, unit_variance=False))
def test_any_network_equals_the_reference(network):
    layers, into, rng = network
    integers, host, reference = built(layers, into)
    x = to_codes(host, codes_for(into, layers[0].weights.shape[0], 64, rng))
    y = integers.execute(x)
    np.testing.assert_array_equal(y, reference.run(x))
    assert y[:2].tolist() == [naive(integers, row) for row in x[:2]]
    check_ranges(integers, x)


@settings(max_examples=40, deadline=None)
@given(networks(POWER, unit_variance=True))
def test_any_network_of_rational_constants_equals_exact_arithmetic(network):
    layers, into, rng = network
    integers, host, reference = built(layers, into)
    levels = codes_for(into, layers[0].weights.shape[0], 16, rng)
    x = to_codes(host, levels)
    y = integers.execute(x)
    np.testing.assert_array_equal(y, reference.run(x))
    # The host's float32 is exact, too, on these constants.
    exact = np.array(exact_forward(layers, into, levels), dtype=np.float64)
    np.testing.assert_array_equal(host.after(y), exact.astype(np.float32))
