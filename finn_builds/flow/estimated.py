"""The estimate reports, under FINN's names and with FINN's keys."""

from __future__ import annotations

import json
from pathlib import Path

from finn.analysis.fpgadataflow.op_and_param_counts import op_and_param_counts
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from finn_builds.config import BuildConfig
from finn_builds.estimates import Resources
from finn_builds.finn_env import prepare_finn
from finn_builds.flow.shapes import node_resources


def layer_cycles(model: ModelWrapper) -> dict[str, int]:
    """Return the cycles per frame of each node, by FINN's formulas."""
    return {node.name: int(getCustomOp(node).get_exp_cycles()) for node in model.graph.node}


def layer_resources(model: ModelWrapper, part: str) -> dict[str, dict[str, int]]:
    """Return the estimated resources of each node and, under ``total``, of all."""
    total = Resources()
    result = {}
    for node in model.graph.node:
        cost = node_resources(model, node, part)
        total = total + cost
        result[node.name] = cost.rounded()
    result["total"] = total.rounded()
    return result


def network_performance(cycles: dict[str, int], clock_ns: float) -> dict[str, int | float | str]:
    """Return FINN's estimate of throughput and latency.

    The latency is the sum over the nodes, as if none of them overlapped.
    """
    slowest = max(cycles, key=lambda name: cycles[name])
    critical = sum(cycles.values())
    return {
        "critical_path_cycles": critical,
        "max_cycles": cycles[slowest],
        "max_cycles_node_name": slowest,
        "estimated_throughput_fps": 1e9 / (clock_ns * cycles[slowest]),
        "estimated_latency_ns": critical * clock_ns,
    }


def write_json(path: Path, content: object) -> None:
    """Write a report file, indented, with a newline at its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def step_generate_estimate_reports(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Write FINN's estimate reports for the folded network."""
    prepare_finn(cfg.out / "ipgen")
    report = cfg.out / "report"
    cycles = layer_cycles(model)
    write_json(report / "op_and_param_counts.json", model.analysis(op_and_param_counts))
    write_json(report / "estimate_layer_cycles.json", cycles)
    write_json(
        report / "estimate_layer_resources.json",
        layer_resources(model, cfg.board_spec.part),
    )
    write_json(
        report / "estimate_network_performance.json",
        network_performance(cycles, cfg.clock_ns),
    )
    return model
