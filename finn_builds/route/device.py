"""The device in which an accelerator is placed: on an open board, or alone among registers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from finn_builds.config.open_boards import OpenBoard
from finn_builds.config.open_route import board_clock, board_router
from finn_builds.config.parts import Target
from finn_builds.shell.build_id import build_id
from finn_builds.shell.registers import register_files
from finn_builds.shell.uart import UartSpec, board_file, uart_files, uart_sources
from finn_builds.sparse.routing import Pll, ProgramRouter, Router
from finn_builds.stitch.sources import Stitched

#: What the pins of a device alone are bound to, where any pin will do.
_ANY_PIN = ("", "LVCMOS33")


@dataclass(frozen=True)
class Device:
    """What is placed around an accelerator, and by what.

    Attributes
    ----------
    board, part : str
    router : Router
    shell : mapping
        The shell with the board's top, text by file name in compile order.
    pins : str
        The pins, as the router reads them.
    mhz : float
        The clock that the device runs at.
    around : str
        The shell in words.
    """

    board: str
    part: str
    router: Router
    shell: Mapping[str, str]
    pins: str
    mhz: float
    around: str


def open_device(board: OpenBoard, stitched: Stitched, rtl: Path, clock_ns: float) -> Device:
    """Return an open board with its serial shell; a `UserError` as of `uart_spec`."""
    spec, pll = uart_spec(board, stitched, rtl, clock_ns)
    router = board_router(board)
    shell = {path.name: path.read_text() for path in uart_sources()}
    return Device(
        board.name,
        board.part,
        router,
        {**shell, **uart_files(spec), **board_file(pll)},
        router.constraints(board.pins, board.clock_mhz),
        spec.mhz,
        "serial shell",
    )


def device_alone(
    target: Target, router: ProgramRouter, stitched: Stitched, clock_ns: float
) -> Device:
    """Return a device with shift registers around the accelerator and its clock at a pin."""
    mhz = 1000 / clock_ns
    return Device(
        target.name,
        target.part,
        router,
        register_files(stitched.top, stitched.input.width // 8, stitched.output.width // 8),
        router.constraints(dict.fromkeys(("clk_in", "rx", "tx", "led"), _ANY_PIN), mhz),
        mhz,
        "shift registers",
    )


def uart_spec(
    board: OpenBoard, stitched: Stitched, rtl: Path, clock_ns: float
) -> tuple[UartSpec, Pll | None]:
    """Return the serial shell of a board's accelerator, and the PLL that makes its clock.

    The accelerator's sources in the folder `rtl` and the clock make the build's identifier.

    Raises
    ------
    UserError
        The board can't make the clock or the bit rate, or takes no frames that large.
    """
    mhz, pll = board_clock(board, clock_ns)
    spec = UartSpec(
        stitched.top,
        in_bytes=stitched.input.width // 8,
        out_bytes=stitched.output.width // 8,
        in_beats=stitched.input.beats,
        out_beats=stitched.output.beats,
        mhz=mhz,
        baud=board.baud,
        build_id=build_id({"part": board.part, "mhz": mhz}, rtl, uart_sources()),
    )
    return spec, pll
