"""The blocks of the whole network, folded and sparse ones in their order."""

from __future__ import annotations

from collections.abc import Iterator

from finn_builds.folded.graph import FoldedLayers, run_blocks
from finn_builds.network import IntegerNetwork
from finn_builds.stitch.blocks import TOP1, Block, Hardware
from finn_builds.stitch.top1 import top1_block
from finn_builds.style.styles import Styles


def hardware_of(
    network: IntegerNetwork, styles: Styles, folded: FoldedLayers, part: str
) -> Hardware:
    """Return the blocks of a network at its present folding, without what goes between them.

    FINN must have been prepared where layers are folded.
    """
    blocks = list(_layer_blocks(styles, folded, part))
    if network.head is not None:
        last = blocks[-1].output
        pe = folded.top1_pe or last.elements
        blocks.append(top1_block(f"{TOP1}_0", network.head, last.datatype, pe))
    return Hardware(tuple(blocks))


def _layer_blocks(styles: Styles, folded: FoldedLayers, part: str) -> Iterator[Block]:
    nodes = iter(styles.nodes)
    for style, begin, _ in styles.runs:
        if style == "sparse":
            yield next(nodes).block
        else:
            yield from run_blocks(folded.run_from(begin), part)
