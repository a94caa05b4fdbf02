"""From the verified design to what a board gets: driver, Vivado project, bitfile, package."""

from __future__ import annotations

from typing import Any

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from finn_builds.config.build import BuildConfig
from finn_builds.files import HOST_FILE, VECTORS_FILE, read_json
from finn_builds.shell.package import overlay_description, write_driver, write_package
from finn_builds.shell.spec import ShellSpec
from finn_builds.vivado.bitfile import BIT, BITFILE_DIR, RESOURCES, make_bitfile
from finn_builds.vivado.project import write_project

#: The driver alone, as FINN lays it out, and the folder that goes to the board.
DRIVER_DIR = "driver"
DEPLOY_DIR = "deploy"
PROJECT_DIR = "vivado"

#: Test vectors that a package carries at most.
_MOST_VECTORS = 1000


def step_make_driver(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Write ``driver/``: the driver's files and the description of this accelerator for them."""
    write_driver(cfg.out / DRIVER_DIR, _description(cfg))
    return model


def step_make_zynq_project(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Write ``vivado/``: all that Vivado needs beside ``stitched_ip/`` to make the bitfile."""
    write_project(
        cfg.out / PROJECT_DIR,
        ShellSpec(**_description(cfg)["shell"]),
        cfg.board_spec,
        clock_ns=cfg.clock_ns,
    )
    return model


def step_synthesize_bitfile(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Run Vivado on the project and collect bitfile, handoff, timing and utilisation.

    Does nothing without ``bitfile``.

    Raises
    ------
    ToolFailed
        Vivado stopped with an error; its log is told.
    """
    if cfg.bitfile:
        cfg.progress(0, 1, "vivado: half an hour or more")
        make_bitfile(cfg.out, cfg.out / PROJECT_DIR, cfg.scratch)
    return model


def step_deployment_package(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Write ``deploy/`` and ``deploy.zip``, which need nothing else on the board.

    The bitfile is in it if there is one and Vivado says that it keeps its timing.
    """
    with np.load(cfg.out / VECTORS_FILE, allow_pickle=False) as saved:
        vectors = {name: saved[name][:_MOST_VECTORS] for name in saved.files}
    bitfile = None
    if cfg.bitfile and read_json(cfg.out / RESOURCES)["timing"]["met"]:
        bitfile = cfg.out / BITFILE_DIR / BIT
    write_package(
        cfg.out / DEPLOY_DIR,
        _description(cfg),
        vectors["x"],
        vectors["y"],
        rtl=cfg.out / "stitched_ip",
        features=vectors.get("features"),
        labels=vectors.get("labels"),
        bitfile=bitfile,
    )
    return model


def _description(cfg: BuildConfig) -> dict[str, Any]:
    measured = read_json(cfg.out / "report/rtlsim_performance.json")
    return overlay_description(
        f"{cfg.model_name}_{cfg.board_spec.name}",
        read_json(cfg.out / "accelerator.json"),
        read_json(cfg.out / HOST_FILE),
        cfg.board_spec,
        top1=cfg.top1,
        expected={key: measured[key] for key in ("latency_cycles", "interval_cycles")},
    )
