"""One frame's way through the design, and what the streams between its nodes did."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from finn_builds.folded.shapes import node_layers
from finn_builds.report.design import Passage, Stream
from finn_builds.report.network import kind_of


def passages_of(model: ModelWrapper, one_frame: Mapping[str, Any]) -> tuple[Passage, ...]:
    """Return the way of one frame through every node, from the run of a single frame.

    What the nodes add sums to the latency: a node adds the cycles from the last beat of the frame
    at its input to the last one at its output. To the first node the beats at the input count.

    Parameters
    ----------
    model : ModelWrapper
        The chain of hardware nodes.
    one_frame : dict
        ``one_frame`` of ``rtlsim_performance.json``: its links are in the order of the chain.
    """
    links = list(one_frame["links"].values())
    start = links[0]["first_cycle"]
    layers = node_layers(model)
    made: list[Passage] = []
    for node, (before, after) in zip(model.graph.node, itertools.pairwise(links), strict=True):
        since = before["last_cycle"] if made else start
        adds = after["last_cycle"] - since
        parts: tuple[tuple[str, int], ...] = ()
        if node.op_type == "SparseMVAU_rtl":
            parts = _parts(getCustomOp(node).get_nodeattr("layerStages"), layers[node.name], adds)
        made.append(
            Passage(
                name=node.name,
                kind=kind_of(node),
                enters=before["first_cycle"] - start,
                first_out=after["first_cycle"] - start,
                leaves=after["last_cycle"] - start,
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


def streams_of(links: Mapping[str, Mapping[str, Any]]) -> tuple[Stream, ...]:
    """Return the streams of the free run, from ``links`` of ``rtlsim_performance.json``.

    The window of a stream begins with its first beat and ends with its last one, so that filling
    and draining the design count for nothing.
    """
    made = []
    for name, link in links.items():
        source, _, sink = name.partition("_to_")
        if not link["transfers"]:
            continue
        window = link["last_cycle"] - link["first_cycle"] + 1
        moved = link["transfers"] / window
        made.append(
            Stream(
                source="input" if source == "in" else source,
                sink="output" if sink == "out" else sink,
                beats=link["transfers"],
                window=window,
                moved=moved,
                stalled=min(link["stalled_cycles"] / window, 1 - moved),
            )
        )
    return tuple(made)
