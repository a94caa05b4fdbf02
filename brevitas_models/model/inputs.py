"""Ranges of the features: what turns standardised features into steps of the input quantiser."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Part of the frames, in the middle of each feature's distribution, that the codes are spread over;
# the others are clipped.
COVERED = 0.98


class InputRanges(nn.Module):
    """Shifts and stretches each feature so that its range is that of the codes, in whole steps.

    Features with long tails, of which one range for all would leave most codes unused, so get codes
    where their frames are. On the way to hardware it is part of standardising. With `centre` and
    `width`, (n_in,) each, ``(x - centre) / width`` are steps.
    """

    centre: Tensor
    width: Tensor

    def __init__(self, n_in: int, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("centre", torch.zeros(n_in))
        self.register_buffer("width", torch.ones(n_in))

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised features (n, n_in) in steps."""
        return (x - self.centre) / self.width

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Take the range that covers `COVERED` of standardised features (n, n_in)."""
        tail = (1.0 - COVERED) / 2
        low, high = torch.quantile(x, torch.tensor([tail, 1.0 - tail]), dim=0)
        width = (high - low) / 2**self.bits
        self.width.copy_(torch.where(width > 0, width, torch.ones_like(width)))
        # Half a step up: of an even number of codes the middle lies between two.
        self.centre.copy_((low + high) / 2 + self.width / 2)
