"""Which program gives a second opinion on the timing of a device that Vivado is for."""

from __future__ import annotations

import shutil
from pathlib import Path

from finn_builds.config.parts import Target
from finn_builds.errors import UserError
from finn_builds.sparse.families import family_named
from finn_builds.sparse.routing import ProgramRouter


def second_opinion(target: Target, chipdb: str | Path | None) -> ProgramRouter:
    """Return the program that places and routes a device: the first that is on the search path.

    `chipdb` is its database of the device.

    Raises
    ------
    UserError
        No program knows the family, none is installed, or no database is given.
    """
    known = family_named(target.family).second_opinions
    if not known:
        raise UserError(
            f"--route: nextpnr of this project knows the families of open boards, and 7-series by "
            f"programs that the user has built; {target.name} ({target.part}) is neither. Choose "
            "another board (--list-boards), or leave it out"
        )
    found = next((router for router in known if shutil.which(router.program)), None)
    if found is None:
        ways = " or ".join(f"{router.program} ({router.source})" for router in known)
        raise UserError(
            f"--route on {target.name} needs {ways} on the search path, and there is neither: no "
            "package has them, so one has to be built. Without --route the report has LUT sites "
            "by a count over the netlist"
        )
    if chipdb is None:
        raise UserError(
            f"--route on {target.name} needs --chipdb FILE: the chip database of {target.part}, "
            f"which {found.program} is built with (docs/open_tools.md)"
        )
    return found
