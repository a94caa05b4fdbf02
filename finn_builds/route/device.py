"""The serial shell and the clock of an accelerator on an open board."""

from __future__ import annotations

from finn_builds.config.open_boards import OpenBoard
from finn_builds.errors import UserError
from finn_builds.shell.uart import UartSpec
from finn_builds.sparse.families import family_named
from finn_builds.sparse.routing import Pll
from finn_builds.stitch.sources import Stitched


def uart_spec(board: OpenBoard, stitched: Stitched, clock_ns: float) -> tuple[UartSpec, Pll | None]:
    """Return the serial shell of a board's accelerator, and the PLL that makes its clock.

    Raises
    ------
    UserError
        The board can't make the clock or the bit rate, or takes no frames that large.
    """
    router = family_named(board.family).router
    assert router is not None
    asked = 1000 / clock_ns
    pll = None
    if abs(asked - board.clock_mhz) > 1e-3 * asked:
        pll = router.pll(board.part, board.clock_mhz, asked)
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
