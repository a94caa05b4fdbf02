"""How many weights to prune, and when."""

from __future__ import annotations

# Shares of all weights that are pruned before each round: Hawks et al., "Ps and Qs" (2021), arXiv
# 2102.11289, section 3.2.
PAPER_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.967, 0.989)


def cubic_share(progress: float, final: float) -> float:
    """Return the share to have pruned at a point of a gradual schedule that ends at `final`.

    ``s = s_f - s_f (1 - t)^3``: fast at first, slow at the end; `progress` t below 0 counts as 0,
    above 1 as 1. Source: Zhu and Gupta, "To prune, or not to prune" (2017), arXiv 1710.01878,
    equation 1.
    """
    rest = 1.0 - min(max(progress, 0.0), 1.0)
    return final - final * rest**3


def shares_up_to(share: float) -> tuple[float, ...]:
    """Return the paper's shares below `share`, and `share` itself; all of them for 0."""
    if share == 0:
        return PAPER_SHARES
    return (*(part for part in PAPER_SHARES if part < share), share)
