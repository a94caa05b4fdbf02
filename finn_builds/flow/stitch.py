"""FIFO depths by simulation, and the stitched folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import numpy as np
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from finn_builds.config.build import BuildConfig
from finn_builds.files import write_json
from finn_builds.flow.estimate import layer_cycles, layer_resources
from finn_builds.flow.fold import folding_config
from finn_builds.folded.fifo_sizing import SMALLEST, smallest_depths
from finn_builds.folded.finn_env import prepare_finn
from finn_builds.sim.accelerator import Accelerator
from finn_builds.sim.errors import SimulationHang
from finn_builds.stitch.design import TOP, Design, design_of, with_fifos
from finn_builds.stitch.sources import design_files, write_design
from finn_builds.vivado.ipxact import COMPONENT_FILE, component_xml

#: The compiled simulation engine, which the simulation of the final design uses again.
RUNTIME = "simulator"

#: Frames of one trial; the second half of them is the steady state that is measured.
_TRIAL_FRAMES = 24


def step_set_fifo_depths(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Insert the smallest FIFOs that keep the interval of unbounded ones.

    The depths are found on the RTL itself, in one compiled simulation with adjustable FIFOs.
    """
    prepare_finn(cfg.out / "ipgen")
    design = design_of(model)
    n_links = len(design.stages) - 1
    depths = [0] * n_links
    if n_links:
        trial = with_fifos(design)
        widths = [stage.in_bits for stage in trial.stages if stage.is_fifo]
        depths = _find_depths(trial, widths, layer_cycles(model), cfg)
    _insert_fifos(model, depths)
    write_json(cfg.out / "final_hw_config.json", _final_config(model))
    write_json(
        cfg.out / "report" / "estimate_layer_resources_final.json",
        layer_resources(model, cfg.board_spec.part),
    )
    return model


def _find_depths(
    trial: Design, widths: list[int], cycles: dict[str, int], cfg: BuildConfig
) -> list[int]:
    hdl = cfg.scratch / "hdl"
    cfg.progress(0, len(widths), "compiling the simulator")
    accelerator = Accelerator(
        trial,
        write_design(design_files(trial, runtime_fifos=True), hdl),
        cfg.scratch / "sim",
        hdl,
        runtime_dir=cfg.scratch / RUNTIME,
    )
    names = [stage.name for stage in trial.stages if stage.is_fifo]
    slowest = max(cycles.values())
    # No stage can get ahead of the next by more than the beats of the trial's frames.
    largest = min(32768, _TRIAL_FRAMES * max(slowest, 2))
    x = _random_input(trial, _TRIAL_FRAMES)
    limit = 100 * (sum(cycles.values()) + slowest + 100)

    def simulate(depths: Sequence[int]) -> int | None:
        for name, depth in zip(names, depths, strict=True):
            accelerator.simulator.poke(
                {f"{name}.bypass": int(depth == 0), f"{name}.core.limit": max(depth, SMALLEST)}
            )
        try:
            run = accelerator.run(x, idle_limit=limit)
        except SimulationHang:
            return None
        return int(run.end[-1] - run.end[_TRIAL_FRAMES // 2 - 1])

    try:
        # Copied once whole: a compiler that outlives a killed build must not write into the folder.
        shutil.copytree(cfg.scratch / RUNTIME, cfg.out / RUNTIME)
        return smallest_depths(simulate, widths, largest, cfg.progress)
    finally:
        accelerator.close()


def _random_input(design: Design, frames: int) -> np.ndarray:
    """Return random frames; the timing of the flow's blocks does not depend on the values."""
    datatype = DataType[design.input.datatype]
    size = (frames, design.input.beats * design.input.elements)
    rng = np.random.default_rng(0)
    return rng.integers(int(datatype.min()), int(datatype.max()) + 1, size=size)


def _insert_fifos(model: ModelWrapper, depths: list[int]) -> None:
    """Put a ``StreamingFIFO_rtl`` node on each link of a depth above 0."""
    nodes = list(model.graph.node)
    count = 0
    for link, depth in enumerate(depths):
        if depth == 0:
            continue
        producer, consumer = nodes[link], nodes[link + 1]
        op = getCustomOp(producer)
        tensor = f"fifo_{count}_out"
        shape = model.get_tensor_shape(producer.output[0])
        model.set_tensor_shape(tensor, shape)
        model.set_tensor_datatype(tensor, op.get_output_datatype())
        fifo = helper.make_node(
            "StreamingFIFO_rtl",
            [producer.output[0]],
            [tensor],
            domain="finn.custom_op.fpgadataflow.rtl",
            backend="fpgadataflow",
            name=f"StreamingFIFO_rtl_{count}",
            depth=depth,
            folded_shape=op.get_folded_output_shape(),
            normal_shape=op.get_normal_output_shape(),
            dataType=op.get_output_datatype().name,
        )
        consumer.input[0] = tensor
        model.graph.node.insert(list(model.graph.node).index(consumer), fifo)
        count += 1


def _final_config(model: ModelWrapper) -> dict[str, dict[str, object]]:
    config = folding_config(model)
    for node in model.graph.node:
        if node.op_type == "StreamingFIFO_rtl":
            config[node.name] = {"depth": getCustomOp(node).get_nodeattr("depth")}
    return config


def step_create_stitched_ip(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Write ``stitched_ip/``: all sources and memory contents, and one plain-Verilog top.

    ``component.xml`` in it describes it for an IP catalogue; ``accelerator.json`` beside it says
    what a frame looks like on the streams.
    """
    prepare_finn(cfg.out / "ipgen")
    design = design_of(model)
    stitched = cfg.out / "stitched_ip"
    sources = write_design(design_files(design), stitched)
    component = component_xml(
        TOP,
        in_bytes=design.input.width // 8,
        out_bytes=design.output.width // 8,
        sources=[path.name for path in sources],
        data=sorted(path.name for path in stitched.glob("*.dat")),
    )
    (stitched / COMPONENT_FILE).write_text(component, encoding="utf-8")
    write_json(
        cfg.out / "accelerator.json",
        {
            "top": TOP,
            "board": cfg.board_spec.name,
            "part": cfg.board_spec.part,
            "clock_ns": cfg.clock_ns,
            "input": design.input.description(),
            "output": design.output.description(),
        },
    )
    return model
