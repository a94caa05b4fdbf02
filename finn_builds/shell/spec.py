"""What a shell is made for: the accelerator inside and the memory outside."""

from __future__ import annotations

import re
from dataclasses import dataclass

from finn_builds.config.boards import Board
from finn_builds.errors import UserError

__all__ = ["ShellSpec"]

_MOST_BEAT_BYTES = 4096
_MOST_BEATS = 65535  # the meter counts the beats of a frame with 16 bits
_PAGE = 4096  # bytes: no burst of AXI may cross a boundary of so many

# Per kind of processing system: bits of an address, longest read and write burst in words.
# The HP ports of Zynq-7000 are AXI3, whose bursts end at 16 words and whose addresses have 32 bits
# (UG585 chapter 5); those of Zynq UltraScale+ are AXI4. Writes gather a whole burst before they ask
# for it, so a longer one begins later: bursts of 256 words on UltraScale+ were measured to take
# 1,000 frames of 16 bytes from 93 % of the bus to 76 %, for 1,500 LUTs more (benchmarks/
# bench_shell.py). `write_burst` may be set up to the protocol's limit nevertheless.
_OF_PS = {"zynq_7000": (32, 16, 16), "zynq_ultrascale": (40, 256, 16)}


@dataclass(frozen=True)
class ShellSpec:
    """One shell.

    Attributes
    ----------
    accelerator
        Top module of the accelerator: `ap_clk`, `ap_rst_n`, `s_axis_0_*`, `m_axis_0_*`.
    in_bytes, out_bytes
        Width of its two streams (TDATA) in bytes.
    in_beats, out_beats
        Beats of a frame on either side.
    word_bytes
        Width of the memory bus in bytes.
    addr_bits
        Bits of a memory address.
    read_burst, write_burst
        Longest burst in words.
    pending
        Bursts that each DMA may have under way.
    tracked
        Frames under way in the accelerator at once whose latency is still measured.

    Raises
    ------
    UserError
        The accelerator's streams are wider, or its frames longer, than the shell takes.
    ValueError
        Another attribute is out of range.
    """

    accelerator: str
    in_bytes: int
    out_bytes: int
    in_beats: int
    out_beats: int
    word_bytes: int = 8
    addr_bits: int = 32
    read_burst: int = 16
    write_burst: int = 16
    pending: int = 8
    tracked: int = 64

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z_]\w*", self.accelerator):
            raise ValueError(f"accelerator must be a module's name, not {self.accelerator!r}")
        for side, layer, size, beats in (
            ("input", "first", self.in_bytes, self.in_beats),
            ("output", "last", self.out_bytes, self.out_beats),
        ):
            if size > _MOST_BEAT_BYTES:
                raise UserError(
                    f"the shell moves at most {_MOST_BEAT_BYTES} bytes per beat, and the "
                    f"accelerator's {side} has {size}: build the {layer} layer folded, so that a "
                    "frame takes several beats"
                )
            if beats > _MOST_BEATS:
                raise UserError(
                    f"the shell moves at most {_MOST_BEATS} beats per frame, and the accelerator's "
                    f"{side} has {beats}: fold the {layer} layer less"
                )
        for name, low, high in (
            ("in_bytes", 1, _MOST_BEAT_BYTES),
            ("out_bytes", 1, _MOST_BEAT_BYTES),
            ("in_beats", 1, _MOST_BEATS),
            ("out_beats", 1, _MOST_BEATS),
            ("word_bytes", 4, 128),
            ("addr_bits", 16, 64),
            ("read_burst", 2, 256),
            ("write_burst", 2, 256),
            ("pending", 1, 255),
            ("tracked", 2, 65536),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must be {low} to {high}, not {value}")
        for name in ("word_bytes", "read_burst", "write_burst", "tracked"):
            value = getattr(self, name)
            if value & (value - 1):
                raise ValueError(f"{name} must be a power of two, not {value}")
        for name in ("read_burst", "write_burst"):
            if getattr(self, name) * self.word_bytes > _PAGE:
                raise ValueError(f"{name} of {getattr(self, name)} words crosses 4 KiB")

    @classmethod
    def for_board(
        cls,
        board: Board,
        accelerator: str,
        *,
        in_bytes: int,
        out_bytes: int,
        in_beats: int,
        out_beats: int,
        frames_under_way: int = 32,
    ) -> ShellSpec:
        """Return the shell for an accelerator on a board.

        Parameters
        ----------
        board
            Gives the width of the bus and its protocol.
        accelerator, in_bytes, out_bytes, in_beats, out_beats
            As the attributes.
        frames_under_way
            How many frames the accelerator can hold at once: about latency / interval and what
            its FIFOs hold. Twice as many are tracked.
        """
        addr_bits, read_burst, write_burst = _OF_PS[board.ps_type]
        return cls(
            accelerator=accelerator,
            in_bytes=in_bytes,
            out_bytes=out_bytes,
            in_beats=in_beats,
            out_beats=out_beats,
            word_bytes=board.dma_width // 8,
            addr_bits=addr_bits,
            read_burst=read_burst,
            write_burst=write_burst,
            tracked=max(16, 1 << (2 * frames_under_way - 1).bit_length()),
        )

    @property
    def in_frame_bytes(self) -> int:
        """Bytes of an input frame in memory."""
        return self.in_bytes * self.in_beats

    @property
    def out_frame_bytes(self) -> int:
        """Bytes of an output frame in memory."""
        return self.out_bytes * self.out_beats
