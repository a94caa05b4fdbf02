"""The integer network equals the QONNX model, integer for integer."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finn_builds.ingest import wide
from finn_builds.ingest.steps import Step
from finn_builds.ingest.thresholds import InexactThresholdsError, find_thresholds
from finn_builds.network import Linear, Requantise
from finn_builds.network.ops import ROUNDINGS
from finn_builds.network.types import range_of, weight_datatype
from tests.finn_builds.ingest.graphs import (
    Layer,
    Quantizer,
    all_codes,
    exact_forward,
    execute,
    mlp,
    random_layers,
)
from tests.finn_builds.ingest.integers import batch_norm, built, codes_for, thresholds, to_codes
from tests.finn_builds.network.networks import check_ranges, naive

RNG = np.random.default_rng(7)


def check(layers, input_quantizer, x):
    """Compare the integer network with the reference and with Python's own integers.

    Returned with what the model itself gives: network, host model, integers, floating point.
    """
    network, host, reference = built(layers, input_quantizer)
    y = network.execute(x)
    np.testing.assert_array_equal(y, reference.run(x))
    assert y[:2].tolist() == [naive(network, row) for row in x[:2]]
    check_ranges(network, x)
    values = (x * np.float32(input_quantizer.scale)).astype(np.float32)
    original = execute(mlp(layers, input_quantizer, batch=len(x)), values)
    return network, host, y, original


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("narrow", [False, True])
def test_every_width_of_weights(bits, narrow):
    weight = Quantizer(bits, 0.25, narrow=narrow and bits > 1)
    act = Quantizer(4, 0.5, signed=False)
    layers = random_layers(RNG, [6, 5, 4, 3], weight, act, relu=True)
    x = codes_for(Quantizer(4), 6, 200, RNG)
    network, host, y, original = check(layers, Quantizer(4, 0.125), x)
    # Powers of two: every float32 operation of the model is exact, so all must agree.
    np.testing.assert_array_equal(host.after(y), original)
    widths = {"BIPOLAR": 1}
    for layer in network.layers():
        name = weight_datatype(layer.linear.weights)
        assert widths.get(name) or int(name.removeprefix("INT")) <= max(2, bits)
    if bits == 1:
        assert weight_datatype(network.layers()[0].linear.weights) == "BIPOLAR"


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("kind", ["unsigned", "signed", "narrow"])
def test_every_width_of_activations(bits, kind):
    act = Quantizer(bits, 0.25, signed=kind != "unsigned", narrow=kind == "narrow" and bits > 1)
    layers = random_layers(RNG, [5, 6, 4, 3], Quantizer(3, 0.5), act)
    x = codes_for(Quantizer(3), 5, 200, RNG)
    network, host, y, original = check(layers, Quantizer(3, 0.25), x)
    np.testing.assert_array_equal(host.after(y), original)
    layer = network.layers()[0]
    assert thresholds(layer).shape == (6, 2**bits - 1)
    expected = f"UINT{bits}" if kind == "unsigned" else f"INT{bits}"
    assert layer.output.datatype == {"INT1": "BIPOLAR"}.get(expected, expected)


def test_ties_round_half_to_even_as_qonnx_does():
    # One input times one, activations twice as coarse: every odd accumulator is a tie.
    act = Quantizer(4, 2.0)
    layers = [
        Layer(np.ones((1, 1)), Quantizer(2), activation=act),
        Layer(np.ones((1, 1)), Quantizer(2)),
    ]
    x = np.arange(-16, 16)[:, None]
    network, _, y, original = check(layers, Quantizer(5), x)
    np.testing.assert_array_equal(y[:, 0], np.clip(np.round(x[:, 0] / 2), -8, 7))
    np.testing.assert_array_equal(y * 2, original)
    # 1 -> 0.5 -> 0 but 3 -> 1.5 -> 2: the thresholds are not evenly spaced.
    assert set(np.diff(thresholds(network.layers()[0])[0])) == {1, 3}


@pytest.mark.parametrize(
    "mode", ["ROUND", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN", "HALF_EVEN"]
)
def test_every_rounding_mode_against_exact_arithmetic(mode):
    act = Quantizer(4, 0.75, rounding=mode)
    layers = [
        Layer(
            RNG.integers(-4, 4, size=(2, 4)) * np.float32(0.375),
            Quantizer(3, 0.375),
            bias=np.array([0, 0.375, -0.75, 0.1]),
            activation=act,
        ),
        Layer(RNG.integers(-1, 2, size=(4, 2)), Quantizer(2)),
    ]
    x = all_codes(-4, 3, 2)
    network, host, reference = built(layers, Quantizer(3))
    y = network.execute(x)
    exact = exact_forward(layers, Quantizer(3), x)
    np.testing.assert_array_equal(host.after(y), np.array(exact, dtype=np.float32))
    np.testing.assert_array_equal(y, reference.run(x))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_negative_and_zero_batch_norm_factors(bits):
    n = 6
    norm = batch_norm([1, -1, 0, 0, -0.25, 3], [0, 0.3, 0.6, -0.6, 1, -2], [0] * n, [1] * n)
    act = Quantizer(bits, 0.25)
    layers = random_layers(RNG, [4, n, 3], Quantizer(4, 0.5), act, batch_norm=norm)
    layers[-1] = Layer(layers[-1].weights, layers[-1].quantizer)
    x = codes_for(Quantizer(4), 4, 300, RNG)
    check(layers, Quantizer(4, 0.3), x)


def test_an_input_equal_to_the_mean_gives_the_bias_exactly():
    # 2.5 is a tie and rounds to 2. With mean * gamma / std multiplied out, as onnxruntime has it,
    # one neuron in a hundred would land beside the tie.
    n = 1000
    rng = np.random.default_rng(0)
    means = rng.integers(-100, 100, size=n)
    gamma, var = rng.uniform(0.1, 2, size=n), rng.uniform(0.1, 3, size=n)
    norm = batch_norm(gamma, np.full(n, 2.5), means, var)
    layers = [
        Layer(np.ones((1, n)), Quantizer(2), batch_norm=norm, activation=Quantizer(4)),
        Layer(np.ones((n, 1)), Quantizer(2)),
    ]
    network, _, reference = built(layers, Quantizer(8))
    rows = thresholds(network.layers()[0])
    np.testing.assert_array_equal(rows[:, 3 + 7], means + 1)  # from -8: the step to 3
    x = np.arange(-128, 128)[:, None]
    np.testing.assert_array_equal(network.execute(x), reference.run(x))


def test_flipping_the_most_negative_weight_widens_the_type():
    layers = [
        Layer(
            np.array([[-8.0, 7], [-8, 1]]),
            Quantizer(4),
            batch_norm=batch_norm([-1, -1], [0, 0], [0, 0], [1, 1]),
            activation=Quantizer(3),
        ),
        Layer(np.ones((2, 1)), Quantizer(2)),
    ]
    network, _, _, _ = check(layers, Quantizer(3), all_codes(-4, 3, 2))
    weights = network.layers()[0].linear.weights
    assert weight_datatype(weights) == "INT5"
    np.testing.assert_array_equal(weights, [[8, -7], [8, -1]])


def test_neurons_without_weights_and_inputs_without_use():
    weights = RNG.integers(-2, 2, size=(5, 4)).astype(np.float32)
    weights[:, 1] = 0
    weights[2] = 0
    layers = [
        Layer(weights, Quantizer(2), bias=np.array([0, 1.5, 0, -9]), activation=Quantizer(2)),
        Layer(np.zeros((4, 3)), Quantizer(2), activation=Quantizer(2, signed=False)),
        Layer(RNG.integers(-2, 2, size=(3, 2)), Quantizer(2)),
    ]
    network, _, y, _ = check(layers, Quantizer(3), codes_for(Quantizer(3), 5, 100, RNG))
    first, second, _ = network.layers()
    # A neuron without weights has the accumulator 0 alone: thresholds at 0 always, at 1 never.
    assert set(thresholds(first)[1]) <= {0, 1}
    assert set(thresholds(second).ravel()) <= {0, 1}
    assert weight_datatype(second.linear.weights) == "INT2"  # FINN knows no narrower signed weights
    assert (y == y[0]).all()


def test_thresholds_stay_within_the_reach_of_the_accumulators():
    layers = [
        Layer(
            np.ones((3, 4)),
            Quantizer(2),
            bias=np.array([1e4, -1e4, 2, -2]),
            activation=Quantizer(8, 0.01),
        ),
        Layer(np.ones((4, 1)), Quantizer(2)),
    ]
    network, _, _, _ = check(layers, Quantizer(2), all_codes(-2, 1, 3))
    rows = thresholds(network.layers()[0])
    assert rows.shape == (4, 255)
    assert rows.min() >= -6 and rows.max() <= 4
    assert (np.diff(rows, axis=1) >= 0).all()
    assert (rows[0] == -6).all() and (rows[1, 1:] == 4).all()


@pytest.mark.parametrize("form", ["matmul", "gemm", "transpose"])
def test_per_channel_scales_that_are_no_powers_of_two(form):
    scale = np.array([0.1, 0.37, 1.9, 0.003], dtype=np.float32)
    weight = Quantizer(4, scale)
    layers = random_layers(RNG, [5, 4], weight, Quantizer(3))
    layers = [
        Layer(
            layers[0].weights,
            weight,
            bias=RNG.normal(size=4).astype(np.float32),
            activation=Quantizer(3, 0.7),
            form=form,
        ),
        Layer(RNG.integers(-4, 4, size=(4, 2)) * 0.3, Quantizer(3, 0.3), form=form),
    ]
    x = codes_for(Quantizer(6), 5, 500, RNG)
    network, host, y, original = check(layers, Quantizer(6, 0.31), x)
    np.testing.assert_allclose(host.after(y), original, atol=1e-4)
    expected = np.round(layers[0].weights / scale)
    np.testing.assert_array_equal(network.layers()[0].linear.weights, expected)


def test_weights_on_a_tie_are_those_of_the_models_float32():
    # 0.35 / 0.1 is 3.5 in float32 and less than that in double.
    layers = [Layer(np.array([[0.35], [0.25]]), Quantizer(4, 0.1))]
    network, host, y, original = check(layers, Quantizer(3), all_codes(-4, 3, 2))
    weights = network.layers()[0].linear.weights[:, 0]
    expected = np.round(np.float32([0.35, 0.25]) / np.float32(0.1))
    np.testing.assert_array_equal(weights, expected)
    np.testing.assert_allclose(host.after(y), original, atol=1e-6)


@pytest.mark.parametrize("zero_point", [-5, 8, 3])
def test_zero_points_of_activations_and_weights(zero_point):
    act = Quantizer(4, 0.5, signed=False, zero_point=zero_point)
    weight = Quantizer(4, 0.25, signed=False, zero_point=6)
    raw = RNG.integers(-6, 9, size=(4, 5)) * 0.25
    layers = [
        Layer(raw, weight, activation=act),
        Layer(RNG.integers(-4, 4, size=(5, 2)), Quantizer(3)),
    ]
    into = Quantizer(4, signed=False, zero_point=7)
    levels = codes_for(into, 4, 200, RNG)
    network, host, reference = built(layers, into)
    x = to_codes(host, levels)
    assert network.input.datatype == "UINT4"
    y = network.execute(x)
    np.testing.assert_array_equal(y, reference.run(x))
    original = execute(mlp(layers, into, batch=len(x)), levels)
    np.testing.assert_array_equal(host.before(levels.astype(np.float32)), x)
    np.testing.assert_array_equal(host.after(y), original)


def test_a_zero_point_too_large_for_eight_bits_moves_into_the_thresholds():
    act = Quantizer(8, 0.125, signed=False, zero_point=20)
    layers = [
        Layer(RNG.integers(-4, 4, size=(3, 4)), Quantizer(3), activation=act),
        Layer(RNG.integers(-4, 4, size=(4, 3)), Quantizer(3), activation=Quantizer(2)),
        Layer(RNG.integers(-4, 4, size=(3, 2)), Quantizer(3)),
    ]
    x = codes_for(Quantizer(5), 3, 300, RNG)
    network, host, y, original = check(layers, Quantizer(5, 0.5), x)
    assert network.layers()[0].output.datatype == "UINT8"
    np.testing.assert_array_equal(host.after(y), original)
    # And where such a layer is the last but one, the host takes the offset off again.
    layers = [layers[0], Layer(layers[1].weights, Quantizer(3))]
    _, host, y, original = check(layers, Quantizer(5, 0.5), x)
    np.testing.assert_array_equal(host.after(y), original)


@pytest.mark.parametrize("out", [Quantizer(1, 2.0), Quantizer(3, 0.25), Quantizer(4, signed=False)])
def test_a_quantizer_at_the_end_gives_its_levels(out):
    layers = random_layers(RNG, [4, 5, 3], Quantizer(3, 0.5), Quantizer(2, 0.5))
    layers[-1] = Layer(layers[-1].weights, layers[-1].quantizer, activation=out)
    x = codes_for(Quantizer(4), 4, 200, RNG)
    network, host, y, original = check(layers, Quantizer(4, 0.5), x)
    assert host.kind == "levels"
    assert isinstance(network.nodes[-1].op, Requantise)
    np.testing.assert_array_equal(y * np.float32(out.scale), original)
    np.testing.assert_array_equal(host.after(y), original)


def test_one_layer_alone():
    layers = [Layer(RNG.integers(-8, 8, size=(4, 3)) * 0.25, Quantizer(4, 0.25))]
    x = codes_for(Quantizer(8), 4, 100, RNG)
    network, host, y, original = check(layers, Quantizer(8, 0.5), x)
    assert [type(node.op) for node in network.nodes] == [Linear]
    np.testing.assert_array_equal(host.after(y), original)


def test_a_function_that_is_not_integer_is_caught():
    tail = (Step("Mul", "half", (np.float32(0.5),)),)
    one = np.ones(1, dtype=np.int64)
    with pytest.raises(InexactThresholdsError, match="integers"):
        find_thresholds(tail, one, -8 * one, 7 * one, np.arange(-8, 8))


def test_a_function_that_is_not_monotone_is_caught():
    # A neuron that falls, taken for one that rises: bisection finds something, the check refuses.
    tail = (Step("Mul", "turn", (np.float32(-1),)),)
    one = np.ones(1, dtype=np.int64)
    with pytest.raises(InexactThresholdsError, match="do not reproduce"):
        find_thresholds(tail, one, -8 * one, 7 * one, np.arange(-8, 8))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_narrow_input_quantizer_gives_its_exact_range(bits):
    layers = random_layers(RNG, [5, 4, 3], Quantizer(3, 0.5), Quantizer(4, 0.25, narrow=True))
    into = Quantizer(bits, 0.25, narrow=True)
    x = codes_for(into, 5, 300, RNG)
    network, _, _, _ = check(layers, into, x)
    high = 2 ** (bits - 1) - 1
    assert network.input.datatype == f"INT{bits}"
    assert (network.input.low == -high).all() and (network.input.high == high).all()
    # The ranges of the first accumulators follow from it, and are reached.
    first = network.layers()[0]
    weights = first.linear.weights
    np.testing.assert_array_equal(first.accumulators.high, high * np.abs(weights).sum(axis=0))
    corners = high * np.sign(weights).T
    sums = network.values({network.input.name: corners})[first.name]
    np.testing.assert_array_equal(np.diag(sums), first.accumulators.high)
    # A narrow quantiser between layers never gives the lowest value of its type either.
    assert first.output.datatype == "INT4" and first.output.low.min() >= -7
    assert range_of("INT4")[0] == -8


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 5),
    st.fractions(-40, 40, max_denominator=1000),
    st.sampled_from(ROUNDINGS),
)
def test_offsets_of_any_fraction_beside_binary_scales(factor, shift, offset, mode):
    """Only between which halves of a unit an offset lies is seen."""
    scale = Fraction(2 * factor + 1, 1 << shift)
    found = wide._binary(scale, offset, -50, 50)
    assert found is not None and found[2] <= shift + 1
    for x in range(-50, 51):
        exact = Fraction(found[0] * x + found[1], 1 << found[2])
        assert wide._rounded(scale * x + offset, mode) == wide._rounded(exact, mode)
