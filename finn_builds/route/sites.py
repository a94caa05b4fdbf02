"""LUT sites of a placed 7-series netlist: what nextpnr has put where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from finn_builds.route.design import ACCELERATOR

#: A place for a LUT, ``SLICE_X12Y34/A6LUT``: the two of a letter are one physical LUT.
_LUT = re.compile(r"(.*[A-D])[56]LUT")

#: What nextpnr-xilinx calls the halves of a LUT6_2 that it has split.
_HALVES = ("$LUT5", "$LUT6")


@dataclass(frozen=True)
class Sites:
    """Sites in use of a placed netlist.

    A site is routed through where none of its LUTs was in the netlist: it passes a net on to a
    carry cell or multiplexer of its slice, or gives a constant.

    Attributes
    ----------
    used, through : tuple of (int, int)
        All sites, and those routed through: of the whole netlist, and of the accelerator.
    """

    used: tuple[int, int]
    through: tuple[int, int]


def sites_of(placed: Mapping[str, Any], given: Mapping[str, Any]) -> Sites:
    """Return the LUT sites of the netlist that nextpnr wrote.

    Parameters
    ----------
    placed : mapping
        What nextpnr wrote: one flat module, the place of a cell in its attribute NEXTPNR_BEL.
    given : mapping
        The cells of the module that it was given.
    """
    (module,) = placed["modules"].values()
    names: dict[str, list[str]] = {}
    for name, cell in module["cells"].items():
        found = _LUT.fullmatch(str(cell["attributes"].get("NEXTPNR_BEL", "")))
        if found is not None:
            names.setdefault(found[1], []).append(name)
    own = {site for site, at in names.items() if any(n.startswith(ACCELERATOR) for n in at)}
    through = {site for site, at in names.items() if not any(_plain(n) in given for n in at)}
    return Sites((len(names), len(own)), (len(through), len(own & through)))


def _plain(name: str) -> str:
    """Return the name of a LUT before it was split."""
    return name[: -len(_HALVES[0])] if name.endswith(_HALVES) else name
