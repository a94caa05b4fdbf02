"""Turn the floating point between two integer layers into exact integer operations.

Everything between the accumulators of a layer and the integers of the next one is a function f of
one accumulator per neuron, and monotone. It is therefore given by the smallest accumulator that
reaches each level, T_k = min {a : f(a) >= k}. FINN finds thresholds by algebra on the scales, which
rounds half up where QONNX rounds half to even, and can't take negative BatchNorm factors. Here f
itself is evaluated, in double precision on the integers, and T_k found by bisection: ties, folded
biases, clips and constant neurons need no cases of their own.
"""

import numpy as np

from finn_builds.ingest.chain import Step
from finn_builds.ingest.elementwise import direction, evaluate_steps
from finn_builds.ingest.lattice import datatype_levels
from finn_builds.ingest.split import HostSplit
from finn_builds.network import IntegerNetwork, Linear, Operation, Requantise, Tensor, Thresholds
from finn_builds.network import chain as chain_of
from finn_builds.network.ops import affine_form, full_box

# Accumulators per neuron, besides the thresholds, at which the result is compared.
CHECKED_PLACES = 65


class InexactThresholdsError(RuntimeError):
    """Thresholds that do not reproduce the function they stand for: a fault of this program."""


def network_of(split: HostSplit) -> IntegerNetwork:
    """Return the integer core of a model with its floating point replaced by thresholds.

    It is `Linear` and `Requantise` in turn. A neuron whose output falls with its accumulator has
    its weights negated.
    """
    core, codes = split.core, split.description["codes"]
    assert core.input_datatype is not None
    ops: list[tuple[str, Operation]] = []
    datatype = core.input_datatype
    at = [i for i, s in enumerate(core.steps) if s.op == "MatMul"]
    for number, (begin, end) in enumerate(zip(at, [*at[1:], len(core.steps)], strict=True)):
        matmul, tail = core.steps[begin], core.steps[begin + 1 : end]
        weights = matmul.constants[0].astype(np.int64)
        # A neuron is flipped, or not, as a whole: levels and all later layers stay as they are.
        sign = np.where(direction(tail, weights.shape[1]) < 0, -1, 1)
        linear = Linear(weights * sign)
        least, most = linear.range(*full_box(datatype, len(weights)))
        ops.append((f"MatMul_{number}", linear))
        if tail:
            datatype = tail[-1].datatype or ""
            ops.append((f"MultiThreshold_{number}", _requantise(tail, sign, least, most, datatype)))
    n_in = len(core.steps[at[0]].constants[0])
    # The exact range: a narrow quantiser never gives the lowest value of its type.
    box = [np.full(n_in, codes[end], dtype=np.int64) for end in ("min", "max")]
    return chain_of(Tensor(core.input_name, core.input_datatype, box[0], box[1]), ops)


def _requantise(
    tail: tuple[Step, ...], sign: np.ndarray, low: np.ndarray, high: np.ndarray, datatype: str
) -> Requantise:
    levels = datatype_levels(datatype)
    rows = find_thresholds(tail, sign, low, high, levels)
    form = affine_form(rows, low, high) or Thresholds(rows)
    return Requantise(form, int(levels[0]), int(levels[1] - levels[0]))


def find_thresholds(
    tail: tuple[Step, ...], sign: np.ndarray, low: np.ndarray, high: np.ndarray, levels: np.ndarray
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
