"""The first tensor that differs in a mapped netlist, found block by block."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from finn_builds.network import IntegerNetwork
from finn_builds.network.ops import IntArray
from finn_builds.sparse.compiler import CompiledNetwork
from finn_builds.sparse.device import Kind, NotSimulated
from finn_builds.sparse.emit import net_names
from finn_builds.stitch.blocks import SPARSE, Block
from finn_builds.synth.gate_stream import run_words
from finn_builds.synth.netlist import Bit, Netlist
from finn_builds.verify.exactness import mismatching_frames
from finn_builds.verify.locate import (
    AFTER,
    BEFORE,
    SAMPLES,
    Boundary,
    Handshakes,
    Recompile,
    boundaries,
    compare_boundary,
    edge_of,
    finding_of,
    in_pipeline,
    in_words,
    part_of,
    probes_of,
)
from finn_builds.verify.waves import Recorder

#: Where the registers of a pipeline are in the waveform.
SCOPE = "registers."

#: Chance per clock of a stall, and how many patterns of stalls are tried, where a frame is right
#: without any.
STALL, PATTERNS = 0.3, 20


def registers_of(netlist: Netlist, compiled: CompiledNetwork) -> dict[str, tuple[Bit, ...]]:
    """Return the bits of the registers of a pipeline that are whole in a mapped netlist.

    Synthesis keeps few names, and a name that it keeps may be of a net that holds something else by
    now; but each flip-flop knows the line that it comes from, and those of a
    line are numbered from its lowest bit.
    """
    graph = compiled.pipeline.graph
    widths = {name: graph.width(i) for i, name in enumerate(net_names(graph))}
    file = f"{compiled.name}_core.v"
    lines = compiled.files()[file].splitlines()
    found: dict[str, list[tuple[int, Bit]]] = {}
    for cell in netlist.cells:
        line = re.search(rf"\b{file}:(\d+)\.", cell.source)
        number = re.search(r"\d+$", cell.name)
        if line is None or number is None or "Q" not in cell.outputs:
            continue
        register = re.search(r"if \(ce\) (\w+) <= ", lines[int(line[1]) - 1])
        if register is not None:
            bit = int(number[0]), cell.outputs["Q"][0]
            found.setdefault(register[1], []).append(bit)
    return {
        f"{SCOPE}{name}": tuple(bit for _, bit in sorted(bits))
        for name, bits in found.items()
        if len(bits) == widths.get(name)
    }


@dataclass(frozen=True)
class GateLocator:
    """Finds where the netlist of a design first differs, each block simulated alone."""

    network: IntegerNetwork
    blocks: Sequence[Block]
    netlists: Mapping[str, Netlist]  # by block
    known: Mapping[str, Kind]  # what cells compute
    recompile: Recompile
    waveform: Path  # is written
    idle: int  # clocks without a transfer after which a run ends

    def __call__(self, x: IntArray, frame: int) -> str:
        """Return in words where a frame of the design, of frames (frames, n_in), goes wrong."""
        first = max(0, frame - BEFORE)
        near = boundaries(self.network, self.blocks, x[first : frame + 1 + AFTER])
        more = boundaries(self.network, self.blocks, x[:SAMPLES])
        for index, block in enumerate(self.blocks):
            found = self._in_block(block, near[index], near[index + 1], more[index].values, first)
            if found is not None:
                return found
        return "Each block by itself is right on this frame and its neighbours"

    def of_block(self, block: Block, x: IntArray, frame: int) -> str:
        """Return in words where a frame at the input of a sparse block goes wrong in it."""
        first = max(0, frame - BEFORE)
        part = part_of(self.network, block)
        one = replace(block, layers=tuple(range(1, 1 + len(part.layers()))))
        into, out = boundaries(part, [one], x[first : frame + 1 + AFTER])
        found = self._in_block(block, into, out, x[:SAMPLES], first)
        return found or "The frame is right when it is sent again with its neighbours alone"

    def _in_block(
        self, block: Block, into: Boundary, out: Boundary, samples: IntArray, first: int
    ) -> str | None:
        """Return in words where a block that is given right frames goes wrong; None if nowhere."""
        netlist = self.netlists[block.name]
        words = block.input.to_beats(into.values)
        sparse = block.kind == SPARSE
        held = registers_of(netlist, self.recompile(block)) if sparse else {}
        for pattern in range(1 + PATTERNS):
            recorder = Recorder(netlist, held)
            try:
                run = run_words(
                    netlist,
                    words,
                    (block.input.beats, block.output.beats),
                    block.output.width // 8,
                    self.known,
                    frames_per_lane=len(into.values),
                    stall=STALL if pattern else 0.0,
                    seed=pattern,
                    idle_limit=self.idle,
                    watch=recorder,
                )
            except NotSimulated:
                return None
            found = block.output.from_beats(run.words)
            wrong = mismatching_frames(out.values, found)
            if len(wrong):
                frame = int(wrong[0])
                finding = compare_boundary(out, frame, found[frame], block.name)
                assert finding is not None
                at = edge_of(recorder.waves, "m_axis_0", "ap_rst_n", frame * block.output.beats)
                finding = replace(finding, net="the block's output, m_axis_0", edge=at)
                if sparse:
                    probes = probes_of(self.recompile, self.network, block, into.values, samples)
                    handshakes = Handshakes.of(recorder.waves, "s_axis_0", "ap_rst_n")
                    inside = in_pipeline(probes, recorder.waves, handshakes, frame, scope=SCOPE)
                    if inside is not None:
                        difference, edge = inside
                        net = f"{SCOPE}{difference.net}"
                        finding = finding_of(difference, block.name, net, edge)
                self.waveform.parent.mkdir(parents=True, exist_ok=True)
                recorder.waves.write(self.waveform, recorder.widths)
                remark = ", only with stalls" if pattern else ""
                return in_words(finding, self.network, first + frame, self.waveform, remark)
        return None
