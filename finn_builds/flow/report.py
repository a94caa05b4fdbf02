"""The build in figures, ``report/summary.json``, and as a page, ``report.html``."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from deploy.host_model import HostModel
from finn_builds.config.build import BuildConfig
from finn_builds.config.open_boards import OpenBoard
from finn_builds.config.zynq_boards import Board, floor_ns, same_clock
from finn_builds.files import PAGE_DATA_FILE, PAGE_FILE, write_record
from finn_builds.ingest import HostSplit, Tidied, model_info
from finn_builds.ip import IpReport
from finn_builds.report import origin
from finn_builds.report.content import BuildReport, Classes, Origin
from finn_builds.report.network import layers_of, nodes_of, synthesis_of, uses_of
from finn_builds.report.on_board import OnBoard, OnLine, on_board, on_line
from finn_builds.report.page import build_page
from finn_builds.report.summary import Summary
from finn_builds.report.traffic import passages_of, streams_of
from finn_builds.route.report import Routed
from finn_builds.run.state import State
from finn_builds.stitch.blocks import Hardware
from finn_builds.style.styles import Styles
from finn_builds.synth.counts import FIGURES
from finn_builds.synth.report import Synthesised
from finn_builds.verify.accuracy import Accuracy, Quality, TargetError
from finn_builds.verify.findings import Findings
from finn_builds.verify.simulated import Performance, Simulated
from finn_builds.verify.streamlined import Answers, Streamlined
from finn_builds.vivado.bitfile import Placed


def _on_dmas(performance: Performance, cfg: BuildConfig) -> OnBoard | None:
    """Return what the board's DMAs leave of the core's figures, None where there are none."""
    board = cfg.board_spec if cfg.makes_overlay else None
    if not isinstance(board, Board):
        return None
    return on_board(performance, board.dma_width, _other_clock(cfg))


def _other_clock(cfg: BuildConfig) -> float | None:
    """Return the clock in MHz that the board will run at, None if it is the one asked for."""
    made = cfg.processor_mhz
    return None if made is None or same_clock(made, 1000 / cfg.clock_ns) else made


def _findings(streamlined: Streamlined, cfg: BuildConfig) -> Findings:
    """Return what a user should look at: of network and data, and whether there is such a clock."""
    found, made = streamlined.findings, _other_clock(cfg)
    if made is None:
        return found
    warning = (
        f"the processor of {cfg.board} makes no clock of {1000 / cfg.clock_ns:.3f} MHz: the board "
        f"will run at {made:.3f} MHz, and times here are those of the clock asked for; "
        f"--clock-ns {floor_ns(made):g} builds for the clock that runs"
    )
    return replace(found, warnings=(*found.warnings, warning))


def _on_line(performance: Performance, cfg: BuildConfig) -> OnLine | None:
    """Return what an open board's serial line leaves of the core's throughput."""
    board = cfg.board_spec if cfg.makes_overlay else None
    return on_line(performance, board.baud) if isinstance(board, OpenBoard) else None


def step_summary(
    streamlined: Streamlined,
    hardware: Hardware,
    simulated: Simulated,
    synthesised: Synthesised | None,
    placed: Placed | None,
    routed: Routed | None,
    ip: IpReport | None,
    cfg: BuildConfig,
) -> Summary:
    """Gather the headline figures of a build, each said to be measured or estimated."""
    target = cfg.target
    verification, performance = simulated.verification, simulated.performance
    around = _on_dmas(performance, cfg) or _on_line(performance, cfg)
    return Summary(
        {
            "model": cfg.model_name,
            "board": cfg.board,
            "part": target.part,
            "clock_ns": cfg.clock_ns,
            **_quality(streamlined.quality),
            "warnings": list(_findings(streamlined, cfg).warnings),
            "saturated_inputs": streamlined.findings.saturated_inputs,
            "frames_verified": verification.frames,
            "golden_frames": verification.golden and verification.golden.frames,
            "mismatches": verification.mismatches,
            "latency_cycles": performance.latency_cycles,
            "latency_ns": performance.latency_ns,
            "interval_cycles": performance.interval_cycles,
            "fps": performance.fps,
            "timing_kind": performance.kind,
            "board_throughput": around and asdict(around),
            "resources": {**hardware.resources()["total"], "kind": "estimated"},
            **_synthesised(synthesised),
            **_placed(placed),
            **_routed(routed, cfg.bitfile),
            "budget": target.resources and target.budget,
            "device": target.resources and target.resources.model_dump(),
            "ip": ip and ip.summary(),
            "out_dir": str(cfg.output_dir),
            "files": [
                "report.html",
                *(["ip.zip"] if cfg.makes_ip else []),
                "stitched_ip",
                "report",
                *(["deploy.zip"] if cfg.makes_overlay else []),
                *(["vivado.zip"] if cfg.makes_zynq_project else []),
                *(["route"] if routed else []),
                "host_model.json",
                "accelerator.json",
                "model.onnx",
            ],
        }
    )


def _quality(found: Quality | None) -> dict[str, Any]:
    """Return how good the network is, None for what is not known."""
    accuracy = found if isinstance(found, Accuracy) else None
    error = found if isinstance(found, TargetError) else None
    return {
        "accuracy": accuracy and accuracy.accuracy,
        "accuracy_standard_error": accuracy and accuracy.standard_error,
        "accuracy_without_input_quantizer": accuracy and accuracy.accuracy_without_input_quantizer,
        "classes": accuracy and accuracy.classes,
        "rmse": error and error.rmse,
        "rmse_by_output": error and list(error.rmse_by_output),
        "rmse_of_constant": error and error.rmse_of_constant,
        "accuracy_by_output": error and {head.output: head.accuracy for head in error.heads},
        "accuracy_standard_error_by_output": error
        and {head.output: head.standard_error for head in error.heads},
        "accuracy_frames": found and found.frames,
        "accuracy_source": found and found.source,
        "accuracy_surrogate": found and found.surrogate,
    }


def _synthesised(found: Synthesised | None) -> dict[str, Any]:
    """Return what the synthesis tool found for the whole design, or why it found nothing."""
    if found is None:
        return {"synthesised": None}
    top, tool = found.top, found.tool
    if top.why is not None:
        return {"synthesised": None, "not_synthesised": top.why}
    return {
        "synthesised": {
            **{name: top.counts[name] for name in FIGURES if name in top.counts},
            "kind": f"{tool.name} {tool.version}, {tool.stage}",
        },
        "netlist_frames_verified": top.gate_level and top.gate_level.frames,
        "logic_depth": top.logic_depth,
        "critical_path_ns": top.critical_path_ns,
        "critical_path_kind": tool.critical_path,
    }


def _placed(found: Placed | None) -> dict[str, Any]:
    """Return what came of the bitfile, if one was asked for."""
    if found is None:
        return {"bitfile": None}
    return {
        "bitfile": found.words["bitfile"],
        "timing_met": found.timing_met,
        "clock": found.report["clock"],
        "board_files": found.report["board_files"],
    }


def _routed(found: Routed | None, bitfile: bool) -> dict[str, Any]:
    """Return what place and route with nextpnr reached, and its bitstream if asked for."""
    if found is None:
        return {"routed": None}
    said: dict[str, Any] = {
        "routed": {
            "mhz": found.routed_mhz,
            "asked_mhz": found.asked_mhz,
            "made_mhz": found.made_mhz,
            "met": found.met,
            "limit": "accelerator" if found.inside else found.around,
            "second_opinion": found.second_opinion,
            "cells": {
                kind: {"used": used.used, "available": used.available}
                for kind, used in found.cells.items()
            },
            "frames_verified": found.gate_level.frames,
            "kind": f"routed by {found.tool} {found.version}: {found.timing}",
        }
    }
    if bitfile and not found.second_opinion:
        said |= {"bitfile": "bitfile, loaded with bitfile/flash.sh", "timing_met": found.met}
    return said


def step_report(
    tidied: Tidied,
    split: HostSplit,
    streamlined: Streamlined,
    styles: Styles,
    hardware: Hardware,
    simulated: Simulated,
    synthesised: Synthesised | None,
    routed: Routed | None,
    placed: Placed | None,
    ip: IpReport | None,
    cfg: BuildConfig,
) -> None:
    """Write the page of the build and its figures."""
    cfg.progress(0, 3, "gathering")
    target, performance = cfg.target, simulated.performance
    quality = streamlined.quality
    nodes = nodes_of(hardware, styles, synthesised)
    report = BuildReport(
        model=cfg.model_name,
        board=target.name,
        part=target.part,
        style_asked=styles.asked,
        style_why=styles.why,
        top1=streamlined.network.head is not None,
        accuracy=quality if isinstance(quality, Accuracy) else None,
        verification=simulated.verification,
        performance=performance,
        uses=uses_of(nodes, synthesised, target.resources),
        synthesis=synthesis_of(synthesised),
        routed=routed,
        ip=ip,
        layers=layers_of(streamlined.network, hardware, styles),
        nodes=nodes,
        passages=passages_of(hardware, performance.one_frame),
        streams=streams_of(performance.links),
        classes=_classes(split.host, streamlined.answers),
        bitfile={} if placed is None else placed.words,
        origin=Origin(
            command=origin.command_line(cfg),
            seeds={"verification and data": cfg.verify_seed},
            versions=origin.versions(),
            sources=cfg.environment()["sources"],
            trained=origin.training_note(model_info(tidied.model)),
            date=origin.now(),
        ),
        on_board=_on_dmas(performance, cfg),
        target_error=quality if isinstance(quality, TargetError) else None,
        findings=_findings(streamlined, cfg),
        steps=tuple((name, done.seconds) for name, done in State.load(cfg.out).steps.items()),
    )
    cfg.progress(1, 3, "drawing")
    page = build_page(report)
    cfg.progress(2, 3, "writing")
    (cfg.out / PAGE_FILE).write_text(page, encoding="utf-8")
    write_record(cfg.out / PAGE_DATA_FILE, report)


def _classes(host: HostModel, answers: Answers | None) -> Classes | None:
    """Return the answers by class, where there are labels; scikit-learn is slow to import."""
    if answers is None:
        return None
    from finn_builds.report.classes import classes_of

    return classes_of(host, answers)
