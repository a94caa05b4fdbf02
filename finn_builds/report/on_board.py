"""What the board around the accelerator makes of its latency and throughput."""

from __future__ import annotations

from dataclasses import dataclass

from finn_builds.shell.uart import packet_frames
from finn_builds.verify.simulated import Performance
from finn_builds.vivado.project import INTERCONNECT

#: Cycles by which one frame from memory to memory takes longer than the accelerator's latency and
#: twice that of the memory: 38 to 40 in simulations of the shell (benchmarks/results/shell.json).
DMA_CYCLES = 40

#: Head and CRC of a packet, and bits on the line of a byte (deploy/serial_link.py).
_PACKET_BYTES = 8
_LINE_BITS = 10

#: LUTs of the shell by the bytes of its memory port, as Yosys counts them for `jets_weights` and
#: for an accelerator as wide as the port (benchmarks/results/shell.json).
SHELL_LUT = {8: "1,490 to 1,504", 16: "2,105 to 2,228"}


@dataclass(frozen=True)
class OnBoard:
    """A frame from memory through the accelerator to memory.

    Attributes
    ----------
    word_bytes : int
        What the memory port moves in a cycle, in each direction.
    interval_cycles : float
        Between frames: the accelerator's own interval, or the words of a frame if they are more.
    fps : float
        At the clock that the board's processor makes.
    limit : str
        What sets the pace.
    added_latency_cycles : int
        Beyond the accelerator's latency and twice that of the memory, for one frame.
    kind : str
    """

    word_bytes: int
    interval_cycles: float
    fps: float
    limit: str
    added_latency_cycles: int = DMA_CYCLES
    kind: str = (
        "computed from the interval in simulation and the width of the memory port; without the "
        "time of the processor, which the driver measures"
    )

    @property
    def around(self) -> str:
        """What the board's design has beside the accelerator, in words."""
        return (
            f"the shell with its DMAs ({SHELL_LUT[self.word_bytes]} LUTs counted by Yosys for two "
            f"accelerators), and Vivado's interconnect and reset block ({INTERCONNECT}, estimated)"
        )


@dataclass(frozen=True)
class OnLine:
    """Frames over the serial line of an open board.

    Attributes
    ----------
    baud : int
        Bits per second.
    fps : float
        Of full packets, each answered before the next one is sent.
    limit : str
        What sets the pace.
    kind : str
    """

    baud: int
    fps: float
    limit: str
    kind: str = (
        "computed from the bytes of a packet and the bit rate; without the time of the host and "
        "its USB, which the driver measures"
    )


def on_line(performance: Performance, baud: int) -> OnLine:
    """Return the throughput over a serial line; the accelerator is faster by far."""
    frames = packet_frames(*performance.frame_bytes)
    size = 2 * _PACKET_BYTES + frames * sum(performance.frame_bytes)
    return OnLine(baud, frames * baud / (_LINE_BITS * size), f"the serial line, {baud:,} baud")


def on_board(performance: Performance, dma_bits: int, mhz: float | None = None) -> OnBoard:
    """Return throughput and latency behind the DMAs of a board with a memory port of some width.

    `mhz` is the board's clock, None if it is the one asked for.
    """
    word = dma_bits // 8
    words = max(performance.frame_bytes) / word
    own = performance.interval_cycles
    interval = max(own, words)
    limit = "the accelerator" if own >= words else f"the memory port, {word} bytes a cycle"
    mhz = mhz or 1000 / performance.clock_ns
    return OnBoard(word, interval, 1e6 * mhz / interval, limit)
