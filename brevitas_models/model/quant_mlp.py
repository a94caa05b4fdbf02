"""The quantised multilayer perceptron, of weights or of tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import brevitas.config
import brevitas.nn as qnn
import torch
from brevitas.inject import ExtendedInjector
from torch import Tensor, nn

from brevitas_models.errors import UserError
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.inputs import InputRanges
from brevitas_models.model.layers import FoldedLinear, MaskedLinear, Norm
from brevitas_models.model.quantizers import (
    act_quantizer,
    fit_range,
    input_quantizer,
    set_scale,
    table_quantizer,
    tensor_quantizer,
    weight_quantizer,
)
from brevitas_models.model.tables import TableEdges

# Rows that a search for the best range looks at: enough for its first two digits.
CALIBRATION_ROWS = 16384


class QuantMLP(nn.Module):
    """Linear -> BatchNorm -> activation for each hidden layer, then Linear; all quantised.

    A layer may have tables as edges in the place of weights; there is no BatchNorm after it. Skip
    connections add earlier values to the output of an activation.

    Takes standardised features (n, n_in) float and returns logits (n, n_classes), or other outputs.

    Attributes
    ----------
    linears : nn.ModuleList
        The Linear layers (`MaskedLinear`, `FoldedLinear`) and layers of tables (`TableEdges`),
        input side first. `weight` of a Linear layer is the float weight with pruned entries zero.
    ranges : nn.Module
        `InputRanges`, or Identity where all features share one range.
    norms, acts : nn.ModuleList
        BatchNorm (or Identity) and activation of each hidden layer.
    """

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.config = config
        self.input_quant = qnn.QuantIdentity(
            act_quant=input_quantizer(config.input_bits, scale=config.scale)
        )
        # Features are data: their range is set once, by `calibrate`, and not trained.
        self.input_quant.requires_grad_(False)
        self.ranges = nn.Identity()
        if config.input_ranges == "per_feature":
            self.ranges = InputRanges(config.layers[0], config.input_bits)
            set_scale(self.input_quant, 1.0)
        hidden = range(len(config.act_widths))
        norms = [_norm(config, index) for index in hidden]
        self.linears = nn.ModuleList(
            _layer(config, index, norms[index] if index in hidden else None)
            for index in range(len(config.weight_widths))
        )
        self.norms = nn.ModuleList(nn.Identity() if config.fold_batch_norm else n for n in norms)
        signed = config.activation == "hardtanh"
        self.acts = nn.ModuleList(
            activation(bits, act_quantizer(bits, scale=config.scale, signed=signed), signed=signed)
            for bits in config.act_widths
        )
        for index, step in enumerate(config.table_steps):
            if step is not None:
                # Tables learn any scale themselves.
                set_scale(self.acts[index], step)
                self.acts[index].requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (n, n_classes) of standardised features (n, n_in)."""
        x = self.quantised_inputs(features)
        seen = [x]
        for index, (norm, act) in enumerate(zip(self.norms, self.acts, strict=True)):
            x = self.joined(act(norm(self.preactivation(index, x))), seen)
        return self.preactivation(len(self.acts), x)

    def joined(self, x: Tensor, seen: list[Tensor]) -> Tensor:
        """Return what comes into the next layer: an activation's output and what is added to it.

        `seen` is what came into the layers so far, the inputs first; the result is appended.
        """
        for place in self.config.skips_to(len(seen)):
            x = x + seen[place]
        seen.append(x)
        return x

    def quantised_inputs(self, features: Tensor) -> Tensor:
        """Return what comes into the first layer, for standardised features (n, n_in)."""
        x: Tensor = self.input_quant(self.ranges(features))
        return x

    def preactivation(self, index: int, x: Tensor) -> Tensor:
        """Return the output (n, n_out) of Linear layer `index` for its quantised input."""
        linear = self.linears[index]
        needed = linear.scale_in_training or not self.training
        return linear(x, self.input_scale(index) if needed else None)

    def input_scale(self, index: int) -> Tensor | None:
        """Return the scale, shape (), of what comes into Linear layer `index`; None if float.

        That is the step that all its values are multiples of.
        """
        own = self.act_scale(index)
        others = [self.input_scale(place) for place in self.config.skips_to(index)]
        known = [scale for scale in (own, *others) if scale is not None]
        # Powers of two: all are multiples of the smallest.
        return torch.stack(known).amin() if known and len(known) == 1 + len(others) else None

    def act_scale(self, index: int) -> Tensor | None:
        """Return the scale, shape (), of the quantiser in front of Linear layer `index`."""
        quantizer = tensor_quantizer(self.acts[index - 1] if index else self.input_quant)
        if quantizer is None:
            return None
        return quantizer(torch.zeros(()))[1].reshape(())

    def masks(self) -> list[Tensor]:
        """Return the mask of each Linear layer, bool (n_out, n_in): false where pruned."""
        return [linear.mask.clone() for linear in self.linears]

    def set_masks(self, masks: Sequence[Tensor]) -> None:
        """Prune the weights where the masks are false, and only those.

        There is a mask, bool (n_out, n_in), for each Linear layer. Raises UserError if a 1-bit
        layer is to be pruned, since bipolar weights have no zero, and ValueError if number, shape
        or type of the masks is not that of the weights.
        """
        if len(masks) != len(self.linears):
            raise ValueError(f"{len(self.linears)} masks expected, found {len(masks)}")
        for index, (mask, linear) in enumerate(zip(masks, self.linears, strict=True)):
            if mask.shape != linear.mask.shape or mask.dtype != torch.bool:
                raise ValueError(
                    f"mask {index}: bool {tuple(linear.mask.shape)} expected, found "
                    f"{mask.dtype} {tuple(mask.shape)}"
                )
            if self.config.weight_widths[index] == 1 and not bool(mask.all()):
                raise UserError(
                    f"layer {index} has 1-bit weights, which are -1 or +1 and can't be pruned; "
                    f"expected weight_bits of 2 or more for it: give them, or prune nothing"
                )
        for mask, linear in zip(masks, self.linears, strict=True):
            linear.set_mask(mask)

    @torch.no_grad()
    def calibrate(self, features: Tensor, origin: Tensor | None = None) -> None:
        """Set the range of every quantiser of inputs and activations from data.

        Each gets the range with the least mean squared error on what comes into it, with BatchNorm
        taking the statistics of these data. To be called once, before training; from there on the
        ranges of activations are trained, that of the input stays.

        Of many standardised training features (n, n_in), about `CALIBRATION_ROWS` evenly spread
        ones are used. `origin` are the features that these were mixed from, (k, n_in): their own
        ranges are those of features with ``input_ranges: per_feature``, since what is mixed spreads
        wider.
        """
        step = -(-len(features) // CALIBRATION_ROWS)
        x = features[::step]
        if isinstance(self.ranges, InputRanges):
            self.ranges.fit(x if origin is None else origin)
        else:
            fit_range(self.input_quant, x)
        x = self.quantised_inputs(x)
        seen = [x]
        for index, (norm, act) in enumerate(zip(self.norms, self.acts, strict=True)):
            linear = self.linears[index]
            x = linear.with_batch_statistics(x, self.input_scale(index))
            if isinstance(norm, Norm):
                x = norm.with_batch_statistics(x)
            if self.config.table_steps[index] is None:
                fit_range(act, x)
            x = self.joined(act(x), seen)

    @torch.no_grad()
    def freeze_statistics(self, features: Tensor) -> None:
        """Fix the statistics of ``batch_norm: no_running_stats`` to those of the training set.

        Such a BatchNorm has no statistics of its own to evaluate one frame with, nor to export.
        From here on, until the model is trained further, it uses those that the whole of
        `features`, standardised (n, n_in), gives. Other kinds of BatchNorm are left alone. The
        model is in evaluation mode afterwards.
        """
        self.eval()
        if self.config.batch_norm != "no_running_stats":
            return
        x = self.quantised_inputs(features)
        seen = [x]
        for index, (norm, act) in enumerate(zip(self.norms, self.acts, strict=True)):
            x = self.preactivation(index, x)
            if isinstance(norm, Norm):
                norm.freeze(x)
            x = self.joined(act(norm(x)), seen)

    def same_ranges(self, other: QuantMLP) -> bool:
        """Return whether both models quantise features in the same ranges, scales apart."""
        mine, theirs = self.ranges.state_dict(), other.ranges.state_dict()
        return mine.keys() == theirs.keys() and all(
            map(torch.equal, mine.values(), theirs.values())
        )

    def prunable(self) -> list[bool]:
        """Return for each Linear layer whether its weights can be pruned (not bipolar)."""
        return [bits != 1 for bits in self.config.weight_widths]

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load a state into the parameters that are there, which an optimiser may hold."""
        with _parameters_kept():
            return super().load_state_dict(state_dict, strict=strict, assign=assign)


def _norm(config: MLPConfig, index: int) -> nn.Module:
    if not config.normed[index]:
        return nn.Identity()
    return Norm(
        config.layers[index + 1],
        affine=config.batch_norm != "no_affine",
        running=config.batch_norm != "no_running_stats",
    )


def _layer(config: MLPConfig, index: int, norm: nn.Module | None) -> MaskedLinear | TableEdges:
    n_in, n_out = config.layers[index : index + 2]
    if config.edge_kinds[index] == "tables":
        return TableEdges(
            n_in,
            n_out,
            code_bits=config.input_widths[index],
            signed=index == 0 or config.activation == "hardtanh",
            knots=config.knots(index),
            bias=config.bias,
            weight_quant=table_quantizer(
                config.weight_widths[index], logits=index == len(config.layers) - 2
            ),
            droppable=config.droppable(index),
        )
    quantizer = weight_quantizer(
        config.weight_widths[index],
        scale=config.scale,
        weight_scale=config.weight_scale,
        narrow_range=config.narrow_range,
    )
    if config.fold_batch_norm and isinstance(norm, Norm):
        return FoldedLinear(n_in, n_out, bias=config.bias, weight_quant=quantizer, norm=norm)
    return MaskedLinear(n_in, n_out, bias=config.bias, weight_quant=quantizer)


def activation(bits: int, quantizer: type[ExtendedInjector] | None, *, signed: bool) -> nn.Module:
    """Return the activation layer after a hidden layer: Hardtanh if `signed`, else ReLU.

    `quantizer` is that of `bits`; None for a float activation.
    """
    if bits == 1:
        return qnn.QuantIdentity(act_quant=quantizer)
    if not signed:
        return qnn.QuantReLU(act_quant=quantizer)
    # A float Hardtanh has limits, a quantised one the range of its quantiser.
    limits = {"min_val": -1.0, "max_val": 1.0} if quantizer is None else {}
    return qnn.QuantHardTanh(act_quant=quantizer, **limits)


@contextmanager
def _parameters_kept() -> Iterator[None]:
    # By default Brevitas makes every quantiser again while loading. Ours hold nothing derived from
    # what is loaded, and an optimiser made before would go on with the discarded scales.
    before = brevitas.config.REINIT_ON_STATE_DICT_LOAD
    brevitas.config.REINIT_ON_STATE_DICT_LOAD = False
    try:
        yield
    finally:
        brevitas.config.REINIT_ON_STATE_DICT_LOAD = before
