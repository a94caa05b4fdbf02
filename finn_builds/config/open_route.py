"""What an open board needs before it is placed and routed: the package, its clock, its bit rate."""

from __future__ import annotations

import importlib.metadata

from finn_builds.config.open_boards import PIN_KEYS, OpenBoard
from finn_builds.errors import UserError
from finn_builds.sparse.families import family_named
from finn_builds.sparse.routing import BoardRouter, Pll

#: Largest relative error of the bit rate: half a bit over the ten of a byte, at both ends.
BAUD_ERROR = 0.02
_FEWEST_CLOCKS = 4


def board_router(board: OpenBoard) -> BoardRouter:
    """Return what places and routes an open board."""
    router = family_named(board.family).router
    assert router is not None
    return router


def installed_version(router: BoardRouter) -> str:
    """Return the version of the package that places and routes; `UserError` if one is missing."""
    found = ""
    for name in (*router.beside, router.distribution):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise UserError(
                f"--route needs the Python package {name}, which is not installed: "
                f"`pip install -c constraints.txt {name}`"
            ) from None
    return found


def check_pins(board: OpenBoard) -> None:
    """Compare a board's part and pins with the data of the package that places and routes it.

    Raises
    ------
    UserError
        The data has no such part, or the part no such pin.
    """
    try:
        known = board_router(board).pins(board.part)
    except UserError as error:
        raise UserError(f"board {board.name}: {error}") from None
    for key in PIN_KEYS.values():
        pin = getattr(board, key)
        if pin not in known:
            raise UserError(
                f"board {board.name}: {key}: {board.part} has no pin {pin!r} for a design; take "
                f"the pin from the board's schematic, and correct board_configs/{board.name}.yaml"
            )


def board_clock(board: OpenBoard, clock_ns: float) -> tuple[float, Pll | None]:
    """Return the clock in MHz that a board makes, and the PLL that makes it.

    The PLL is None where the board's own clock is asked for.

    Raises
    ------
    UserError
        The board can't make the clock, or the clock not the board's bit rate.
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
    mhz = board.clock_mhz if pll is None else pll.mhz
    bit_clocks(mhz, board.baud)
    return mhz, pll


def bit_clocks(mhz: float, baud: int) -> int:
    """Return the clock cycles of a bit; `UserError` if the clock does not divide to the rate."""
    clocks = round(mhz * 1e6 / baud)
    error = abs(mhz * 1e6 / clocks / baud - 1) if clocks else 1.0
    if clocks < _FEWEST_CLOCKS or error > BAUD_ERROR:
        raise UserError(
            f"{baud} baud at {mhz:g} MHz: expected {_FEWEST_CLOCKS} clocks or more "
            f"of a bit and an error of at most {BAUD_ERROR:.0%}, found {clocks} and "
            f"{error:.1%}; choose another clock or another rate in the board's file"
        )
    return clocks
