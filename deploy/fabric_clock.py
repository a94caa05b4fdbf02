"""The clock that the processor gives the fabric: the fastest that a design's timing allows.

`clocks` is pynq's ``Clocks``, of which only ``fclk0_mhz`` and ``set_pl_clk`` are used: both are in
every version from 2.7 to 4.0.
"""

from __future__ import annotations

__all__ = ["set_fabric_clock"]

# Relative. pynq takes the processor's crystal for 33.333 MHz where Vivado's presets of some boards
# say 33.330 or 33.333333: one clock has two figures then.
SAME_CLOCK = 2e-4
# A clock that is slower than the limit by no more than this is left as it is.
CLOSE_ENOUGH = 2e-3

MOST_DIVISOR = 63  # both dividers have six bits (UG585, FPGA0_CLK_CTRL; UG1087, PL0_REF_CTRL)


def set_fabric_clock(clocks: object, limit_mhz: float, *, keep: bool = True) -> bool:
    """Set the fastest clock that is not above `limit_mhz`; say whether it was set.

    With `keep`, a clock that is right is not touched. It may be off, which pynq does not tell.

    The fabric never gets a faster one on the way: pynq itself takes the nearest clock, which may be
    faster, so the dividers are chosen here. Raises `ValueError` with the slowest clock in MHz if
    that is still too fast.
    """
    running = float(clocks.fclk0_mhz)
    if keep and limit_mhz * (1 - CLOSE_ENOUGH) <= running <= limit_mhz * (1 + SAME_CLOCK):
        return False
    clocks.set_pl_clk(0, MOST_DIVISOR, MOST_DIVISOR)
    slowest = float(clocks.fclk0_mhz)
    source = slowest * MOST_DIVISOR**2  # pynq rounds to 1 Hz, so this is right to 3e-6
    most = limit_mhz * (1 + SAME_CLOCK)
    if slowest > most:
        raise ValueError(slowest)
    divisors = range(1, MOST_DIVISOR + 1)
    slow_enough = ((i, j) for i in divisors for j in divisors if source / (i * j) <= most)
    # As in Vivado and pynq, the first divides as much as it can: the second never gets the PLL's
    # own frequency, for which nobody says that it is made.
    first, second = min(slow_enough, key=lambda pair: (pair[0] * pair[1], pair[1]))
    clocks.set_pl_clk(0, first, second)
    return True
