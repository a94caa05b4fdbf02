"""What a build is for: a board, or a part alone by its name.

A part's name says its family and its speed grade. Resources of parts that are met often in trigger
and telescope electronics are listed; of others, counts are reported without shares.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from finn_builds.config.boards import AnyBoard
from finn_builds.config.device import Resources
from finn_builds.errors import UserError

#: Shares of a device's resources that a network may be estimated at.
BUDGET_SHARE = {"LUT": 0.70, "DSP": 0.80, "BRAM_18K": 0.80}

#: Default clock of each family, ns.
_CLOCK_NS = {"xc7": 5.0, "xcu": 4.0, "xcup": 2.78}

# 7-series: the package follows the device without a separator, as in xc7vx690tffg1927-2.
_SEVEN = re.compile(r"(?P<device>xc7[aksvz][xh]?\d+t?s?)[a-z]+\d+-(?P<grade>[123])l?[a-z]*")
# UltraScale and UltraScale+, as in xcvu9p-flga2104-2L-e; a P after the number, and every Zynq,
# Artix, Spartan, Kria (xck26) and Alveo (xcu250), is of the second.
_ULTRA = re.compile(
    r"(?P<device>xc(?:ku|vu|au|su|zu|k|u)\d+(?P<rest>[a-z]*))-[a-z]+\d+(?:_[a-z0-9]+)?"
    r"-(?P<grade>[123])[a-z]*-[a-z]+"
)


def _holds(lut: int, bram: int, dsp: int, uram: int = 0) -> Resources:
    """Return resources; every CLB has two flip-flops for a LUT, `bram` are blocks of 36 Kb."""
    return Resources(LUT=lut, FF=2 * lut, BRAM_18K=2 * bram, DSP=dsp, URAM=uram)


#: After the vendor's overviews: DS180 (7-series), DS890 (UltraScale and UltraScale+). Compared with
#: what Vivado's `report_utilization` calls available in public projects: xcvu9p and xcku115 (LUT,
#: FF, BRAM, DSP), xcku060 and xc7vx690t (LUT). Of the others no such report was found.
KNOWN: dict[str, Resources] = {
    "xc7a35t": _holds(20_800, 50, 90),
    "xc7a100t": _holds(63_400, 135, 240),
    "xc7a200t": _holds(134_600, 365, 740),
    "xc7k325t": _holds(203_800, 445, 840),
    "xc7vx690t": _holds(433_200, 1_470, 3_600),
    "xcku040": _holds(242_400, 600, 1_920),
    "xcku060": _holds(331_680, 1_080, 2_760),
    "xcku115": _holds(663_360, 2_160, 5_520),
    "xcku5p": _holds(216_960, 480, 1_824, 64),
    "xcku15p": _holds(522_720, 984, 1_968, 128),
    "xcvu7p": _holds(788_160, 1_440, 4_560, 640),
    "xcvu9p": _holds(1_182_240, 2_160, 6_840, 960),
    "xcvu13p": _holds(1_728_000, 2_688, 12_288, 1_280),
    "xcvu37p": _holds(1_303_680, 2_016, 9_024, 960),
}


@dataclass(frozen=True)
class Target:
    """The device of a build."""

    name: str  # the board's, or the part's where there is no board
    part: str  # Vivado's name
    family: str  # as `sparse.family.family_named` takes it: for a part alone with its speed grade
    clock_ns: float  # default period
    resources: Resources | None  # what the device holds, None where that is not known

    @property
    def budget(self) -> dict[str, float]:
        """The limits that a default build keeps to, by resource name; infinite where unknown."""
        if self.resources is None:
            return dict.fromkeys(BUDGET_SHARE, math.inf)
        amounts = self.resources.model_dump()
        return {name: share * amounts[name] for name, share in BUDGET_SHARE.items()}


def board_target(board: AnyBoard) -> Target:
    """Return the device of a board."""
    return Target(board.name, board.part, board.family, board.clock_ns, board.resources)


def part_target(part: str) -> Target:
    """Return the device of a part's name; UserError where it is not one of a known family."""
    name = part.lower()
    if found := _SEVEN.fullmatch(name):
        family = "xc7"
    elif found := _ULTRA.fullmatch(name):
        device, rest = found["device"], found["rest"]
        plus = device.startswith(("xczu", "xcau", "xcsu")) or rest.startswith("p")
        family = "xcup" if plus or re.match(r"xc[ku]\d", device) else "xcu"
    else:
        raise UserError(
            f"part {part!r}: expected the full name of a part of 7-series, UltraScale or "
            "UltraScale+ with package and speed grade, as xcvu9p-flga2104-2L-e or "
            "xc7vx690tffg1927-2; see the second column of --list-boards for others"
        )
    resources = KNOWN.get(found["device"])
    return Target(part, part, f"{family}-{found['grade']}", _CLOCK_NS[family], resources)
