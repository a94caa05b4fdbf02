"""What every board has: a name that may stand in scripts, and a device that holds so much."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt

#: What may stand in the name of a board or of a part: both go into scripts and file names.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class Resources(BaseModel):
    """What a device holds, under FINN's names.

    ``BRAM_18K`` counts half blocks: a 36 Kb block RAM is two.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    LUT: PositiveInt
    FF: PositiveInt
    BRAM_18K: NonNegativeInt
    DSP: NonNegativeInt
    URAM: NonNegativeInt
