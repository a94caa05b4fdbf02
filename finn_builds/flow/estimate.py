"""The estimate reports, under FINN's names and with FINN's keys."""

from __future__ import annotations

from finn.analysis.fpgadataflow.op_and_param_counts import op_and_param_counts
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from finn_builds.config.build import BuildConfig
from finn_builds.files import write_json
from finn_builds.folded.estimates import Resources
from finn_builds.folded.finn_env import prepare_finn
from finn_builds.folded.shapes import node_resources, sparse_nodes


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


def layer_latencies(model: ModelWrapper) -> dict[str, int]:
    """Return the cycles from the first input of each node to its last output.

    A pipeline of sparse layers knows its depth. Of FINN's nodes only the cycles per frame are
    known, which its own estimate takes as well.
    """
    latencies = layer_cycles(model)
    for node in sparse_nodes(model):
        latencies[node.name] = int(getCustomOp(node).get_nodeattr("latency"))
    return latencies


def network_performance(
    cycles: dict[str, int], latencies: dict[str, int], clock_ns: float
) -> dict[str, int | float | str]:
    """Return the estimate of throughput and latency, under FINN's names.

    The latency is the sum over the nodes, as if none of them overlapped.

    Parameters
    ----------
    cycles, latencies : dict of str to int
        Cycles per frame and cycles of one frame alone, by node.
    clock_ns : float
    """
    slowest = max(cycles, key=lambda name: cycles[name])
    critical = sum(latencies.values())
    return {
        "critical_path_cycles": critical,
        "max_cycles": cycles[slowest],
        "max_cycles_node_name": slowest,
        "estimated_throughput_fps": 1e9 / (clock_ns * cycles[slowest]),
        "estimated_latency_ns": critical * clock_ns,
    }


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
        network_performance(cycles, layer_latencies(model), cfg.clock_ns),
    )
    return model
