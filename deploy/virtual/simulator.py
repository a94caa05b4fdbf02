"""Runs a compiled shell with its accelerator against a model of memory. For the host only."""

from __future__ import annotations

import ctypes
import os
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["MemoryTiming", "ShellSimulator", "VirtualBoardError"]

IDMA, ODMA, CONTROL = 0, 1, 2
DEFAULT_BASE = 0x1000_0000

# Order of the enumerations Setting and Count in finn_builds/shell/harness.cpp. The first settings
# are latency, jitter, ready and valid (in per mille).
_HUNG = 4
_COUNTS = (
    "cycles", "read_beats", "write_beats", "read_bursts", "write_bursts", "last_move",
    "first_request", "last_response", "longest_read", "longest_write",
)  # fmt: skip
# How an access to a register ended badly, by harness.cpp's number for it.
_RESP = {-1: "no answer", 1: "EXOKAY", 2: "SLVERR", 3: "DECERR"}


class VirtualBoardError(Exception):
    """No simulated board can be made, or an access would crash a board."""


@dataclass(frozen=True)
class MemoryTiming:
    """How the model of memory behaves."""

    # Cycles from a request to its first answer, and the most that are added at random
    latency: int = 10
    jitter: int = 0
    # Probability that memory accepts something in a cycle, and that it offers something
    ready: float = 1.0
    valid: float = 1.0


