"""Random integer networks, and what must hold of any network."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np

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
from finn_builds.network.types import bits_of, range_of, step_of


def random_network(
    sizes: tuple[int, ...],
    seed: int,
    *,
    datatype: str = "INT4",
    weight_bits: int = 3,
    steps: int = 3,
    density: float = 0.6,
    head: bool = False,
) -> IntegerNetwork:
    """Return a chain of random layers, the last one without thresholds."""
    rng = np.random.default_rng(seed)
    ops: list[tuple[str, object]] = []
    for k, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        most = 1 << (weight_bits - 1)
        weights = rng.integers(-most, most, (n_in, n_out)) * (rng.random((n_in, n_out)) < density)
        ops.append((f"acc{k}", Linear(weights, rng.integers(-5, 6, n_out))))
        if k < len(sizes) - 2:
            rows = np.sort(rng.integers(-20, 21, (n_out, steps)), axis=1)
            ops.append((f"act{k}", Requantise(Thresholds(rows), int(rng.integers(-2, 1)))))
    network = chain(Tensor.of_type("x", datatype, sizes[0]), ops)
    if head:
        network = network.with_head(ArgMax(1, rng.integers(-3, 4, sizes[-1])))
    return network


def random_graph(
    seed: int,
    *,
    nodes: int = 12,
    bits: int = 16,
    widest: int = 34,
    inputs: int = 2,
    outputs: int = 2,
) -> IntegerNetwork:
    """Return a random graph of up to `nodes` operations of every kind, with forks and joins.

    Inputs and codes have 1 to `bits` bits, no value more than `widest`.
    """
    rng = np.random.default_rng(seed)
    signed = ("BIPOLAR", *(f"INT{b}" for b in range(2, bits + 1)))
    unsigned = tuple(f"UINT{b}" for b in range(1, bits + 1))
    sources = tuple(
        Tensor.of_type(f"x{k}", str(rng.choice(signed + unsigned)), int(rng.integers(1, 5)))
        for k in range(int(rng.integers(1, inputs + 1)))
    )
    tensors, made = list(sources), []
    for k in range(int(rng.integers(1, nodes + 1))):
        # The newest tensors are read most: graphs get deep.
        chosen = {len(tensors) - 1 - int(i) for i in rng.geometric(0.5, rng.integers(1, 3)) - 1}
        parts = [tensors[i] for i in sorted(chosen) if i >= 0] or [tensors[-1]]
        op = _random_op(parts, rng, bits)
        output = tensor_of(op, f"t{k}", parts)
        if bits_of(output.datatype) > widest:
            continue
        made.append(Node(op, tuple(part.name for part in parts), output))
        tensors.append(output)
    if not made:
        return random_graph(seed + 1_000_003, nodes=nodes, bits=bits, widest=widest, inputs=inputs)
    read = {name for node in made for name in node.inputs}
    ends = [node.output.name for node in made if node.output.name not in read]
    ends += [str(n) for n in rng.choice([m.output.name for m in made], outputs) if n not in ends]
    return IntegerNetwork(sources, tuple(made), tuple(dict.fromkeys(ends)))


def _random_op(parts: list[Tensor], rng: np.random.Generator, bits: int) -> Operation:
    """Return an operation for tensors side by side."""
    low = np.concatenate([part.low for part in parts])
    high = np.concatenate([part.high for part in parts])
    n = len(low)
    n_out = int(rng.integers(1, 5))
    span = int((high - low).max())
    kind = str(rng.choice(["linear", "linear", "thresholds", "affine", "lookup", "product", "max"]))
    if kind == "lookup" and span < 1 << 8:
        source = rng.integers(0, n, n_out)
        values = rng.integers(-(1 << int(rng.integers(1, 6))), 9, (n_out, span + 1))
        return Lookup(source, low[source], values, n)
    if kind == "product":
        return Product(rng.integers(0, n, n_out), rng.integers(0, n, n_out), n)
    if kind == "max":
        return Max(rng.integers(0, n, (n_out, int(rng.integers(1, 4)))), n)
    if kind == "thresholds":
        steps = int(rng.integers(1, 8))
        rows = np.sort(rng.integers(low.min() - 1, high.max() + 2, (n, steps)), axis=1)
        bipolar = steps == 1 and rng.random() < 0.5
        return Requantise(Thresholds(rows), *((-1, 2) if bipolar else (int(rng.integers(-4, 3)),)))
    if kind == "affine":
        top = (1 << int(rng.integers(1, bits + 1))) - 1
        shift = np.full(n, rng.integers(0, max(1, (span >> 1).bit_length())))
        zero = int(rng.choice([0, (top + 1) // 2]))
        factor = rng.integers(0, 1 << int(rng.integers(1, 6)), n)
        offset = (zero << shift) + rng.integers(-(1 << 5), 1 << 5, n)
        form = Affine(factor, offset, shift, top, str(rng.choice(ROUNDINGS)), zero)
        return Requantise(form, -zero)
    most = 1 << int(rng.integers(1, min(bits, 9)))
    weights = rng.integers(-most, most + 1, (n, n_out)) * (rng.random((n, n_out)) < 0.6)
    return Linear(weights, rng.integers(-9, 10, n_out) if rng.random() < 0.5 else None)


def random_inputs(network: IntegerNetwork, count: int, seed: int = 0) -> np.ndarray:
    """Return legal frames, all inputs side by side, both corners first."""
    rng = np.random.default_rng(seed)
    parts = []
    for source in network.inputs:
        step = step_of(source.datatype)
        span = (source.high - source.low) // step
        x = source.low + step * rng.integers(0, span + 1, (count, source.size))
        x[0], x[1] = source.low, source.high
        parts.append(x)
    return np.concatenate(parts, axis=1)


def naive(network: IntegerNetwork, x: np.ndarray) -> list[int]:
    """Execute one frame, the outputs side by side, in Python's integers and fractions."""
    rest = [int(v) for v in x]
    known: dict[str, list[int]] = {}
    for tensor in network.inputs:
        known[tensor.name], rest = rest[: tensor.size], rest[tensor.size :]
    for node in network.nodes:
        values = [v for name in node.inputs for v in known[name]]
        known[node.output.name] = _apply(node.op, values)
    return [v for name in network.outputs for v in known[name]]


