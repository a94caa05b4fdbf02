"""An accelerator on an open board: the overlay class of the PYNQ boards, over a serial line.

Needs only numpy and pyserial and runs on Python 3.10. Its public members are those of
``driver_base.FINNExampleOverlay`` that do not belong to a processor.
"""

from __future__ import annotations

import struct
import time

import numpy as np

from deploy.host_model import HostModel
from deploy.inference import Inference
from deploy.registers import DriverError, measured
from deploy.serial_link import COUNTERS, IDENTIFY, IDENTITY, RESET, RUN, SerialLink
from deploy.stream_forms import StreamForms

__all__ = ["SerialOverlay"]

FIRST_COUNTER = 0x08


class SerialOverlay(StreamForms, Inference):
    """One accelerator behind ``uart_shell``.

    `io_shape_dict`, `host_model`, `top1` and `batch_size` are as for ``FINNExampleOverlay``;
    `build_id` is the build's identifier, None where it is not known; `device` is what simulates the
    board, if it is simulated. `DriverError` if the board does not answer or has another
    accelerator.
    """

    def __init__(
        self,
        port: str,
        baud: int,
        io_shape_dict: dict,
        batch_size: int = 1,
        fclk_mhz: float = 100.0,
        *,
        host_model: HostModel | None = None,
        top1: bool = False,
        build_id: int | None = None,
        device: object = None,
    ) -> None:
        self._io_shape_dict = io_shape_dict
        self.platform = "uart"
        self.host_model = host_model
        self.top1 = top1
        self.device = device
        self.fclk_mhz = fclk_mhz
        self.now = time.perf_counter
        self._packers = {}
        self.link = SerialLink(port, baud, working=getattr(device, "working", None))
        try:
            self.frames_per_packet = self._identify(build_id)
        except BaseException:
            self.link.close()
            raise
        self.batch_size = batch_size

    def _identify(self, build_id: int | None) -> int:
        """Check that the board is the one of the description; return the frames of a packet."""
        found = self.link.ask(IDENTIFY, expected=14)
        name, into, out, frames, found_id = struct.unpack("<4sHHHI", found)
        if name != IDENTITY:
            raise DriverError(f"the board calls itself {name!r}: load the bitfile of this package")
        (wanted_in,), (wanted_out,) = (
            self._frame_bytes(key) for key in ("ishape_packed", "oshape_packed")
        )
        if (into, out) != (wanted_in, wanted_out):
            raise DriverError(
                f"the bitfile has frames of {into} bytes in and {out} out, the description "
                f"{wanted_in} and {wanted_out}: the two are of different builds, take both from one"
            )
        if build_id not in (None, found_id):
            raise DriverError(
                f"the bitfile is of build {found_id:08x}, the description of {build_id:08x}: the "
                "two are of different builds, take both from one"
            )
        return frames

    def _allocate(self) -> None:
        self._ibuf = np.zeros(self.ishape_packed(), np.uint8)
        self._obuf = np.zeros(self.oshape_packed(), np.uint8)

    def copy_input_data_to_device(self, data: np.ndarray, ind: int = 0) -> None:
        """Copy packed frames, at most a batch, to the buffer that is sent."""
        self._ibuf[: len(data)] = data

    def copy_output_data_from_device(self, data: np.ndarray, ind: int = 0) -> None:
        """Fill `data` with packed results of the last run."""
        data[:] = self._obuf[: len(data)]

    def execute_on_buffers(self, asynch: bool = False, batch_size: int | None = None) -> None:
        """Run the frames in the input buffer: `batch_size` of them, default all that it holds.

        They go over the line in packets; the counters are those of the last one.
        """
        frames = self._frames_to_run(batch_size)
        (size,) = self._frame_bytes("oshape_packed")
        for first in range(0, frames, self.frames_per_packet):
            part = self._ibuf[first : min(frames, first + self.frames_per_packet)]
            found = self.link.ask(RUN, part.tobytes(), expected=size * len(part))
            self._obuf[first : first + len(part)] = np.frombuffer(found, np.uint8).reshape(
                len(part), *self._obuf.shape[1:]
            )

    def wait_until_finished(self) -> None:
        """Return: a run has ended when it returns."""

    def soft_reset(self) -> None:
        """Reset the accelerator."""
        self.link.ask(RESET)

    def counters(self) -> dict:
        """Return what the accelerator measured in the last packet; see ``registers.measured``."""
        words = struct.unpack("<12I", self.link.ask(COUNTERS, expected=48))
        return measured(lambda at: words[(at - FIRST_COUNTER) // 4])

    def clock_text(self) -> str:
        """Return which clock runs: the board's PLL makes it, and it can't be set."""
        return f"clock {self.fclk_mhz:g} MHz (made on the board)"

    def status(self) -> str:
        """Return the state of the line in words."""
        return f"  {self.link.port} at {self.link.baud} baud"
