"""The operations of an integer network on symbols: settled ones in, their result out.

Values are integers times a unit. Where the units of operands differ, they are brought to a common
one by whole factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from finn_builds.errors import UserError
from finn_builds.ingest.elementwise import evaluate_steps
from finn_builds.ingest.growing import Growing
from finn_builds.ingest.steps import Step
from finn_builds.ingest.symbol import Line, Symbol, common_unit, known_line, uniform
from finn_builds.ingest.thresholds import TABLE_CODES
from finn_builds.network import Lookup, Max, Product

#: Largest factor that brings the scales of two joined tensors to a common one, and of a tensor's
#: own elements in front of a matrix, where it is part of the weights.
MAX_JOINED = 1 << 16
MAX_FACTOR = 1 << 32

#: The scale of a matrix of plain integers.
ONE = np.full((1, 1), Fraction(1))


def line(symbol: Symbol) -> Line:
    """Return a settled symbol as factors and addends of its integers."""
    return known_line(symbol.steps, symbol.size)


def line_steps(line: Line, where: str) -> tuple[Step, ...]:
    """Return a line as a step, none where it changes nothing."""
    if (line.scale == 1).all() and not line.offset.any():
        return ()
    scale = line.scale[0] if uniform(line.scale) else line.scale
    offset = line.offset[0] if uniform(line.offset) else line.offset
    return (Step("Line", node_name(where), (scale, offset)),)


def node_name(where: str) -> str:
    """Return the name of a node in the words that messages use of it."""
    return where.split("'")[1] if "'" in where else where


def weighted(
    net: Growing,
    symbol: Symbol,
    integers: np.ndarray,
    scale: np.ndarray,
    shape: tuple[int, ...],
    where: str,
    most: int = MAX_FACTOR,
) -> Symbol:
    """Return ``values @ (integers * scale)`` as sums of the network.

    The scale is an array of Fraction that broadcasts to the integers, (n, n_out). Scales that
    differ are brought to a common one by factors of up to `most`.
    """
    values = line(symbol)
    n, n_out = integers.shape
    if uniform(values.scale) and scale.shape[0] == 1:
        unit = np.broadcast_to(scale[0] * values.scale[0], n_out)
        weights = integers
    else:
        weights, unit = _with_one_unit(integers, values.scale, scale, where, most)
    offsets = np.full(n_out, Fraction(0))
    for i in (i for i, offset in enumerate(values.offset) if offset):
        row = integers[i].astype(object) * values.offset[i]
        offsets = offsets + row * np.broadcast_to(scale, (n, n_out))[i]
    vector = net.linear(symbol, weights, None, where)
    return Symbol.whole(shape, vector).then(*line_steps(Line(unit, offsets), where))


def multiplied(net: Growing, left: Symbol, right: Symbol, where: str) -> Symbol:
    """Return the product of two symbols, element by element."""
    same = left.same_elements(right) and _equal(line(left), line(right))
    first = _units(net, left, where)
    second = first if same else _units(net, right, where)
    sources = list(dict.fromkeys((first[0], second[0])))
    begin = net.tensors[first[0]].size if len(sources) > 1 else 0
    op = Product(first[1], second[1] + begin, sum(net.tensors[s].size for s in sources))
    result = net.add(op, sources, where)
    return _whole(left.shape, result, first[2] * second[2], where)


def largest(
    net: Growing,
    symbol: Symbol,
    groups: np.ndarray,
    shape: tuple[int, ...],
    where: str,
    *,
    smallest: bool = False,
) -> Symbol:
    """Return the largest, or smallest, of each group (n_out, k) of elements."""
    if smallest:
        symbol = symbol.then(Step("Mul", node_name(where), (np.float32(-1),)))
    values, one = line(symbol), groups[:, 0]
    if all((part[groups] == part[one, None]).all() for part in (values.scale, values.offset)):
        # The numbers of a group compare as their integers do.
        signs = np.array([-1 if v < 0 else 1 for v in values.scale], dtype=np.int64)
        vector = net.vector(symbol, where, signs)
        found = Line(np.abs(values.scale[one]), values.offset[one])
    else:
        vector, unit = _in_one_unit(net, symbol, where)
        found = Line(np.full(len(groups), unit), np.full(len(groups), Fraction(0)))
    if smallest:
        found = Line(-found.scale, -found.offset)
    result = net.add(Max(groups, symbol.size), [vector], where)
    return Symbol.whole(shape, result).then(*line_steps(found, where))


def looked_up(net: Growing, symbol: Symbol, table: np.ndarray, where: str) -> Symbol:
    """Return the rows of a table (entries, columns) at the places that a symbol gives.

    Places below 0 count from the end. Raises UserError for places that are not in the table, and
    for entries that are not finite or not multiples of one number.
    """
    if not np.isfinite(table).all():
        raise UserError(
            f"{where} has entries that are infinite or NaN; expected numbers: train the table "
            "again, or replace these entries"
        )
    low, high = net.ranges(symbol)
    count = int((high - low).max()) + 1
    if count > TABLE_CODES:
        raise UserError(
            f"{where} looks up by {count:,} different numbers; supported are {TABLE_CODES:,}: "
            "quantise its index to 12 bits or fewer"
        )
    grid = np.minimum(low + np.arange(count)[:, None], high).astype(np.float64)
    places = np.rint(evaluate_steps(symbol.steps, grid)).astype(np.int64)
    outside = places[(places < -len(table)) | (places >= len(table))]
    if outside.size:
        raise UserError(
            f"{where} looks up entry {int(outside[-1])} of {len(table)}; its index is out of "
            "the table for some inputs: export the model again"
        )
    values = table[places]  # (codes, n, columns)
    columns = values.shape[2]
    integers, units = _multiples(values.reshape(-1, 1))
    if np.abs(integers).max(initial=0) >= MAX_JOINED:  # columns of scales of their own
        integers, units = _multiples(values.reshape(-1, columns))
    if np.abs(integers).max(initial=0) >= MAX_JOINED:
        raise UserError(
            f"{where} has entries that are not multiples of one number by factors below "
            f"{MAX_JOINED:,}; expected a table of integers or of quantised values of up to 17 "
            "bits: quantise the table"
        )
    integers, unit = integers.reshape(values.shape), np.resize(units, symbol.size * columns)
    source = np.repeat(np.arange(symbol.size), columns)
    tables = integers.transpose(1, 2, 0).reshape(symbol.size * columns, count)
    vector = net.vector(symbol, where)
    result = net.add(Lookup(source, low[source], tables, symbol.size), [vector], where)
    shape = (*symbol.shape, columns) if columns > 1 else symbol.shape
    return _whole(shape, result, unit, where)


def _multiples(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers (n, columns) as integers, and what one of each column is worth, (columns,).

    Integers that do not fit int64 are cut off at its end.
    """
    integers, units = np.zeros(values.shape, dtype=np.int64), []
    for column in range(values.shape[1]):
        entries, at = np.unique(values[:, column], return_inverse=True)
        exact = [Fraction(float(v)) for v in entries]
        unit = common_unit(exact)
        found = [min(abs(int(v / unit)), 1 << 62) * (1 if v > 0 else -1) for v in exact]
        integers[:, column] = np.array(found, dtype=np.int64)[at]
        units.append(unit)
    return integers, np.array(units, dtype=object)


