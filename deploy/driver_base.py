"""An accelerator on a board: FINN's overlay class, with time-outs, measurement and raw features.

Needs only numpy and pynq and runs on Python 3.10. The DMAs have FINN's register map. The block
``control0`` beside them resets the accelerator and measures it in clock cycles.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
from pynq import Clocks, Overlay, allocate

from deploy import handoff, measure
from deploy.fabric_clock import set_fabric_clock
from deploy.host_model import HostModel
from deploy.inference import Inference
from deploy.registers import STALE, DriverError, Shell
from deploy.stream_forms import StreamForms
from deploy.weights import ConstantWeights

__all__ = ["FINNExampleOverlay"]

ERROR_POLL_S = 1e-3  # after this time a run is also checked for errors on the bus


class FINNExampleOverlay(StreamForms, Inference, ConstantWeights, Overlay):
    """One accelerator with its DMAs, on the platform ``zynq-iodma``.

    The ``.hwh`` lies beside the bitfile. `io_shape_dict` is FINN's description of the two streams:
    ``idt``, ``odt``, ``ishape_normal``, ``ishape_folded``, ``ishape_packed`` and so on, one entry
    per stream. Its entry ``bitfile`` is this project's: ``build_id``, which the bitfile must have,
    and ``most_mhz``, the fastest clock that it is made for. `fclk_mhz` 0 leaves the clock as it
    is; the clock is never set above ``most_mhz``. `host_model` is the host's part of the network,
    for :meth:`run` and :meth:`classify`; `top1` says that the accelerator gives only the class of a
    frame; a run may take `timeout_s` seconds.

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
        runtime_weight_dir: str = "runtime_weights/",
        *,
        host_model: HostModel | None = None,
        top1: bool = False,
        timeout_s: float = 10.0,
    ) -> None:
        if platform != "zynq-iodma":
            raise DriverError(
                f"platform {platform!r}: this driver knows only zynq-iodma; pass that"
            )
        addresses = self._addresses(bitfile_name)
        super().__init__(bitfile_name, download=False, device=device)
        built = io_shape_dict.get("bitfile", {})
        self.most_mhz = built.get("most_mhz")
        if download or download is None:
            self._load(fclk_mhz)
        self._io_shape_dict = io_shape_dict
        self.runtime_weight_dir = runtime_weight_dir
        self.platform = platform
        self.host_model = host_model
        self.top1 = top1
        self.timeout_s = timeout_s
        # A simulated board has its own time; a real one is timed with the processor's clock.
        self.now = getattr(self.device, "now", time.perf_counter)
        self.idma = self._blocks("input_dma_name", "idma0", addresses)
        self.odma = self._blocks("output_dma_name", "odma0", addresses)
        control = self.control0 if "control0" in self.ip_dict else None
        self.shell = Shell(self.idma, self.odma, control)
        clock_changed = self._set_clock(fclk_mhz)
        frame_bytes = (self._frame_bytes(key) for key in ("ishape_packed", "oshape_packed"))
        self.shell.check(*frame_bytes, build_id=built.get("build_id"))
        if clock_changed and control is not None:
            self.soft_reset()  # dividers change one after the other: registers may have missed it
        self._packers = {}
        self.ibuf_packed_device: list = []
        self.obuf_packed_device: list = []
        self.obuf_packed: list = []
        self._frames = 0  # of the current run
        self._started = self.now()
        self.batch_size = batch_size
        self.load_external_weights()
        self.load_runtime_weights()

    def _allocate(self) -> None:
        self.ibuf_packed_device, self.obuf_packed_device = (
            [allocate(shape=shape(i), dtype=np.uint8, target=self.device) for i in range(len(dmas))]
            for shape, dmas in ((self.ishape_packed, self.idma), (self.oshape_packed, self.odma))
        )
        self.obuf_packed = [np.empty(buffer.shape, np.uint8) for buffer in self.obuf_packed_device]

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
        frames = self._frames_to_run(batch_size)
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

    # State of the board

    def throughput_test(self) -> dict:
        """Run a batch of random input again and again; see `measure.throughput_test`."""
        return measure.throughput_test(self)

    def soft_reset(self) -> None:
        """Reset the DMAs and the accelerator to their state after power-on."""
        self.shell.soft_reset(self.now)

    def counters(self) -> dict:
        """Return what the accelerator measured in the last run; see ``Shell.counters``."""
        return self.shell.counters()

    def status(self) -> str:
        """Return the state of every DMA in words."""
        return self.shell.status()

    @staticmethod
    def _addresses(bitfile_name: str) -> dict[str, int]:
        """Return the addresses of the blocks as the bitfile's own handoff has them."""
        path = Path(bitfile_name).with_suffix(".hwh")
        try:
            return handoff.addresses(path) if path.is_file() else {}
        except (OSError, ValueError) as error:
            raise DriverError(f"{error}: copy the .hwh of the bitfile again") from error

    def _blocks(self, key: str, default: str, addresses: dict[str, int]) -> list:
        """Return pynq's drivers of the DMAs, if pynq has the addresses of this bitfile."""
        names = self._io_shape_dict.get(key, [default])
        for name in names:
            if name not in self.ip_dict:
                raise DriverError(f"pynq finds no {name} in this bitfile: {STALE}")
        for name in (*names, "control0"):
            known = self.ip_dict.get(name, {}).get("phys_addr")
            own = addresses.get(name, known)
            if known not in (None, own):
                raise DriverError(
                    f"pynq has {name} at {known:#x}, and the bitfile's .hwh at {own:#x}: {STALE}"
                )
        return [getattr(self, name) for name in names]

    def _load(self, fclk_mhz: float) -> None:
        """Configure the fabric with its clock set before, so that it never has a faster one.

        pynq would set the clock that the handoff names by dividers, which give another clock if the
        board's image has set up its PLLs differently; pynq 4.0.0 finds none for a Zynq-7000.
        """
        # A copy: pynq keeps its own for the next overlay of this bitfile.
        self.clock_dict = {index: dict(clock) for index, clock in self.clock_dict.items()}
        for index, clock in self.clock_dict.items():
            if (index == 0 and fclk_mhz) or clock.get("frequency", 0) is None:
                clock.pop("enable", None)
        if fclk_mhz:
            self._set_clock(fclk_mhz, keep=False)
        self.download()

    def _set_clock(self, fclk_mhz: float, *, keep: bool = True) -> bool:
        """Set the board's fastest clock that is not too fast; say whether it was changed.

        With `keep`, a clock that is right is not touched.
        """
        limit = min((mhz for mhz in (fclk_mhz, self.most_mhz) if mhz), default=None)
        changed = False
        # With fclk_mhz 0 the clock stays as it is, unless it is faster than the design.
        if limit is not None and (fclk_mhz or float(Clocks.fclk0_mhz) > limit):
            try:
                changed = set_fabric_clock(Clocks, limit, keep=keep)
            except ValueError as error:
                raise DriverError(
                    f"the board can't make {limit:g} MHz: its slowest clock is {error} MHz"
                ) from error
        self.fclk_mhz = float(Clocks.fclk0_mhz)
        if keep and self.most_mhz and fclk_mhz > self.most_mhz:
            warnings.warn(
                f"the clock is {self.fclk_mhz:g} MHz and not {fclk_mhz:g}: this bitfile is made "
                f"for at most {self.most_mhz:g} MHz",
                stacklevel=3,
            )
        return changed

    @property
    def fclk_mhz_actual(self) -> float:
        """The clock that runs, in MHz: the name that FINN+ gives `fclk_mhz`."""
        return self.fclk_mhz

    def clock_text(self) -> str:
        """Return which clock runs and which is the fastest that the bitfile takes."""
        limit = "the fastest that this bitfile takes is not known"
        if self.most_mhz:
            limit = f"made for at most {self.most_mhz:g} MHz, {1000 / self.most_mhz:.4g} ns"
        return f"clock {self.fclk_mhz:g} MHz ({limit})"
