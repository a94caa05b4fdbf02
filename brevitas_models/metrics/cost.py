"""What a network costs, counted on paper: bit operations and bits of weights."""

from __future__ import annotations

import itertools
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


def table_bops(n_in: int, n_out: int, entry_bits: int, pruned: float = 0.0) -> float:
    """Return the bit operations of a layer of tables on one frame.

    Reading an entry is none; entries that are left are added, in sums as wide as they may get.
    """
    return n_in * n_out * (1.0 - pruned) * (entry_bits + math.log2(n_in))


def network_bops(
    config: MLPConfig, masks: Sequence[Tensor], input_bits: int | None = None
) -> float:
    """Return the bit operations of a network on one frame.

    The masks, bool (n_out, n_in) of each layer, are false where pruned. `input_bits` of None are
    those of the network's input quantiser; Hawks et al. (2021) take 32, their inputs being float.
    """
    widths = (config.input_bits if input_bits is None else input_bits, *config.act_widths)
    layers = itertools.pairwise(config.layers)
    total = 0.0
    for (n_in, n_out), came, bits, kind, mask in zip(
        layers, widths, config.weight_widths, config.edge_kinds, masks, strict=True
    ):
        pruned = 1.0 - int(mask.sum()) / mask.numel()
        if kind == "tables":
            total += table_bops(n_in, n_out, bits, pruned)
        else:
            total += layer_bops(n_in, n_out, came, bits, pruned)
    return total


def weight_bits(config: MLPConfig, masks: Sequence[Tensor]) -> int:
    """Return the bits of all weights and table entries that are left, as of `network_bops`."""
    total = 0
    for layer, (mask, bits) in enumerate(zip(masks, config.weight_widths, strict=True)):
        tables = config.edge_kinds[layer] == "tables"
        total += int(mask.sum()) * bits * (2 ** config.input_widths[layer] if tables else 1)
    return total
