"""The ordered list of steps, with what each reads of the configuration and which files it owns."""

from __future__ import annotations

from deploy.package import CONTENTS as PACKAGE_CONTENTS
from finn_builds.run.pipeline import Step

_DATA = ("data", "standardise", "verify_seed")
_BOARD = ("board",)

STEPS: tuple[Step, ...] = (
    Step("finn_builds.flow.ingest:step_tidy_up", reads=("model",), outputs=("model.onnx",)),
    Step(
        "finn_builds.flow.ingest:step_qonnx_to_finn",
        reads=("input_quant", "input_scale", *_DATA),
        outputs=("host_model.json",),
    ),
    Step(
        "finn_builds.flow.ingest:step_streamline",
        reads=(*_DATA, "verify_frames", "top1"),
        outputs=("report/accuracy.json", "verification_frames.npz"),
    ),
    Step(
        "finn_builds.flow.choose_style:step_choose_style",
        reads=(*_BOARD, "style", "latency_cycles", "synth_clk_period_ns"),
        outputs=("report/style.json", "ipgen/sparse"),
    ),
    Step("finn_builds.flow.convert:step_convert_to_hw", reads=_BOARD),
    Step("finn_builds.flow.convert:step_specialize_layers", reads=_BOARD),
    Step(
        "finn_builds.flow.fold:step_target_fps_parallelization",
        reads=(*_BOARD, "target_fps", "synth_clk_period_ns", "folding_config_file"),
        outputs=("auto_folding_config.json",),
    ),
    Step(
        "finn_builds.flow.fold:step_apply_folding_config",
        reads=(*_BOARD, "folding_config_file"),
    ),
    Step(
        "finn_builds.flow.estimate:step_generate_estimate_reports",
        reads=(*_BOARD, "synth_clk_period_ns"),
        outputs=(
            "report/op_and_param_counts.json",
            "report/estimate_layer_cycles.json",
            "report/estimate_layer_resources.json",
            "report/estimate_network_performance.json",
        ),
    ),
    Step(
        "finn_builds.flow.generate:step_hw_codegen",
        reads=(*_BOARD, "synth_clk_period_ns"),
        outputs=("ipgen/nodes",),
    ),
    Step(
        "finn_builds.flow.stitch:step_set_fifo_depths",
        reads=_BOARD,
        outputs=(
            "final_hw_config.json",
            "report/estimate_layer_resources_final.json",
        ),
    ),
    Step(
        "finn_builds.flow.stitch:step_create_stitched_ip",
        reads=(*_BOARD, "synth_clk_period_ns"),
        outputs=("stitched_ip", "accelerator.json"),
    ),
    Step(
        "finn_builds.flow.simulate:step_measure_rtlsim_performance",
        reads=("verify_seed", "trace"),
        outputs=(
            "report/verification.json",
            "report/rtlsim_performance.json",
            "trace.vcd",
            "trace.fst",
        ),
    ),
    Step(
        "finn_builds.flow.synthesise:step_out_of_context_synthesis",
        reads=(*_BOARD, "synth", "synth_clk_period_ns", "verify_seed"),
        outputs=("report/synth_resources.json",),
    ),
    Step(
        "finn_builds.flow.deliver:step_make_driver",
        reads=(*_BOARD, "top1"),
        outputs=("driver",),
    ),
    Step(
        "finn_builds.flow.deliver:step_make_zynq_project",
        reads=(*_BOARD, "synth_clk_period_ns"),
        # Not the whole folder: what Vivado has made beside them stays.
        outputs=("vivado/build.tcl", "vivado/README.md", "vivado/sources"),
    ),
    Step(
        "finn_builds.flow.deliver:step_synthesize_bitfile",
        reads=("bitfile",),
        outputs=(
            "bitfile",
            "report/post_synth_resources.json",
            "report/post_route_timing.rpt",
            "report/vivado.log",
        ),
    ),
    Step(
        "finn_builds.flow.deliver:step_deployment_package",
        reads=("bitfile", "top1", *_BOARD),
        outputs=(*(f"deploy/{name}" for name in PACKAGE_CONTENTS), "deploy.zip"),
    ),
    Step(
        "finn_builds.flow.report:step_summary",
        reads=(*_BOARD, "model", "synth_clk_period_ns"),
        outputs=("report/summary.json",),
    ),
    Step(
        "finn_builds.flow.report:step_report",
        reads=None,
        outputs=("report.html", "report/report.json"),
    ),
)