class ShellSimulator:
    """One simulation: the shell, its accelerator and memory.

    Time goes on only in `step` and in accesses to registers. The simulation is freed by `close` or
    with the object, but not while an array still shows its memory.

    Parameters
    ----------
    memory_bytes
        Size of `memory`, which the simulation shares; an access outside it gets DECERR.
    base
        First address of memory.
    seed
        Of all that is random: timing, and what registers hold before reset.
    run_dir
        Folder that the accelerator's data files are relative to; default the current one.
    """

    def __init__(
        self,
        library: Path,
        *,
        memory_bytes: int = 1 << 20,
        base: int = DEFAULT_BASE,
        timing: MemoryTiming | None = None,
        seed: int = 0,
        run_dir: Path | None = None,
    ) -> None:
        self._lib = _load(library)
        folder = (run_dir or Path.cwd()).resolve()
        message = ctypes.create_string_buffer(8192)
        handle = self._lib.ps_new(
            base, memory_bytes, seed, os.fsencode(folder), message, len(message)
        )
        if not handle:
            reason = message.value.decode(errors="replace").strip()
            raise VirtualBoardError(f"the simulated board did not start: {reason}")
        self.base = base
        self._handle: int | None = handle
        # Arrays that show this memory keep the ctypes array alive, and it keeps the simulation.
        memory = (ctypes.c_uint8 * memory_bytes).from_address(self._lib.ps_memory(handle))
        weakref.finalize(memory, self._lib.ps_free, handle).atexit = False
        self.memory: npt.NDArray[np.uint8] = np.ctypeslib.as_array(memory)
        self.set_timing(timing or MemoryTiming())
        self.reset()

    def __enter__(self) -> ShellSimulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the simulation; calling it again does nothing."""
        self.memory = np.zeros(0, np.uint8)
        self._handle = None

    @property
    def _board(self) -> int:
        """The simulation, for calls of the library."""
        if not self._handle:
            raise ValueError("the simulator has been closed")
        return self._handle

    def reset(self, cycles: int = 5) -> None:
        """Hold the reset of the whole board for some cycles; memory keeps what it holds."""
        self._lib.ps_reset(self._board, cycles)

    def step(self, cycles: int) -> None:
        """Simulate some cycles."""
        self._lib.ps_step(self._board, cycles)

    def set_timing(self, timing: MemoryTiming) -> None:
        """Change how memory behaves from now on."""
        permille = round(timing.ready * 1000), round(timing.valid * 1000)
        for i, value in enumerate((timing.latency, timing.jitter, *permille)):
            self._lib.ps_set(self._board, i, value)

    def set_hung(self, hung: bool) -> None:
        """Make memory stop accepting and answering, or continue where it stopped."""
        self._lib.ps_set(self._board, _HUNG, int(hung))

    def set_sizes(
        self, in_beats: int, out_beats: int, in_frame_bytes: int, out_frame_bytes: int
    ) -> None:
        """Set the size of a frame on either side, for a shell compiled with `runtime_sizes`."""
        self._lib.ps_sizes(self._board, in_beats, out_beats, in_frame_bytes, out_frame_bytes)

    def add_fault(self, low: int, high: int, *, write: bool, resp: int = 2) -> None:
        """Answer accesses to addresses from `low` to below `high` with an error.

        `resp` is 2 for SLVERR, 3 for DECERR.
        """
        self._lib.ps_fault(self._board, low, high, int(write), resp)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._lib.ps_clear_faults(self._board)

    def read(self, slave: int, address: int, **how: int) -> int:
        """Read a register of one of the three blocks (`IDMA`, `ODMA`, `CONTROL`); see `write`."""
        return self._access(False, slave, address, 0, **how)

    def write(self, slave: int, address: int, value: int, **how: int) -> None:
        """Write a register; `VirtualBoardError` if there is no answer, or one with an error.

        `how`: ``strobe``, default all four bytes; ``data_delay``, ``address_delay`` and
        ``response_delay``: cycles that hold back the data, the address, and the acceptance of
        the response; ``patience``: cycles to wait for the response, default 10,000.
        """
        self._access(True, slave, address, value, **how)

    def _access(
        self,
        writes: bool,
        slave: int,
        address: int,
        value: int,
        *,
        strobe: int = 0xF,
        data_delay: int = 0,
        address_delay: int = 0,
        response_delay: int = 0,
        patience: int = 10_000,
    ) -> int:
        data = ctypes.c_uint32(value)
        resp = self._lib.ps_access(
            self._board, slave, int(writes), address, ctypes.byref(data), strobe, data_delay,
            address_delay, response_delay, patience,
        )  # fmt: skip
        if resp:
            what = "writing" if writes else "reading"
            raise VirtualBoardError(f"{what} register {address:#x} of block {slave}: {_RESP[resp]}")
        return int(data.value)

    def counts(self) -> dict[str, int]:
        """Return the counts: cycles, beats and bursts of memory, the longest bursts.

        ``last_move`` is the cycle in which something last moved between shell and memory.
        """
        return {n: int(self._lib.ps_count(self._board, i)) for i, n in enumerate(_COUNTS)}

    def clear_counts(self) -> None:
        """Set all counts except ``cycles`` and ``last_move`` to zero."""
        self._lib.ps_clear_counts(self._board)

    @property
    def cycle(self) -> int:
        """Cycles since the start."""
        return int(self._lib.ps_count(self._board, _COUNTS.index("cycles")))

    @property
    def last_move(self) -> int:
        """Cycle in which something last moved between shell and memory."""
        return int(self._lib.ps_count(self._board, _COUNTS.index("last_move")))

    def breaches(self) -> list[str]:
        """Return every breach of the AXI rules by the shell so far."""
        return self._lib.ps_breaches(self._board).decode().splitlines()


def _load(library: Path) -> ctypes.CDLL:
    lib = ctypes.CDLL(str(library))
    board, u64, u32, i32 = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_int
    for name, result, arguments in (
        ("ps_new", board, [u64, u64, u64, ctypes.c_char_p, ctypes.c_char_p, u64]),
        ("ps_free", None, [board]),
        ("ps_memory", ctypes.c_void_p, [board]),
        ("ps_set", None, [board, i32, u64]),
        ("ps_count", u64, [board, i32]),
        ("ps_clear_counts", None, [board]),
        ("ps_fault", None, [board, u64, u64, i32, i32]),
        ("ps_clear_faults", None, [board]),
        ("ps_sizes", None, [board, u32, u32, u32, u32]),
        ("ps_reset", None, [board, u32]),
        ("ps_step", None, [board, u64]),
        ("ps_access", i32, [board, u32, i32, u32, ctypes.POINTER(u32), *[u32] * 4, u64]),
        ("ps_breaches", ctypes.c_char_p, [board]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib
