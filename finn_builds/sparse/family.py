"""What the optimiser knows about an FPGA family: the adders it has and how long they take."""

from __future__ import annotations

from dataclasses import dataclass, replace

from finn_builds.errors import UserError


@dataclass(frozen=True)
class Family:
    """A device family.

    Delays are nanoseconds of the slowest speed grade that the supported boards carry: cell delays
    as the vendor's data sheet gives them, plus one average net per LUT. They rank pipelines and
    give an estimate; they are not timing closure.

    Parameters
    ----------
    max_terms : int
        Terms one carry chain adds: 3 where a LUT has six inputs and two outputs.
    lut_inputs : int
        Inputs of a LUT. Six-input LUTs have a second output, so a chain of them adds three terms
        and takes in small tables.
    carry : str
        Carry primitive that the emitter instantiates: `CARRY4`, `CARRY8` or `CCU2C`.
    t_lut : float
        A LUT and the net that it drives.
    t_carry_in, t_carry_bit, t_carry_out : float
        From an operand into the chain (LUT included), per position, from the chain to a net.
    t_reg : float
        Clock to output, its net, and set-up.
    """

    name: str
    max_terms: int
    lut_inputs: int
    carry: str
    t_lut: float
    t_carry_in: float
    t_carry_bit: float
    t_carry_out: float
    t_reg: float

    @property
    def wide(self) -> bool:
        """Whether its LUTs have six inputs and a second output."""
        return self.lut_inputs == 6

    def adder(self, positions: int) -> float:
        """Return the delay of a carry chain of that many positions, ns."""
        return self.t_carry_in + self.t_carry_bit * positions + self.t_carry_out


XC7 = Family("xc7", 3, 6, "CARRY4", 0.85, 0.70, 0.030, 1.05, 1.25)
XCUP = Family("xcup", 3, 6, "CARRY8", 0.45, 0.35, 0.015, 0.55, 0.60)
ECP5 = Family("ecp5", 2, 4, "CCU2C", 1.10, 1.00, 0.040, 1.10, 1.40)

#: Of UltraScale (20 nm) no data sheet states delays of its CLBs, which are those of UltraScale+.
#: Taken is the geometric mean of its neighbours of 28 and 16 nm.
XCU = Family("xcu", 3, 6, "CARRY8", 0.62, 0.50, 0.021, 0.76, 0.87)

FAMILIES = {f.name: f for f in (XC7, XCU, XCUP, ECP5)}

#: Delays of faster speed grades, as shares of those of grade 1. UltraScale+: the highest frequency
#: of a global clock, 667, 775 and 891 MHz (DS922, table "Clock Buffers Switching Characteristics");
#: a DSP block without registers, all logic, gains more (338, 410 and 483 MHz, DS923). 7-series: a
#: block RAM's clock to output, 2.46 and 2.13 ns (DS189), which knows no grade 3: that of grade 2 is
#: taken. UltraScale: as 7-series.
GRADES = {
    "xc7": {1: 1.0, 2: 0.87, 3: 0.87},
    "xcu": {1: 1.0, 2: 0.87, 3: 0.87},
    "xcup": {1: 1.0, 2: 0.87, 3: 0.75},
}

_DELAYS = ("t_lut", "t_carry_in", "t_carry_bit", "t_carry_out", "t_reg")


def family_named(name: str) -> Family:
    """Return the family of that name; a `UserError` if there is none.

    A speed grade may follow the name, as in ``xcup-2``; without it the delays are of grade 1.
    """
    plain, _, grade = name.partition("-")
    if plain not in FAMILIES or (grade and int(grade) not in GRADES.get(plain, {})):
        raise UserError(
            f"sparse style: expected a device family out of {', '.join(FAMILIES)}, found "
            f"{name!r}; choose one of them or the folded style"
        )
    family = FAMILIES[plain]
    if not grade:
        return family
    share = GRADES[plain][int(grade)]
    return replace(family, **{delay: getattr(family, delay) * share for delay in _DELAYS})
