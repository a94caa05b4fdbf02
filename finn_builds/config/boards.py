"""The boards a build can aim at, read from ``board_configs/*.yaml``.

A board is one file; adding a board adds one file and changes no code. Files are checked when they
are read, and a mistake in one is an error that names the file and the key.
"""

import difflib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from finn_builds.errors import UserError

if TYPE_CHECKING:
    from finn_builds.config.open_boards import OpenBoard

#: A board with a processor, or one that open tools place and route.
AnyBoard: TypeAlias = "Board | OpenBoard"

BOARD_DIR = Path(__file__).resolve().parents[2] / "board_configs"


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


#: What the two dividers behind a PLL, of six bits each, can divide by (UG585, UG1087).
_DIVISORS = sorted({a * b for a in range(1, 64) for b in range(1, 64)})

#: Relative difference up to which two frequencies are the same one: crystals are told with four to
#: eight digits, periods with four.
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
    def _consistent(self) -> "Board":
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


def board_path(name: str, folder: Path = BOARD_DIR) -> Path:
    """Return the file that describes a board; the UserError lists those that the folder holds."""
    names = board_names(folder)
    if name not in names:
        by_lower = {known.lower(): known for known in names}
        close = difflib.get_close_matches(name.lower(), by_lower, n=1)
        hint = f"did you mean {by_lower[close[0]]}? " if close else ""
        raise UserError(
            f"unknown board {name!r}: {hint}known boards are {', '.join(names)}; choose one"
        )
    return folder / f"{name}.yaml"


def board_names(folder: Path = BOARD_DIR) -> list[str]:
    """Return the names of all boards, in alphabetical order."""
    return sorted((path.stem for path in folder.glob("*.yaml")), key=str.lower)


def load_board(name: str, folder: Path = BOARD_DIR) -> AnyBoard:
    """Read and check one board; UserError if there is none, or its file is not as it should be."""
    path = board_path(name, folder)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        raise UserError(
            f"{path}{line}: not a YAML file ({_first_line(error)}); fix it there"
        ) from error
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: expected one mapping of keys, found {type(content).__name__}; see the other "
            "files in its folder"
        )
    from finn_builds.config.open_boards import OpenBoard

    # Not by the family: a mistake in it is then said in the words of the right kind.
    kind = OpenBoard if "clock_pin" in content else Board
    try:
        board: AnyBoard = kind.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {_first_problem(error, list(kind.model_fields))}") from error
    if board.name != name:
        raise UserError(
            f"{path}: name: expected the file's name, {name}, found {board.name}; rename one of "
            "them"
        )
    return board


def _first_line(error: Exception) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]


def _first_problem(error: ValidationError, keys: list[str]) -> str:
    """Return the first problem as one line: key, what is wrong, what was found."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            within: dict[str, type[BaseModel]] = {"resources": Resources, "pll": Pll}
            inner = within.get(key.partition(".")[0]) if "." in key else None
            known = keys if inner is None else list(inner.model_fields)
            return f"unknown key {key}; known keys are {', '.join(known)}; remove it"
        case "missing":
            return f"the key {key} is missing; add it, as the other boards have it"
        case "value_error":  # raised by Board itself: the message begins with the key
            return str(problem["ctx"]["error"])
        case "string_pattern_mismatch":
            wanted = "letters, digits, '_', '.' and '-'"
            if key == "board_part":
                wanted = "vendor:name without a version"
            return f"{key}: expected {wanted}, found {problem['input']!r}; change it"
        case _:
            expected = problem["msg"].removeprefix("Input should be ")
            return f"{key}: expected {expected}, found {problem['input']!r}; change it"
