"""The ordered list of steps, with the files that each owns."""

from __future__ import annotations

from deploy.package import CONTENTS as PACKAGE_CONTENTS
from finn_builds.files import NETLIST_WAVEFORM_FILE, WAVEFORM_FILE
from finn_builds.run.pipeline import Step

STEPS: tuple[Step, ...] = (
    Step("finn_builds.flow.ingest:step_tidy_up", outputs=("model.onnx",)),
    Step("finn_builds.flow.ingest:step_qonnx_to_finn", outputs=("host_model.json",)),
    Step(
        "finn_builds.flow.ingest:step_streamline",
        outputs=("report/accuracy.json", "report/findings.json", "verification_frames.npz"),
    ),
    Step(
        "finn_builds.flow.choose_style:step_choose_style",
        outputs=("report/style.json", "ipgen/sparse", "ipgen/parallel"),
    ),
    Step("finn_builds.flow.convert:step_convert_to_hw"),
    Step(
        "finn_builds.flow.convert:step_specialize_layers",
        outputs=("template_specialize_layers_config.json",),
    ),
    Step(
        "finn_builds.flow.fold:step_target_fps_parallelization",
        outputs=("auto_folding_config.json",),
    ),
    Step("finn_builds.flow.fold:step_apply_folding_config"),
    Step(
        "finn_builds.flow.estimate:step_generate_estimate_reports",
        outputs=(
            "report/op_and_param_counts.json",
            "report/estimate_layer_cycles.json",
            "report/estimate_layer_resources.json",
            "report/estimate_network_performance.json",
            "report/estimate_layer_config_alternatives.json",
        ),
    ),
    Step("finn_builds.flow.generate:step_hw_codegen", outputs=("ipgen/nodes",)),
    Step(
        "finn_builds.flow.stitch:step_set_fifo_depths",
        outputs=("final_hw_config.json", "report/estimate_layer_resources_final.json"),
    ),
    Step(
        "finn_builds.flow.stitch:step_create_stitched_ip",
        outputs=("stitched_ip", "accelerator.json"),
    ),
    Step(
        "finn_builds.flow.simulate:step_measure_rtlsim_performance",
        outputs=(
            "report/verification.json",
            "report/rtlsim_performance.json",
            WAVEFORM_FILE,
            "trace.vcd",
            "trace.fst",
        ),
    ),
    Step(
        "finn_builds.flow.synthesise:step_out_of_context_synthesis",
        outputs=(
            "report/synth_resources.json",
            "report/ooc_synth_and_timing.json",
            NETLIST_WAVEFORM_FILE,
            "report/out_of_context_vivado.log",
        ),
    ),
    Step(
        "finn_builds.flow.make_ip:step_make_ip_package",
        outputs=("ip", "ip.zip", "report/ip.json"),
    ),
    Step(
        "finn_builds.flow.route:step_place_and_route",
        outputs=("report/route.json", "route"),
    ),
    Step("finn_builds.flow.deliver:step_make_driver", outputs=("driver",)),
    Step(
        "finn_builds.flow.deliver:step_make_zynq_project",
        # Not the whole folder: what Vivado has made beside them stays.
        outputs=("vivado/build.tcl", "vivado/README.md", "vivado/sources", "vivado.zip"),
    ),
    Step(
        "finn_builds.flow.deliver:step_synthesize_bitfile",
        outputs=(
            "bitfile",
            "report/post_synth_resources.json",
            "report/post_route_timing.rpt",
            "report/vivado",
            "report/vivado.log",
        ),
    ),
    Step(
        "finn_builds.flow.deliver:step_deployment_package",
        outputs=(*(f"deploy/{name}" for name in PACKAGE_CONTENTS), "deploy.zip"),
    ),
    Step("finn_builds.flow.report:step_summary", outputs=("report/summary.json",)),
    Step("finn_builds.flow.report:step_report", outputs=("report.html", "report/report.json")),
)
