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
    """Sites of a placed netlist in use, and of them the accelerator's and the routed-through ones.

    A route-through is a site with a LUT that was not in the netlist, which passes a net on to a
    carry cell or multiplexer of its slice.
    """

    whole: int
    accelerator: int
    through: int


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
    whole, own, ours = set(), set(), set()
    for name, cell in module["cells"].items():
        found = _LUT.fullmatch(str(cell["attributes"].get("NEXTPNR_BEL", "")))
        if found is None:
            continue
        whole.add(found[1])
        if name.startswith(ACCELERATOR):
            own.add(found[1])
            plain = name[: -len(_HALVES[0])] if name.endswith(_HALVES) else name
            if name in given or plain in given:
                ours.add(found[1])
    return Sites(len(whole), len(own), len(own - ours))
