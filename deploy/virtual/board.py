"""A simulated board: a pynq device whose fabric is a Verilator model. For the host only.

The driver runs on it unchanged: pynq's own ``Overlay``, ``allocate``, ``MMIO`` and ``Clocks`` reach
the Verilated shell and the accelerator in it. Buffers have caches as on a board: the DMA does not
see data that was not flushed, and the program sees what the DMA wrote only after ``invalidate``.

Time advances with every access to a register. `now` is the simulated time: what a driver on a board
with this clock would measure, without the time that Python itself takes.
"""

from __future__ import annotations

import ctypes
import warnings
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
from pynq import Clocks, ps
from pynq.buffer import PynqBuffer
from pynq.pl_server.device import Device

# Both are names of this module in every version from 3.0 to 4.0, wherever they are defined.
from pynq.pl_server.embedded_device import Metadata, RuntimeMetadataParser

from deploy.virtual.conditions import Conditions
from deploy.virtual.processors import PROCESSORS
from deploy.virtual.simulator import ShellSimulator, VirtualBoardError

__all__ = ["VirtualBoard"]

_BLOCKS = {"idma0": 0x4000_0000, "odma0": 0x4001_0000, "control0": 0x4002_0000}
_RANGE = 0x1_0000
_PAGE = 4096
_ACCESS_NS = 150.0  # of a register through the processor's general-purpose port
_SKIP_S = 1e-3
# A design that moves nothing for so long is stuck: time is then skipped and not simulated.
_STUCK_CYCLES = 200_000


class _Buffer(PynqBuffer):
    """pynq's buffer for numpy 2 too, whose arrays have a read-only ``device`` of their own."""

    @property
    def device(self) -> Device:
        """The device on which the buffer lies."""
        return self.__dict__["_device"]

    @device.setter
    def device(self, value: Device) -> None:
        self.__dict__["_device"] = value


