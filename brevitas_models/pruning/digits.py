"""Integer weights and their signed digits, the additions that a weight costs."""

from __future__ import annotations

import torch
from torch import Tensor

from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.model.tables import TableEdges


def signed_digit_counts(integers: Tensor) -> Tensor:
    """Return how many non-zero digits, int64, integers have in their shortest signed-digit form.

    That is the non-adjacent form, which has the fewest of all forms with the digits -1, 0 and 1:
    Reitwiesner, "Binary Arithmetic", Advances in Computers 1 (1960) 231. Its non-zero digits are
    the bits in which n and 3 n differ.
    """
    n = integers.abs().round().to(torch.int64)
    differing = n ^ (3 * n)
    counts = torch.zeros_like(n)
    while bool(differing.any()):
        counts += differing & 1
        differing >>= 1
    return counts


@torch.no_grad()
def integer_weights(model: QuantMLP, dropped: int = 0) -> list[Tensor]:
    """Return what the edges of each layer are in hardware, integers as float.

    Weights are (n_out, n_in), tables (n_out, n_in, codes), with `dropped` low bits of the codes, or
    more, left out where widths are learned.
    Of layers with float weights these are the weights as multiples of a 127th of the largest, for
    the sake of a cost.
    """
    found = []
    for index, linear in enumerate(model.linears):
        if isinstance(linear, TableEdges):
            found.append(linear.whole(dropped))
            continue
        weight = linear.integers(model.input_scale(index))[0]
        if not linear.weight_quant.is_quant_enabled:
            weight = torch.round(weight / weight.abs().max().clamp_min(1e-30) * 127)
        found.append(weight)
    return found
