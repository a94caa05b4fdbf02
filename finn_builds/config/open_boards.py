"""Boards that open tools place, route and load: a device with a clock, a serial line and a LED."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from finn_builds.config.boards import Resources

#: The families of open boards, with the speed grade where it is not the slowest.
OPEN_FAMILIES = ("ecp5", "ecp5-8", "gowin", "gowin-8")


class OpenBoard(BaseModel):
    """One board without a processor; its host talks to it over a serial line."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str  # after ``--board``; equal to the file's name
    part: str  # with package, speed and temperature grade
    family: Literal["ecp5", "ecp5-8", "gowin", "gowin-8"]  # the device family and its speed grade
    clock_ns: Annotated[float, Field(gt=0, allow_inf_nan=False)]  # default period in ns
    resources: Resources  # what the whole device holds
    clock_pin: str  # pin of the clock that comes in
    clock_mhz: Annotated[float, Field(gt=0, allow_inf_nan=False)]  # its frequency
    uart_rx: str  # pin at which the device receives
    uart_tx: str  # pin at which the device sends
    led: str  # pin of a LED
    io_standard: str  # of clock and serial line
    led_standard: str  # of the LED
    baud: PositiveInt  # bits per second on the serial line
    loader: str  # name of the board in openFPGALoader

    @property
    def pins(self) -> dict[str, tuple[str, str]]:
        """Pin and I/O standard of each port of the whole device."""
        return {
            "clk_in": (self.clock_pin, self.io_standard),
            "rx": (self.uart_rx, self.io_standard),
            "tx": (self.uart_tx, self.io_standard),
            "led": (self.led, self.led_standard),
        }
