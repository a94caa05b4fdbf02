"""Which weights to prune: what is ranked (`criteria`), how (`ranking`), and how many (`shares`)."""

from brevitas_models.pruning.criteria import keep_budget, masks_for
from brevitas_models.pruning.prices import RULES, EdgeLuts, LayerLuts, Luts, edge_prices, total_luts
from brevitas_models.pruning.ranking import magnitude_masks, masks_of_scores, pruned_share
from brevitas_models.pruning.saliency import saliencies
from brevitas_models.pruning.shares import PAPER_SHARES, cubic_share, shares_up_to

__all__ = [
    "PAPER_SHARES",
    "RULES",
    "EdgeLuts",
    "LayerLuts",
    "Luts",
    "cubic_share",
    "edge_prices",
    "keep_budget",
    "magnitude_masks",
    "masks_for",
    "masks_of_scores",
    "pruned_share",
    "saliencies",
    "shares_up_to",
    "total_luts",
]
