"""Folding: how many multiplications of a layer happen side by side."""

from __future__ import annotations

from pathlib import Path

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from finn_builds.config.boards import Board
from finn_builds.config.build import BuildConfig
from finn_builds.errors import UserError
from finn_builds.files import read_json, write_json
from finn_builds.folded.estimates import Resources
from finn_builds.folded.finn_env import prepare_finn
from finn_builds.folded.folding import NetworkFolding, divisors, fastest, for_target
from finn_builds.folded.shapes import folded_layers, sparse_nodes

#: Shares of a board's resources that a network may be estimated at.
BUDGET_SHARE = {"LUT": 0.70, "DSP": 0.80, "BRAM_18K": 0.80}

#: What folding sets, by op type, and the attribute that each must divide.
_FOLDING_ATTRIBUTES = {
    "MVAU_rtl": {"PE": "MH", "SIMD": "MW"},
    "Thresholding_rtl": {"PE": "NumChannels"},
    "LabelSelect_rtl": {"PE": "Labels"},
}


def budget_of(board: Board) -> dict[str, float]:
    """Return the limits that a default build keeps to, by resource name."""
    amounts = board.resources.model_dump()
    return {name: share * amounts[name] for name, share in BUDGET_SHARE.items()}


def step_target_fps_parallelization(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Fold for the asked frame rate, or as fast as fits the board's budget.

    Writes ``auto_folding_config.json`` in FINN's format. A folding file of the user's takes the
    place of this choice in the next step.
    """
    prepare_finn(cfg.out / "ipgen")
    if cfg.folding_config_file is None:
        layers = folded_layers(model, cfg.board_spec.part)
        budget = budget_of(cfg.board_spec)
        for node in sparse_nodes(model):
            budget["LUT"] -= getCustomOp(node).get_nodeattr("lutEstimate")
        if not layers:
            _check_rate(cfg)
            folding = NetworkFolding({}, 1, Resources())
        elif cfg.target_fps is None:
            folding = fastest(layers, budget)
        else:
            folding = for_target(layers, budget, fps=cfg.target_fps, clock_ns=cfg.clock_ns)
        _apply(model, folding)
    write_json(cfg.out / "auto_folding_config.json", folding_config(model))
    return model


def _check_rate(cfg: BuildConfig) -> None:
    """Refuse a target beyond one frame per clock, all that a fully sparse network can do."""
    reachable = 1e9 / cfg.clock_ns
    if cfg.target_fps is not None and cfg.target_fps > reachable:
        raise UserError(
            f"a target of {cfg.target_fps:g} frames/s can't be met: sparse layers take one frame "
            f"per clock, {reachable:,.0f} frames/s at {cfg.clock_ns:g} ns. Reachable within the "
            "budget is that; lower --target-fps or give a shorter --clock-ns."
        )


def _apply(model: ModelWrapper, folding: NetworkFolding) -> None:
    pe = threshold_pe = 1
    for node in model.graph.node:
        op = getCustomOp(node)
        if node.op_type == "MVAU_rtl":
            layer = folding.layers[node.name]
            pe, threshold_pe = layer.pe, layer.threshold_pe
            op.set_nodeattr("PE", pe)
            op.set_nodeattr("SIMD", layer.simd)
        elif node.op_type == "Thresholding_rtl":
            op.set_nodeattr("PE", threshold_pe)
        elif node.op_type == "SparseMVAU_rtl":
            pe = op.get_nodeattr("numOutputs")  # all results at once
        elif node.op_type == "LabelSelect_rtl":
            op.set_nodeattr("PE", pe)  # as many a beat as come out of the layer before


def folding_config(model: ModelWrapper) -> dict[str, dict[str, object]]:
    """Return the folding of a graph in FINN's JSON format."""
    config: dict[str, dict[str, object]] = {"Defaults": {}}
    for node in model.graph.node:
        op = getCustomOp(node)
        names = _FOLDING_ATTRIBUTES.get(node.op_type)
        if names is not None:
            config[node.name] = {name: op.get_nodeattr(name) for name in names}
    return config


def step_apply_folding_config(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Apply a folding file in FINN's format, after checking every entry.

    Raises
    ------
    UserError
        When the file names a node that is not there or has no folding, or gives a PE or SIMD
        that does not divide the layer.
    """
    prepare_finn(cfg.out / "ipgen")
    if cfg.folding_config_file is None:
        return model
    path = Path(cfg.folding_config_file)
    config = read_json(path)
    nodes = {node.name: node for node in model.graph.node}
    for name, values in config.items():
        if name == "Defaults" or name.startswith("StreamingFIFO"):
            continue
        if name not in nodes:
            raise UserError(
                f"the folding file {path} names {name!r}, which is not in the network; "
                f"its nodes are {', '.join(nodes)}; "
                "rename or remove it"
            )
        if not isinstance(values, dict):
            raise UserError(
                f"{path}: {name} should map names to numbers, found {values!r}; write "
                'e.g. {"PE": 2, "SIMD": 4}'
            )
        _set_folding(nodes[name], values, path)
    return model


def _set_folding(node: NodeProto, values: dict[str, object], path: Path) -> None:
    """Check and set the folding attributes of one node; other attributes are left alone."""
    op = getCustomOp(node)
    extents = _FOLDING_ATTRIBUTES.get(node.op_type)
    if extents is None:
        raise UserError(
            f"{path}: {node.name} has no folding: expected folded layers only, found one of sparse "
            "logic, which takes a frame every clock; remove it, or build with --style folded"
        )
    for name, extent_name in extents.items():
        if name not in values:
            continue
        extent, value = op.get_nodeattr(extent_name), values[name]
        if not isinstance(value, int) or isinstance(value, bool) or value not in divisors(extent):
            raise UserError(
                f"{path}: {node.name} has {name} = {value!r}, which must divide {extent_name} = "
                f"{extent}; possible are {', '.join(map(str, divisors(extent)))}"
            )
        op.set_nodeattr(name, value)
