"""From the results of a build's steps to what its page says."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.host_model import HostModel
from finn_builds.config.boards import Board
from finn_builds.report.classes import classes_of
from finn_builds.report.content import Accuracy, BuildReport, Origin, Timing, Verification
from finn_builds.report.network import layers_of, nodes_of, synthesis_of, uses_of
from finn_builds.report.traffic import passages_of, streams_of
from finn_builds.stitch.blocks import Hardware
from finn_builds.style.styles import Styles
from finn_builds.synth.report import Synthesised
from finn_builds.verify import accuracy
from finn_builds.verify.simulated import Simulated
from finn_builds.verify.streamlined import Streamlined


def build_report(
    model: str,
    board: Board,
    host: HostModel,
    streamlined: Streamlined,
    styles: Styles,
    hardware: Hardware,
    simulated: Simulated,
    synthesised: Synthesised | None,
    seconds: Mapping[str, float],
    origin: Origin,
) -> BuildReport:
    """Gather what the page of a build says.

    Parameters
    ----------
    model : str
        The model's name.
    board : Board
    host : HostModel
    streamlined, styles, hardware, simulated, synthesised
        Results of the steps.
    seconds : mapping of str to float
        Time of each step in s.
    origin : Origin
        The command and the versions.
    """
    verification, performance = simulated.verification, simulated.performance
    nodes = nodes_of(hardware, styles, synthesised)
    answers = streamlined.answers
    return BuildReport(
        model=model,
        board=board.name,
        part=board.part,
        clock_ns=performance.clock_ns,
        style_asked=styles.asked,
        style_why=styles.why,
        top1=streamlined.network.head is not None,
        accuracy=_accuracy(streamlined.accuracy),
        verification=Verification(
            frames=verification.frames,
            mismatches=verification.mismatches,
            inputs=verification.inputs,
            reference=verification.reference,
            simulator=verification.simulator,
            runs={name: run.cycles for name, run in verification.runs.items()},
        ),
        timing=Timing(
            latency_cycles=performance.latency_cycles,
            latency_ns=performance.latency_ns,
            interval_cycles=performance.interval_cycles,
            fps=performance.fps,
        ),
        uses=uses_of(nodes, synthesised, board.resources),
        synthesis=synthesis_of(synthesised),
        layers=layers_of(streamlined.network, hardware, styles),
        nodes=nodes,
        passages=passages_of(hardware, performance.one_frame),
        streams=streams_of(performance.links),
        classes=None if answers is None else classes_of(host, answers),
        steps=tuple(seconds.items()),
        origin=origin,
    )


def _accuracy(found: accuracy.Accuracy | None) -> Accuracy | None:
    if found is None:
        return None
    return Accuracy(
        share=found.accuracy,
        error=found.standard_error,
        frames=found.frames,
        source=found.source,
        surrogate=found.surrogate,
        before_input_quantizer=found.accuracy_without_input_quantizer,
    )
