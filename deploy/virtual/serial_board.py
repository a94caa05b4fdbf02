"""A simulated open board: the Verilated serial shell behind a pseudo-terminal. For the host only.

The driver opens the terminal with pyserial as it opens a board's port.
"""

from __future__ import annotations

import subprocess
import time
import weakref
from pathlib import Path

from deploy.virtual.simulate import ShellCompiler, compiled
from deploy.virtual.simulator import VirtualBoardError

__all__ = ["SerialBoard", "simulate_serial"]


class SerialBoard:
    """A running simulation; `port` is the name of its terminal.

    It ends with the object, or with this process.
    """

    #: Marks a simulated board: times are those of the simulation.
    now = staticmethod(time.perf_counter)

    def __init__(self, program: Path, run_dir: Path) -> None:
        try:
            self._process = subprocess.Popen(
                [str(program)], cwd=run_dir, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except OSError as error:
            raise VirtualBoardError(f"can't start the simulated board: {error}") from error
        self._finalizer = weakref.finalize(self, _end, self._process)
        line = self._process.stdout.readline() if self._process.stdout else b""
        self.port = line.decode().strip()
        if not self.port:
            self.close()
            raise VirtualBoardError("the simulated board ended before it had a terminal")

    def reset(self) -> None:
        """Reset the board, as its button or its power does."""
        self._command(b"r")

    def working(self) -> bool:
        """Return whether bytes are on the line, or the board is at a packet."""
        self._command(b"b")
        line = self._process.stdout.readline() if self._process.stdout else b""
        return line.strip() == b"1"

    def _command(self, text: bytes) -> None:
        if self._process.stdin is None:
            return
        try:
            self._process.stdin.write(text)
            self._process.stdin.flush()
        except OSError as error:  # also where it was closed
            raise VirtualBoardError(f"the simulated board has ended: {error}") from error

    def close(self) -> None:
        """End the simulation."""
        self._finalizer()


def _end(process: subprocess.Popen) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    process.terminate()
    process.wait()


def simulate_serial(
    folder: Path, description: dict, *, compile_shell: ShellCompiler | None = None
) -> SerialBoard:
    """Return a running board with the accelerator of a deployment package, compiled if need be.

    Raises `VirtualBoardError` if the accelerator's sources or the compiler are missing.
    """
    return SerialBoard(*compiled(folder, description, compile_shell))
