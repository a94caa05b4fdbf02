"""From the verified design to what a board gets: driver, Vivado project, bitfile, package."""

from __future__ import annotations

from typing import Any

from finn_builds.config.build import BuildConfig
from finn_builds.config.open_boards import OpenBoard
from finn_builds.ingest import HostSplit
from finn_builds.route.bitstream import bitstream_path, write_bitstream
from finn_builds.route.device import uart_spec
from finn_builds.route.report import Routed
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
    """Write ``driver/``: the driver's files and the description of this accelerator for them."""
    write_driver(cfg.out / DRIVER_DIR, _description(split, stitched, simulated, cfg))


def step_make_zynq_project(
    split: HostSplit, stitched: Stitched, simulated: Simulated, cfg: BuildConfig
) -> None:
    """Write ``vivado/``: all that Vivado needs beside ``stitched_ip/`` to make the bitfile.

    Does nothing for an open board.
    """
    board = cfg.board_spec
    if isinstance(board, OpenBoard):
        return
    write_project(
        cfg.out / PROJECT_DIR,
        ShellSpec(**_description(split, stitched, simulated, cfg)["shell"]),
        board,
        clock_ns=cfg.clock_ns,
    )


def step_synthesize_bitfile(routed: Routed | None, cfg: BuildConfig) -> Placed | None:
    """Run Vivado on the project and collect bitfile, handoff, timing and utilisation.

    Of an open board it is the bitstream of nextpnr's placement, with a script that loads it. Does
    nothing without ``bitfile``.

    Raises
    ------
    ToolFailed
        Vivado stopped with an error; the message has the end of its log.
    """
    if not cfg.bitfile:
        return None
    if routed is not None:
        write_bitstream(cfg.out, cfg.board_spec)
        return None
    cfg.progress(0, 1, "vivado: half an hour or more")
    return make_bitfile(cfg.out, cfg.out / PROJECT_DIR, cfg.scratch)


def step_deployment_package(
    streamlined: Streamlined,
    split: HostSplit,
    stitched: Stitched,
    simulated: Simulated,
    placed: Placed | None,
    routed: Routed | None,
    cfg: BuildConfig,
) -> None:
    """Write ``deploy/`` and ``deploy.zip``, which need nothing else on the board.

    The bitfile is in it if there is one and its tool says that it keeps its timing.
    """
    vectors = streamlined.vectors
    features, labels = vectors.features, vectors.labels
    bitfile = None
    if routed is not None and routed.met and cfg.bitfile:
        bitfile = bitstream_path(cfg.out, cfg.board_spec)
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
    board = cfg.board_spec
    spec = None
    if isinstance(board, OpenBoard):
        spec, _ = uart_spec(board, stitched, cfg.clock_ns)
    return overlay_description(
        f"{cfg.model_name}_{board.name}",
        stitched.description(),
        split.description,
        board,
        uart=spec,
        top1=cfg.top1,
        expected={
            "latency_cycles": measured.latency_cycles,
            "interval_cycles": measured.interval_cycles,
        },
    )