def _whole(shape: tuple[int, ...], vector: int, scale: np.ndarray, where: str) -> Symbol:
    """Return a vector as a tensor of its integers times a scale (n,)."""
    values = Line(scale, np.full(len(scale), Fraction(0)))
    return Symbol.whole(shape, vector).then(*line_steps(values, where))


def _units(net: Growing, symbol: Symbol, where: str) -> tuple[int, np.ndarray, np.ndarray]:
    """Return a vector, places in it, and units: values are ``unit * integer``."""
    values = line(symbol)
    if not values.offset.any() and values.scale.all():
        if (symbol.vectors == symbol.vectors[0]).all():
            return int(symbol.vectors[0]), symbol.index, values.scale
        vector = net.vector(symbol, where)
        return vector, np.arange(symbol.size), values.scale
    pairs = zip(values.scale, values.offset, strict=True)
    unit = np.array([common_unit(pair) for pair in pairs], dtype=object)
    factor, bias = values.scale / unit, values.offset / unit
    _check_factors([*np.abs(factor), *np.abs(bias)], values.scale[0], values.offset.max(), where)
    return _diagonal(net, symbol, factor, bias, where), np.arange(symbol.size), unit


def _in_one_unit(net: Growing, symbol: Symbol, where: str) -> tuple[int, Fraction]:
    """Return a vector whose integers are the symbol's values in one positive unit."""
    values = line(symbol)
    unit = common_unit([*values.scale, *values.offset])
    factor, bias = values.scale / unit, values.offset / unit
    if uniform(values.scale) and abs(factor[0]) > MAX_JOINED:
        raise UserError(
            f"{where} joins numbers with different addends that are not multiples of their scale, "
            f"{float(values.scale[0]):.9g}; put a quantizer in front of it, or the addends after it"
        )
    _check_factors([*np.abs(factor)], values.scale.min(), values.scale.max(), where)
    if (factor == 1).all() and not bias.any():
        return net.vector(symbol, where), unit
    return _diagonal(net, symbol, factor, bias, where), unit


def _diagonal(
    net: Growing, symbol: Symbol, factor: np.ndarray, bias: np.ndarray, where: str
) -> int:
    weights, added = np.diag(factor.astype(np.int64)), bias.astype(np.int64)
    return net.linear(symbol, weights, added, where)


def _equal(left: Line, right: Line) -> bool:
    return bool((left.scale == right.scale).all() and (left.offset == right.offset).all())


def _with_one_unit(
    integers: np.ndarray, own: np.ndarray, scale: np.ndarray, where: str, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return integers (n, n_out) for scales that differ from input to input, and their units.

    `own` are the scales of the inputs (n,), `scale` is that of the integers.
    """
    n, n_out = integers.shape
    wide = np.broadcast_to(scale, (n, n_out))
    weights, units = np.zeros_like(integers), []
    for j in range(n_out):
        used = np.flatnonzero(integers[:, j])
        worth = [wide[i, j] * own[i] for i in used]
        unit = common_unit(list(dict.fromkeys(worth)))
        factors = [int(v / unit) for v in worth]
        if factors and max(map(abs, factors)) > most:
            raise _no_common_unit(min(worth, key=abs), max(worth, key=abs), where, most)
        weights[used, j] = integers[used, j] * np.array(factors, dtype=np.int64)
        units.append(unit)
    return weights, np.array(units, dtype=object)


def _check_factors(factors: Sequence[int], small: Fraction, large: Fraction, where: str) -> None:
    if max(factors) > MAX_JOINED:
        raise _no_common_unit(small, large, where, MAX_JOINED)


def _no_common_unit(small: Fraction, large: Fraction, where: str, most: int) -> UserError:
    return UserError(
        f"{where} joins numbers of scales {float(small):.9g} and {float(large):.9g}, which are not "
        f"multiples of a common one by factors up to {most:,}; train them with one scale, or "
        "with powers of two, or put a quantizer in front of it"
    )
