"""Boards with a processing system: the clock that it makes, and its ports to the fabric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from finn_builds.config.device import NAME, Resources


@dataclass(frozen=True)
class _OfPs:
    """What follows from the kind of processing system."""

    family: str  # Yosys' name
    prefixes: tuple[str, ...]  # of the part
    # Width in bits of its high-performance AXI ports (UG585 chapter 5, UG1085 chapter 35), and the
    # two ports that the block design uses
    dma_width: int
    axi_control: str
    axi_data: str
    most_mhz: float  # fastest clock that Vivado lets it give the fabric (PG082, PG201)


_OF_PS = {
    "zynq_7000": _OfPs("xc7", ("xc7z",), 64, "M_AXI_GP0", "S_AXI_HP0", 250.0),
    "zynq_ultrascale": _OfPs(
        "xcup", ("xczu", "xck"), 128, "M_AXI_HPM0_FPD", "S_AXI_HP0_FPD", 533.333
    ),
}

#: What the two dividers behind a PLL, of six bits each, can divide by (UG585, UG1087).
_DIVISORS = sorted({a * b for a in range(1, 64) for b in range(1, 64)})

#: Two frequencies count as equal up to this relative difference: data sheets give crystals with
#: four to eight digits, and periods with four.
CLOCK_DIGITS = 1e-3


class Pll(BaseModel):
    """The PLL of the processing system that the fabric's clock is divided from, after boot."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    crystal_mhz: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    multiplier: PositiveInt

    @property
    def mhz(self) -> float:
        """Frequency of the PLL in MHz."""
        return self.crystal_mhz * self.multiplier

    def fastest_mhz(self, asked_mhz: float) -> float:
        """Return the fastest clock in MHz that the PLL makes and that is not above `asked_mhz`.

        A clock that differs by less than `CLOCK_DIGITS` is the one asked for: 6.667 ns are 150 MHz.
        The slowest clock there is, where even that is faster.
        """
        fits = (d for d in _DIVISORS if self.mhz / d <= asked_mhz * (1 + CLOCK_DIGITS))
        return self.mhz / next(fits, _DIVISORS[-1])


class Board(BaseModel):
    """One board: its device, its processing system and the clock to start from."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(pattern=NAME)]  # after ``--board``; equal to the file's name
    part: Annotated[str, Field(pattern=NAME)]  # Vivado part, e.g. ``xc7z020clg400-1``
    family: Literal["xc7", "xcup"]  # Yosys' name of the device family
    # Vendor and name of Vivado's board files, ``vendor:name``, or None where there are none. The
    # version is not stated: the newest that is installed is taken.
    board_part: Annotated[str, Field(pattern=r"^[\w.-]+:[\w.-]+$")] | None
    ps_type: Literal["zynq_7000", "zynq_ultrascale"]  # kind of processing system
    clock_ns: Annotated[float, Field(gt=0, allow_inf_nan=False)]  # default period in ns
    pll: Pll  # of the processing system
    dma_width: Literal[64, 128]  # width in bits of the AXI port the DMAs use
    axi_control: str  # master port of the processing system to the accelerator's registers
    axi_data: str  # slave port of the processing system through which the DMAs reach the DDR
    ddr_mib: PositiveInt  # DDR of the processing system in MiB
    resources: Resources  # what the whole device holds

    @model_validator(mode="after")
    def _consistent(self) -> Board:
        of = _OF_PS[self.ps_type]
        if not self.part.startswith(of.prefixes):
            wanted = " or ".join(of.prefixes)
            raise ValueError(f"part: {self.ps_type} parts begin with {wanted}, found {self.part}")
        for key in ("family", "dma_width", "axi_control", "axi_data"):
            wanted, found = getattr(of, key), getattr(self, key)
            if found != wanted:
                raise ValueError(f"{key}: {self.ps_type} has {wanted}, found {found}")
        asked = 1000 / self.clock_ns
        made = self.fabric_mhz(self.clock_ns)
        if not same_clock(made, asked):
            possible = [mhz for d in _DIVISORS if (mhz := self.pll.mhz / d) <= of.most_mhz]
            near = [mhz for mhz in possible if mhz > asked][-1:]
            near += [mhz for mhz in possible if mhz <= asked][:1]
            clocks = " and ".join(f"{floor_ns(mhz)} ns ({mhz:.3f} MHz)" for mhz in near)
            raise ValueError(
                f"clock_ns: the PLL's {self.pll.mhz:g} MHz, divided by an integer, does not make "
                f"{asked:.3f} MHz; its nearest clocks are {clocks}"
            )
        return self

    def fabric_mhz(self, clock_ns: float) -> float:
        """Return the clock in MHz that the fabric gets if a period of `clock_ns` ns is asked for.

        It is the fastest that the processor makes and that is not above the one asked for.
        """
        return self.pll.fastest_mhz(min(1000 / clock_ns, _OF_PS[self.ps_type].most_mhz))


def same_clock(mhz: float, other_mhz: float) -> bool:
    """Tell whether two frequencies are the same one, given with a different number of digits."""
    return abs(mhz - other_mhz) <= CLOCK_DIGITS * other_mhz


def floor_ns(mhz: float) -> float:
    """Return the period in ns of a clock, to the picosecond, so that asking for it yields it.

    The period is rounded down: rounded up it would ask for a slower clock than the PLL makes.
    """
    return math.floor(1e6 / mhz + 1e-6) / 1000
