"""Boards that open tools place, route and load: a device with a clock, a serial line and a LED."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from finn_builds.config.device import NAME, Resources

#: The families of open boards, with the speed grade where it is not the slowest.
OPEN_FAMILIES = ("ecp5", "ecp5-8", "gowin", "gowin-8")


#: Electrical standards that both families' pins have.
IoStandard = Literal["LVCMOS33", "LVCMOS25", "LVCMOS18", "LVCMOS15", "LVCMOS12", "LVTTL33"]

#: The keys of pins, by the port of the whole device.
PIN_KEYS = {"clk_in": "clock_pin", "rx": "uart_rx", "tx": "uart_tx", "led": "led"}


class OpenBoard(BaseModel):
    """One board without a processor; its host talks to it over a serial line."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(pattern=NAME)]  # after ``--board``; equal to the file's name
    part: str  # with package, speed and temperature grade
    family: Literal["ecp5", "ecp5-8", "gowin", "gowin-8"]  # the device family and its speed grade
    clock_ns: Annotated[float, Field(gt=0, allow_inf_nan=False)]  # default period in ns
    resources: Resources  # what the whole device holds
    clock_pin: str  # pin of the clock that comes in
    clock_mhz: Annotated[float, Field(gt=0, allow_inf_nan=False)]  # its frequency
    uart_rx: str  # pin at which the device receives
    uart_tx: str  # pin at which the device sends
    led: str  # pin of a LED
    io_standard: IoStandard  # of clock and serial line
    led_standard: IoStandard  # of the LED
    baud: PositiveInt  # bits per second on the serial line
    loader: Annotated[str, Field(pattern=NAME)]  # name of the board in openFPGALoader

    @model_validator(mode="after")
    def _consistent(self) -> OpenBoard:
        taken: dict[str, str] = {}
        for key in PIN_KEYS.values():
            pin = getattr(self, key)
            if pin in taken:
                raise ValueError(
                    f"{key}: pin {pin} is {taken[pin]} already; give each its own, from the "
                    "board's schematic"
                )
            taken[pin] = key
        return self

    @property
    def pins(self) -> dict[str, tuple[str, str]]:
        """Pin and I/O standard of each port of the whole device."""
        return {
            port: (getattr(self, key), self.led_standard if key == "led" else self.io_standard)
            for port, key in PIN_KEYS.items()
        }