def _apply(op: Operation, values: list[int]) -> list[int]:
    match op:
        case Linear(weights=weights, bias=bias):
            columns = weights.T.tolist()
            return [
                int(b) + sum(v * w for v, w in zip(values, column, strict=True))
                for b, column in zip(bias, columns, strict=True)
            ]
        case Requantise(form=form, bias=bias, step=step):
            return [bias + step * _count(form, j, v) for j, v in enumerate(values)]
        case Lookup(source=source, first=first, tables=tables):
            places = zip(source.tolist(), first.tolist(), tables.tolist(), strict=True)
            return [table[values[i] - lowest] for i, lowest, table in places]
        case Product(left=left, right=right):
            return [values[i] * values[j] for i, j in zip(left, right, strict=True)]
        case Max(groups=groups):
            return [max(values[i] for i in group) for group in groups.tolist()]
        case ArgMax(shift=shift, offsets=offsets):
            keys = [(v << shift) + int(o) for v, o in zip(values, offsets, strict=True)]
            return [keys.index(max(keys))]


_ROUNDED = {
    "FLOOR": math.floor,
    "CEIL": math.ceil,
    "DOWN": math.trunc,
    "ROUND": round,  # of a Fraction: half to even
    "UP": lambda v: math.ceil(v) if v > 0 else math.floor(v),
    "HALF_UP": lambda v: math.floor(v + Fraction(1, 2)) if v > 0 else math.ceil(v - Fraction(1, 2)),
    "HALF_DOWN": lambda v: (
        math.ceil(v - Fraction(1, 2)) if v > 0 else math.floor(v + Fraction(1, 2))
    ),
}


def _count(form: Thresholds | Affine, j: int, value: int) -> int:
    if isinstance(form, Thresholds):
        return sum(value >= int(t) for t in form.rows[j])
    scaled = Fraction(int(form.factor[j]) * value + int(form.offset[j]), 1 << int(form.shift[j]))
    counted = _ROUNDED[form.rounding](scaled - form.zero) + form.zero
    return min(max(counted, 0), form.top)


def check_ranges(network: IntegerNetwork, x: np.ndarray) -> None:
    """Assert that inputs, and every value they lead to, lie in the ranges of their elements."""
    values = network.values(network.split(x))
    for tensor in (*network.inputs, *(node.output for node in network.nodes)):
        found = values[tensor.name]
        least, most = range_of(tensor.datatype)
        assert (found >= tensor.low).all() and (found <= tensor.high).all(), tensor
        assert least <= tensor.low.min() and tensor.high.max() <= most, tensor
        assert ((found - least) % step_of(tensor.datatype) == 0).all(), tensor
