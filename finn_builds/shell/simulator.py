"""Compiles a shell with its accelerator and runs it against a model of memory."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from finn_builds import tools
from finn_builds.shell.spec import ShellSpec
from finn_builds.shell.top import TOP, shell_files, shell_sources

__all__ = ["MemoryTiming", "ShellError", "ShellSimulator", "compile_shell"]

IDMA, ODMA, CONTROL = 0, 1, 2
DEFAULT_BASE = 0x1000_0000

_HARNESS = Path(__file__).with_name("harness.cpp")
_CXX = ("-std=gnu++17", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-w")
_SETTINGS = ("latency", "jitter", "ready_permille", "valid_permille", "hung")
_COUNTS = (
    "cycles",
    "read_beats",
    "write_beats",
    "read_bursts",
    "write_bursts",
    "last_move",
    "first_request",
    "last_response",
    "longest_read",
    "longest_write",
)


class ShellError(Exception):
    """The simulated shell broke a rule of its buses, or did not answer."""


@dataclass(frozen=True)
class MemoryTiming:
    """How the model of memory behaves.

    Attributes
    ----------
    latency
        Cycles from a request to its first answer.
    jitter
        Up to so many cycles are added, at random.
    ready, valid
        Probability that memory accepts, and that it offers, something in a cycle.
    """

    latency: int = 10
    jitter: int = 0
    ready: float = 1.0
    valid: float = 1.0


def compile_shell(
    spec: ShellSpec,
    accelerator_sources: Sequence[Path],
    build_dir: Path,
    *,
    runtime: bool = False,
    compiling: Callable[[], None] | None = None,
) -> Path:
    """Compile a shell with its accelerator into one shared object.

    Parameters
    ----------
    spec
        Sizes of the shell and name of the accelerator.
    accelerator_sources
        Verilog and SystemVerilog of the accelerator, packages first. Files of the shell itself
        may be among them.
    build_dir
        Folder for everything that is generated; a library made from the same sources before is
        used again.
    runtime
        See `finn_builds.shell.top.shell_files`.
    compiling
        Called before anything is compiled, and not where a library is used again.

    Returns
    -------
    pathlib.Path
        The shared object, named after a digest of all that went into it.

    Raises
    ------
    finn_builds.tools.ToolError
        g++ or Verilator is missing, or refused a source.
    """
    tools.require("g++")
    build_dir = build_dir.resolve()
    build_dir.mkdir(parents=True, exist_ok=True)
    files = shell_files(spec, runtime=runtime)
    own = {path.name: path for path in shell_sources()}
    sources = [
        *(path.resolve() for path in accelerator_sources if path.name not in own),
        *own.values(),
    ]
    digest = hashlib.sha256(repr((spec, runtime)).encode())
    for text in (*files.values(), *(p.read_text() for p in (*sources, _HARNESS))):
        digest.update(text.encode() + b"\0")
    versions = tools.versions()
    digest.update(f"{versions['verilator']} {versions['g++']}".encode())
    library = build_dir / f"shell-{digest.hexdigest()[:16]}.so"
    if library.exists():
        return library
    if compiling is not None:
        compiling()

    work = build_dir / f"work.{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for name, text in files.items():
        (work / name).write_text(text)
    argv, env = tools.verilator_command()
    argv += ["--cc", "--no-timing", "--prefix", "Vshell", "--top-module", TOP, "--Mdir", str(work)]
    argv += ["--make", "json", "--x-assign", "unique", "--x-initial", "unique", "-Wno-fatal"]
    argv += ["-Wno-lint", "-DFINN_SIMULATION", *map(str, sources), *(str(work / n) for n in files)]
    tools.run(argv, cwd=build_dir, log=work / "verilator.log", env=env)

    runtime_object = build_dir / f"runtime-{versions['verilator']}-{versions['g++']}.o"
    _compile_units(spec, work, runtime_object, runtime)
    fresh = work / library.name
    objects = [*map(str, work.glob("*.o")), str(runtime_object)]
    link = ["g++", *_CXX, "-shared", "-o", str(fresh), *objects, "-pthread"]
    tools.run(link, cwd=work, log=work / "link.log")
    os.replace(fresh, library)
    shutil.rmtree(work)
    return library


def _compile_units(spec: ShellSpec, work: Path, runtime_object: Path, runtime: bool) -> None:
    """Compile the verilated model and the harness, and Verilator's own code once per folder."""
    made = json.loads((work / "Vshell.json").read_text())["sources"]
    once = [p for kind in ("classes_slow", "support_slow") for p in made.get(kind, [])]
    often = [p for kind in ("classes_fast", "support_fast") for p in made.get(kind, [])]
    include = tools.verilator_root() / "include"
    flags = [*_CXX, "-I", str(include), "-I", str(include / "vltstd"), "-I", str(work)]
    flags.append(f"-DPRUNESTREAM_WORD_BYTES={spec.word_bytes}")
    if runtime:
        flags.append("-DPRUNESTREAM_RUNTIME_SIZES")
    units = {"slow": (once, "-O0"), "fast": ([*often, _HARNESS], "-O1")}
    if not runtime_object.exists():
        units["runtime"] = (made["global"], "-O1")
    commands = []
    for name, (paths, level) in units.items():
        unit = work / f"{name}_unit.cpp"
        unit.write_text("".join(f'#include "{path}"\n' for path in paths))
        compile_unit = ["g++", *flags, level, "-c", str(unit), "-o", str(unit.with_suffix(".o"))]
        commands.append(tools.Command(compile_unit, work, unit.with_suffix(".log")))
    tools.run_all(commands)
    if "runtime" in units:
        os.replace(work / "runtime_unit.o", runtime_object)


