"""From a finished build folder to what its page says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper

from deploy.host_model import HostModel
from finn_builds.config.boards import Board
from finn_builds.files import HOST_FILE, SUMMARY_FILE, SYNTHESIS_FILE, read_json
from finn_builds.ingest import integer_mlp
from finn_builds.report.classes import classes_of
from finn_builds.report.content import Accuracy, BuildReport, Origin, Timing, Verification
from finn_builds.report.network import layers_of, nodes_of, synthesis_of, uses_of
from finn_builds.report.traffic import passages_of, streams_of
from finn_builds.run import state as disk
from finn_builds.verify.frames import LabelledData


def build_report(
    out: Path,
    model: ModelWrapper,
    board: Board,
    data: LabelledData | None,
    origin: Origin,
    *,
    top1: bool,
) -> BuildReport:
    """Gather what the page of a build says.

    Parameters
    ----------
    out : Path
        The build folder, all but the page itself finished.
    model : ModelWrapper
        The hardware graph of the stitched design.
    board : Board
    data : LabelledData or None
        What the network's answers are shown for.
    origin : Origin
        The command and the versions.
    top1 : bool
        The hardware gives the class instead of the logits.
    """
    report = out / "report"
    summary = read_json(out / SUMMARY_FILE)
    style = read_json(report / "style.json")
    performance = read_json(report / "rtlsim_performance.json")
    verification = read_json(report / "verification.json")
    synthesis = out / SYNTHESIS_FILE
    synthesised = read_json(synthesis) if synthesis.is_file() else None
    estimated = read_json(report / "estimate_layer_resources_final.json")
    network = integer_mlp(disk.checkpoint(out, "streamline"))
    host = HostModel.from_json(out / HOST_FILE)
    nodes = nodes_of(model, estimated, synthesised, style["layers"])
    return BuildReport(
        model=summary["model"],
        board=board.name,
        part=board.part,
        clock_ns=summary["clock_ns"],
        style_asked=style["asked"],
        style_why=style["why"],
        top1=top1,
        accuracy=_accuracy(read_json(report / "accuracy.json")),
        verification=Verification(
            frames=verification["frames"],
            mismatches=verification["mismatches"],
            inputs=verification["inputs"],
            reference=verification["reference"],
            simulator=verification["simulator"],
            runs={name: run["cycles"] for name, run in verification["runs"].items()},
        ),
        timing=Timing(
            latency_cycles=performance["latency_cycles"],
            latency_ns=performance["latency_ns"],
            interval_cycles=performance["interval_cycles"],
            fps=performance["stable_throughput[images/s]"],
        ),
        uses=uses_of(nodes, synthesised, board.resources),
        synthesis=synthesis_of(synthesised),
        layers=layers_of(network, model, style["layers"]),
        nodes=nodes,
        passages=passages_of(model, performance["one_frame"]),
        streams=streams_of(performance["links"]),
        classes=None if data is None else classes_of(host, network, data),
        steps=tuple((name, done.seconds) for name, done in disk.State.load(out).steps.items()),
        origin=origin,
    )


def _accuracy(found: dict[str, Any] | None) -> Accuracy | None:
    if found is None:
        return None
    return Accuracy(
        share=found["accuracy"],
        error=found["standard_error"],
        frames=found["frames"],
        source=found["source"],
        surrogate=found["surrogate"],
        before_input_quantizer=found.get("accuracy_without_input_quantizer"),
    )
