"""FIFO depths by simulation, and the stitched folder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finn_builds.config.build import BuildConfig
from finn_builds.files import ESTIMATES_FILE, STITCHED_DIR, write_json
from finn_builds.folded.fifo_sizing import SMALLEST, smallest_depths
from finn_builds.folded.library import library
from finn_builds.network.types import range_of, step_of
from finn_builds.sim.accelerator import Accelerator
from finn_builds.sim.errors import SimulationHang
from finn_builds.stitch.blocks import FIFO, Hardware, with_fifos
from finn_builds.stitch.design import TOP, Design, with_open_fifos
from finn_builds.stitch.sources import Stitched, design_files, write_design
from finn_builds.vivado.ipxact import COMPONENT_FILE, component_xml

#: Frames of one trial; the second half of them is the steady state that is measured.
_TRIAL_FRAMES = 24


def step_set_fifo_depths(hardware: Hardware, cfg: BuildConfig) -> Hardware:
    """Insert the smallest FIFOs that keep the interval of unbounded ones.

    The depths are found on the RTL itself, in one compiled simulation with adjustable FIFOs.
    """
    links = len(hardware.blocks) - 1
    depths = _find_depths(hardware, cfg) if links else []
    found = with_fifos(hardware, depths)
    config: dict[str, object] = {"Defaults": {}}
    config |= {block.name: dict(block.folding) for block in found.blocks if block.folding}
    config |= {b.name: {"depth": b.stage.depth} for b in found.blocks if b.kind == FIFO}
    write_json(cfg.out / "final_hw_config.json", config)
    write_json(cfg.out / ESTIMATES_FILE, found.resources())
    return found


def _find_depths(hardware: Hardware, cfg: BuildConfig) -> list[int]:
    trial = with_open_fifos(hardware.design)
    fifos = [stage for stage in trial.stages if stage.is_fifo]
    hdl = cfg.scratch / "hdl"
    cfg.progress(0, len(fifos), "compiling the simulator")
    files = design_files(trial, library(s.kind for s in trial.stages), runtime_fifos=True)
    accelerator = Accelerator.compiled(trial, write_design(files, hdl), cfg.scratch / "sim", hdl)
    cycles = list(hardware.cycles().values())
    slowest = max(cycles)
    # No stage can get ahead of the next by more than the beats of the trial's frames.
    largest = min(32768, _TRIAL_FRAMES * max(slowest, 2))
    x = _random_input(trial, _TRIAL_FRAMES)
    limit = 100 * (sum(cycles) + slowest + 100)

    def simulate(depths: Sequence[int]) -> int | None:
        for stage, depth in zip(fifos, depths, strict=True):
            name = stage.name
            accelerator.simulator.poke(
                {f"{name}.bypass": int(depth == 0), f"{name}.core.limit": max(depth, SMALLEST)}
            )
        try:
            run = accelerator.run(x, idle_limit=limit)
        except SimulationHang:
            return None
        return int(run.end[-1] - run.end[_TRIAL_FRAMES // 2 - 1])

    try:
        return smallest_depths(simulate, [s.in_bits for s in fifos], largest, cfg.progress)
    finally:
        accelerator.close()


def _random_input(design: Design, frames: int) -> np.ndarray:
    """Return random frames; the timing of the flow's blocks does not depend on the values."""
    datatype = design.input.datatype
    (low, high), step = range_of(datatype), step_of(datatype)
    size = (frames, design.input.beats * design.input.elements)
    return low + step * np.random.default_rng(0).integers(0, (high - low) // step + 1, size=size)


def step_create_stitched_ip(hardware: Hardware, cfg: BuildConfig) -> Stitched:
    """Write ``stitched_ip/``: all sources and memory contents, and one plain-Verilog top.

    ``component.xml`` in it describes it for an IP catalogue; ``accelerator.json`` beside it says
    what a frame looks like on the streams.
    """
    design = hardware.design
    folder = cfg.out / STITCHED_DIR
    files = design_files(design, library(stage.kind for stage in design.stages))
    sources = [path.name for path in write_design(files, folder)]
    component = component_xml(
        TOP,
        in_bytes=design.input.width // 8,
        out_bytes=design.output.width // 8,
        sources=sources,
        data=sorted(set(files) - set(sources)),
    )
    (folder / COMPONENT_FILE).write_text(component, encoding="utf-8")
    target = cfg.target
    return Stitched(TOP, target.name, target.part, cfg.clock_ns, design.input, design.output)
