"""From the verified design to what a board gets: driver, Vivado project, bitfile, package."""

from __future__ import annotations

from typing import Any

from finn_builds.config.build import BuildConfig
from finn_builds.ingest import HostSplit
from finn_builds.shell.package import overlay_description, write_driver, write_package
from finn_builds.shell.spec import ShellSpec
from finn_builds.stitch.sources import Stitched
from finn_builds.verify.simulated import Simulated
from finn_builds.verify.streamlined import Streamlined
from finn_builds.vivado.bitfile import BIT, BITFILE_DIR, Placed, make_bitfile
from finn_builds.vivado.project import write_project

#: The driver alone, as FINN lays it out, and the folder that goes to the board.
DRIVER_DIR = "driver"
DEPLOY_DIR = "deploy"
PROJECT_DIR = "vivado"

#: Test vectors that a package carries at most.
_MOST_VECTORS = 1000


def step_make_driver(
    split: HostSplit, stitched: Stitched, simulated: Simulated, cfg: BuildConfig
) -> None:
    """Write ``driver/``: the driver's files and the description of this accelerator for them.

    Does nothing in a build without a PYNQ package, nor do the other steps here.
    """
    if not cfg.makes_overlay:
        return
    write_driver(cfg.out / DRIVER_DIR, _description(split, stitched, simulated, cfg))


def step_make_zynq_project(
    split: HostSplit, stitched: Stitched, simulated: Simulated, cfg: BuildConfig
) -> None:
    """Write ``vivado/``: all that Vivado needs beside ``stitched_ip/`` to make the bitfile."""
    if not cfg.makes_overlay:
        return
    write_project(
        cfg.out / PROJECT_DIR,
        ShellSpec(**_description(split, stitched, simulated, cfg)["shell"]),
        cfg.board_spec,
        clock_ns=cfg.clock_ns,
    )


def step_synthesize_bitfile(cfg: BuildConfig) -> Placed | None:
    """Run Vivado on the project and collect bitfile, handoff, timing and utilisation.

    Does nothing without ``bitfile``.

    Raises
    ------
    ToolFailed
        Vivado stopped with an error; the message has the end of its log.
    """
    if not cfg.bitfile:
        return None
    cfg.progress(0, 1, "vivado: half an hour or more")
    return make_bitfile(cfg.out, cfg.out / PROJECT_DIR, cfg.scratch)


def step_deployment_package(
    streamlined: Streamlined,
    split: HostSplit,
    stitched: Stitched,
    simulated: Simulated,
    placed: Placed | None,
    cfg: BuildConfig,
) -> None:
    """Write ``deploy/`` and ``deploy.zip``, which need nothing else on the board.

    The bitfile is in it if there is one and Vivado says that it keeps its timing.
    """
    if not cfg.makes_overlay:
        return
    vectors = streamlined.vectors
    features, labels = vectors.features, vectors.labels
    bitfile = None
    if placed is not None and placed.timing_met:
        bitfile = cfg.out / BITFILE_DIR / BIT
    write_package(
        cfg.out / DEPLOY_DIR,
        _description(split, stitched, simulated, cfg),
        vectors.x[:_MOST_VECTORS],
        vectors.y[:_MOST_VECTORS],
        rtl=cfg.out / "stitched_ip",
        features=None if features is None else features[:_MOST_VECTORS],
        labels=None if labels is None else labels[:_MOST_VECTORS],
        bitfile=bitfile,
    )


def _description(
    split: HostSplit, stitched: Stitched, simulated: Simulated, cfg: BuildConfig
) -> dict[str, Any]:
    measured = simulated.performance
    return overlay_description(
        f"{cfg.model_name}_{cfg.board_spec.name}",
        stitched.description(),
        split.description,
        cfg.board_spec,
        top1=cfg.top1,
        expected={
            "latency_cycles": measured.latency_cycles,
            "interval_cycles": measured.interval_cycles,
        },
    )
