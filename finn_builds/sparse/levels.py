"""The thresholds of a requantisation, where they are few enough to be looked at one by one."""

from __future__ import annotations

import numpy as np

from finn_builds.network import Affine, Requantise, Thresholds
from finn_builds.network.ops import IntArray

#: Levels beyond which a multiplication is not taken apart into thresholds.
MAX_LEVELS = 255


def steps_of(
    form: Thresholds | Affine, low: IntArray, high: IntArray
) -> list[tuple[int, list[int]] | None]:
    """Return for each element levels that are always passed, and the thresholds of the next ones.

    None where more than `MAX_LEVELS` of a multiplication are attainable for inputs within `low` to
    `high`, both (n,).
    """
    if isinstance(form, Thresholds) or form.top <= MAX_LEVELS:
        return [(0, row) for row in form.thresholds(low, high).tolist()]
    first, last = form.count(np.stack([low, high]))
    found: list[tuple[int, list[int]] | None] = []
    for j, (passed, most) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        if most - passed > MAX_LEVELS:
            found.append(None)
            continue
        one = Requantise(form).part(j, j + 1).form
        found.append((passed, _search(one, passed, most, int(low[j]), int(high[j]))))
    return found


def _search(form: Thresholds | Affine, passed: int, most: int, low: int, high: int) -> list[int]:
    """Return the smallest input of each level above `passed` up to `most`, of a form of one."""
    levels = np.arange(passed + 1, most + 1)
    below, above = np.full(len(levels), low), np.full(len(levels), high)
    while (below < above).any():
        middle = (below + above) >> 1
        hit = form.count(middle[:, None])[:, 0] >= levels
        above, below = np.where(hit, middle, above), np.where(hit, below, middle + 1)
        below = np.minimum(below, above)
    return [int(v) for v in above]
