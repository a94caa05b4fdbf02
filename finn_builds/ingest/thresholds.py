"""Turn the floating point between two integer layers into exact integer operations.

Everything between the accumulators of a layer and the integers of the next one is a function f of
one accumulator per neuron. Where it is monotone it is given by the smallest accumulator that
reaches each level, T_k = min {a : f(a) >= k}. FINN finds thresholds by algebra on the scales, which
rounds half up where QONNX rounds half to even, and can't take negative BatchNorm factors. Here f
itself is evaluated, in double precision on the integers, and T_k found by bisection: ties, folded
biases, clips and constant neurons need no cases of their own. Any other function of few codes is a
table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finn_builds.errors import UserError
from finn_builds.ingest.elementwise import direction, evaluate_steps
from finn_builds.ingest.exact_steps import evaluate_exactly
from finn_builds.ingest.rational import EXACT_FROM, doubles
from finn_builds.ingest.steps import Step
from finn_builds.network import Lookup, Requantise, Thresholds
from finn_builds.network.ops import affine_form

# Accumulators per neuron, besides the thresholds, at which the result is compared.
CHECKED_PLACES = 65
#: Codes up to which a function that is not monotone is a table.
TABLE_CODES = 1 << 12
#: Thresholds of all elements together that are looked for at most.
MOST_THRESHOLDS = 1 << 22
#: Integers of all elements together at which a function is evaluated at most, and at a time.
MOST_EVALUATED, BLOCK = 1 << 24, 1 << 18


@dataclass(frozen=True, eq=False)
class Bends:
    """A function of integers that rises and falls: ``base + rises - falls``, each a count."""

    base: np.ndarray  # (n,)
    rises: Requantise
    falls: Requantise


class InexactThresholdsError(RuntimeError):
    """Thresholds that do not reproduce the function they stand for: a fault of this program."""


def counted(
    tail: Sequence[Step], low: np.ndarray, high: np.ndarray, levels: np.ndarray, where: str
) -> tuple[np.ndarray, Requantise] | Lookup | Bends:
    """Return a function from integers to codes as thresholds, as a table, or as two counts.

    Thresholds come with the sign, 1 or -1 for each element, that its integers are to be multiplied
    with first. The steps `tail` lead from integers within `low` to `high`, (n,), to codes, of which
    `levels` are those that can come out, in order and evenly spaced. Raises UserError for a
    function of too many thresholds, which is not monotone, of many codes and changes often, or
    is evaluated at too many integers; `where` names what gives the codes.
    """
    n = len(low)
    turns = direction(tail, n)
    if turns is None:
        few = int((high - low).max()) < TABLE_CODES
        return _table(tail, low, high) if few else _bends(tail, low, high)
    if n * len(levels) > MOST_THRESHOLDS:
        raise UserError(
            f"{where} gives {len(levels):,} levels of {n:,} elements by a function that is not "
            f"linear; supported are {MOST_THRESHOLDS:,} levels of all elements together: train it "
            "with fewer bits"
        )
    sign = np.where(turns < 0, -1, 1)
    ends = np.where(sign < 0, -high, low), np.where(sign < 0, -low, high)
    rows = find_thresholds(tuple(tail), sign, *ends, levels)
    form = affine_form(rows, *ends) or Thresholds(rows)
    step = int(levels[1] - levels[0]) if len(levels) > 1 else 1
    return sign, Requantise(form, int(levels[0]), step)


def _table(tail: Sequence[Step], low: np.ndarray, high: np.ndarray) -> Lookup:
    n, codes = len(low), int((high - low).max()) + 1
    values = codes_of(tail, np.minimum(low + np.arange(codes)[:, None], high))
    return Lookup(np.arange(n), low, values.T, n)


def _bends(tail: Sequence[Step], low: np.ndarray, high: np.ndarray) -> Bends:
    """Return a function of many integers and few changes, which are found at every integer."""
    n, count = len(low), int((high - low).max()) + 1
    unknown = next(s for s in tail if direction([s], n) is None)
    advice = "put a quantizer of 12 bits or fewer in front of it"
    if n * count > MOST_EVALUATED:
        raise UserError(
            f"{unknown} is not monotone, and takes up to {count:,} different numbers in {n:,} "
            f"elements; supported are {MOST_EVALUATED:,} of all together: {advice}"
        )
    base = last = codes_of(tail, low[None])
    changes = np.zeros((2, n), dtype=np.int64)
    found: list[list[list[np.ndarray]]] = [[[] for _ in range(n)] for _ in changes]
    rows = max(1, BLOCK // n)
    for begin in range(1, count, rows):
        places = np.minimum(low + np.arange(begin, min(begin + rows, count))[:, None], high)
        codes = codes_of(tail, places)
        steps = np.diff(codes, axis=0, prepend=last)
        last = codes[-1:]
        for down in (0, 1):
            amount = np.maximum(-steps if down else steps, 0)
            changes[down] += amount.sum(axis=0)
            if changes[down].max() > TABLE_CODES:
                raise UserError(
                    f"{unknown} is not monotone, takes up to {count:,} different numbers and "
                    f"changes more than {TABLE_CODES:,} times in each direction; supported are "
                    f"{TABLE_CODES:,} of one of these: {advice}"
                )
            for k in np.flatnonzero(amount.any(axis=0)):
                found[down][k].append(np.repeat(places[:, k], amount[:, k]))
    forms = []
    for places_of, most in zip(found, changes.max(axis=1), strict=True):
        thresholds = np.repeat(high[:, None] + 1, max(1, int(most)), axis=1)
        for row, parts in zip(thresholds, places_of, strict=True):
            at = np.concatenate([*parts, row[:0]])
            row[: len(at)] = at
        forms.append(Requantise(affine_form(thresholds, low, high) or Thresholds(thresholds)))
    return Bends(base[0], *forms)


def find_thresholds(
    tail: Sequence[Step], sign: np.ndarray, low: np.ndarray, high: np.ndarray, levels: np.ndarray
) -> np.ndarray:
    """Return the thresholds of a layer, int64 (n, m), rows ascending.

    A level that is always reached has threshold `low`, one that never is has ``high + 1``. The tail
    leads from accumulators to integer codes, of which `levels` (m + 1,) are those that can come
    out, in order; `sign` (n,) is -1 where accumulators are negated, `low` and `high` (n,) are the
    range of the (negated) accumulators.
    """
    wanted = levels[1:, None]
    shape = (len(levels) - 1, len(low))

    def reached(a: np.ndarray) -> np.ndarray:
        return codes_of(tail, a * sign) >= wanted

    # The threshold lies in below..above, both included; `high + 1` is never evaluated.
    below, above = np.broadcast_to(low, shape).copy(), np.broadcast_to(high + 1, shape).copy()
    while (open_ := below < above).any():
        middle = np.minimum((below + above) // 2, high)
        hit = reached(middle)
        above = np.where(open_ & hit, middle, above)
        below = np.where(open_ & ~hit, middle + 1, below)
    _check(tail, sign, low, high, levels, above)
    return np.ascontiguousarray(above.T)


def codes_of(tail: Sequence[Step], a: np.ndarray) -> np.ndarray:
    """Return the integer codes a tail gives for accumulators (frames, n).

    In double precision, or exactly for accumulators that are too large for that.
    """
    if np.abs(a).max(initial=0) >= EXACT_FROM:
        values = doubles(evaluate_exactly(tail, a))
    else:
        values = evaluate_steps(tail, a.astype(np.float64))
    if np.isnan(values).any():
        column = int(np.argwhere(np.isnan(values))[0][1])
        raise UserError(
            f"{_undefined(tail, a)} gives NaN for numbers that element {column} of its input can "
            "take; keep its input within what the function is defined for"
        )
    codes = np.rint(values)
    # Written so that NaN fails, too.
    if not (np.abs(values - codes) < 1e-6).all():
        raise InexactThresholdsError(f"{tail[-1]} does not give integers")
    return codes.astype(np.int64)


def _undefined(tail: Sequence[Step], a: np.ndarray) -> Step:
    """Return the first step that gives NaN."""
    ends = range(1, len(tail) + 1)
    values = (evaluate_steps(tail[:end], a.astype(np.float64)) for end in ends)
    return next(tail[end - 1] for end, v in zip(ends, values, strict=True) if np.isnan(v).any())


def _check(
    tail: Sequence[Step],
    sign: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    levels: np.ndarray,
    found: np.ndarray,
) -> None:
    """Raise unless thresholds give the tail's codes at, below and between them.

    Below and at each threshold, at both ends of the range and at places in between: where the
    tail is monotone, the first two prove the thresholds; the others would show if it were not.
    """
    between = np.linspace(low, high, CHECKED_PLACES).astype(np.int64)
    places = np.clip(np.concatenate([found, found - 1, between]), low, high)
    codes = codes_of(tail, places * sign)
    for neuron in range(len(low)):
        counts = np.searchsorted(found[:, neuron], places[:, neuron], side="right")
        wrong = levels[counts] != codes[:, neuron]
        if wrong.any() or (np.diff(found[:, neuron]) < 0).any():
            at = places[wrong, neuron][:1].tolist()
            raise InexactThresholdsError(
                f"the thresholds of neuron {neuron} before {tail[-1]} do not reproduce the "
                f"function they stand for, at accumulator {at}"
            )
