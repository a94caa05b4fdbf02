"""LUT sites by hand and against what must hold of any netlist."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from finn_builds.synth.netlist import Cell, Netlist
from finn_builds.synth.sites import lut_sites


def lut(name: str, inputs: list[int], out: int) -> Cell:
    pins = {f"I{k}": [b] for k, b in enumerate(inputs)}
    return Cell(name, f"LUT{len(inputs)}", {}, pins, {"O": [out]})


def carry(s: list, di: list, o: list[int]) -> Cell:
    return Cell("chain", "CARRY4", {}, {"S": s, "DI": di, "CI": ["0"]}, {"O": o})


def adder() -> Netlist:
    """Four bits: S = a xor b, DI = a."""
    a, b, s, o = (list(range(k, k + 4)) for k in (10, 20, 30, 40))
    luts = [lut(f"l{k}", [a[k], b[k]], s[k]) for k in range(4)]
    return Netlist((*luts, carry(s, a, o)), {"y": tuple(o)})


def three_terms() -> Netlist:
    """Four positions of a sum of three: a saved carry goes to the next position's LUT and DI."""
    o, s, saved = (list(range(k, k + 4)) for k in (40, 30, 50))
    cells = []
    for k in range(4):
        pins = {f"I{i}": [100 + 3 * k + i] for i in range(3)}
        pins["I3"] = [saved[k - 1] if k else "0"]
        cells.append(Cell(f"l{k}", "LUT6_2", {}, pins, {"O6": [s[k]], "O5": [saved[k]]}))
    return Netlist((*cells, carry(s, ["0", *saved[:3]], o)), {"y": tuple(o)})


def test_a_plain_adder_takes_a_site_a_position() -> None:
    assert lut_sites(adder(), bypass=True) == 4
    assert lut_sites(adder(), bypass=False) == 4  # DI passes through the second output


def test_a_saved_carry_needs_the_bypass_or_a_second_site() -> None:
    assert lut_sites(three_terms(), bypass=True) == 4
    # The first DI is a constant, the last one goes nowhere: two positions are fed through.
    assert lut_sites(three_terms(), bypass=False) == 4 + 2


def test_an_s_that_a_register_drives_is_passed_through() -> None:
    s, di, o = [2, 3, 4, 5], ["0"] * 4, [40, 41, 42, 43]
    assert lut_sites(Netlist((carry(s, di, o),), {"y": tuple(o)}), bypass=True) == 4
    # Positions above the last that is read take nothing.
    assert lut_sites(Netlist((carry(s, di, o),), {"y": (40, 41)}), bypass=True) == 2


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ([[1, 2, 3], [4, 5]], 1),  # five inputs in all
        ([[1, 2, 3], [4, 5, 6]], 2),
        ([[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]], 1),
        ([[1, 2, 3, 4, 5, 6], [1]], 2),
        ([[1, 2], [3, 4], [5, 6], [7, 8]], 2),
    ],
)
def test_pairs_of_luts(inputs: list[list[int]], expected: int) -> None:
    cells = tuple(lut(f"l{k}", pins, 100 + k) for k, pins in enumerate(inputs))
    assert lut_sites(Netlist(cells), bypass=True) == expected


@pytest.mark.parametrize("seed", range(20))
def test_what_holds_of_any_netlist(seed: int) -> None:
    """Half the LUTs at least, never more than a site a LUT and a position, and more when fed."""
    rng = np.random.default_rng(seed)
    luts = [
        lut(f"l{k}", list(map(int, rng.choice(40, rng.integers(1, 7), replace=False))), 100 + k)
        for k in range(60)
    ]
    nets = [*range(40), *range(100, 160)]
    chains = []
    for k, first in enumerate(range(200, 216, 4)):
        s, di = (list(map(int, rng.choice(nets, 4))) for _ in range(2))
        chains.append(
            Cell(f"c{k}", "CARRY4", {}, {"S": s, "DI": di}, {"O": list(range(first, first + 4))})
        )
    netlist = Netlist((*luts, *chains), {"y": tuple(range(200, 216))})
    through, fed = (lut_sites(netlist, bypass=b) for b in (True, False))
    assert 30 <= through <= 60 + 16
    assert through <= fed <= 60 + 2 * 16
    apart = list(itertools.chain(luts))
    assert lut_sites(Netlist(tuple(apart)), bypass=True) <= through
