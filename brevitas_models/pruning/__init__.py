"""Which weights to prune: what is ranked (`criteria`), how (`ranking`), and how many (`shares`)."""

from brevitas_models.pruning.criteria import LayerLuts, masks_for
from brevitas_models.pruning.ranking import magnitude_masks, masks_of_scores, pruned_share
from brevitas_models.pruning.shares import PAPER_SHARES, cubic_share, shares_up_to

__all__ = [
    "PAPER_SHARES",
    "LayerLuts",
    "cubic_share",
    "magnitude_masks",
    "masks_for",
    "masks_of_scores",
    "pruned_share",
    "shares_up_to",
]
