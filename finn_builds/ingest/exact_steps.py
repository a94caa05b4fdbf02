"""Elementwise steps on exact numbers, where integers are too large for double precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deploy.host_operations import JOINED, level_range
from finn_builds.ingest.elementwise import COMPARISONS, evaluate_steps, quant_bits
from finn_builds.ingest.rational import (
    Numbers,
    clipped,
    doubles,
    normalised,
    quantised,
    rationals,
    signed_bit,
)
from finn_builds.ingest.steps import Step

_COMPARED: dict[str, Callable[..., Any]] = {
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
}


def evaluate_exactly(steps: Sequence[Step], x: Any) -> Numbers:
    """Return elementwise steps applied to `x`, shape (frames, elements), as exact numbers.

    A step that has no exact value takes the nearest doubles, and gives doubles.
    """
    x = rationals(x)
    for step in steps:
        x = _evaluated(step, x)
    return x


def _evaluated(step: Step, x: Numbers) -> Numbers:
    constants = [None if c is None else rationals(c) for c in step.constants]
    match step.op:
        case "Mark":
            return x
        case "Line":
            return np.asarray(x * constants[0] + constants[1])
        case "Quant" if step.attrs["signed"] and quant_bits(step) == 1:
            return signed_bit(x, constants[0], constants[1])
        case "Quant":
            bounds = level_range(
                quant_bits(step), bool(step.attrs["signed"]), bool(step.attrs["narrow"])
            )
            return quantised(
                x, constants[0], constants[1], bounds, str(step.attrs["rounding_mode"])
            )
        case "BipolarQuant":
            return np.asarray(np.where(x >= 0, 1, -1) * constants[0])
        case "BatchNormalization":
            return normalised(x, step.constants, step.attrs["epsilon"])
        case "Relu":
            return clipped(x, 0, None)
        case "LeakyRelu":
            return np.where(x < 0, x * constants[0], x)
        case "Abs":
            return np.asarray(np.abs(x))
        case "Clip":
            return clipped(x, *constants)
        case op if op in JOINED:
            turned = step.position == 1 and op in ("Sub", "Div")
            pair = (constants[0], x) if turned else (x, constants[0])
            return np.asarray(JOINED[op](*pair))
        case op if op in COMPARISONS:
            bits = _COMPARED[COMPARISONS[op][step.position]](x, constants[0])
            return rationals(bits.astype(np.int64))
        case "Joined":
            left, right = (evaluate_exactly(branch, x) for branch in step.branches)
            return np.asarray(JOINED[step.attrs["by"]](left, right))
        case "Switch":
            y, which = np.empty_like(x), np.asarray(step.constants[0])
            for k, branch in enumerate(step.branches):
                at = np.flatnonzero(which == k)
                own = [s.selected(at, len(which)) for s in branch]
                y[:, at] = evaluate_exactly(own, x[:, at])
            return y
        case _:
            return rationals(evaluate_steps([step], doubles(x)))
