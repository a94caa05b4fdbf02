"""What layers cost as sparse logic, without building them: for the choice between styles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from finn_builds.network import IntegerNetwork, Layer
from finn_builds.network.ops import IntArray
from finn_builds.network.types import bits_of, step_of
from finn_builds.sparse.compiler import LayerCost
from finn_builds.sparse.cost import estimate
from finn_builds.sparse.families import family_named
from finn_builds.sparse.family import Family
from finn_builds.sparse.lower import lower, stream_datatype
from finn_builds.sparse.matrix import MAX_NEURON_BITS
from finn_builds.sparse.options import Options
from finn_builds.sparse.schedule import clocks
from finn_builds.sparse.solve import is_searched
from finn_builds.sparse.stream import shell_luts

#: What sharing sums may leave of `unshared` at least, in general and where more than `ALIKE` of the
#: weights are of one magnitude; see `lower_bound`.
SHARED = 0.35
SHARED_ALIKE = 0.1
ALIKE = 0.75


def layer_costs(
    network: IntegerNetwork,
    family: str,
    clock_ns: float | None,
    latency: int | None,
    limit_luts: float,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[LayerCost]:
    """Return what each layer costs as a sparse node of its own.

    Shared sums are looked for once, so a build takes up to ten per cent fewer LUTs; the ends of
    the stream are included, as in `CompiledNetwork.cost`. Registers are counted, but not placed.

    The network has no `ArgMax`. A layer whose lower bound is above `limit_luts` is hopeless and
    costs no more time. `progress` gets the layers that are done, all layers, and what is done now.
    Raises UserError if the family is unknown, or no pipeline can be that fast or that short.
    """
    target = family_named(family)
    layers = network.layers()
    bounds = lower_bounds(network, family)
    found = []
    for done, (layer, least) in enumerate(zip(layers, bounds, strict=True)):
        if progress is not None:
            progress(done, len(layers), f"layer {done + 1} as sparse logic")
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
            after_ns=target.t_lut,
        )
        luts = estimate(graph, target).luts
        luts += shell_luts(layer.n_out * bits_of(stream_datatype(layer.outputs)))
        found.append(LayerCost(layer.name, luts, inner + 1))
    return found


def lower_bounds(network: IntegerNetwork, family: str) -> list[int]:
    """Return LUTs that each layer takes at least, fused with its neighbours or not.

    Takes milliseconds, and says nothing (0) of layers that are not dense. Sums that share nothing
    (`unshared`) are the start. Neurons whose weights
    differ by a factor are counted once, those that may become a truth table or a constant or that
    nobody reads not at all, and nothing is counted for thresholds. (Neurons that are equal in all
    are taken for different ones by the layer that reads them.)

    What sharing leaves of that was measured with random layers of 12 to 256 inputs, 12 to 400
    neurons, weights of 2 to 8 bits and of a few magnitudes, dense and pruned: 0.46 and more, and
    0.19 and more where nearly all weights are 1 and -1. `SHARED` and `SHARED_ALIKE` are well below.
    """
    target = family_named(family)
    found = []
    layers = network.layers()
    read: NDArray[np.bool_] = np.ones(layers[-1].n_out, dtype=bool)
    for layer in reversed(layers):
        if not layer.is_dense:
            found.append(0)
            read = np.ones(layer.n_in, dtype=bool)
            continue
        alive = read & _decides(layer)
        found.append(_lower_bound(layer, alive, target))
        read = np.asarray(layer.linear.weights[:, alive].any(axis=1))
    return found[::-1]


def _decides(layer: Layer) -> NDArray[np.bool_]:
    """Return which neurons are not constant."""
    sums = layer.accumulators
    if layer.requantise is None:
        return np.asarray(sums.low < sums.high)
    first, last = layer.requantise.form.count(np.stack([sums.low, sums.high]))
    return np.asarray(first < last)


def _lower_bound(layer: Layer, alive: NDArray[np.bool_], family: Family) -> int:
    codes = step_of(layer.input.datatype)
    widths = _bit_lengths((layer.input.high - layer.input.low) // codes)
    used = widths > 0
    weights = layer.linear.weights[used]
    if layer.requantise is not None:
        bits = (weights != 0).astype(np.int64).T @ widths[used]
        alive = alive & (bits > MAX_NEURON_BITS)
    if not alive.any():
        return 0
    columns = _distinct(weights[:, alive])
    _, counts = np.unique(np.abs(columns[columns != 0]), return_counts=True)
    share = SHARED_ALIKE if counts.max() > ALIKE * counts.sum() else SHARED
    return int(share * unshared(columns, widths[used], family))


def unshared(weights: IntArray, widths: IntArray, family: Family) -> float:
    """Return a lower bound of the LUTs of sums that share only multiples of inputs.

    Every LUT of a chain of three terms makes one bit of up to three, so a sum takes half the bits
    that go in beyond those that come out, all of them where chains add two terms. Terms are the
    digits of weights. In a layer that is searched for shared sums they may be whole weights, and
    each multiple of an input that is no shift of it takes as many LUTs as the input has bits.

    Weights have shape (n_in, n_out), the widths of the unsigned inputs (n_in,).
    """
    magnitudes = np.abs(weights)
    # Twice the digits of the non-adjacent form, and the largest sum that they can come to.
    doubled = np.bitwise_xor(3 * magnitudes, magnitudes)
    largest = ((doubled >> 1) * ((1 << widths) - 1)[:, None]).sum(axis=0)
    comes_out = _bit_lengths(largest) + 1

    def chains(terms: IntArray) -> float:
        return float(np.maximum(terms.T @ widths - comes_out, 0).sum() / (family.max_terms - 1))

    digits = _ones(doubled)
    whole = (magnitudes != 0).astype(np.int64)
    if not is_searched(digits.sum(axis=0).tolist(), int(whole.sum())):
        return chains(digits)
    odd = magnitudes // np.maximum(magnitudes & -magnitudes, 1)
    multiples = np.array([np.count_nonzero(np.unique(row) > 1) for row in odd])
    return min(chains(digits), chains(whole) + float(multiples @ widths))


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
