"""Puts the choice of the class into hardware, exactly."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from deploy.host_model import HostModel
from deploy.host_operations import with_dtype
from finn_builds.errors import UserError
from finn_builds.network import ArgMax

#: Effect of the host's operations on (scale, bias), with the operation's constant.
_AFFINE = {
    "add": lambda scale, bias, value: (scale, bias + value),
    "sub": lambda scale, bias, value: (scale, bias - value),
    "rsub": lambda scale, bias, value: (-scale, value - bias),
    "mul": lambda scale, bias, value: (scale * value, bias * value),
    "div": lambda scale, bias, value: (scale / value, bias / value),
}
_ORDER_KEEPING = ("softmax", "log_softmax", "sigmoid")


def class_keys(scale: np.ndarray, bias: np.ndarray) -> tuple[int, list[int]]:
    """Return integers that order classes as ``scale * x + bias`` does, for any integers x.

    With one positive scale for all classes the order is that of ``x + bias / scale``. Write
    ``bias / scale = n + f`` with an integer n and 0 <= f < 1: two classes compare by ``x + n``
    first and, where these are equal, by f. The key ``(x + n) * 2**k + rank(f)`` does the same.
    Returned are k and ``n * 2**k + rank(f)`` of each class, for scale and bias in float64. Raises
    UserError where the scales differ or are not positive.
    """
    if not (scale > 0).all() or not (scale == scale[0]).all():
        raise UserError(
            "--top1 needs one positive scale for all outputs of the last layer; this model scales "
            f"each class by its own factor ({scale.min():g} to {scale.max():g}). Leave out --top1 "
            "(the host finds the class), or train the last layer with one scale per tensor."
        )
    # As exact fractions: two classes that tie for some x must do so here, too.
    ratios = [Fraction(float(b)) / Fraction(float(scale[0])) for b in bias]
    wholes = [math.floor(ratio) for ratio in ratios]
    rests = [ratio - whole for ratio, whole in zip(ratios, wholes, strict=True)]
    order = sorted(set(rests))
    shift = (len(order) - 1).bit_length()
    ranks = [order.index(rest) for rest in rests]
    return shift, [(whole << shift) + rank for whole, rank in zip(wholes, ranks, strict=True)]


def _only_output(host: HostModel) -> dict[str, Any]:
    outputs = host.to_dict()["outputs"]
    if len(outputs) > 1 or outputs[0]["take"] is not None:
        names = ", ".join(out.name for out in host.outputs)
        raise UserError(
            f"--top1 needs a single output that chooses the class; this model has {names}: leave "
            "it out (the host finds the class)"
        )
    return dict(outputs[0])


def output_affine(host: HostModel) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and bias that the host applies to the last integers, in float64."""
    ops = list(_only_output(host)["after"])
    while ops and ops[-1]["op"] in _ORDER_KEEPING:
        ops.pop()
    other = [op["op"] for op in ops if op["op"] not in _AFFINE]
    if other:
        raise UserError(
            f"--top1 can't follow the operation {other[0]!r} after the last layer: only scales, "
            "biases and softmax can be moved into hardware. Leave out --top1."
        )
    scale, bias = np.ones(host.n_out), np.zeros(host.n_out)
    for op in ops:
        scale, bias = _AFFINE[op["op"]](scale, bias, with_dtype(op, np.float64)["value"])
    return scale, bias


def head_of(host: HostModel) -> ArgMax:
    """Return the choice of the class as an integer operation; UserError where hardware can't."""
    if host.n_out < 2:
        raise UserError(
            f"--top1 needs at least two outputs; this model has {host.n_out}: leave it out"
        )
    shift, offsets = class_keys(*output_affine(host))
    return ArgMax(shift, offsets)
