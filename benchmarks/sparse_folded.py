"""The same network in FINN's folded style, through this project's flow, for `bench_sparse.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from finn_builds.config.build import BuildConfig
from finn_builds.files import STITCHED_DIR
from finn_builds.flow.choose_style import step_choose_style
from finn_builds.flow.convert import step_convert_to_hw, step_specialize_layers
from finn_builds.flow.fold import step_target_fps_parallelization
from finn_builds.flow.generate import step_hw_codegen
from finn_builds.flow.stitch import step_create_stitched_ip, step_set_fifo_depths
from finn_builds.network import IntegerNetwork
from finn_builds.sim.accelerator import Accelerator
from finn_builds.stitch.blocks import Hardware
from finn_builds.stitch.sources import stitched_sources
from finn_builds.style.hardware import hardware_of
from tests.finn_builds.flow.networks import as_streamlined, view_of

FRAMES = 60


def folded_figures(
    network: IntegerNetwork, x: np.ndarray, board: str, simulate: bool
) -> dict[str, Any]:
    """Return what the smallest interval that fits the board's budget takes.

    Parameters
    ----------
    network : IntegerNetwork
    x : int64 array (n, n_in)
        Frames on which the stitched design must equal the network.
    board : str
    simulate : bool
        Measure latency and interval; otherwise FINN's cycle formulas give them.

    Returns
    -------
    dict
        ``lut``, ``dsp`` and ``bram_18k`` (estimated), ``interval`` and ``latency`` in cycles.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "folded"
        out.mkdir()
        cfg = BuildConfig(
            board=board, model="jets_weights", output_dir=out, style="folded"
        ).validate()
        cfg = view_of(cfg)
        streamlined = as_streamlined(network)
        styles = step_choose_style(streamlined, cfg)
        folded = step_convert_to_hw(streamlined, styles, cfg)
        folded = step_specialize_layers(folded, cfg)
        folded = step_target_fps_parallelization(folded, streamlined, styles, cfg)
        if not simulate:
            hardware = hardware_of(network, styles, folded, cfg.board_spec.part)
            cycles = hardware.cycles().values()
            return {
                **_estimated(hardware),
                "interval": max(cycles),
                "latency": sum(cycles),
                "kind": "cycles by FINN's formulas",
            }
        hardware = step_hw_codegen(folded, streamlined, styles, cfg)
        hardware = step_set_fifo_depths(hardware, cfg)
        step_create_stitched_ip(hardware, cfg)
        stitched = out / STITCHED_DIR
        sources = [stitched / name for name in stitched_sources(stitched)]
        accelerator = Accelerator.compiled(hardware.design, sources, Path(folder) / "sim", stitched)
        try:
            accelerator.run(x[:1], drain=100)
            alone = accelerator.run(x[:1], drain=100, reset=False)
            run = accelerator.run(x[:FRAMES], drain=100, reset=False)
        finally:
            accelerator.close()
        if not np.array_equal(run.y, network.execute(x[:FRAMES])):
            raise AssertionError("the folded design differs from the network")
        return {
            **_estimated(hardware),
            "interval": run.interval(),
            "latency": int(alone.latency[0]),
            "kind": "cycles measured in simulation",
        }


def _estimated(hardware: Hardware) -> dict[str, int]:
    total = hardware.resources()["total"]
    return {"lut": total["LUT"], "dsp": total["DSP"], "bram_18k": total["BRAM_18K"]}
