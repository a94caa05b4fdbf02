"""What layers cost as sparse logic, without building them: for the choice between styles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from finn_builds.network import IntegerNetwork, Layer
from finn_builds.network.ops import IntArray
from finn_builds.network.types import bits_of, step_of
from finn_builds.sparse.compiler import LayerCost
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.family import Family, family_named
from finn_builds.sparse.lower import MAX_NEURON_BITS, Options, lower
from finn_builds.sparse.schedule import clocks
from finn_builds.sparse.stream import shell_luts

#: The least that sharing sums may leave of `unshared`; see `lower_bound`.
SHARED = 0.35
SHARED_OF_UNITS = 0.1


def layer_costs(
    network: IntegerNetwork,
    family: str,
    clock_ns: float | None,
    latency: int | None,
    limit_luts: float,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[LayerCost]:
    """Return what each layer of a chain costs as a sparse node of its own.

    Shared sums are looked for once, so a build takes up to ten per cent fewer LUTs; the ends of
    the stream are included, as in `CompiledNetwork.cost`. Registers are counted, but not placed.

    Parameters
    ----------
    network : IntegerNetwork
        Without an `ArgMax`.
    family, clock_ns, latency
        See `compile_network`.
    limit_luts : float
        A layer whose lower bound is above it is hopeless and costs no more time.
    progress : callable, optional
        Gets the layers that are done, all layers, and what is done now.

    Raises
    ------
    UserError
        If the family is unknown, or no pipeline can be that fast or that short.
    """
    target = family_named(family)
    layers = network.layers()
    found = []
    for done, layer in enumerate(layers):
        if progress is not None:
            progress(done, len(layers), f"layer {done + 1} as sparse logic")
        least = lower_bound(layer, target)
        if least > limit_luts:
            found.append(LayerCost(layer.name, least, 0, hopeless=True))
            continue
        graph = lower(network.part([layer]), target, Options(quick=True))
        inner = clocks(
            graph,
            target,
            clock_ns,
            None if latency is None else latency - 1,
            register_outputs=False,
            behind_ns=target.t_lut,
        )
        luts = estimate(graph, target).luts
        luts += shell_luts(layer.n_out * bits_of(layer.output.datatype))
        found.append(LayerCost(layer.name, luts, inner + 1))
    return found


def lower_bounds(network: IntegerNetwork, family: str) -> list[int]:
    """Return LUTs that each layer of a chain takes at least, fused or not."""
    target = family_named(family)
    return [lower_bound(layer, target) for layer in network.layers()]


def lower_bound(layer: Layer, family: Family) -> int:
    """Return LUTs that a layer takes at least; takes milliseconds.

    Every LUT of a chain of three terms makes one bit of up to three, so sums that share nothing
    take half the bits that go in beyond those that come out (all of them where chains add two
    terms). Neurons whose weights differ by a factor are counted once, those that may become a
    truth table or a constant not at all, and nothing is counted for thresholds.

    How much of that sharing leaves was measured, over the layers of
    `tests/finn_builds/sparse/test_estimate.py`.
    """
    codes = step_of(layer.input.datatype)
    widths = _bit_lengths((layer.input.high - layer.input.low) // codes)
    used = widths > 0
    weights = layer.linear.weights[used]
    bits = (weights != 0).astype(np.int64).T @ widths[used]
    counted = bits > MAX_NEURON_BITS if layer.requantise else bits > 0
    if layer.requantise is not None:
        sums = layer.accumulators
        rows = layer.requantise.form.thresholds(sums.low, sums.high)
        decides = (rows > sums.low[:, None]) & (rows <= sums.high[:, None])
        counted &= decides.any(axis=1)
    if not counted.any():
        return 0
    columns = _distinct(weights[:, counted])
    share = SHARED_OF_UNITS if np.abs(columns).max() < 4 else SHARED
    return int(share * unshared(columns, widths[used], family))


def unshared(weights: IntArray, widths: IntArray, family: Family) -> float:
    """Return LUTs that sums take at least which share nothing.

    Parameters
    ----------
    weights : int64 array (n_in, n_out)
    widths : int64 array (n_in,)
        Bits of each input, unsigned.
    """
    magnitudes = np.abs(weights)
    # Digits of the non-adjacent form, and the largest sum that they can come to.
    digits = np.bitwise_xor(3 * magnitudes, magnitudes)
    goes_in = _ones(digits).T @ widths
    largest = ((digits >> 1) * ((1 << widths) - 1)[:, None]).sum(axis=0)
    comes_out = _bit_lengths(largest) + 1
    return float(np.maximum(goes_in - comes_out, 0).sum() / (family.max_terms - 1))


def _distinct(weights: IntArray) -> IntArray:
    """Return the columns, one of those that differ by a factor."""
    divisors = np.maximum(np.gcd.reduce(weights, axis=0), 1)
    first = np.take_along_axis(weights, (weights != 0).argmax(axis=0)[None], axis=0)
    return np.unique(weights // (divisors * np.where(first < 0, -1, 1)), axis=1)


def _ones(values: IntArray) -> IntArray:
    """Return the bits that are set in each value."""
    counts = np.zeros_like(values)
    while values.any():
        counts += values & 1
        values = values >> 1
    return counts


def _bit_lengths(values: IntArray) -> IntArray:
    lengths = np.zeros_like(values)
    while values.any():
        lengths += values > 0
        values = values >> 1
    return lengths
