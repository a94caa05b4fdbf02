"""A stitched design in the simulator, frame in, frame out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from finn_builds.sim.compile import Trace, compile_design
from finn_builds.sim.result import LinkStats
from finn_builds.sim.simulator import Simulator
from finn_builds.stitch.design import TOP, Design


@dataclass(frozen=True)
class Run:
    """What came out of one batch, and when."""

    y: np.ndarray  # shape (frames, n_out): outputs
    # shape (frames,): cycle of the run in which the first beat of each frame was taken, and in
    # which the last beat of its output left
    start: np.ndarray
    end: np.ndarray
    links: dict[str, LinkStats]  # traffic on each stream of the design
    cycles: int  # length of the run

    @property
    def latency(self) -> np.ndarray:
        """Cycles from the first beat taken to the last beat given, of each frame."""
        return self.end - self.start

    def interval(self) -> float:
        """Return the cycles between frames in the steady state: mean over the second half.

        NaN for one or two frames, which have no steady state.
        """
        half = len(self.end) // 2
        if half + 1 >= len(self.end):
            return float("nan")
        return float(self.end[-1] - self.end[half]) / (len(self.end) - 1 - half)


class Accelerator:
    """One design of a compiled library, with its memory contents in `data_dir`.

    `name` is the design's in the library, if that holds several.
    """

    def __init__(
        self,
        design: Design,
        library: Path,
        data_dir: Path,
        *,
        name: str | None = None,
        trace_file: Path | None = None,
    ) -> None:
        self.design = design
        self._library, self._data_dir, self._name = library, data_dir, name
        self.simulator = self._start(trace_file)

    @classmethod
    def compiled(
        cls,
        design: Design,
        sources: list[Path],
        build_dir: Path,
        data_dir: Path,
        *,
        trace: Trace | None = None,
        trace_file: Path | None = None,
    ) -> Accelerator:
        """Compile one design in `build_dir` and start it."""
        library = compile_design(
            sources,
            TOP,
            in_width=design.input.width,
            out_width=design.output.width,
            build_dir=build_dir,
            links=design.links,
            trace=trace,
        )
        return cls(design, library, data_dir, trace_file=trace_file)

    def restart(self, trace_file: Path | None = None) -> None:
        """Begin a new simulation, with a waveform of its own."""
        self.simulator.close()
        self.simulator = self._start(trace_file)

    def _start(self, trace_file: Path | None) -> Simulator:
        return Simulator(self._library, self._data_dir, design=self._name, trace_file=trace_file)

    def run(self, x: np.ndarray, **how: Any) -> Run:
        """Send frames (frames, n_in) and collect as many; `how` is as for `Simulator.run`."""
        source, sink = self.design.input, self.design.output
        result = self.simulator.run(source.to_beats(x), len(x) * sink.beats, **how)
        begin = result.start_cycle
        return Run(
            y=sink.from_beats(result.outputs),
            start=result.in_cycles.reshape(-1, source.beats)[:, 0].astype(np.int64) - begin,
            end=result.out_cycles.reshape(-1, sink.beats)[:, -1].astype(np.int64) - begin,
            links={name: _since(stats, begin) for name, stats in result.links.items()},
            cycles=result.cycles,
        )

    def close(self) -> None:
        """End the simulation and finish the waveform file."""
        self.simulator.close()


def _since(stats: LinkStats, begin: int) -> LinkStats:
    """Return a stream's statistics with cycles counted from the begin of a run."""
    first, last = (None if cycle is None else cycle - begin for cycle in (stats.first, stats.last))
    return replace(stats, first=first, last=last)
