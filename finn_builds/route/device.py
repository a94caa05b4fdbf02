"""The device in which an accelerator is placed: on an open board, or alone among registers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from finn_builds.config.open_boards import OpenBoard
from finn_builds.config.parts import Target
from finn_builds.errors import UserError
from finn_builds.shell.registers import register_files
from finn_builds.shell.uart import UartSpec, board_file, uart_files, uart_sources
from finn_builds.sparse.families import family_named
from finn_builds.sparse.routing import BoardRouter, Pll, ProgramRouter, Router
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


def open_device(board: OpenBoard, stitched: Stitched, clock_ns: float) -> Device:
    """Return an open board with its serial shell; a `UserError` as of `uart_spec`."""
    spec, pll = uart_spec(board, stitched, clock_ns)
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


def board_router(board: OpenBoard) -> BoardRouter:
    """Return what places and routes an open board."""
    router = family_named(board.family).router
    assert router is not None
    return router


def uart_spec(board: OpenBoard, stitched: Stitched, clock_ns: float) -> tuple[UartSpec, Pll | None]:
    """Return the serial shell of a board's accelerator, and the PLL that makes its clock.

    Raises
    ------
    UserError
        The board can't make the clock or the bit rate, or takes no frames that large.
    """
    asked = 1000 / clock_ns
    pll = None
    if abs(asked - board.clock_mhz) > 1e-3 * asked:
        pll = board_router(board).pll(board.part, board.clock_mhz, asked)
        if pll is None:
            raise UserError(
                f"--clock-ns {clock_ns:g}: {board.name} makes no clock within a tenth below "
                f"{asked:g} MHz from its {board.clock_mhz:g} MHz; choose another clock"
            )
    spec = UartSpec(
        stitched.top,
        in_bytes=stitched.input.width // 8,
        out_bytes=stitched.output.width // 8,
        in_beats=stitched.input.beats,
        out_beats=stitched.output.beats,
        mhz=board.clock_mhz if pll is None else pll.mhz,
        baud=board.baud,
    )
    return spec, pll
