"""Finds the smallest FIFO depths that keep the interval, by simulation.

The depths are registers of the simulated design, so one compilation serves every trial. A depth
of 0 is a plain wire. The blocks of the flow register their handshakes, so most links of a chain
need no FIFO at all; one is needed where a block takes its input in bursts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

#: Depths a FIFO may have: none, or two and more (a depth of one halves the throughput).
SMALLEST = 2

Simulate = Callable[[Sequence[int]], int | None]


def smallest_depths(
    simulate: Simulate,
    widths: Sequence[int],
    largest: int,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[int]:
    """Return a depth for each link that keep the interval, of which none can be lowered alone.

    `simulate` maps depths to the cycles that a fixed number of frames takes in the steady state, or
    None when the design stops. Of the links, whose bits are `widths`, the widest is minimised
    first; a FIFO of depth `largest` counts as unbounded. `progress` gets (links done, links, text).
    """
    n_links = len(widths)
    goal = simulate([largest] * n_links)
    if goal is None:
        raise RuntimeError(f"the design stops even with FIFOs of depth {largest}")

    def keeps(depths: Sequence[int]) -> bool:
        cycles = simulate(depths)
        return cycles is not None and cycles <= goal

    if keeps([0] * n_links):
        return [0] * n_links
    depths = [largest] * n_links
    order = sorted(range(n_links), key=lambda link: (-widths[link], link))
    for done, link in enumerate(order):
        if progress is not None:
            progress(done, n_links, "FIFO depths")
        depths[link] = _smallest(keeps, depths, link)
    return depths


def _smallest(keeps: Callable[[Sequence[int]], bool], depths: list[int], link: int) -> int:
    """Return the smallest depth of one link, the others held: more depth never hurts."""

    def holds(depth: int) -> bool:
        return keeps([*depths[:link], depth, *depths[link + 1 :]])

    if holds(0):
        return 0
    low, high = SMALLEST - 1, depths[link]
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high