class VirtualBoard(Device):
    """A simulated board as a pynq device; `simulator` is the simulation itself.

    `library` and `run_dir` are as for `ShellSimulator`, `ps_type` is a key of ``PROCESSORS``, and
    buffers have `memory_bytes` in all.
    """

    _probe_priority_ = 9000

    @classmethod
    def _probe_(cls) -> list[Device]:
        """Return nothing: pynq does not find a virtual board, a program makes it."""
        return []

    def __init__(
        self,
        library: Path,
        *,
        ps_type: str = "zynq_7000",
        memory_bytes: int = 1 << 24,
        conditions: Conditions | None = None,
        run_dir: Path | None = None,
    ) -> None:
        super().__init__("virtual_board")
        self.name = "virtual"
        self.capabilities = {"REGISTER_RW": True, "MEMORY_MAPPED": False, "CALLABLE": False}
        self._processor = PROCESSORS[ps_type]
        self.arch = self._processor.arch
        self._ps_registers = dict(self._processor.registers)
        conditions = conditions or Conditions()
        self.simulator = ShellSimulator(
            library, memory_bytes=memory_bytes, seed=conditions.seed, run_dir=run_dir
        )
        self.set_conditions(conditions)
        self._seconds = 0.0
        self._free = [(0, memory_bytes)]  # (offset, bytes), sorted, neighbours merged
        self._addresses = dict(_BLOCKS)
        self.ip_dict: dict = {}
        self.timestamp = ""
        self.bitfile_name = ""
        # pynq keeps the clocks of the first device that it used.
        if hasattr(Clocks, "_real_instance"):
            del Clocks._real_instance
        if not hasattr(Clocks, "set_device"):  # pynq 3.0: those of the processor it runs on
            ps.CPU_ARCH = self.arch
            Device.active_device = self

    def now(self) -> float:
        """Return the simulated time in seconds."""
        return self._seconds

    @property
    def fclk_mhz(self) -> float:
        """Clock of the fabric as the processor's registers set it."""
        return self._processor.fclk_mhz(self._ps_registers)

    def set_conditions(self, conditions: Conditions) -> None:
        """Change how memory behaves from now on; the seed stays that of the start."""
        simulator = self.simulator
        simulator.set_timing(conditions)
        simulator.clear_faults()
        for write, error in ((False, conditions.read_error), (True, conditions.write_error)):
            if error:
                resp, byte = error
                low = simulator.base + (byte or 0)
                high = low + (len(simulator.memory) if byte is None else 1)
                simulator.add_fault(low, high, write=write, resp=resp)
        simulator.set_hung(conditions.hang)

    # The interface that pynq expects of a device

    def get_bitfile_metadata(self, bitfile_name: str) -> object:
        """Return what pynq's own parser reads from the hardware handoff, or the like without one.

        The blocks are then where the handoff has them.
        """
        handoff = Path(bitfile_name).with_suffix(".hwh")
        if handoff.is_file():
            parser = RuntimeMetadataParser(Metadata(input=handoff))
            self._addresses = {name: parser.ip_dict[name]["phys_addr"] for name in _BLOCKS}
            return parser
        blocks = {name: _ip(name, address) for name, address in _BLOCKS.items()}
        return SimpleNamespace(
            ip_dict=blocks,
            mem_dict={},
            gpio_dict={},
            interrupt_pins={},
            interrupt_controllers={},
            hierarchy_dict={},
            clock_dict={},
            systemgraph=None,
            refresh_hierarchy_dict=lambda: None,
        )

    def download(self, bitstream: object, parser: object = None) -> None:
        """Load the bitfile: the fabric is reset."""
        self.simulator.reset()
        self.post_download(bitstream, parser)

    def free_bitstream(self) -> None:
        """Do nothing: a bitfile occupies nothing here."""

    def read_registers(self, address: int, length: int) -> bytes:
        """Read words at a physical address."""
        words = [self._access(address + at, None) for at in range(0, length, 4)]
        return b"".join(word.to_bytes(4, "little") for word in words)[:length]

    def write_registers(self, address: int, data: bytes) -> None:
        """Write words at a physical address."""
        data = bytes(data)
        for at in range(0, len(data), 4):
            self._access(address + at, int.from_bytes(data[at : at + 4], "little"))

    def allocate(
        self, shape: tuple[int, ...], dtype: npt.DTypeLike, **kwargs: object
    ) -> PynqBuffer:
        """Return a buffer with an address in the simulated memory, aligned to a page."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        room = max(_PAGE, -(-size // _PAGE) * _PAGE)
        for i, (offset, free) in enumerate(self._free):
            if free >= room:
                self._free[i : i + 1] = [(offset + room, free - room)] if free > room else []
                break
        else:
            raise VirtualBoardError(
                f"the virtual board's memory of {len(self.simulator.memory)} bytes has no room for "
                f"a buffer of {size} bytes: make the batch smaller, or memory_bytes larger"
            )
        address = self.simulator.base + offset
        buffer = _Buffer(shape, dtype, device=self, device_address=address, bo=offset)
        np.asarray(buffer).fill(0)
        weakref.finalize(buffer, self._release, offset, room)
        return buffer

    def flush(self, bo: int, offset: int, virtual_address: int, size: int) -> None:
        """Write a buffer's cache lines to memory."""
        data = (ctypes.c_uint8 * size).from_address(virtual_address)
        self.simulator.memory[bo + offset : bo + offset + size] = np.ctypeslib.as_array(data)

    def invalidate(self, bo: int, offset: int, virtual_address: int, size: int) -> None:
        """Read a buffer again from memory."""
        data = (ctypes.c_uint8 * size).from_address(virtual_address)
        np.ctypeslib.as_array(data)[:] = self.simulator.memory[bo + offset : bo + offset + size]

    def close(self) -> None:
        """End the simulation."""
        self.simulator.close()

    def _release(self, offset: int, size: int) -> None:
        merged: list[tuple[int, int]] = []
        for at, room in sorted([*self._free, (offset, size)]):
            if merged and merged[-1][0] + merged[-1][1] == at:
                merged[-1] = (merged[-1][0], merged[-1][1] + room)
            else:
                merged.append((at, room))
        self._free = merged

    def _access(self, address: int, value: int | None) -> int:
        block, base = next(
            ((i, b) for i, b in enumerate(self._addresses.values()) if b <= address < b + _RANGE),
            (None, 0),
        )
        if block is None:
            return self._access_processor(address, value)
        simulator = self.simulator
        offset = (address - base) & 0x7F  # the slaves decode seven bits
        began = simulator.cycle
        result = 0
        if value is None:
            result = simulator.read(block, offset)
        else:
            simulator.write(block, offset, value)
        cycles = max(1, round(_ACCESS_NS * self.fclk_mhz / 1000)) - (simulator.cycle - began)
        if simulator.cycle - simulator.last_move > _STUCK_CYCLES:
            self._seconds += _SKIP_S
        elif cycles > 0:
            simulator.step(cycles)
        self._seconds += (simulator.cycle - began) / (self.fclk_mhz * 1e6)
        return result

    def _access_processor(self, address: int, value: int | None) -> int:
        """Access the processor's own registers; only those of the clocks are simulated."""
        window = address & ~0xFFFF
        if not any(at & ~0xFFFF == window for at in self._ps_registers):
            if window not in (0xFD1A_0000, 0xF800_0000, 0xFF5E_0000):
                raise VirtualBoardError(f"no register at {address:#x}: a board would crash here")
            warnings.warn(f"register {address:#x} is not simulated", stacklevel=3)
        if value is not None:
            self._ps_registers[address] = value
        return self._ps_registers.get(address, 0)


def _ip(name: str, address: int) -> dict:
    """Return pynq's entry for an addressable block."""
    return {
        "type": f"xilinx.com:module_ref:prunestream_{name.rstrip('0')}:1.0",
        "fullpath": name,
        "phys_addr": address,
        "addr_range": _RANGE,
        **{key: {} for key in ("parameters", "registers", "gpio", "interrupts")},
        **dict.fromkeys(("state", "device", "driver", "bdtype")),
        "mem_id": "s_axi_control",
        "memtype": "REGISTER",
    }
