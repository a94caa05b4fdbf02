"""Drive a compiled design from Python, a whole batch of stream beats at a time."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from finn_builds.sim.errors import ProtocolError, SimulationError
from finn_builds.sim.library import BYTES, WORDS, LinkCount, Progress, RunSpec, Status, load
from finn_builds.sim.result import LinkState, LinkStats, SimResult, hang

__all__ = ["Simulator"]

_NEVER = 2**64 - 1
_STEP_CYCLES = 20_000  # cycles between two looks at the keyboard: some hundredths of a second


class Simulator:
    """One instance of a compiled design, with state of its own.

    Any number of instances may live at once, of one library or of several. An instance is not to
    be used by two threads at a time. Raises `SimulationError` if the design does not start: a file
    it reads is missing, or it refuses its parameters.

    Parameters
    ----------
    run_dir
        Folder against which the design resolves the files that it reads (`$readmemh`).
    design
        Which design of the library; can be left out if there is only one.
    trace_file
        Waveform to write, of the kind chosen at compilation.
    randomise
        Begin with random register contents (from `randomise` as the seed) where None begins with
        zeros: finds registers that a design reads before it has set them.
    """

    def __init__(
        self,
        library: Path,
        run_dir: Path,
        *,
        design: str | None = None,
        trace_file: Path | None = None,
        randomise: int | None = None,
    ) -> None:
        self._handle: int | None = None
        self._lib = load(library)
        names = [
            self._lib.prunestream_design_name(i).decode()
            for i in range(self._lib.prunestream_n_designs())
        ]
        if design is None and len(names) > 1:
            raise ValueError(f"{library.name} holds several designs, name one of {names}")
        if design is not None and design not in names:
            raise ValueError(f"{library.name} holds no design '{design}', only {names}")
        index = 0 if design is None else names.index(design)
        self.design = names[index]
        self.in_bytes = int(self._lib.prunestream_in_bytes(index))
        self.out_bytes = int(self._lib.prunestream_out_bytes(index))
        self.links = tuple(
            self._lib.prunestream_link_name(index, k).decode()
            for k in range(self._lib.prunestream_n_links(index))
        )
        message = ctypes.create_string_buffer(8192)
        trace = "" if trace_file is None else str(Path(trace_file).resolve())
        self._handle = self._lib.prunestream_open(
            index,
            str(Path(run_dir).resolve()).encode(),
            0 if randomise is None else 1,
            1 if randomise is None else 1 + randomise % (2**31 - 1),
            trace.encode(),
            message,
            len(message),
        )
        if not self._handle:
            reason = message.value.decode(errors="replace").strip()
            raise SimulationError(f"design '{self.design}' did not start: {reason}")
        self._usable = False  # until the first reset

    def __enter__(self) -> Simulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()

    def close(self) -> None:
        """End the simulation and finish the waveform file; further calls do nothing."""
        if self._handle:
            self._lib.prunestream_close(self._handle)
        self._handle = None

    def reset(self, cycles: int = 16) -> None:
        """Hold the design in reset; the cycle after the last of these is cycle 0."""
        self._check(self._lib.prunestream_reset(self._open(), cycles))
        self._usable = True

    def poke(self, values: Mapping[str, int]) -> None:
        """Write registers of the design; the design sees them at the next clock edge.

        `values` are unsigned, by path below the top module (`"fifo_3.limit"`); the signal must be
        marked `verilator public_flat_rw`.
        """
        for path, value in values.items():
            if not 0 <= value < 2**64:
                raise SimulationError(f"value {value} for '{path}' is not an unsigned number")
            self._check(self._lib.prunestream_poke(self._open(), path.encode(), value))

    def peek(self, path: str) -> int:
        """Return a public signal of at most 64 bits as an unsigned number."""
        value = ctypes.c_uint64()
        self._check(self._lib.prunestream_peek(self._open(), path.encode(), ctypes.byref(value)))
        return value.value

    def run(
        self,
        inputs: npt.NDArray[np.uint8],
        n_beats_out: int,
        *,
        stall_in: float = 0.0,
        stall_out: float = 0.0,
        seed: int = 0,
        idle_limit: int = 1_000_000,
        drain: int = 0,
        reset: bool = True,
    ) -> SimResult:
        """Send all input beats and collect the output beats.

        Parameters
        ----------
        inputs
            Input beats (n_beats_in, in_bytes), uint8, TDATA's least significant byte first.
        stall_in
            Chance per cycle that the source withholds its next beat; once TVALID is raised it
            stays until TREADY. TDATA is random while TVALID is low.
        stall_out
            Chance per cycle that the sink withholds TREADY.
        seed
            Seed of the stalls.
        idle_limit
            Cycles without a beat at either port after which the run counts as hung. A design may
            compute that long on one beat, so be generous.
        drain
            Cycles to go on after the last beat, in which any further output is an error.
        reset
            Reset first; False goes on where the last run ended, as an accelerator on a board does.

        Raises
        ------
        SimulationHang
            The run got stuck; the message names the stage that stopped.
        ProtocolError
            The output withdrew or changed a beat before it was taken.
        SimulationError
            The design stopped the simulation, or made more output than asked for.
        """
        beats = np.ascontiguousarray(inputs)
        if beats.dtype != np.uint8 or beats.ndim != 2 or beats.shape[1] != self.in_bytes:
            raise ValueError(
                f"inputs must be uint8 of shape (n, {self.in_bytes}), "
                f"not {beats.dtype} of shape {beats.shape}"
            )
        for name, chance in (("stall_in", stall_in), ("stall_out", stall_out)):
            if not 0.0 <= chance < 1.0:
                raise ValueError(f"{name} must be a chance below 1, not {chance}")
        handle = self._open()
        if reset:
            self.reset()
        elif not self._usable:
            raise ValueError("there is no run to go on from: reset first")
        outputs = np.zeros((n_beats_out, self.out_bytes), np.uint8)
        in_cycles = np.zeros(len(beats), np.uint64)
        out_cycles = np.zeros(n_beats_out, np.uint64)
        spec = RunSpec(
            beats.ctypes.data_as(BYTES),
            len(beats),
            outputs.ctypes.data_as(BYTES),
            n_beats_out,
            in_cycles.ctypes.data_as(WORDS),
            out_cycles.ctypes.data_as(WORDS),
            stall_in,
            stall_out,
            seed % 2**64,
            idle_limit,
            drain,
        )
        start = self._progress().cycle
        self._lib.prunestream_clear_log(handle)
        self._lib.prunestream_begin(handle, ctypes.byref(spec))
        status = Status.MORE
        self._usable = False
        while status == Status.MORE:
            status = self._lib.prunestream_step(handle, _STEP_CYCLES)
        progress = self._progress()
        if status != Status.DONE:
            self._fail(status, progress, len(beats), n_beats_out)
        self._usable = True
        return SimResult(
            outputs,
            in_cycles,
            out_cycles,
            start,
            progress.cycle - start,
            {name: self._link(k + 1) for k, name in enumerate(self.links)},
            self._lib.prunestream_log(handle).decode(errors="replace"),
        )

    def _open(self) -> int:
        if not self._handle:
            raise ValueError("the simulator has been closed")
        return self._handle

    def _check(self, status: int) -> None:
        if status != Status.DONE:
            raise SimulationError(self._reason())

    def _reason(self) -> str:
        reason = str(self._lib.prunestream_error(self._open()).decode(errors="replace"))
        log = self._lib.prunestream_log(self._open()).decode(errors="replace").strip()
        return reason + ("\n" + "\n".join(log.splitlines()[-10:]) if log else "")

    def _progress(self) -> Progress:
        progress = Progress()
        self._lib.prunestream_progress(self._open(), ctypes.byref(progress))
        return progress

    def _count(self, index: int) -> LinkCount:
        count = LinkCount()
        self._lib.prunestream_link(self._open(), index, ctypes.byref(count))
        return count

    def _link(self, index: int) -> LinkStats:
        c = self._count(index)
        return LinkStats(
            c.transfers, c.stalled, c.starved, c.retracted, _cycle(c.first), _cycle(c.last)
        )

    def _fail(self, status: int, progress: Progress, n_beats_in: int, n_beats_out: int) -> NoReturn:
        name = f"design '{self.design}'"
        if status == Status.HANG:
            raise hang(self._states(), progress.cycle, progress.idle, n_beats_in, n_beats_out)
        if status == Status.PROTOCOL:
            raise ProtocolError(
                f"{name} breaks the rules of AXI-stream at its output: {self._reason()} "
                f"in cycle {progress.cycle}, at output beat {progress.delivered}",
                progress.cycle,
            )
        if status == Status.EXCESS:
            raise SimulationError(
                f"{name} makes more output than expected: beat {n_beats_out + 1} came in cycle "
                f"{progress.cycle - 1}, though all input belongs to {n_beats_out} beats"
            )
        raise SimulationError(f"{name} in cycle {progress.cycle}: {self._reason()}")

    def _states(self) -> list[LinkState]:
        states = []
        for index, name in enumerate(("input", *self.links, "output")):
            c = self._count(index)
            states.append(
                LinkState(name, bool(c.valid), bool(c.ready), c.transfers, _cycle(c.last))
            )
        return states


def _cycle(value: int) -> int | None:
    return None if value == _NEVER else value
