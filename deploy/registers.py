"""The registers of the shell: the DMAs, with FINN's register map, and the block that measures.

Blocks are objects with ``read(offset)`` and ``write(offset, value)``, as pynq's IP drivers are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["METER", "DriverError", "Shell", "measured"]

CONTROL, ADDRESS_LOW, ADDRESS_HIGH, FRAMES = 0x00, 0x10, 0x14, 0x1C  # FINN's
STATUS, FRAME_BYTES, BYTES_LEFT = 0x20, 0x24, 0x28
START, DONE, IDLE = 1, 2, 4
RESPONSE_MASK, REFUSED = 3, 4
RESPONSES = {2: "SLVERR: the memory refused the access", 3: "DECERR: there is no memory there"}

IDENTITY_AT, IDENTITY = 0x04, 0x50535331
SOFT_RESET, CLEAR_METER = 1, 2
METER_LOST = 0x2C
BUILD_ID = 0x40
METER = {
    "frames_in": 0x08,
    "frames_out": 0x0C,
    "latency_first_cycles": 0x10,
    "latency_min_cycles": 0x14,
    "latency_max_cycles": 0x18,
    "latency_last_cycles": 0x1C,
    "interval_min_cycles": 0x20,
    "interval_max_cycles": 0x24,
    "span_cycles": 0x28,
    "stall_in_cycles": 0x30,
    "stall_out_cycles": 0x34,
}
RESET_PATIENCE_S = 1.0

#: What to do where pynq and the fabric do not agree.
STALE = (
    "load the bitfile of this package. pynq may also answer with what it kept of another overlay: "
    "run `python -c 'from pynq import PL; PL.reset()'` and try again"
)


class DriverError(Exception):
    """The accelerator, its board or its data are wrong; says what to do."""


def measured(read: Callable[[int], int]) -> dict[str, float]:
    """Return what the accelerator measured in the last run, in clock cycles.

    These are its own figures, without what brings the frames: the keys of ``METER``, and
    ``interval_cycles``, the mean. There are no latencies if more frames were under way than the
    meter follows. `read` returns the register at an address.
    """
    values: dict[str, float] = {name: read(at) for name, at in METER.items()}
    if values["frames_out"] > 1:
        span = values["span_cycles"] - values["latency_first_cycles"]
        values["interval_cycles"] = span / (values["frames_out"] - 1)
    if read(METER_LOST):
        values = {k: v for k, v in values.items() if not k.startswith("latency")}
    return values


class Shell:
    """The register blocks of one accelerator; a bitfile made by FINN has no `control`."""

    def __init__(self, idma: Sequence, odma: Sequence, control: object = None) -> None:
        self.idma, self.odma, self.control = idma, odma, control

    def check(
        self, in_bytes: Sequence[int], out_bytes: Sequence[int], build_id: int | None = None
    ) -> None:
        """Check that the blocks are those of an accelerator with these bytes per frame.

        `build_id` is the build's identifier, and None where it is not known.
        """
        if self.control is None:
            if build_id is not None:
                raise DriverError(f"the bitfile has no control0, and this package's has: {STALE}")
            return
        if self.control.read(IDENTITY_AT) != IDENTITY:
            raise DriverError(f"control0 does not have the shell's identity: {STALE}")
        found = self.control.read(BUILD_ID)
        if build_id not in (None, found):
            raise DriverError(
                f"the bitfile is of build {found:08x}, the description of {build_id:08x}: the two "
                f"are of different builds, copy both from one. If they are of one, {STALE}"
            )
        for name, dmas, sizes in (("input", self.idma, in_bytes), ("output", self.odma, out_bytes)):
            for dma, expected in zip(dmas, sizes, strict=False):
                found = dma.read(FRAME_BYTES)
                if found != expected:
                    raise DriverError(
                        f"the bitfile has {name} frames of {found} bytes, the description "
                        f"{expected}: the two are of different builds, copy both from one"
                    )

    def start(self, dma: object, address: int, frames: int) -> None:
        """Start a DMA on a buffer with this physical address."""
        dma.write(ADDRESS_LOW, address & 0xFFFFFFFF)
        dma.write(ADDRESS_HIGH, address >> 32)
        dma.write(FRAMES, frames)
        dma.write(CONTROL, START)

    def is_done(self, dma: object) -> bool:
        """Say whether the run of a DMA has ended without an error."""
        return bool(dma.read(CONTROL) & DONE)

    def ready(self) -> bool:
        """Say whether every DMA is idle and without an error, and no soft reset is active."""
        if self.control is not None and self.control.read(CONTROL) & SOFT_RESET:
            return False
        dmas = (*self.odma, *self.idma)
        return all(dma.read(CONTROL) & IDLE for dma in dmas) and not self.has_failed()

    def has_failed(self) -> bool:
        """Say whether a DMA got an error from the bus."""
        if self.control is None:
            return False
        return any(dma.read(STATUS) & RESPONSE_MASK for dma in (*self.idma, *self.odma))

    def clear_meter(self) -> None:
        """Start a new measurement. Call it only between runs."""
        if self.control is not None:
            self.control.write(CONTROL, CLEAR_METER)

    def soft_reset(self, now: Callable[[], float]) -> None:
        """Reset DMAs and accelerator to their state after power-on; `now` returns seconds."""
        if self.control is None:
            raise DriverError(
                "this bitfile has no control0, which resets it: load the bitfile again"
            )
        self.control.write(CONTROL, SOFT_RESET)
        began = now()
        while self.control.read(CONTROL) & SOFT_RESET:
            if now() - began > RESET_PATIENCE_S:
                raise DriverError(
                    "the soft reset does not end: the memory bus does not answer. "
                    "Load the bitfile again"
                )

    def counters(self) -> dict[str, float]:
        """Return what the accelerator `measured` in the last run; empty without a meter."""
        if self.control is None:
            return {}
        return measured(self.control.read)

    def status(self) -> str:
        """Return the state of every DMA in words."""
        lines = []
        for name, dmas in (("input", self.idma), ("output", self.odma)):
            for i, dma in enumerate(dmas):
                control = dma.read(CONTROL)
                state = "done" if control & DONE else "idle" if control & IDLE else "running"
                text = f"  {name} DMA {i}: {state}"
                if self.control is not None:
                    text += f", {dma.read(BYTES_LEFT)} bytes left"
                    found = dma.read(STATUS)
                    response = found & RESPONSE_MASK
                    if response:
                        text += f", {RESPONSES.get(response, 'error on the bus')}"
                    if found & REFUSED:
                        text += ", a start was refused: busy, after an error, or in a soft reset"
                lines.append(text)
        if self.control is not None and self.control.read(CONTROL) & SOFT_RESET:
            lines.append("  a soft reset is under way")
        return "\n".join(lines)
