"""The device families, each in a file of its own; a new one is a file and a line here."""

from __future__ import annotations

from finn_builds.errors import UserError
from finn_builds.sparse.families import ecp5, gowin, xc7, xcu, xcup
from finn_builds.sparse.family import Family

FAMILIES: dict[str, Family] = {
    module.FAMILY.name: module.FAMILY for module in (xc7, xcu, xcup, ecp5, gowin)
}


def family_named(name: str) -> Family:
    """Return the family of that name; a `UserError` if there is none.

    A speed grade may follow the name, as in ``xcup-2``; without it the delays are of grade 1.
    """
    plain, _, grade = name.partition("-")
    family = FAMILIES.get(plain)
    if family is None or (grade and int(grade) not in dict(family.grades)):
        raise UserError(
            f"sparse style: expected a device family out of {', '.join(FAMILIES)}, found "
            f"{name!r}; choose one of them or the folded style"
        )
    return family.of_grade(int(grade)) if grade else family
