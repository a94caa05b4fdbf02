"""LUT sites of a Xilinx netlist: what slices need once every carry cell is fed.

A site is a six-input LUT, or two LUTs of up to five inputs in all, and each position of a carry
cell lies beside one (Xilinx UG474). S of a position comes from that LUT. Where its net comes from
elsewhere, the site passes it through and does nothing else. DI comes from the site's second output,
or through the slice's bypass pin. Vivado uses both; how often is not known here. openXC7's
nextpnr-xilinx feeds S and DI from LUTs of the site alone that nothing else reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from finn_builds.synth.netlist import Bit, Cell, Netlist

#: Inputs that two LUTs of a site may have in all.
_SHARED = 5

#: Sites that are tried for a LUT, of those that read one of its nets.
_LOOKED_AT = 64

_CARRY = ("CARRY4", "CARRY8")


@dataclass
class _Site:
    """A site: its input nets, and whether its second output is taken."""

    inputs: frozenset[int]
    full: bool

    def takes(self, inputs: frozenset[int]) -> bool:
        return not self.full and len(self.inputs | inputs) <= _SHARED

    def add(self, inputs: frozenset[int]) -> None:
        self.inputs, self.full = self.inputs | inputs, True


def lut_sites(netlist: Netlist, *, bypass: bool) -> int:
    """Return the LUT sites of a mapped netlist.

    With `bypass` every DI that is not the second output of its site's LUT comes through the
    slice's bypass pin, and a LUT that feeds S can be read elsewhere too. Without, both have to
    come from LUTs of the site that have no other reader. LUTs that no carry cell reads are put in
    pairs where their inputs allow it, greedily. Memories and shift registers in LUTs take a site
    each. Multiplexers of a slice and control sets of flip-flops can only make it more.
    """
    luts = [cell for cell in netlist.cells if _is_lut(cell)]
    driver = {
        bit: (cell, pin)
        for cell in luts
        for pin, bits in cell.outputs.items()
        for bit in bits
        if isinstance(bit, int)
    }
    readers = _readers(netlist)
    placed: set[str] = set()
    sites: list[_Site] = []
    alone: list[frozenset[int]] = []
    fixed = sum(_is_storage(cell) for cell in netlist.cells)
    for cell in netlist.cells:
        if cell.kind not in _CARRY:
            continue
        for s, di in _positions(cell, readers):
            site = _fed_by(s, driver, readers, placed, bypass)
            sites.append(site)
            own = driver.get(di) if isinstance(di, int) else None
            lut = driver.get(s) if isinstance(s, int) else None
            melted = own and lut and own[0] is lut[0] and own[0].name in placed
            if bypass or melted or not isinstance(di, int):
                continue
            inputs = frozenset({di})
            if own and own[1] == "O" and own[0].name not in placed and readers[di] == 1:
                whole = _inputs(own[0])
                if site.takes(whole):  # the LUT that gives DI lies in the same site
                    placed.add(own[0].name)
                    inputs = whole
            if not site.takes(inputs):  # what the site computes moves out, and comes back through
                if site.full:
                    fixed += 1
                else:
                    alone.append(site.inputs)
                site.inputs = frozenset({s} if isinstance(s, int) else ())
            site.add(inputs)
    for cell in luts:
        if cell.name in placed:
            continue
        if cell.kind == "LUT6_2" and all(cell.outputs.get(pin) for pin in ("O5", "O6")):
            fixed += 1
        else:
            alone.append(_inputs(cell))
    return fixed + len(sites) + _packed(alone, sites)


def _is_lut(cell: Cell) -> bool:
    return cell.kind.startswith("LUT") or cell.kind == "INV"


def _is_storage(cell: Cell) -> bool:
    return cell.kind.startswith(("SRL", "RAM32", "RAM64", "RAM128", "RAM256"))


def _inputs(cell: Cell) -> frozenset[int]:
    return frozenset(b for bits in cell.inputs.values() for b in bits if isinstance(b, int))


def _readers(netlist: Netlist) -> Counter[Bit]:
    """Return how many pins read each net; a port counts as one."""
    found: Counter[Bit] = Counter()
    for cell in netlist.cells:
        for bits in cell.inputs.values():
            found.update(bits)
    for bits in netlist.ports.values():
        found.update(bits)
    return found


def _positions(cell: Cell, readers: Counter[Bit]) -> Iterable[tuple[Bit, Bit]]:
    """Yield S and DI of the positions of a carry cell up to the last that is read."""
    s, di = list(cell.inputs["S"]), list(cell.inputs["DI"])
    read = [
        k for pin in ("O", "CO") for k, bit in enumerate(cell.outputs.get(pin, ())) if readers[bit]
    ]
    last = max(read, default=-1)
    # The DI of the last position does not matter if its carry goes nowhere.
    carries = list(cell.outputs.get("CO", ()))
    goes_on = last < len(carries) and last >= 0 and readers[carries[last]]
    for k in range(last + 1):
        yield s[k], di[k] if k < last or goes_on else "x"


def _fed_by(
    s: Bit,
    driver: dict[int, tuple[Cell, str]],
    readers: Counter[Bit],
    placed: set[str],
    bypass: bool,
) -> _Site:
    """Return the site of a position: with the LUT that gives S, or one that passes it through."""
    if not isinstance(s, int):
        return _Site(frozenset(), False)
    cell, pin = driver.get(s, (None, ""))
    if cell is None or pin == "O5" or cell.name in placed or not (bypass or readers[s] == 1):
        return _Site(frozenset({s}), False)
    placed.add(cell.name)
    return _Site(_inputs(cell), bool(cell.outputs.get("O5")))


def _packed(alone: Iterable[frozenset[int]], open_sites: Iterable[_Site]) -> int:
    """Put LUTs into sites that have room, and into new ones; return the number of new ones.

    A LUT goes to the site with which it shares the most inputs, large LUTs first.
    """
    by_net: dict[int, list[_Site]] = {}
    by_size: list[list[_Site]] = [[] for _ in range(_SHARED + 1)]

    def offer(site: _Site) -> None:
        if not site.full and len(site.inputs) <= _SHARED:
            by_size[len(site.inputs)].append(site)
            for bit in site.inputs:
                by_net.setdefault(bit, []).append(site)

    for site in open_sites:
        offer(site)
    new = 0
    for inputs in sorted(alone, key=len, reverse=True):
        room = None
        if len(inputs) <= _SHARED:
            for bit in inputs & by_net.keys():
                by_net[bit] = [site for site in by_net[bit] if not site.full][-_LOOKED_AT:]
            sharing = {id(site): site for bit in inputs for site in by_net.get(bit, ())}
            fitting = [site for site in sharing.values() if site.takes(inputs)]
            room = max(fitting, key=lambda site: len(site.inputs & inputs), default=None)
            for size in range(_SHARED - len(inputs), -1, -1) if room is None else ():
                while by_size[size] and not by_size[size][-1].takes(inputs):
                    by_size[size].pop()
                if by_size[size]:
                    room = by_size[size].pop()
                    break
        if room is None:
            new += 1
            offer(_Site(inputs, False))
        else:
            room.add(inputs)
    return new
