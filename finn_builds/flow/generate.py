"""Width converters between blocks, and the RTL of every block."""

from __future__ import annotations

from dataclasses import replace

from finn_builds.config.build import BuildConfig
from finn_builds.folded.finn_env import prepare_finn
from finn_builds.folded.graph import FoldedLayers, converter_model, generate, node_block
from finn_builds.stitch.blocks import TOP1, WIDTH_CONVERTER, Block, Hardware
from finn_builds.stitch.top1 import top1_files
from finn_builds.style.hardware import hardware_of
from finn_builds.style.styles import Styles
from finn_builds.verify.streamlined import Streamlined

#: Where the RTL of blocks that are not sparse lies in the build folder.
CODE_DIR = "ipgen/nodes"


def step_hw_codegen(
    folded: FoldedLayers, streamlined: Streamlined, styles: Styles, cfg: BuildConfig
) -> Hardware:
    """Insert width converters and generate the RTL and memory contents of every block.

    The code lies in ``ipgen/nodes/<block>``, and that of sparse blocks in ``ipgen/sparse``.
    """
    part = cfg.target.part
    if folded.runs:
        prepare_finn(cfg.scratch)
    plain = hardware_of(streamlined.network, styles, folded, part)
    nodes = {node.name: (run.model, node) for run in folded.runs for node in run.model.graph.node}
    blocks: list[Block] = []
    converters = 0
    for block in plain.blocks:
        if blocks and blocks[-1].output.elements != block.input.elements:
            prepare_finn(cfg.scratch)
            name = f"{WIDTH_CONVERTER}_{converters}"
            model = converter_model(blocks[-1], block, name)
            nodes[name] = (model, model.graph.node[0])
            blocks.append(node_block(model, model.graph.node[0], part))
            converters += 1
        blocks.append(block)
    made = []
    for done, block in enumerate(blocks):
        cfg.progress(done, len(blocks), block.name)
        folder = cfg.out / CODE_DIR / block.name
        if block.name in nodes:
            module = generate(*nodes[block.name], folder, part, cfg.clock_ns)
            block = replace(block, stage=replace(block.stage, module=module, code_dir=folder))
        elif block.kind == TOP1:
            assert streamlined.network.head is not None
            folder.mkdir(parents=True)
            for name, text in top1_files(block, streamlined.network.head).items():
                (folder / name).write_text(text, encoding="utf-8")
            block = replace(block, stage=replace(block.stage, code_dir=folder))
        made.append(block)
    return Hardware(tuple(made))