class ShellSimulator:
    """One simulated board: the shell, its accelerator and memory.

    Time goes on in `step` and in the accesses to registers only.

    Parameters
    ----------
    library
        From `compile_shell`.
    memory_bytes
        Size of memory; it answers DECERR outside.
    base
        Its first address.
    timing
        How memory behaves.
    seed
        Of all that is random: timing, and what registers hold before reset.
    run_dir
        Folder that the accelerator's data files are relative to; default the present one.

    Attributes
    ----------
    memory
        uint8 (memory_bytes,), shared with the simulation.
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
        folder = (run_dir or Path.cwd()).resolve(strict=True)
        self._board = self._lib.ps_new(base, memory_bytes, seed, os.fsencode(folder))
        self.base = base
        self.memory: npt.NDArray[np.uint8] = np.ctypeslib.as_array(
            self._lib.ps_memory(self._board), (memory_bytes,)
        )
        self.set_timing(timing or MemoryTiming())
        self.reset()

    def __enter__(self) -> ShellSimulator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the simulation and its memory."""
        if self._board:
            self.memory = np.zeros(0, np.uint8)
            self._lib.ps_free(self._board)
            self._board = None

    def reset(self, cycles: int = 5) -> None:
        """Hold the reset of the whole board for some cycles; memory keeps what it holds."""
        self._lib.ps_reset(self._board, cycles)

    def step(self, cycles: int) -> None:
        """Let time go on."""
        self._lib.ps_step(self._board, cycles)

    def set_timing(self, timing: MemoryTiming) -> None:
        """Change how memory behaves from now on."""
        values = (
            timing.latency,
            timing.jitter,
            round(timing.ready * 1000),
            round(timing.valid * 1000),
        )
        for index, value in enumerate(values):
            self._lib.ps_set(self._board, index, value)

    def set_hung(self, hung: bool) -> None:
        """Make memory stop to accept and to answer, or go on where it stopped."""
        self._lib.ps_set(self._board, _SETTINGS.index("hung"), int(hung))

    def set_sizes(self, spec: ShellSpec) -> None:
        """Set the beats of a frame, for a shell compiled with `runtime`."""
        self._lib.ps_sizes(
            self._board, spec.in_beats, spec.out_beats, spec.in_frame_bytes, spec.out_frame_bytes
        )

    def add_fault(self, low: int, high: int, *, write: bool, resp: int = 2) -> None:
        """Let accesses to addresses from `low` to below `high` be answered with an error.

        `resp` is 2 for SLVERR, 3 for DECERR.
        """
        self._lib.ps_fault(self._board, low, high, int(write), resp)

    def clear_faults(self) -> None:
        """Take all faults back."""
        self._lib.ps_clear_faults(self._board)

    def read(
        self, slave: int, address: int, *, response_delay: int = 0, patience: int = 10_000
    ) -> int:
        """Read a register of one of the three blocks (`IDMA`, `ODMA`, `CONTROL`).

        Raises
        ------
        ShellError
            No answer, or one with an error.
        """
        data = ctypes.c_uint32(0)
        resp = self._lib.ps_access(
            self._board, slave, 0, address, ctypes.byref(data), 0, 0, 0, response_delay, patience
        )
        if resp:
            raise ShellError(f"reading register {address:#x} of block {slave}: {_RESP[resp]}")
        return int(data.value)

    def write(
        self,
        slave: int,
        address: int,
        value: int,
        *,
        strobe: int = 0xF,
        data_delay: int = 0,
        address_delay: int = 0,
        response_delay: int = 0,
        patience: int = 10_000,
    ) -> None:
        """Write a register; the delays hold back data, address and acceptance of the response.

        Raises
        ------
        ShellError
            No answer, or one with an error.
        """
        data = ctypes.c_uint32(value)
        resp = self._lib.ps_access(
            self._board, slave, 1, address, ctypes.byref(data), strobe, data_delay,
            address_delay, response_delay, patience,
        )  # fmt: skip
        if resp:
            raise ShellError(f"writing register {address:#x} of block {slave}: {_RESP[resp]}")

    def counts(self) -> dict[str, int]:
        """Return what has been counted: cycles, beats and bursts of memory, the longest bursts.

        ``last_move`` is the cycle in which something last moved between shell and memory.
        """
        return {n: int(self._lib.ps_count(self._board, i)) for i, n in enumerate(_COUNTS)}

    def clear_counts(self) -> None:
        """Set all counts to zero but ``cycles`` and ``last_move``."""
        self._lib.ps_clear_counts(self._board)

    @property
    def cycle(self) -> int:
        """Cycles since the board was made."""
        return int(self._lib.ps_count(self._board, 0))

    @property
    def last_move(self) -> int:
        """Cycle in which something last moved between shell and memory."""
        return int(self._lib.ps_count(self._board, _COUNTS.index("last_move")))

    def breaches(self) -> list[str]:
        """Return every breach of the AXI rules by the shell so far."""
        return self._lib.ps_breaches(self._board).decode().splitlines()


_RESP = {-1: "no answer", 1: "EXOKAY", 2: "SLVERR", 3: "DECERR"}


def _load(library: Path) -> ctypes.CDLL:
    lib = ctypes.CDLL(str(library))
    board, u64, u32, i32 = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_int
    for name, result, arguments in (
        ("ps_new", board, [u64, u64, u64, ctypes.c_char_p]),
        ("ps_free", None, [board]),
        ("ps_memory", ctypes.POINTER(ctypes.c_uint8), [board]),
        ("ps_set", None, [board, i32, u64]),
        ("ps_count", u64, [board, i32]),
        ("ps_clear_counts", None, [board]),
        ("ps_fault", None, [board, u64, u64, i32, i32]),
        ("ps_clear_faults", None, [board]),
        ("ps_sizes", None, [board, u32, u32, u32, u32]),
        ("ps_reset", None, [board, u32]),
        ("ps_step", None, [board, u64]),
        (
            "ps_access",
            i32,
            [board, u32, i32, u32, ctypes.POINTER(u32), u32, u32, u32, u32, u64],
        ),
        ("ps_breaches", ctypes.c_char_p, [board]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib
