"""The first tensor that differs in the simulated design, found by sending a frame again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from finn_builds.network import IntegerNetwork
from finn_builds.network.ops import IntArray
from finn_builds.sim.accelerator import Accelerator
from finn_builds.sim.errors import SimulationError
from finn_builds.stitch.blocks import SPARSE, Block, Hardware
from finn_builds.stitch.design import TOP, Design
from finn_builds.stitch.streams import StreamFormat
from finn_builds.verify.exactness import mismatching_frames
from finn_builds.verify.locate import (
    AFTER,
    BEFORE,
    SAMPLES,
    Boundary,
    Finding,
    Handshakes,
    Recompile,
    boundaries,
    compare_boundary,
    edge_of,
    finding_of,
    in_pipeline,
    in_words,
    probes_of,
)
from finn_builds.verify.waves import Waves, read_vcd

#: Frames up to which a run is repeated from its start, where the frame's neighbours are not enough.
_WHOLE_RUN = 1_000
#: Patterns of back-pressure alone that are tried on a frame that differs with stalls.
_PATTERNS = 8
_RESET = f"{TOP}.ap_rst_n"


@dataclass(frozen=True)
class _Replay:
    """Frames that are sent again, the first of them number `first` of their run."""

    first: int
    x: IntArray
    y: IntArray
    how: Mapping[str, Any]
    accelerator_y: IntArray

    @property
    def wrong(self) -> int | None:
        """The first frame that differs, counted from `first`."""
        frames = mismatching_frames(self.y, self.accelerator_y)
        return int(frames[0]) if len(frames) else None


@dataclass(frozen=True)
class RtlLocator:
    """Finds where the stitched design first differs."""

    network: IntegerNetwork
    blocks: Sequence[Block]
    recompile: Recompile
    start: Callable[[Path], Accelerator]  # begins a simulation that writes a VCD file
    waveform: Path  # that file
    limits: Mapping[str, int]  # of a run: idle_limit, drain

    @property
    def design(self) -> Design:
        """The stages and the streams at both ends."""
        return Hardware(tuple(self.blocks)).design

    def __call__(self, x: IntArray, y: IntArray, frame: int, how: Mapping[str, Any]) -> str:
        """Return in words where a frame of a run first goes wrong.

        `x` and `y` are the run's frames and what is expected of them, `how` its stalls.
        """
        self.waveform.parent.mkdir(parents=True, exist_ok=True)
        accelerator = self.start(self.waveform)
        try:
            replay = self._replayed(accelerator, x, y, frame, how)
        finally:
            accelerator.close()
        if replay is None or replay.wrong is None:
            self.waveform.unlink(missing_ok=True)
            return "The frame is right when it is sent again: it depends on what was sent before"
        waves = read_vcd(self.waveform, f"{TOP}.ap_clk")
        finding = self._finding(waves, replay, x[:SAMPLES])
        remark = ""
        if replay.how:
            sink = not replay.how.get("stall_in")
            remark = ", only under back-pressure" if sink else ", only with stalls"
        return in_words(finding, self.network, replay.first + replay.wrong, self.waveform, remark)

    def _replayed(
        self,
        accelerator: Accelerator,
        x: IntArray,
        y: IntArray,
        frame: int,
        how: Mapping[str, Any],
    ) -> _Replay | None:
        """Return the shortest replay that shows a difference."""
        for first, stop, stalls in self._attempts(frame, len(x), how):
            accelerator.restart(self.waveform)
            with contextlib.suppress(SimulationError):
                run = accelerator.run(x[first:stop], **stalls, **self.limits)
                replay = _Replay(first, x[first:stop], y[first:stop], stalls, run.y)
                if replay.wrong is not None:
                    return replay
        return None

    def _attempts(
        self, frame: int, frames: int, how: Mapping[str, Any]
    ) -> Iterator[tuple[int, int, Mapping[str, Any]]]:
        """Yield first frame, the one after the last, and stalls of what is worth a try."""
        near = max(0, frame - BEFORE), min(frames, frame + 1 + AFTER)
        yield *near, {}
        if "stall_out" in how:
            for seed in range(_PATTERNS):
                yield *near, {"stall_out": 0.5, "seed": seed}
        if how:
            yield *near, how
        if frame < _WHOLE_RUN:
            yield 0, near[1], how

    def _finding(self, waves: Waves, replay: _Replay, samples: IntArray) -> Finding:
        frame = replay.wrong
        assert frame is not None
        expected = boundaries(self.network, self.blocks, replay.x)
        formats = [self.design.input, *(block.output for block in self.blocks)]
        for index, block in enumerate(self.blocks):
            link = f"{TOP}.{self.design.links[index + 1]}"
            found = frame_on(waves, link, formats[index + 1], frame)
            finding = compare_boundary(expected[index + 1], frame, found, block.name)
            if finding is None:
                continue
            if block.kind == SPARSE:
                inside = self._inside(waves, block, index, expected[index], frame, samples)
                if inside is not None:
                    return inside
            at = edge_of(waves, link, _RESET, frame * block.output.beats)
            return replace(finding, net=f"the block's output, {link}", edge=at)
        raise AssertionError("the output differs, but no stream")

    def _inside(
        self,
        waves: Waves,
        block: Block,
        index: int,
        into: Boundary,
        frame: int,
        samples: IntArray,
    ) -> Finding | None:
        """Return the first net that differs in a sparse block whose input is right."""
        more = boundaries(self.network, self.blocks[:index], samples)[-1].values
        probes = probes_of(self.recompile, self.network, block, into.values, more)
        link = f"{TOP}.{self.design.links[index]}"
        scope = f"{TOP}.{block.name}_inst.core."
        handshakes = Handshakes.of(waves, link, _RESET)
        found = in_pipeline(probes, waves, handshakes, frame, scope)
        if found is None:
            return None
        difference, edge = found
        return finding_of(difference, block.name, f"{scope}{difference.net}", edge)


def frame_on(waves: Waves, link: str, form: StreamFormat, frame: int) -> IntArray:
    """Return the integers of a frame that passed a stream; fewer if not all of its beats came."""
    taken = Handshakes.of(waves, link, _RESET).taken[frame * form.beats : (frame + 1) * form.beats]
    size = form.width // 8
    words = [waves.bits(f"{link}_tdata", edge) & ((1 << form.width) - 1) for edge in taken]
    beats = np.frombuffer(b"".join(w.to_bytes(size, "little") for w in words), np.uint8)
    if not taken:
        return np.zeros(0, np.int64)
    whole = StreamFormat(form.datatype, form.elements, len(taken))
    return whole.from_beats(beats.reshape(-1, size))[0].astype(np.int64)
