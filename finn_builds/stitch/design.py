"""The stitched design as plain data: a chain of stages with a stream between each two."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

from finn_builds.stitch.streams import StreamFormat

#: Name of the top module and, with ``.v``, of its file.
TOP = "finn_design_wrapper"


@dataclass(frozen=True)
class Stage:
    """One node of the dataflow graph as an instance in the top."""

    name: str  # that of the instance too
    kind: str  # the node's op type
    in_bits: int  # of the stream, without padding
    out_bits: int  # likewise
    module: str = ""  # to instantiate; empty for FIFOs, which are this project's own
    code_dir: Path | None = None  # folder with the code generated for the node
    weight_bits: int = 0  # width of the stream of weights; 0 where the node has none
    address_bits: int = 0  # of the node's configuration port, which is tied off
    depth: int = 0  # words of a FIFO

    @property
    def is_fifo(self) -> bool:
        """Say whether the stage is a FIFO."""
        return self.kind.startswith("StreamingFIFO")


@dataclass(frozen=True)
class Design:
    """The chain from ``s_axis_0`` to ``m_axis_0`` and what a frame looks like at its ends."""

    stages: tuple[Stage, ...]
    input: StreamFormat
    output: StreamFormat

    @property
    def in_bits(self) -> int:
        """Bits of the input stream, without padding."""
        return self.stages[0].in_bits

    @property
    def out_bits(self) -> int:
        """Bits of the output stream, without padding."""
        return self.stages[-1].out_bits

    @property
    def links(self) -> tuple[str, ...]:
        """Names of the streams, the input first and the output last.

        Stage ``i`` reads link ``i`` and writes link ``i + 1``.
        """
        names = [stage.name for stage in self.stages]
        inner = [f"{left}_to_{right}" for left, right in itertools.pairwise(names)]
        return (f"in_to_{names[0]}", *inner, f"{names[-1]}_to_out")


def with_open_fifos(design: Design) -> Design:
    """Return the design with a FIFO of open depth on every inner link, for finding depths."""
    stages: list[Stage] = []
    for stage in design.stages:
        if stages:
            bits = stages[-1].out_bits
            name = f"fifo_{len(stages) // 2}"
            stages.append(Stage(name, "StreamingFIFO_rtl", bits, bits))
        stages.append(stage)
    return replace(design, stages=tuple(stages))
