"""What integers stand for a quantised activation, and what one of them is worth."""

from dataclasses import dataclass

import numpy as np
from qonnx.core.datatype import DataType

from finn_builds.errors import UserError
from finn_builds.ingest.chain import Step
from finn_builds.ingest.elementwise import (
    QUANTIZERS,
    evaluate_steps,
    is_bipolar,
    quant_bits,
    quant_levels,
)
from finn_builds.network.types import BIPOLAR, bits_of, datatype_for, step_of

MAX_ACTIVATION_BITS = 8


@dataclass(frozen=True)
class Lattice:
    """Integer codes of a tensor: ``value = (code - zero_point) * divisor * scale``."""

    datatype: str
    low: int  # smallest code
    high: int  # largest code
    scale: np.ndarray  # float32: the quantizer's scale, shape () or (n,)
    divisor: int  # greatest common divisor of the levels
    zero_point: int  # added to the levels where that makes their type narrower
    kept: tuple[Step, ...]  # steps up to the tensor the codes stand for
    # factors after it, for all channels alike: they may as well follow the MatMul
    moved: tuple[Step, ...]

    def to_codes(self, name: str) -> list[Step]:
        """Return steps from the values of the kept steps to codes."""
        steps = [Step("Div", f"{name}_scale", (self.scale,))]
        if self.divisor != 1:
            steps.append(Step("Div", f"{name}_divisor", (np.float32(self.divisor),)))
        if self.zero_point:
            steps.append(Step("Add", f"{name}_zero_point", (np.float32(self.zero_point),)))
        last = steps.pop()
        return [*steps, Step(last.op, last.name, last.constants, datatype=self.datatype)]

    def from_codes(self, name: str, weights: np.ndarray | None) -> list[Step]:
        """Return steps from codes, or from their products with `weights`, to values."""
        steps = []
        if self.zero_point:
            sums = 1 if weights is None else weights.sum(axis=0)
            offset = np.asarray(self.zero_point * sums, dtype=np.float32)
            steps.append(Step("Sub", f"{name}_zero_point", (offset,)))
        if self.divisor != 1:
            steps.append(Step("Mul", f"{name}_divisor", (np.float32(self.divisor),)))
        if not (self.scale == 1).all():
            steps.append(Step("Mul", f"{name}_scale", (self.scale,)))
        return [*steps, *self.moved]


class _OffLatticeError(UserError):
    """Steps after a quantizer that leave the multiples of its scale."""


def last_quantizer(steps: tuple[Step, ...]) -> int | None:
    """Return the index of the last quantizer of some steps, or ``None``."""
    found = [i for i, s in enumerate(steps) if s.op in QUANTIZERS]
    return found[-1] if found else None


def quantised_lattice(steps: tuple[Step, ...], where: str) -> Lattice:
    """Return the lattice of elementwise steps that hold a quantizer and lead to a MatMul, `where`.

    Raises UserError if the quantizer is too wide or differs between channels, or what follows it
    leaves the multiples of its scale.
    """
    index = last_quantizer(steps)
    assert index is not None
    quantizer = steps[index]
    bits = quant_bits(quantizer)
    if bits > MAX_ACTIVATION_BITS:
        raise UserError(
            f"{quantizer} gives {bits}-bit activations; supported are 1 to "
            f"{MAX_ACTIVATION_BITS} bits: train it with narrower activations"
        )
    scale = np.asarray(quantizer.constants[0], dtype=np.float32)
    if scale.size > 1 and not (scale == scale.flat[0]).all():
        raise UserError(
            f"{quantizer} has a scale per channel; before {where} one scale for the whole tensor "
            "is supported: train it with a scale per tensor"
        )
    levels = _levels(quantizer)
    return _lattice(levels, scale.reshape(-1)[0], steps[: index + 1], steps[index + 1 :], where)


def typed_lattice(datatype: str, steps: tuple[Step, ...]) -> Lattice | None:
    """Return the lattice of an input that the model itself declares to be integers.

    ``None`` where it is wider than the build can do, or where what the model computes from it
    before its first layer leaves the multiples of one number: it needs a quantizer, then.
    """
    if DataType[datatype].bitwidth() > MAX_ACTIVATION_BITS:
        return None
    try:
        return _lattice(
            datatype_levels(datatype), np.ones((), np.float32), (), steps, "the first layer"
        )
    except _OffLatticeError:
        return None


def output_lattice(steps: tuple[Step, ...]) -> Lattice | None:
    """Return the lattice of a quantizer at the network's end, or ``None`` without a fit one."""
    index = last_quantizer(steps)
    if index is None or quant_bits(steps[index]) > MAX_ACTIVATION_BITS:
        return None
    quantizer = steps[index]
    scale = np.asarray(quantizer.constants[0], dtype=np.float32)
    return _codes(_levels(quantizer), scale, steps[: index + 1], steps[index + 1 :])


def datatype_levels(datatype: str) -> np.ndarray:
    """Return all values of a QONNX integer datatype, in order, int64."""
    kind = DataType[datatype]
    return np.arange(int(kind.min()), int(kind.max()) + 1, step_of(datatype))


def _levels(quantizer: Step) -> np.ndarray:
    """Return all values of a quantizer in units of its scale, in order, int64."""
    low, high = quant_levels(quantizer)
    return np.arange(low, high + 1, 2 if is_bipolar(quantizer) else 1)


def _is_factor(step: Step) -> bool:
    return step.op in ("Mul", "Div") and np.ndim(step.constants[0]) == 0


def _lattice(
    levels: np.ndarray,
    scale: np.ndarray,
    before: tuple[Step, ...],
    after: tuple[Step, ...],
    where: str,
) -> Lattice:
    split = len(after)
    while split and _is_factor(after[split - 1]) and after[split - 1].constants[0] != 0:
        split -= 1
    kept, moved = after[:split], after[split:]
    for step in kept:
        if any(c is not None and np.ndim(c) for c in step.constants):
            raise _OffLatticeError(
                f"{step} treats channels differently between the quantizer and {where}; put it "
                "before the quantizer"
            )
    # (levels, 1): the levels as frames of one feature.
    values = evaluate_steps(kept, (levels * np.float64(scale))[:, None])[:, 0] / np.float64(scale)
    integers = np.rint(values)
    if not np.allclose(values, integers, rtol=0, atol=1e-6):
        raise _OffLatticeError(
            f"{kept[-1]} gives values that are no multiples of one scale before {where}; put it "
            "before the quantizer"
        )
    return _codes(np.unique(integers.astype(np.int64)), scale, (*before, *kept), moved)


def _codes(
    levels: np.ndarray, scale: np.ndarray, kept: tuple[Step, ...], moved: tuple[Step, ...]
) -> Lattice:
    divisor = int(np.gcd.reduce(levels)) or 1
    codes = levels // divisor
    low, high = int(codes.min()), int(codes.max())
    datatype = BIPOLAR if codes.tolist() == [-1, 1] else datatype_for(low, high)
    zero_point = 0
    # Levels around an offset (an asymmetric quantizer's) cost less counted from the lowest.
    if max(1, (high - low).bit_length()) < bits_of(datatype):
        zero_point, low, high = -low, 0, high - low
        datatype = datatype_for(low, high)
    return Lattice(datatype, low, high, np.asarray(scale), divisor, zero_point, kept, moved)
