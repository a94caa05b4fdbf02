"""The quantisers of weights, activations and inputs, as Brevitas injectors.

What differs from Brevitas' own ready-made ones: a tensor or row of which everything is pruned
gets the scale 1 (not a tiny number that would blow up every threshold after it), and activation
scales are plain parameters with a start value, so that a checkpoint holds the whole state and no
count of warm-up steps is hidden in a module.
"""

from __future__ import annotations

import torch
from brevitas.core.function_wrapper import RoundSte, TensorClamp
from brevitas.core.function_wrapper.ops_ste import CeilSte
from brevitas.core.quant import BinaryQuant, ClampedBinaryQuant
from brevitas.core.restrict_val import PowerOfTwoRestrictValue
from brevitas.core.scaling import ParameterScaling
from brevitas.core.zero_point import ZeroZeroPoint
from brevitas.inject import ExtendedInjector
from brevitas.inject.enum import (
    BitWidthImplType,
    FloatToIntImplType,
    QuantType,
    RestrictValueType,
    ScalingImplType,
    ScalingPerOutputType,
    StatsOp,
)
from brevitas.quant.solver.act import ActQuantSolver
from brevitas.quant.solver.weight import WeightQuantSolver
from torch import Tensor, nn

from brevitas_models.model.config import TABLE_RANGE

# Smallest scale: 2^-20 is exact in float32 and far below any scale that training ends at.
SCALE_FLOOR = 2.0**-20
# Ranges that quantisers start with, in units of standard deviations of their input: features are
# standardised, and BatchNorm does the same for hidden layers. `QuantMLP.calibrate` improves them.
INPUT_RANGE = 4.0
HIDDEN_RANGE = 3.0
# How far below the largest value, in factors of two, the best range is looked for.
RANGE_OCTAVES = 8


