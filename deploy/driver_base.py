"""An accelerator on a board: FINN's overlay class, with time-outs, measurement and raw features.

Needs only numpy and pynq and runs on Python 3.10. The DMAs have FINN's register map. The block
``control0`` beside them resets the accelerator and measures it in clock cycles.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from pynq import Clocks, Overlay, allocate

if __package__:  # in the project's checkout
    from deploy.host_model import HostModel
    from deploy.inference import Inference
    from deploy.registers import DriverError, Shell
    from deploy.stream_forms import StreamForms
else:  # beside this file, as on the board
    from host_model import HostModel
    from inference import Inference
    from registers import DriverError, Shell
    from stream_forms import StreamForms

__all__ = ["FINNExampleOverlay"]

CLOCK_TOLERANCE = 1e-3  # relative: boards have crystals of 33.333 MHz and the like
CLOCK_TRIES = 100
ERROR_POLL_S = 1e-3  # after this time a run is also checked for errors on the bus


class FINNExampleOverlay(StreamForms, Inference, Overlay):
    """One accelerator with its DMAs, on the platform ``zynq-iodma``.

    The ``.hwh`` lies beside the bitfile. `io_shape_dict` is FINN's description of the two streams:
    ``idt``, ``odt``, ``ishape_normal``, ``ishape_folded``, ``ishape_packed`` and so on, one entry
    per stream. `fclk_mhz` 0 leaves the clock as it is. `host_model` is the host's part of the
    network, for :meth:`run` and :meth:`classify`; `top1` says that the accelerator gives only the
    class of a frame; a run may take `timeout_s` seconds.

    Raises `DriverError` if the bitfile is of another accelerator or the board can't make the clock.
    """

    def __init__(
        self,
        bitfile_name: str,
        platform: str,
        io_shape_dict: dict,
        batch_size: int = 1,
        fclk_mhz: float = 100.0,
        device: object = None,
        download: bool | None = None,
        *,
        host_model: HostModel | None = None,
        top1: bool = False,
        timeout_s: float = 10.0,
    ) -> None:
        if platform != "zynq-iodma":
            raise DriverError(
                f"platform {platform!r}: this driver knows only zynq-iodma; pass that"
            )
        super().__init__(
            bitfile_name, download=True if download is None else download, device=device
        )
        self._io_shape_dict = io_shape_dict
        self.platform = platform
        self.host_model = host_model
        self.top1 = top1
        self.timeout_s = timeout_s
        # A simulated board has its own time; a real one is timed with the processor's clock.
        self.now = getattr(self.device, "now", time.perf_counter)
        names_in = io_shape_dict.get("input_dma_name", ["idma0"])
        names_out = io_shape_dict.get("output_dma_name", ["odma0"])
        self.idma = [getattr(self, name) for name in names_in]
        self.odma = [getattr(self, name) for name in names_out]
        control = self.control0 if "control0" in self.ip_dict else None
        self.shell = Shell(self.idma, self.odma, control)
        self.fclk_mhz = self._set_clock(fclk_mhz)
        self.shell.check(*(self._frame_bytes(key) for key in ("ishape_packed", "oshape_packed")))
        self._packers = {}
        self.ibuf_packed_device: list = []
        self.obuf_packed_device: list = []
        self._frames = 0  # of the current run
        self._started = self.now()
        self.batch_size = batch_size

    @property
    def batch_size(self) -> int:
        """Frames that the buffers hold; setting it allocates new buffers."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise DriverError(f"batch_size must be an integer of 1 or more, not {value!r}")
        self._batch_size = int(value)
        self.ibuf_packed_device, self.obuf_packed_device = (
            [allocate(shape=shape(i), dtype=np.uint8, target=self.device) for i in range(len(dmas))]
            for shape, dmas in ((self.ishape_packed, self.idma), (self.oshape_packed, self.odma))
        )

    def copy_input_data_to_device(self, data: np.ndarray, ind: int = 0) -> None:
        """Copy packed frames, at most a batch, to the buffer the DMA reads."""
        self.ibuf_packed_device[ind][: len(data)] = data
        self.ibuf_packed_device[ind].flush()

    def copy_output_data_from_device(self, data: np.ndarray, ind: int = 0) -> None:
        """Fill `data` with packed results from the buffer that the DMA writes."""
        self.obuf_packed_device[ind].invalidate()
        data[:] = self.obuf_packed_device[ind][: len(data)]

    # Running

    def execute_on_buffers(self, asynch: bool = False, batch_size: int | None = None) -> None:
        """Run the frames in the input buffers: `batch_size` of them, default all that these hold.

        With `asynch` it returns at once, and :meth:`wait_until_finished` waits. `DriverError` if
        a DMA is busy, the bus gave an error, or the run took longer than `timeout_s`.
        """
        frames = self.batch_size if batch_size is None else batch_size
        if not 0 <= frames <= self.batch_size:
            raise DriverError(
                f"{frames} frames: the buffers hold {self.batch_size}; set batch_size to {frames}"
            )
        if not self.shell.ready():
            raise DriverError("a DMA is not ready for a run:\n" + self.status())
        self.shell.clear_meter()
        self._frames = frames
        for dma, buffer in zip(
            (*self.odma, *self.idma),  # outputs first, so that no result waits
            (*self.obuf_packed_device, *self.ibuf_packed_device),
            strict=True,
        ):
            self.shell.start(dma, buffer.device_address, frames)
        self._started = self.now()
        if not asynch:
            self.wait_until_finished()

    def wait_until_finished(self) -> None:
        """Wait for the end of the run; after an error the accelerator is reset and usable again."""
        for dma in self.odma:
            while not self.shell.is_done(dma):
                elapsed = self.now() - self._started
                if elapsed > ERROR_POLL_S and self.shell.has_failed():
                    raise self._failed("an error on the memory bus stopped the run")
                if elapsed > self.timeout_s:
                    raise self._failed(
                        f"the run of {self._frames} frames did not end within "
                        f"{self.timeout_s:g} s. Check that the bitfile belongs to this driver's "
                        "description, that its clock is on, and give a longer time-out if the "
                        "batch is large"
                    )

    def _failed(self, what: str) -> DriverError:
        story = self.status()
        try:
            self.soft_reset()
            after = "The accelerator has been reset."
        except DriverError as error:
            after = str(error)
        return DriverError(f"{what}\n{story}\n{after}")

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

    # State of the board

    def soft_reset(self) -> None:
        """Reset the DMAs and the accelerator to their state after power-on."""
        self.shell.soft_reset(self.now)

    def counters(self) -> dict:
        """Return what the accelerator measured in the last run; see ``Shell.counters``."""
        return self.shell.counters()

    def status(self) -> str:
        """Return the state of every DMA in words."""
        return self.shell.status()

    def _set_clock(self, fclk_mhz: float) -> float:
        """Set the board's fastest clock that is not above `fclk_mhz`, and read it back."""
        wanted = float(fclk_mhz)
        actual = float(Clocks.fclk0_mhz)
        for _ in range(CLOCK_TRIES if fclk_mhz else 0):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a clock that differs: it is checked here
                Clocks.fclk0_mhz = wanted
            actual = float(Clocks.fclk0_mhz)
            if actual <= fclk_mhz * (1 + CLOCK_TOLERANCE):
                return actual
            wanted *= 0.97  # dividers are integers: pynq takes the nearest, even if it is faster
        if fclk_mhz:
            raise DriverError(f"the board can't make {fclk_mhz:g} MHz: its clock is {actual:g} MHz")
        return actual
