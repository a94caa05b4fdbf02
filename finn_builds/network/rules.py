"""What must hold of every integer network, as a list; a graph is checked when it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from finn_builds.network.ops import (
    ROUNDINGS,
    Affine,
    IntArray,
    Lookup,
    Max,
    Operation,
    Product,
    Requantise,
    Thresholds,
)
from finn_builds.network.types import range_of

if TYPE_CHECKING:
    from finn_builds.network.graph import IntegerNetwork, Tensor

#: Values beyond this leave no room for the bookkeeping of offsets in int64.
MAX_MAGNITUDE = 1 << 60
#: Values within an operation.
MAX_INSIDE = 1 << 62


def _names(network: IntegerNetwork) -> str | None:
    """Every tensor has a name of its own, and is made before it is read."""
    known: set[str] = set()
    made: list[tuple[str, tuple[str, ...]]] = [(tensor.name, ()) for tensor in network.inputs]
    made += [(node.output.name, node.inputs) for node in network.nodes]
    for name, reads in made:
        missing = [read for read in reads if read not in known]
        if missing:
            return f"{name} reads {missing[0]}, which is not there yet"
        if name in known:
            return f"two tensors are called {name}"
        known.add(name)
    absent = [name for name in network.outputs if name not in known]
    return f"the output {absent[0]} is not there" if absent else None


def _ends(network: IntegerNetwork) -> str | None:
    """There is an input, an operation and an output."""
    if not (network.inputs and network.nodes and network.outputs):
        return "a network needs an input, an operation and an output"
    return None


def _shapes(network: IntegerNetwork) -> str | None:
    """Operations fit the vectors at both ends; none of these is empty."""
    for tensor in network.inputs:
        if not tensor.size:
            return f"the input {tensor.name} has no elements"
    for node in network.nodes:
        n_in = sum(network.tensor(name).size for name in node.inputs)
        takes, gives = node.op.n_in, node.op.n_out
        if takes != n_in:
            return f"{node.output.name}: {node.op} takes {takes} elements, found {n_in}"
        if gives != node.output.size or not gives:
            return f"{node.output.name}: {node.op} gives {gives}, found {node.output.size}"
    return None


def _ascending(network: IntegerNetwork) -> str | None:
    """Thresholds ascend; factors and shifts are not negative."""
    for node in network.nodes:
        match node.op:
            case Requantise(form=Thresholds(rows=rows)) if (np.diff(rows, axis=1) < 0).any():
                row = int(np.flatnonzero((np.diff(rows, axis=1) < 0).any(axis=1))[0])
                return f"{node.output.name}: the thresholds of element {row} do not ascend"
            case Requantise(form=Affine(factor=factor, shift=shift)) if (factor < 0).any() or (
                shift < 0
            ).any():
                return f"{node.output.name}: a factor or a shift is negative"
            case Requantise(form=Affine(rounding=rounding)) if rounding not in ROUNDINGS:
                return f"{node.output.name}: unknown rounding mode {rounding}"
            case _:
                continue
    return None


def _reads(network: IntegerNetwork) -> str | None:
    """Operations read elements that are there, and tables have an entry for each code."""
    for node in network.nodes:
        match node.op:
            case Lookup(source=source, first=first, tables=tables):
                parts = [network.tensor(name) for name in node.inputs]
                low = np.concatenate([part.low for part in parts])
                high = np.concatenate([part.high for part in parts])
                read = [source]
                if not _within(source, node.op.n_in) or len(tables) != len(source):
                    return f"{node.output.name}: a table reads an element that is not there"
                last = first + tables.shape[1] - 1
                if (first > low[source]).any() or (last < high[source]).any():
                    return f"{node.output.name}: a table has no entry for a code of its input"
            case Product(left=left, right=right):
                read = [left, right]
            case Max(groups=groups):
                read = [groups]
            case _:
                continue
        if not all(_within(index, node.op.n_in) for index in read):
            return f"{node.output.name}: {node.op} reads an element that is not there"
    return None


def _within(index: IntArray, n: int) -> bool:
    return bool(((index >= 0) & (index < n)).all())


def _ranges(network: IntegerNetwork) -> str | None:
    """Ranges are those of the operations, lie within the types, and leave room in int64."""
    for tensor in network.inputs:
        if found := _outside(tensor):
            return found
    for node in network.nodes:
        parts = [network.tensor(name) for name in node.inputs]
        ends = [np.concatenate([getattr(p, end) for p in parts]) for end in ("low", "high")]
        out = node.output
        try:
            low, high = node.op.range(*ends)
        except OverflowError as error:
            return f"{out.name}: {error}"
        if (found := _multiplied(node.op, *ends)) is not None:
            return f"{out.name}: {found}"
        if not (np.array_equal(low, out.low) and np.array_equal(high, out.high)):
            return f"{out.name}: its range is not that of {node.op}"
        if found := _outside(out):
            return found
    return None


def _multiplied(op: Operation, low: IntArray, high: IntArray) -> str | None:
    """Return what does not fit int64 within an operation whose result may."""
    match op:
        case Requantise(form=Affine(factor=factor, offset=offset)):
            most = np.maximum(np.abs(low), np.abs(high)).astype(np.float64) * factor
            if (most + np.abs(offset)).max() >= MAX_INSIDE:
                return "the multiplied value reaches 2^62 or more"
        case _:
            pass
    return None


def _outside(tensor: Tensor) -> str | None:
    least, most = range_of(tensor.datatype)
    if (tensor.low > tensor.high).any():
        return f"{tensor.name}: an element has an empty range"
    low, high = tensor.bounds
    if low < least or high > most:
        return f"{tensor.name}: {low}..{high} does not fit {tensor.datatype}"
    if max(-low, high) >= MAX_MAGNITUDE:
        return f"{tensor.name}: values reach 2^60 or more"
    return None


Rule = Callable[["IntegerNetwork"], "str | None"]

#: In the order in which they are checked: later ones rely on earlier ones.
RULES: tuple[Rule, ...] = (_ends, _names, _shapes, _ascending, _reads, _ranges)


def check(network: IntegerNetwork) -> None:
    """Raise ValueError with the first rule that is broken and where, unless every rule holds."""
    for rule in RULES:
        broken = rule(network)
        if broken is not None:
            raise ValueError(f"integer network: {broken}")