class LargestWeight(nn.Module):
    """Largest magnitude of a weight tensor, or of each of its rows; 1 where all is zero.

    `stats_reduce_dim` 1 is for each row, i.e. each neuron; None is for the whole tensor.
    """

    statistic = staticmethod(torch.amax)

    def __init__(self, stats_reduce_dim: int | None = None) -> None:
        super().__init__()
        self.dims = () if stats_reduce_dim is None else (stats_reduce_dim,)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the statistic of `weight` (n_out, n_in): shape () or (n_out,)."""
        size = self.statistic(weight.abs(), self.dims)
        return torch.where(size > 0, size, torch.ones_like(size))


class MeanWeight(LargestWeight):
    """Mean magnitude instead of the largest.

    The scale of bipolar weights that has the least squared error: Rastegari et al., "XNOR-Net"
    (2016), arXiv 1603.05279, equation 6.
    """

    statistic = staticmethod(torch.mean)


class _Integer(ExtendedInjector):
    quant_type = QuantType.INT
    bit_width_impl_type = BitWidthImplType.CONST
    float_to_int_impl_type = FloatToIntImplType.ROUND
    zero_point_impl = ZeroZeroPoint
    narrow_range = False
    signed = True


class _Bipolar(ExtendedInjector):
    quant_type = QuantType.BINARY
    bit_width = 1
    narrow_range = True
    signed = True


class IntWeight(_Integer, WeightQuantSolver):
    """Signed integer weights of 2 to 16 bits; the largest magnitude is the largest integer."""

    scaling_impl_type = ScalingImplType.STATS
    scaling_stats_op = StatsOp.MAX
    scaling_stats_impl = LargestWeight
    scaling_min_val = SCALE_FLOOR
    # A power-of-two scale is rounded up: no weight is clipped by more than one step.
    restrict_value_float_to_int_impl = CeilSte


class TableEntry(_Integer, WeightQuantSolver):
    """Signed table entries of 2 to 8 bits, of a fixed power-of-two scale.

    No gradient passes where an entry is clipped.
    """

    scaling_impl_type = ScalingImplType.CONST
    scaling_per_output_type = ScalingPerOutputType.TENSOR
    restrict_scaling_type = RestrictValueType.FP
    tensor_clamp_impl = TensorClamp


class BipolarWeight(_Bipolar, WeightQuantSolver):
    """Weights of -scale or +scale; zero counts as positive."""

    tensor_quant = BinaryQuant
    scaling_impl_type = ScalingImplType.STATS
    scaling_stats_op = StatsOp.AVE
    scaling_stats_impl = MeanWeight
    scaling_min_val = SCALE_FLOOR
    restrict_value_float_to_int_impl = RoundSte


class _IntAct(_Integer, ActQuantSolver):
    scaling_impl_type = ScalingImplType.PARAMETER
    scaling_per_output_type = ScalingPerOutputType.TENSOR
    scaling_min_val = SCALE_FLOOR
    restrict_value_float_to_int_impl = RoundSte


class SignedAct(_IntAct):
    """Signed integer activations of 2 to 16 bits, with a learned scale."""

    signed = True
    min_val = -HIDDEN_RANGE
    max_val = HIDDEN_RANGE


class UnsignedAct(_IntAct):
    """Unsigned integer activations of 2 to 16 bits, with a learned scale."""

    signed = False
    min_val = 0.0
    max_val = HIDDEN_RANGE


class BipolarAct(_Bipolar, ActQuantSolver):
    """The sign, -1 or +1 (zero counts as positive); gradients pass between -1 and 1.

    Its scale is fixed: a factor here is the same as one in the scale of the weights after it.
    """

    tensor_quant = ClampedBinaryQuant
    tensor_clamp_impl = TensorClamp
    scaling_impl_type = ScalingImplType.CONST
    scaling_per_output_type = ScalingPerOutputType.TENSOR
    restrict_scaling_type = RestrictValueType.FP
    min_val = -1.0
    max_val = 1.0


def weight_quantizer(
    bits: int, *, scale: str, weight_scale: str, narrow_range: bool
) -> type[ExtendedInjector] | None:
    """Return the weight quantiser of a layer, or None for float weights (32 bits).

    Parameters are those of `MLPConfig`; `bits` is that of one layer.
    """
    if bits == 32:
        return None
    per_output = {
        "per_tensor": ScalingPerOutputType.TENSOR,
        "per_channel": ScalingPerOutputType.CHANNEL,
    }[weight_scale]
    common = {"scaling_per_output_type": per_output, "restrict_scaling_type": _restriction(scale)}
    if bits == 1:
        return BipolarWeight.let(**common)
    return IntWeight.let(bit_width=bits, narrow_range=narrow_range, **common)


def table_quantizer(bits: int, *, logits: bool) -> type[ExtendedInjector]:
    """Return the quantiser of table entries; `logits`: of the last layer."""
    # Brevitas divides the constant by the largest magnitude, 2^(bits - 1).
    return TableEntry.let(bit_width=bits, scaling_const=TABLE_RANGE * (2 if logits else 1))


def act_quantizer(bits: int, *, scale: str, signed: bool) -> type[ExtendedInjector] | None:
    """Return the quantiser of a hidden activation, or None for a float one (32 bits)."""
    if bits == 32:
        return None
    if bits == 1:
        return BipolarAct
    base = SignedAct if signed else UnsignedAct
    return base.let(bit_width=bits, restrict_scaling_type=_restriction(scale))


def input_quantizer(bits: int, *, scale: str) -> type[ExtendedInjector] | None:
    """Return the quantiser of standardised input features, or None where there is none."""
    quantizer = act_quantizer(bits, scale=scale, signed=True)
    if quantizer is None or bits == 1:
        return quantizer
    return quantizer.let(min_val=-INPUT_RANGE, max_val=INPUT_RANGE)


def unit_weight_quantizer(bits: int, *, narrow_range: bool) -> type[ExtendedInjector] | None:
    """Return a weight quantiser with scale 1, for weights that are integers already."""
    if bits == 32:
        return None
    common = {
        "scaling_impl_type": ScalingImplType.CONST,
        "scaling_per_output_type": ScalingPerOutputType.TENSOR,
        "restrict_scaling_type": RestrictValueType.FP,
    }
    if bits == 1:
        return BipolarWeight.let(scaling_const=1.0, **common)
    # Brevitas divides the constant by the largest integer.
    top = 2 ** (bits - 1) - narrow_range
    return IntWeight.let(
        bit_width=bits, narrow_range=narrow_range, scaling_const=float(top), **common
    )


def unit_act_quantizer(bits: int, *, signed: bool) -> type[ExtendedInjector] | None:
    """Return an activation quantiser with scale 1."""
    quantizer = act_quantizer(bits, scale="free", signed=signed)
    if quantizer is None or bits == 1:
        return quantizer
    top = 2.0 ** (bits - 1) if signed else 2.0**bits - 1
    return quantizer.let(scaling_impl_type=ScalingImplType.CONST, min_val=-top, max_val=top)


def tensor_quantizer(act: nn.Module) -> nn.Module | None:
    """Return what quantises in a Brevitas activation layer: tensor -> (values, scale, ...).

    None if the layer is a float one.
    """
    proxy = act.act_quant
    return proxy.fused_activation_quant_proxy.tensor_quant if proxy.is_quant_enabled else None


@torch.no_grad()
def fit_range(act: nn.Module, x: Tensor) -> None:
    """Give an activation quantiser the range with the least mean squared error on `x`.

    Float and bipolar activation layers have no range and are left alone.
    """
    quantizer = tensor_quantizer(act)
    if quantizer is None or not isinstance(quantizer.scaling_impl, ParameterScaling):
        return
    wanted = x if act.act_quant.is_signed else x.clamp_min(0.0)
    top = wanted.abs().max()
    if not top > 0:  # nothing to learn from: all is zero
        return
    scaling = quantizer.scaling_impl
    restriction = scaling.restrict_clamp_scaling.restrict_value_impl
    if isinstance(restriction, PowerOfTwoRestrictValue):
        ranges = 2.0 ** (top.log2().ceil() - torch.arange(RANGE_OCTAVES))
    else:
        ranges = top * 2.0 ** (-torch.arange(RANGE_OCTAVES * 8) / 8)
    bits, signed = int(act.act_quant.bit_width()), act.act_quant.is_signed
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    errors, error = [], torch.empty_like(wanted)
    for value in ranges:
        scaling.value.copy_(restriction.restrict_init_tensor(value))
        # The quantiser itself gives the scale only: one buffer is several times as fast.
        scale = quantizer(wanted.new_zeros(()))[1]
        torch.div(wanted, scale, out=error).round_().clamp_(lowest, highest).mul_(scale)
        errors.append(torch.mean(error.sub_(wanted).square_()))
    best = ranges[int(torch.stack(errors).argmin())]
    scaling.value.copy_(restriction.restrict_init_tensor(best))


@torch.no_grad()
def set_scale(act: nn.Module, scale: float) -> None:
    """Give an activation quantiser, not a float or bipolar one, this scale: a power of two."""
    quantizer = tensor_quantizer(act)
    assert quantizer is not None
    scaling = quantizer.scaling_impl
    unit = scaling.restrict_clamp_scaling.restrict_value_impl
    value = scaling.value.new_tensor(scale)
    # The scale is in proportion to the range; a first range shows the factor.
    scaling.value.copy_(unit.restrict_init_tensor(value))
    factor = scale / quantizer(value.new_zeros(()))[1].reshape(())
    scaling.value.copy_(unit.restrict_init_tensor(value * factor))


def _restriction(scale: str) -> RestrictValueType:
    return {"power_of_two": RestrictValueType.POWER_OF_TWO, "free": RestrictValueType.FP}[scale]
