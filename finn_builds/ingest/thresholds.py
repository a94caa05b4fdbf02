"""Turn the floating point between two integer layers into integer thresholds, exactly.

Everything between the accumulators of a layer and the integers of the next one is a function f of
one accumulator per neuron, and monotone. It is therefore given by the smallest accumulator that
reaches each level, T_k = min {a : f(a) >= k}. FINN finds thresholds by algebra on the scales, which
rounds half up where QONNX rounds half to even, and can't take negative BatchNorm factors. Here f
itself is evaluated, in double precision on the integers, and T_k found by bisection: ties, folded
biases, clips and constant neurons need no cases of their own.
"""

from dataclasses import replace

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from finn_builds.ingest.accumulators import (
    EXACT_LIMIT,
    accumulator_datatype,
    accumulator_ranges,
    datatype_range,
)
from finn_builds.ingest.chain import Step, read_plain, write_chain
from finn_builds.ingest.elementwise import direction, evaluate_steps
from finn_builds.ingest.lattice import datatype_levels
from finn_builds.ingest.weights import integer_datatype, weight_datatype

# Accumulators per neuron, besides the thresholds, at which the result is compared.
CHECKED_PLACES = 65


class InexactThresholdsError(RuntimeError):
    """Thresholds that do not reproduce the function they stand for: a fault of this program."""


def to_thresholds(model: ModelWrapper) -> ModelWrapper:
    """Return the integer core with its floating point replaced by thresholds.

    Parameters
    ----------
    model
        A core from :func:`.split_host`.

    Returns
    -------
    ModelWrapper
        MatMul nodes with integer weights and MultiThreshold nodes with integer thresholds,
        shape (n_out, steps), in turn; all tensors annotated. A neuron whose output falls with
        its accumulator has its weights negated.

    Raises
    ------
    UserError
        If a layer's sums are too large to be exact.
    InexactThresholdsError
        If the thresholds found fail their check.
    """
    chain = read_plain(model)
    assert chain.input_datatype is not None
    steps: list[Step] = []
    datatype = chain.input_datatype
    at = [i for i, s in enumerate(chain.steps) if s.op == "MatMul"]
    for number, (begin, end) in enumerate(zip(at, [*at[1:], len(chain.steps)], strict=True)):
        matmul, tail = chain.steps[begin], chain.steps[begin + 1 : end]
        weights = matmul.constants[0].astype(np.int64)
        if not tail:
            steps.append(_matmul(matmul, number, weights, datatype))
            break
        # A neuron is flipped, or not, as a whole: levels and all later layers stay as they are.
        sign = np.where(direction(tail, weights.shape[1]) < 0, -1, 1)
        weights = weights * sign
        steps.append(_matmul(matmul, number, weights, datatype))
        low, high = accumulator_ranges(weights, *datatype_range(datatype))
        datatype = tail[-1].datatype or ""
        steps.append(_multithreshold(tail, number, sign, low, high, datatype))
    return write_chain(replace(chain, steps=tuple(steps)))


def _matmul(step: Step, number: int, weights: np.ndarray, datatype: str) -> Step:
    return Step(
        "MatMul",
        f"MatMul_{number}",
        (weights.astype(np.float32),),
        datatype=accumulator_datatype(step, weights, datatype),
        weight_datatype=weight_datatype(weights),
    )


def _multithreshold(
    tail: tuple[Step, ...],
    number: int,
    sign: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    datatype: str,
) -> Step:
    levels = datatype_levels(datatype)
    thresholds = find_thresholds(tail, sign, low, high, levels)
    assert np.abs(thresholds).max(initial=0) <= EXACT_LIMIT
    kind = integer_datatype(min(-1, int(thresholds.min())), int(thresholds.max()))
    return Step(
        "MultiThreshold",
        f"MultiThreshold_{number}",
        (thresholds.astype(np.float32),),
        {
            "out_dtype": datatype,
            "out_scale": float(levels[1] - levels[0]),
            "out_bias": float(levels[0]),
            "data_layout": "NC",
        },
        datatype=datatype,
        weight_datatype=kind,
    )


def find_thresholds(
    tail: tuple[Step, ...],
    sign: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    levels: np.ndarray,
) -> np.ndarray:
    """Return the thresholds of a layer.

    Parameters
    ----------
    tail
        Elementwise steps from accumulators to integer codes.
    sign
        int64, shape (n,): -1 for neurons whose accumulators are negated.
    low, high
        int64, shape (n,): range of the (negated) accumulators.
    levels
        int64, shape (m + 1,): the codes that can come out, in order.

    Returns
    -------
    np.ndarray
        int64, shape (n, m), rows ascending. A level that is always reached has threshold `low`,
        one that never is has ``high + 1``.

    Raises
    ------
    InexactThresholdsError
        If the tail does not give integers, or not those of the thresholds.
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


def codes_of(tail: tuple[Step, ...], a: np.ndarray) -> np.ndarray:
    """Return the integer codes a tail gives, in double precision, for accumulators (frames, n)."""
    values = evaluate_steps(tail, a.astype(np.float64))
    codes = np.rint(values)
    # Written so that NaN fails, too.
    if not (np.abs(values - codes) < 1e-6).all():
        raise InexactThresholdsError(f"{tail[-1]} does not give integers")
    return codes.astype(np.int64)


def _check(
    tail: tuple[Step, ...],
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
