"""An accelerator on an open board: the overlay class of the PYNQ boards, over a serial line.

Needs only numpy and pyserial and runs on Python 3.10. Its public members are those of
``driver_base.FINNExampleOverlay`` that do not belong to a processor.
"""

from __future__ import annotations

import struct
import time

import numpy as np

if __package__:  # in the project's checkout
    from deploy.host_model import HostModel
    from deploy.inference import Inference
    from deploy.registers import METER, METER_LOST, DriverError
    from deploy.serial_link import COUNTERS, IDENTIFY, IDENTITY, RESET, RUN, SerialLink
    from deploy.stream_forms import StreamForms
else:  # beside this file
    from host_model import HostModel
    from inference import Inference
    from registers import METER, METER_LOST, DriverError
    from serial_link import COUNTERS, IDENTIFY, IDENTITY, RESET, RUN, SerialLink
    from stream_forms import StreamForms

__all__ = ["SerialOverlay"]

FIRST_COUNTER = 0x08


class SerialOverlay(StreamForms, Inference):
    """One accelerator behind ``uart_shell``.

    `io_shape_dict`, `host_model`, `top1` and `batch_size` are as for ``FINNExampleOverlay``;
    `device` is what simulates the board, if it is simulated. `DriverError` if the board does not
    answer or has another accelerator.
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
        self.link = SerialLink(port, baud)
        try:
            self.frames_per_packet = self._identify()
        except BaseException:
            self.link.close()
            raise
        self.batch_size = batch_size

    def _identify(self) -> int:
        """Check that the board is the one of the description; return the frames of a packet."""
        found = self.link.ask(IDENTIFY, expected=10)
        name, into, out, frames = struct.unpack("<4sHHH", found)
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
        return frames

    @property
    def batch_size(self) -> int:
        """Frames that the buffers hold; setting it allocates new buffers."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise DriverError(f"batch_size must be an integer of 1 or more, not {value!r}")
        self._batch_size = int(value)
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
        frames = self.batch_size if batch_size is None else batch_size
        if not 0 <= frames <= self.batch_size:
            raise DriverError(
                f"{frames} frames: the buffers hold {self.batch_size}; set batch_size to {frames}"
            )
        (size,) = self._frame_bytes("oshape_packed")
        for first in range(0, frames, self.frames_per_packet):
            part = self._ibuf[first : min(frames, first + self.frames_per_packet)]
            found = self.link.ask(RUN, part.tobytes(), expected=size * len(part))
            self._obuf[first : first + len(part)] = np.frombuffer(found, np.uint8).reshape(
                len(part), *self._obuf.shape[1:]
            )

    def wait_until_finished(self) -> None:
        """Return: a run has ended when it returns."""

    def execute(self, input_npy: np.ndarray) -> np.ndarray:
        """Run integers (frames, ...), any number of frames; return (frames, *oshape_normal[1:])."""
        packed = self.pack_input(self.fold_input(input_npy))
        out = np.empty((len(packed), *self.oshape_packed()[1:]), np.uint8)
        for first in range(0, len(packed), self.batch_size):
            part = packed[first : first + self.batch_size]
            self.copy_input_data_to_device(part)
            self.execute_on_buffers(batch_size=len(part))
            self.copy_output_data_from_device(out[first : first + len(part)])
        return self.unfold_output(self.unpack_output(out))

    def soft_reset(self) -> None:
        """Reset the accelerator."""
        self.link.ask(RESET)

    def counters(self) -> dict:
        """Return what the accelerator measured in the last packet; see ``Shell.counters``."""
        words = struct.unpack("<12I", self.link.ask(COUNTERS, expected=48))
        values = {name: words[(at - FIRST_COUNTER) // 4] for name, at in METER.items()}
        if values["frames_out"] > 1:
            span = values["span_cycles"] - values["latency_first_cycles"]
            values["interval_cycles"] = span / (values["frames_out"] - 1)
        if words[(METER_LOST - FIRST_COUNTER) // 4]:
            values = {k: v for k, v in values.items() if not k.startswith("latency")}
        return values

    def clock_text(self) -> str:
        """Return which clock runs: the board's PLL makes it, and it can't be set."""
        return f"clock {self.fclk_mhz:g} MHz (made on the board)"

    def status(self) -> str:
        """Return the state of the line in words."""
        return f"  {self.link.port} at {self.link.baud} baud"
