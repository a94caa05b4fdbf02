"""Linear layers with pruning masks, and BatchNorm in the forms that a network may use."""

from __future__ import annotations

import brevitas.nn as qnn
import torch
import torch.nn.functional as F
from brevitas.function.ops_ste import round_ste
from brevitas.inject import ExtendedInjector
from torch import Tensor, nn
from torch.nn.utils import parametrize


class Mask(nn.Module):
    """Parametrisation of a weight that is exactly zero wherever `keep` is false.

    Being part of the weight itself, the mask holds in every forward pass and after every step of
    any optimiser, and no gradient reaches a pruned weight.
    """

    keep: Tensor

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.register_buffer("keep", torch.ones(shape, dtype=torch.bool))

    def forward(self, weight: Tensor) -> Tensor:
        """Return `weight` (n_out, n_in) with its pruned entries zero."""
        # Not a product: that would leave -0.0, and 0 * inf is NaN.
        return torch.where(self.keep, weight, weight.new_zeros(()))


class MaskedLinear(qnn.QuantLinear):
    """Brevitas' QuantLinear with a pruning mask on its weight.

    In evaluation it multiplies integers and applies the scales to their sum, which is exact in any
    order of summation. (Products of values that carry their scales are rounded; the last bit of a
    sum, and with it a tie between two classes, would depend on the library that adds.)
    """

    scale_in_training = False  # whether `forward` makes use of `in_scale` in training

    def __init__(
        self, n_in: int, n_out: int, *, bias: bool, weight_quant: type[ExtendedInjector] | None
    ) -> None:
        super().__init__(n_in, n_out, bias=bias, weight_quant=weight_quant)
        parametrize.register_parametrization(self, "weight", Mask(self.weight.shape))

    @property
    def mask(self) -> Tensor:
        """The mask, bool (n_out, n_in): false where the weight is pruned."""
        return self.parametrizations.weight[0].keep  # type: ignore[union-attr,index,return-value]

    @property
    def learnt(self) -> Tensor:
        """What is trained of the edges: the float weight (n_out, n_in), zero where pruned."""
        return self.weight

    def sizes(self) -> Tensor:
        """Return the magnitude of each weight, (n_out, n_in): what edges are ranked by."""
        return self.weight.detach().abs()

    def set_mask(self, mask: Tensor) -> None:
        """Prune the weights where `mask`, bool (n_out, n_in), is false, and only those."""
        self.mask.copy_(mask)

    def effective(self, in_scale: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return what the layer computes with in evaluation, before the weight is quantised.

        That is the float weight (n_out, n_in), and what is added to the product, (n_out,) or None.
        `in_scale` is the scale of the input, shape (); None if the input is float.
        """
        return self.weight, self.bias

    def integers(self, in_scale: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return what the layer computes with in evaluation, scales apart.

        The output is ``(x / in_scale) @ weight.T * scale + offset``, operations in this order.

        Returns
        -------
        weight : Tensor
            (n_out, n_in), integers as float32; the float weight where it is not quantised.
        scale : Tensor or None
            Of the sum, shape () or (n_out,); None if neither input nor weight is quantised.
        offset : Tensor or None
            (n_out,).
        """
        weight, offset = self.effective(in_scale)
        scale = in_scale
        if self.weight_quant.is_quant_enabled:
            quantised = self.weight_quant(weight)
            # Adding zero turns -0.0 into 0.0.
            weight = torch.round(quantised.value / quantised.scale) + 0.0
            step = _flat(quantised.scale)
            scale = step if in_scale is None else in_scale * step
        return weight, scale, offset

    def forward(self, x: Tensor, in_scale: Tensor | None = None) -> Tensor:
        """Return the pre-activation (n, n_out) of a quantised input (n, n_in).

        `in_scale` is its scale, shape (); None if it is float.
        """
        if self.training:
            return F.linear(x, self.quantized(self.weight), self.bias)
        weight, scale, offset = self.integers(in_scale)
        total = (x if in_scale is None else torch.round(x / in_scale)).matmul(weight.t())
        if scale is not None:
            total = total * scale
        return total if offset is None else total + offset

    def with_batch_statistics(self, x: Tensor, in_scale: Tensor | None) -> Tensor:
        """Return the pre-activation with statistics, if the layer has any, of these `x` alone."""
        return F.linear(x, self.quantized(self.weight), self.bias)

    def quantized(self, weight: Tensor) -> Tensor:
        """Return `weight` quantised with this layer's quantiser, as float values."""
        quantised = self.weight_quant(weight)
        return quantised if isinstance(quantised, Tensor) else quantised.value


class FoldedLinear(MaskedLinear):
    """A Linear layer with the BatchNorm after it folded in before the weight is quantised.

    In training the statistics are those of the batch, computed with the float weight (Jacob et al.,
    "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"
    (2018), arXiv 1712.05877, section 3.2). The offset is snapped to whole steps of the accumulator
    plus a quarter: with power-of-two scales no sum then falls on a rounding tie, so the steps of
    the activation after it are all of the same size.
    """

    scale_in_training = True

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        bias: bool,
        weight_quant: type[ExtendedInjector] | None,
        norm: Norm,
    ) -> None:
        super().__init__(n_in, n_out, bias=bias, weight_quant=weight_quant)
        self.norm = norm

    def effective(self, in_scale: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return folded weight and offset, from the running statistics."""
        return self._fold(self.norm.running_mean, self.norm.running_var, in_scale)

    def forward(self, x: Tensor, in_scale: Tensor | None = None) -> Tensor:
        """Return the normalised pre-activation; shapes as in `MaskedLinear.forward`."""
        if not self.training:
            return super().forward(x, in_scale)
        mean, var = self.norm.observe(F.linear(x, self.weight, self.bias))
        weight, offset = self._fold(mean, var, in_scale)
        return F.linear(x, self.quantized(weight), offset)

    def with_batch_statistics(self, x: Tensor, in_scale: Tensor | None) -> Tensor:
        """Return the pre-activation with BatchNorm taking the statistics of these `x` alone."""
        z = F.linear(x, self.weight, self.bias)
        weight, offset = self._fold(z.mean(0), z.var(0, correction=0), in_scale)
        return F.linear(x, self.quantized(weight), offset)

    def _fold(self, mean: Tensor, var: Tensor, in_scale: Tensor | None) -> tuple[Tensor, Tensor]:
        factor = self.norm.factor(var)
        weight = self.weight * factor[:, None]
        offset = (-mean if self.bias is None else self.bias - mean) * factor
        if self.norm.bias is not None:
            offset = offset + self.norm.bias
        if in_scale is not None and self.weight_quant.is_quant_enabled:
            step = (in_scale * _flat(self.weight_quant(weight).scale)).detach()
            offset = (round_ste(offset / step - 0.25) + 0.25) * step
        return weight, offset


class Norm(nn.BatchNorm1d):
    """BatchNorm whose evaluation is ``(x - mean) * factor + shift``, in this order of operations.

    The order is that of the exported graph. Subtracting first is exact where `x` is close to the
    mean, so a neuron that never changes gives exactly `shift`, in any precision.

    If `running`, statistics are averaged in training for use in evaluation. Without them evaluation
    takes those of the batch at hand, until `freeze` fixes some; `train` forgets them again.
    """

    frozen: Tensor

    def __init__(self, size: int, *, affine: bool, running: bool) -> None:
        super().__init__(size, affine=affine)
        self.running = running
        self.register_buffer("frozen", torch.tensor(running))

    def train(self, mode: bool = True) -> Norm:
        """Switch to training or evaluation; training makes fixed statistics out of date."""
        if mode and not self.running:
            self.frozen.fill_(False)
        return super().train(mode)

    def freeze(self, x: Tensor) -> None:
        """Fix the statistics to those of `x` (n, size), if there are no running ones."""
        if not self.running:
            # In double precision, so that a constant column gives itself and the variance 0.
            wide = x.detach().double()
            self.running_mean.copy_(wide.mean(0))
            self.running_var.copy_(wide.var(0, correction=0))
            self.frozen.fill_(True)

    def observe(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and biased variance of `x` (n, size), and let the running ones follow."""
        mean, var = x.mean(0), x.var(0, correction=0)
        with torch.no_grad():
            n = len(x)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * (n / max(n - 1, 1)), self.momentum)
        return mean, var

    def factor(self, var: Tensor) -> Tensor:
        """Return what the centred input is multiplied by, (size,), for variances (size,)."""
        factor = 1.0 / torch.sqrt(var + self.eps)
        return factor if self.weight is None else self.weight * factor

    def terms(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return mean, factor and shift (None without affine parameters), each (size,)."""
        return self.running_mean, self.factor(self.running_var), self.bias

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (n, size)."""
        if self.training:
            return super().forward(x) if self.running else self.with_batch_statistics(x)
        if not self.frozen:
            return self.with_batch_statistics(x)
        mean, factor, shift = self.terms()
        y = (x - mean) * factor
        return y if shift is None else y + shift

    def with_batch_statistics(self, x: Tensor) -> Tensor:
        """Normalise `x` (n, size) with its own statistics and leave the running ones alone."""
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)


def _flat(scale: Tensor) -> Tensor:
    # Brevitas gives shape () or (1,) for one scale and (n_out, 1) for one per neuron.
    return scale.flatten() if scale.numel() > 1 else scale.reshape(())
