"""The estimate reports, under FINN's names and with FINN's keys."""

from __future__ import annotations

from collections.abc import Mapping

from finn_builds.config.build import BuildConfig
from finn_builds.files import write_json
from finn_builds.folded.finn_env import prepare_finn
from finn_builds.folded.graph import FoldedLayers, config_alternatives
from finn_builds.stitch.blocks import Hardware
from finn_builds.style.hardware import hardware_of
from finn_builds.style.styles import Styles
from finn_builds.verify.streamlined import Streamlined


def network_performance(hardware: Hardware, clock_ns: float) -> dict[str, int | float | str]:
    """Return the estimate of throughput and latency, under FINN's names.

    The latency is the sum over the blocks, as if none of them overlapped.
    """
    slowest = max(hardware.blocks, key=lambda block: block.cycles)
    critical = sum(block.latency for block in hardware.blocks)
    return {
        "critical_path_cycles": critical,
        "max_cycles": slowest.cycles,
        "max_cycles_node_name": slowest.name,
        "estimated_throughput_fps": 1e9 / (clock_ns * slowest.cycles),
        "estimated_latency_ns": critical * clock_ns,
    }


def op_and_param_counts(hardware: Hardware) -> dict[str, Mapping[str, float]]:
    """Return operations and parameters of each block and, under ``total``, of all."""
    found: dict[str, Mapping[str, float]]
    found = {b.name: dict(b.counts) for b in hardware.blocks if b.counts}
    total: dict[str, float] = {}
    for counts in found.values():
        for name, amount in counts.items():
            total[name] = total.get(name, 0.0) + amount
    return {**found, "total": total}


def step_generate_estimate_reports(
    folded: FoldedLayers, streamlined: Streamlined, styles: Styles, cfg: BuildConfig
) -> None:
    """Write FINN's estimate reports for the folded network."""
    if folded.runs:
        prepare_finn(cfg.scratch)
    hardware = hardware_of(streamlined.network, styles, folded, cfg.target.part)
    report = cfg.out / "report"
    write_json(report / "op_and_param_counts.json", op_and_param_counts(hardware))
    write_json(report / "estimate_layer_cycles.json", hardware.cycles())
    write_json(report / "estimate_layer_resources.json", hardware.resources())
    if folded.runs:
        write_json(
            report / "estimate_layer_config_alternatives.json",
            config_alternatives(folded.runs, cfg.target.part),
        )
    write_json(
        report / "estimate_network_performance.json", network_performance(hardware, cfg.clock_ns)
    )
