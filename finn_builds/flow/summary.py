"""The build in one page of figures: ``report/summary.json``."""

from __future__ import annotations

import json

from qonnx.core.modelwrapper import ModelWrapper

from finn_builds.config import BuildConfig
from finn_builds.flow.estimated import write_json
from finn_builds.flow.parallelism import budget_of


def step_summary(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Gather the headline figures of a build, each said to be measured or estimated."""
    report = cfg.out / "report"
    verification = json.loads((report / "verification.json").read_text())
    performance = json.loads((report / "rtlsim_performance.json").read_text())
    resources = json.loads((report / "estimate_layer_resources_final.json").read_text())["total"]
    accuracy = json.loads((report / "accuracy.json").read_text()) or {}
    summary = {
        "model": cfg.model_name,
        "board": cfg.board_spec.name,
        "part": cfg.board_spec.part,
        "clock_ns": cfg.clock_ns,
        "accuracy": accuracy.get("accuracy"),
        "accuracy_standard_error": accuracy.get("standard_error"),
        "accuracy_without_input_quantizer": accuracy.get("accuracy_without_input_quantizer"),
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
        "budget": budget_of(cfg.board_spec),
        "out_dir": str(cfg.out),
        "files": [
            "report.html",
            "stitched_ip",
            "report",
            "host_model.json",
            "accelerator.json",
            "model.onnx",
        ],
    }
    write_json(report / "summary.json", summary)
    return model
