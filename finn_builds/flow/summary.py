"""The build in one page of figures: ``report/summary.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper

from finn_builds.config.build import BuildConfig
from finn_builds.files import (
    SUMMARY_FILE,
    SYNTHESIS_FILE,
    TOOL_KEY,
    WHOLE_KEY,
    read_json,
    write_json,
)
from finn_builds.flow.fold import budget_of
from finn_builds.synth.counts import FIGURES


def step_summary(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Gather the headline figures of a build, each said to be measured or estimated."""
    report = cfg.out / "report"
    verification = read_json(report / "verification.json")
    performance = read_json(report / "rtlsim_performance.json")
    resources = read_json(report / "estimate_layer_resources_final.json")["total"]
    accuracy = read_json(report / "accuracy.json") or {}
    summary = {
        "model": cfg.model_name,
        "board": cfg.board_spec.name,
        "part": cfg.board_spec.part,
        "clock_ns": cfg.clock_ns,
        "accuracy": accuracy.get("accuracy"),
        "accuracy_standard_error": accuracy.get("standard_error"),
        "accuracy_without_input_quantizer": accuracy.get("accuracy_without_input_quantizer"),
        "accuracy_frames": accuracy.get("frames"),
        "accuracy_source": accuracy.get("source"),
        "accuracy_surrogate": accuracy.get("surrogate"),
        "frames_verified": verification["frames"],
        "mismatches": verification["mismatches"],
        "latency_cycles": performance["latency_cycles"],
        "latency_ns": performance["latency_ns"],
        "interval_cycles": performance["interval_cycles"],
        "fps": performance["stable_throughput[images/s]"],
        "timing_kind": performance["kind"],
        "resources": {**resources, "kind": "estimated"},
        **_synthesised(cfg.out / SYNTHESIS_FILE),
        **_placed(report / "post_synth_resources.json"),
        "budget": budget_of(cfg.board_spec),
        "device": cfg.board_spec.resources.model_dump(),
        "out_dir": str(cfg.out),
        "files": [
            "report.html",
            "stitched_ip",
            "report",
            "deploy.zip",
            "vivado",
            "host_model.json",
            "accelerator.json",
            "model.onnx",
        ],
    }
    write_json(cfg.out / SUMMARY_FILE, summary)
    return model


def _synthesised(path: Path) -> dict[str, Any]:
    """Return what the synthesis tool found for the whole design, or why it found nothing."""
    if not path.is_file():
        return {"synthesised": None}
    report = read_json(path)
    top, tool = report[WHOLE_KEY], report[TOOL_KEY]
    if "why" in top:
        return {"synthesised": None, "not_synthesised": top["why"]}
    return {
        "synthesised": {
            **{name: top[name] for name in FIGURES if name in top},
            "kind": f"{tool['name']} {tool['version']}, {tool['stage']}",
        },
        "netlist_frames_verified": (top.get("gate_level") or {}).get("frames"),
        "logic_depth": top["logic_depth"],
        "critical_path_ns": top["critical_path_ns"],
        "critical_path_kind": tool["critical_path"],
    }


def _placed(path: Path) -> dict[str, Any]:
    """Return what came of the bitfile, if one was asked for."""
    if not path.is_file():
        return {"bitfile": None}
    report = read_json(path)
    slack = report["timing"]["WNS"]
    found = f"bitfile/finn-accel.bit, slack {slack} ns (Vivado {report['tool']['version']})"
    if not report["timing"]["met"]:
        found = (
            f"misses its timing (slack {slack} ns) and is not in the package: build again with a "
            "longer --clock-ns"
        )
    return {"bitfile": found, "timing_met": report["timing"]["met"]}
