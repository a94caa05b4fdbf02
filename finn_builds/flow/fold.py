"""Folding: the number of multiplications of a layer that happen side by side."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from onnx import NodeProto
from qonnx.custom_op.registry import getCustomOp

from finn_builds.config.build import BuildConfig
from finn_builds.errors import UserError
from finn_builds.files import read_json, write_json
from finn_builds.folded.finn_env import prepare_finn
from finn_builds.folded.folding import NetworkFolding, divisors, fastest, for_target
from finn_builds.folded.graph import FoldedLayers
from finn_builds.folded.shapes import folded_layers
from finn_builds.stitch.blocks import MVAU, THRESHOLDING, TOP1
from finn_builds.style.hardware import hardware_of
from finn_builds.style.styles import Styles
from finn_builds.verify.streamlined import Streamlined

#: What folding sets, by kind of block, and the attribute that each must divide.
_FOLDING_ATTRIBUTES = {
    MVAU: {"PE": "MH", "SIMD": "MW"},
    THRESHOLDING: {"PE": "NumChannels"},
    TOP1: {"PE": "Labels"},
}


def step_target_fps_parallelization(
    folded: FoldedLayers, streamlined: Streamlined, styles: Styles, cfg: BuildConfig
) -> FoldedLayers:
    """Fold for the asked frame rate, or as fast as fits the board's budget.

    Writes ``auto_folding_config.json`` in FINN's format. A folding file of the user's takes the
    place of this choice in the next step.
    """
    part, budget = cfg.target.part, cfg.target.budget
    if folded.runs:
        prepare_finn(cfg.scratch)
    if cfg.folding_config_file is None:
        layers = [layer for run in folded.runs for layer in folded_layers(run.model, part)]
        for node in styles.nodes:
            budget["LUT"] -= node.block.resources.LUT
        if not layers:
            _check_rate(cfg)
        elif cfg.target_fps is None:
            _apply(folded, fastest(layers, budget))
        else:
            _apply(folded, for_target(layers, budget, fps=cfg.target_fps, clock_ns=cfg.clock_ns))
    hardware = hardware_of(streamlined.network, styles, folded, part)
    config: dict[str, object] = {"Defaults": {}}
    config |= {block.name: dict(block.folding) for block in hardware.blocks if block.folding}
    write_json(cfg.out / "auto_folding_config.json", config)
    return folded


def _check_rate(cfg: BuildConfig) -> None:
    """Refuse a target beyond one frame per clock, all that a fully sparse network can do."""
    reachable = 1e9 / cfg.clock_ns
    if cfg.target_fps is not None and cfg.target_fps > reachable:
        raise UserError(
            f"a target of {cfg.target_fps:g} frames/s can't be met: sparse layers take one frame "
            f"per clock, {reachable:,.0f} frames/s at {cfg.clock_ns:g} ns. Reachable within the "
            "budget is that; lower --target-fps or give a shorter --clock-ns."
        )


def _apply(folded: FoldedLayers, folding: NetworkFolding) -> None:
    threshold_pe = 1
    for node in (node for run in folded.runs for node in run.model.graph.node):
        op = getCustomOp(node)
        if node.op_type == MVAU:
            layer = folding.layers[node.name]
            threshold_pe = layer.threshold_pe
            op.set_nodeattr("PE", layer.pe)
            op.set_nodeattr("SIMD", layer.simd)
        else:
            op.set_nodeattr("PE", threshold_pe)


def step_apply_folding_config(
    folded: FoldedLayers, streamlined: Streamlined, styles: Styles, cfg: BuildConfig
) -> FoldedLayers:
    """Apply a folding file in FINN's format, after checking every entry.

    ``Defaults`` hold for every node of the kinds they name that gives no value of its own, as in
    FINN: ``{"PE": [2, ["MVAU_rtl"]], "SIMD": [1, "all"]}``. Raises UserError when the file names a
    node that is not there or has no folding, gives an attribute that has no effect here, or a PE or
    SIMD that does not divide the layer.
    """
    if cfg.folding_config_file is None:
        return folded
    if folded.runs:
        prepare_finn(cfg.scratch)
    path = Path(cfg.folding_config_file)
    nodes = {node.name: node for run in folded.runs for node in run.model.graph.node}
    hardware = hardware_of(streamlined.network, styles, folded, cfg.target.part)
    names = [block.name for block in hardware.blocks]
    classes = streamlined.network.head
    given = read_json(path)
    defaults = _defaults(given.get("Defaults", {}), path)
    for name, node in nodes.items():
        own = given.get(name)
        kept = (own if isinstance(own, dict) else {}).keys()
        inherited = {
            key: value
            for key, value, kinds in defaults
            if key not in kept
            and node.op_type in kinds
            and key in _FOLDING_ATTRIBUTES[node.op_type]
        }
        _set_folding(node, inherited, path)
    for name, values in given.items():
        if name == "Defaults" or name.startswith("StreamingFIFO"):
            continue
        if name not in names:
            raise UserError(
                f"the folding file {path} names {name!r}, which is not in the network; "
                f"its nodes are {', '.join(names)}; "
                "rename or remove it"
            )
        if not isinstance(values, dict):
            raise UserError(
                f"{path}: {name} should map names to numbers, found {values!r}; write "
                'e.g. {"PE": 2, "SIMD": 4}'
            )
        kind = nodes[name].op_type if name in nodes else TOP1
        if name in nodes or (classes is not None and name.startswith(TOP1)):
            _check_known(name, values, kind, path)
        if name in nodes:
            _set_folding(nodes[name], values, path)
        elif classes is not None and name.startswith(TOP1):
            if "PE" in values:
                _check_divides(name, "PE", values, "Labels", len(classes.offsets), path)
                pe = values["PE"]
                assert isinstance(pe, int)  # it divides
                folded = replace(folded, top1_pe=pe)
        else:
            raise UserError(
                f"{path}: {name} has no folding: expected folded layers only, found one of sparse "
                "logic, which takes a frame every clock; remove it, or build with --style folded"
            )
    return folded


def _defaults(given: object, path: Path) -> list[tuple[str, object, list[str]]]:
    """Return attribute, value and kinds of nodes of every default, as FINN reads them.

    An attribute maps to values, each followed by the kinds of nodes that get it, or by ``all``.
    """
    form = 'e.g. {"PE": [2, ["MVAU_rtl"]]} or {"SIMD": [1, "all"]}'
    if not isinstance(given, dict):
        raise UserError(
            f"{path}: Defaults should map names to values, found {given!r}; write {form}"
        )
    found = []
    used = sorted({name for names in _FOLDING_ATTRIBUTES.values() for name in names})
    for name, held in given.items():
        if name not in used:
            raise UserError(
                f"{path}: Defaults has {name!r}, which has no effect in this flow; expected "
                f"{' or '.join(used)}: leave it out"
            )
        held = held if isinstance(held, list) else []
        pairs = list(zip(held[::2], held[1::2], strict=False))
        for value, kinds in pairs:
            kinds = list(_FOLDING_ATTRIBUTES) if kinds == "all" else kinds
            wrong = not isinstance(kinds, list) or any(k not in _FOLDING_ATTRIBUTES for k in kinds)
            if not wrong:
                found.append((name, value, kinds))
        if not held or len(held) % 2 or len(pairs) != sum(one[0] == name for one in found):
            raise UserError(
                f"{path}: Defaults has {name} = {given[name]!r}; expected a value and the kinds of "
                f"nodes that get it, of {', '.join(_FOLDING_ATTRIBUTES)}, or all: write {form}"
            )
    return found


def _check_known(name: str, values: Mapping[str, object], kind: str, path: Path) -> None:
    """Refuse attributes that have no effect: one that is misspelt would be among them."""
    known = _FOLDING_ATTRIBUTES[kind]
    for attribute in values:
        if attribute not in known:
            near = difflib.get_close_matches(attribute.upper(), known, n=1)
            meant = f"; is {near[0]} meant?" if near else ""
            raise UserError(
                f"{path}: {name} has {attribute!r}, which has no effect in this flow; expected "
                f"{' or '.join(known)}{meant or ': leave it out'}"
            )


def _set_folding(node: NodeProto, values: Mapping[str, object], path: Path) -> None:
    """Check and set the folding attributes of one node."""
    op = getCustomOp(node)
    for name, extent in _FOLDING_ATTRIBUTES[node.op_type].items():
        if name in values:
            _check_divides(node.name, name, values, extent, op.get_nodeattr(extent), path)
            op.set_nodeattr(name, values[name])


def _check_divides(
    node: str, name: str, values: Mapping[str, object], extent: str, size: int, path: Path
) -> None:
    value = values[name]
    if not isinstance(value, int) or isinstance(value, bool) or value not in divisors(size):
        raise UserError(
            f"{path}: {node} has {name} = {value!r}, which must divide {extent} = "
            f"{size}; possible are {', '.join(map(str, divisors(size)))}"
        )
