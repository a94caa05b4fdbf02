"""What a shell is made for: the accelerator inside and the memory outside."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, PositiveInt
from pydantic.dataclasses import dataclass

from finn_builds.config.zynq_boards import Board
from finn_builds.errors import UserError

__all__ = ["ShellSpec"]

_MOST_BEAT_BYTES = 4096
_MOST_BEATS = 65535  # the meter counts the beats of a frame with 16 bits
_PAGE = 4096  # bytes: a burst of AXI must not cross a multiple of it

# Per kind of processing system: bits of an address, longest read and write burst in words.
# The HP ports of Zynq-7000 are AXI3, whose bursts end at 16 words and whose addresses have 32 bits
# (UG585 chapter 5); those of Zynq UltraScale+ are AXI4. The output DMA gathers a whole burst before
# it requests the write, so a longer burst begins later: with bursts of 256 words on UltraScale+,
# 1,000 frames of 16 bytes reach 76 % of the bus instead of 93 %, for 1,500 LUTs more (measured with
# benchmarks/bench_shell.py). `write_burst` can still be set up to the protocol's limit.
_OF_PS = {"zynq_7000": (32, 16, 16), "zynq_ultrascale": (40, 256, 16)}


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError(f"must be a power of two, not {value}")
    return value


_PowerOfTwo = Annotated[int, AfterValidator(_power_of_two)]
_Burst = Annotated[_PowerOfTwo, Field(ge=2, le=256)]


@dataclass(frozen=True)
class ShellSpec:
    """One shell; `UserError` if the accelerator's beats or frames are larger than it takes."""

    # Top module of the accelerator: `ap_clk`, `ap_rst_n`, `s_axis_0_*`, `m_axis_0_*`
    accelerator: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
    # Width of its two streams (TDATA) in bytes
    in_bytes: PositiveInt
    out_bytes: PositiveInt
    # Beats of a frame
    in_beats: PositiveInt
    out_beats: PositiveInt
    word_bytes: Annotated[_PowerOfTwo, Field(ge=4, le=128)] = 8  # width of the memory bus in bytes
    addr_bits: Annotated[int, Field(ge=16, le=64)] = 32
    # Longest burst in words
    read_burst: _Burst = 16
    write_burst: _Burst = 16
    # The number of bursts that each DMA can have under way
    pending: Annotated[int, Field(ge=1, le=255)] = 8
    # The number of frames under way in the accelerator up to which latency is measured
    tracked: Annotated[_PowerOfTwo, Field(ge=2, le=65536)] = 64
    # What a register of ``control0`` gives, so that a driver knows the bitfile of its package
    build_id: Annotated[int, Field(ge=0, lt=1 << 32)] = 0

    def __post_init__(self) -> None:
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
        longest = max(self.read_burst, self.write_burst)
        if longest * self.word_bytes > _PAGE:
            raise ValueError(f"a burst of {longest} words of {self.word_bytes} bytes crosses 4 KiB")

    @classmethod
    def for_board(
        cls, board: Board, accelerator: str, *, frames_under_way: int = 32, **streams: int
    ) -> ShellSpec:
        """Return the shell for an accelerator on a board; `streams` are its ``in_*`` and ``out_*``.

        `frames_under_way` is the number of frames that the accelerator can hold at once: about
        latency / interval, and what its FIFOs hold. Twice that number is tracked.
        """
        addr_bits, read_burst, write_burst = _OF_PS[board.ps_type]
        return cls(
            accelerator,
            **streams,
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
