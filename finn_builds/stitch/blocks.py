"""The blocks of an accelerator: what each is, what it costs, and how frames pass it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from finn_builds.files import checkpoint_path, read_record, write_json
from finn_builds.stitch.design import Design, Stage
from finn_builds.stitch.streams import StreamFormat

#: Kinds of blocks, under FINN's names of ops where FINN has the op.
SPARSE = "SparseMVAU_rtl"
MVAU = "MVAU_rtl"
THRESHOLDING = "Thresholding_rtl"
WIDTH_CONVERTER = "StreamingDataWidthConverter_rtl"
FIFO = "StreamingFIFO_rtl"
TOP1 = "LabelSelect_rtl"


@dataclass(frozen=True)
class Resources:
    """Resources of one block or of a whole design; a file keeps them as they are, 12 or 12.0."""

    LUT: int | float = 0.0  # LUT6 sites, also those used as memory or shift register
    DSP: int | float = 0.0
    BRAM_18K: int | float = 0.0
    URAM: int | float = 0.0

    def __add__(self, other: Resources) -> Resources:
        """Return the sum, resource by resource."""
        return Resources(
            self.LUT + other.LUT,
            self.DSP + other.DSP,
            self.BRAM_18K + other.BRAM_18K,
            self.URAM + other.URAM,
        )

    def rounded(self) -> dict[str, int]:
        """Return whole numbers, rounded up, under FINN's names."""
        return {name: math.ceil(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Block:
    """One node of the dataflow."""

    stage: Stage  # its place in the stitched design
    layers: tuple[int, ...]  # that it computes, counted from 1; none for what is between them
    input: StreamFormat
    output: StreamFormat
    cycles: int  # per frame
    latency: int  # cycles from the first input of a frame to its last output
    resources: Resources  # estimated
    flip_flops: int | None = None  # estimated
    folding: Mapping[str, int] = field(default_factory=dict)  # what folding sets: PE, SIMD
    # operations and parameters, under FINN's keys
    counts: Mapping[str, int] = field(default_factory=dict)
    # of layers fused in one pipeline: registers between the input and the end of each
    ends: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The block's name, that of its instance too."""
        return self.stage.name

    @property
    def kind(self) -> str:
        """One of the kinds above."""
        return self.stage.kind


@dataclass(frozen=True)
class Hardware:
    """The blocks of an accelerator, in the order in which a frame passes them."""

    blocks: tuple[Block, ...]

    @property
    def design(self) -> Design:
        """The stages and the streams at both ends."""
        stages = tuple(block.stage for block in self.blocks)
        return Design(stages, self.blocks[0].input, self.blocks[-1].output)

    def cycles(self) -> dict[str, int]:
        """Return the cycles per frame by block."""
        return {block.name: block.cycles for block in self.blocks}

    def resources(self) -> dict[str, dict[str, int]]:
        """Return the estimated resources of each block and, under ``total``, of all."""
        total = sum((block.resources for block in self.blocks), Resources())
        found = {block.name: block.resources.rounded() for block in self.blocks}
        return {**found, "total": total.rounded()}

    def save(self, out: Path, step: str) -> None:
        """Write the blocks as a checkpoint of a step."""
        blocks = [asdict(block) for block in self.blocks]
        for stage in (block["stage"] for block in blocks):
            code = stage["code_dir"]
            stage["code_dir"] = None if code is None else code.relative_to(out).as_posix()
        write_json(checkpoint_path(out, step, ".json"), blocks)

    @classmethod
    def load(cls, out: Path, step: str) -> Hardware:
        """Read what `save` wrote."""
        held = read_record(checkpoint_path(out, step, ".json"), tuple[Block, ...])
        return cls(tuple(_placed(block, out) for block in held))


def _placed(block: Block, out: Path) -> Block:
    """Return a block with the place of its code, which is relative to a build folder, as a path."""
    if block.stage.code_dir is None:
        return block
    return replace(block, stage=replace(block.stage, code_dir=out / block.stage.code_dir))


def fifo(name: str, depth: int, after: Block) -> Block:
    """Return a FIFO at the output of a block: shift registers up to 32 words, then LUT RAM."""
    form = after.output
    bits = form.bits * form.elements
    cost = Resources(LUT=bits * math.ceil(depth / 32) + 10)
    if depth > 1024:
        cost = Resources(LUT=40, BRAM_18K=math.ceil(bits / 36) * math.ceil(depth / 512))
    stage = Stage(name, FIFO, bits, bits, depth=depth)
    return Block(stage, (), form, form, cycles=form.beats, latency=form.beats, resources=cost)


def with_fifos(hardware: Hardware, depths: Sequence[int]) -> Hardware:
    """Return the hardware with a FIFO on each inner link of a depth above 0."""
    blocks: list[Block] = []
    count = 0
    for block, depth in zip(hardware.blocks, (*depths, 0), strict=True):
        blocks.append(block)
        if depth:
            blocks.append(fifo(f"{FIFO}_{count}", depth, block))
            count += 1
    return Hardware(tuple(blocks))
