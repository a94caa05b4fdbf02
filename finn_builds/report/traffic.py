"""One frame's way through the design, and what the streams between its nodes did."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from finn_builds.report.design import Passage, Stream
from finn_builds.report.network import kind_of
from finn_builds.stitch.blocks import SPARSE, Hardware
from finn_builds.verify.simulated import OneFrame, Traffic


def passages_of(hardware: Hardware, one_frame: OneFrame) -> tuple[Passage, ...]:
    """Return the way of one frame through every node, from the run of a single frame.

    What the nodes add sums to the latency: a node adds the cycles from the last beat of the frame
    at its input to the last one at its output. To the first node the beats at the input count.
    Links are in the order of the blocks.
    """
    links = list(one_frame.links.values())
    start = links[0].span[0]
    made: list[Passage] = []
    for block, (before, after) in zip(hardware.blocks, itertools.pairwise(links), strict=True):
        since = before.span[1] if made else start
        adds = after.span[1] - since
        parts: tuple[tuple[str, int], ...] = ()
        if block.kind == SPARSE:
            parts = _parts(block.ends, block.layers, adds)
        made.append(
            Passage(
                name=block.name,
                kind=kind_of(block),
                enters=before.span[0] - start,
                first_out=after.span[0] - start,
                leaves=after.span[1] - start,
                adds=adds,
                parts=parts,
            )
        )
    return tuple(made)


def _parts(ends: Sequence[int], layers: Sequence[int], adds: int) -> tuple[tuple[str, int], ...]:
    """Return what each of several layers in one pipeline adds, the registers at its end last."""
    if len(ends) < 2:
        return ()
    steps = [later - earlier for earlier, later in itertools.pairwise((0, *ends))]
    named = [(f"layer {layer}", step) for layer, step in zip(layers, steps, strict=True)]
    return (*named, ("output register", adds - sum(steps)))


def streams_of(links: Mapping[str, Traffic]) -> tuple[Stream, ...]:
    """Return the streams of the free run.

    The window of a stream begins with its first beat and ends with its last one, so that filling
    and draining the design count for nothing.
    """
    made = []
    for name, link in links.items():
        source, _, sink = name.partition("_to_")
        if not link.transfers:
            continue
        first, last = link.span
        window = last - first + 1
        moved = link.transfers / window
        made.append(
            Stream(
                source="input" if source == "in" else source,
                sink="output" if sink == "out" else sink,
                beats=link.transfers,
                window=window,
                moved=moved,
                stalled=min(link.stalled_cycles / window, 1 - moved),
            )
        )
    return tuple(made)
