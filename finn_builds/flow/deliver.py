"""From the verified design to what a board gets: driver, Vivado project, bitfile, package."""

from __future__ import annotations

import re
from typing import Any

from finn_builds.config.build import BuildConfig
from finn_builds.config.open_boards import OpenBoard
from finn_builds.config.zynq_boards import Board
from finn_builds.files import STITCHED_DIR, write_zip
from finn_builds.ingest import HostSplit
from finn_builds.route.bitstream import bitstream_path, write_bitstream
from finn_builds.route.device import uart_spec
from finn_builds.route.report import Routed
from finn_builds.shell.package import (
    identified,
    overlay_description,
    write_driver,
    write_package,
)
from finn_builds.shell.spec import ShellSpec
from finn_builds.stitch.sources import Stitched
from finn_builds.verify.simulated import Simulated
from finn_builds.verify.streamlined import Streamlined
from finn_builds.vivado.bitfile import BITFILE_DIR, Placed, make_bitfile
from finn_builds.vivado.project import project_files, write_project
from finn_builds.vivado.script import BIT

#: The driver alone, as FINN lays it out, and the folder that goes to the board.
DRIVER_DIR = "driver"
DEPLOY_DIR = "deploy"
PROJECT_DIR = "vivado"
PROJECT_ZIP = "vivado.zip"

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
    """Write ``vivado/``: all that Vivado needs beside ``stitched_ip/`` to make the bitfile.

    ``vivado.zip`` holds the two folders, for a PC that has nothing but Vivado. Nothing is written
    for an open board.
    """
    if not cfg.makes_zynq_project:
        return
    assert isinstance(cfg.board_spec, Board)
    description = _description(split, stitched, simulated, cfg)
    spec, project = ShellSpec(**description["shell"]), cfg.out / PROJECT_DIR
    write_project(project, spec, cfg.board_spec, clock_ns=cfg.clock_ns)
    # What an earlier run of Vivado left in its folder stays out.
    own = project_files(spec, cfg.board_spec, clock_ns=cfg.clock_ns)
    files = [*(project / name for name in own), *(cfg.out / STITCHED_DIR).iterdir()]
    # Vivado on Windows takes no other letters than these in a path, and not many of them.
    root = re.sub(r"[^A-Za-z0-9_.-]+", "_", cfg.model_name)[:40] + f"_{cfg.board_spec.name}"
    write_zip(cfg.out / PROJECT_ZIP, root, cfg.out, sorted(files))


def step_synthesize_bitfile(routed: Routed | None, cfg: BuildConfig) -> Placed | None:
    """Run Vivado on the project and collect bitfile, handoff, timing and utilisation.

    Of an open board it is the bitstream of nextpnr's placement, with a script that loads it. Does
    nothing without ``bitfile``.

    Raises
    ------
    UserError
        Vivado made no bitfile; the message has the reason.
    """
    if not cfg.bitfile:
        return None
    if routed is not None and not routed.second_opinion:
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
    if not cfg.makes_overlay:
        return
    vectors = streamlined.vectors
    features, labels = vectors.features, vectors.labels
    usable = placed if placed is not None and placed.timing_met else None
    bitfile = None if usable is None else cfg.out / BITFILE_DIR / BIT
    is_open = routed is not None and not routed.second_opinion
    if routed is not None and is_open and routed.met and cfg.bitfile:
        bitfile = bitstream_path(cfg.out, cfg.board_spec)
    write_package(
        cfg.out / DEPLOY_DIR,
        _description(split, stitched, simulated, cfg, usable),
        vectors.x[:_MOST_VECTORS],
        vectors.y[:_MOST_VECTORS],
        rtl=cfg.out / STITCHED_DIR,
        features=None if features is None else features[:_MOST_VECTORS],
        labels=None if labels is None else labels[:_MOST_VECTORS],
        bitfile=bitfile,
    )


def _description(
    split: HostSplit,
    stitched: Stitched,
    simulated: Simulated,
    cfg: BuildConfig,
    placed: Placed | None = None,
) -> dict[str, Any]:
    measured = simulated.performance
    board, rtl = cfg.board_spec, cfg.out / STITCHED_DIR
    spec = None
    if isinstance(board, OpenBoard):
        spec, _ = uart_spec(board, stitched, rtl, cfg.clock_ns)
    description = overlay_description(
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
        made=None if placed is None else placed.facts,
    )
    if spec is not None:
        return description  # its shell has the identifier
    return identified(description, rtl, clock_ns=stitched.clock_ns)
