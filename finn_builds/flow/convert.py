"""Folded layers as FINN's hardware nodes, all of them RTL."""

from __future__ import annotations

from dataclasses import replace

from finn_builds.config.build import BuildConfig
from finn_builds.files import write_json
from finn_builds.folded.convert import hardware_nodes, specialised
from finn_builds.folded.finn_env import prepare_finn
from finn_builds.folded.graph import FoldedLayers, FoldedRun, number_nodes
from finn_builds.style.styles import Styles
from finn_builds.verify.streamlined import Streamlined


def step_convert_to_hw(streamlined: Streamlined, styles: Styles, cfg: BuildConfig) -> FoldedLayers:
    """Turn each run of folded layers into FINN's MVAU and Thresholding nodes."""
    layers = streamlined.network.layers()
    part = cfg.target.part
    spans = [(begin, end) for style, begin, end in styles.runs if style == "folded"]
    if spans:
        prepare_finn(cfg.scratch)
    runs = (FoldedRun(begin, hardware_nodes(layers[begin:end], part)) for begin, end in spans)
    return FoldedLayers(tuple(runs))


def step_specialize_layers(folded: FoldedLayers, cfg: BuildConfig) -> FoldedLayers:
    """Choose the RTL implementation of every node.

    Where layers are folded, ``template_specialize_layers_config.json`` says so in FINN's format.
    """
    if not folded.runs:
        return folded
    prepare_finn(cfg.scratch)
    part = cfg.target.part
    runs = tuple(replace(run, model=specialised(run.model, part)) for run in folded.runs)
    number_nodes(runs)
    names = [node.name for run in runs for node in run.model.graph.node]
    config: dict[str, object] = {"Defaults": {}}
    config |= {name: {"preferred_impl_style": "rtl"} for name in names}
    write_json(cfg.out / "template_specialize_layers_config.json", config)
    return replace(folded, runs=runs)
