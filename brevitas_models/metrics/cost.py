"""What a network costs, counted on paper: bit operations and bits of weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from brevitas_models.model.config import MLPConfig


def layer_bops(
    n_in: int, n_out: int, input_bits: int, weight_bits: int, pruned: float = 0.0
) -> float:
    """Return the bit operations of a Linear layer on one frame.

    ``m n [(1 - f_p) b_a b_w + b_a + b_w + log2 n]`` with n inputs and m outputs: the products that
    are left, and sums as wide as they may get; floats have 32 bits, and the share `pruned`, 0..1,
    is f_p. Source: Hawks et al., "Ps and Qs" (2021), arXiv 2102.11289, equation 2, after Baskin
    et al., "UNIQ", arXiv 1804.10969.
    """
    sums = input_bits + weight_bits + math.log2(n_in)
    return n_in * n_out * ((1.0 - pruned) * input_bits * weight_bits + sums)


def network_bops(
    config: MLPConfig, masks: Sequence[Tensor], input_bits: int | None = None
) -> float:
    """Return the bit operations of a network on one frame.

    The masks, bool (n_out, n_in) of each layer, are false where pruned. `input_bits` of None are
    those of the network's input quantiser; Hawks et al. (2021) take 32, their inputs being float.
    """
    widths = (config.input_bits if input_bits is None else input_bits, *config.act_widths)
    return sum(
        layer_bops(n_in, n_out, came, bits, 1.0 - int(mask.sum()) / mask.numel())
        for n_in, n_out, came, bits, mask in zip(
            config.layers[:-1], config.layers[1:], widths, config.weight_widths, masks, strict=True
        )
    )


def weight_bits(config: MLPConfig, masks: Sequence[Tensor]) -> int:
    """Return the bits of all weights that are left; parameters as of `network_bops`."""
    kept = (int(mask.sum()) for mask in masks)
    return sum(n * bits for n, bits in zip(kept, config.weight_widths, strict=True))
