"""Numbers as a reader wants them."""

from __future__ import annotations


def count(value: float) -> str:
    """Return a number with thousands separated: whole where it is a count, else one decimal."""
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else f"{value:,.1f}"


def fixed(value: float, digits: int) -> str:
    """Return a number with so many decimals."""
    return f"{value:,.{digits}f}"


def percent(share: float, digits: int = 1) -> str:
    """Return a share in percent; one that is not all or nothing is never rounded to that."""
    least = 10.0**-digits
    value = 100 * share
    if 0 < value < least / 2:
        return f"<{least:.{digits}f} %"
    if 100 - least / 2 < value < 100:
        return f">{100 - least:.{digits}f} %"
    return f"{value:.{digits}f} %"


def cycles(value: float) -> str:
    """Return a number of clock cycles with its unit."""
    return f"{trimmed(value)} cycle{'' if value == 1 else 's'}"


def area(value: float) -> str:
    """Return an area under a curve; one below 1 is never rounded to 1."""
    return ">0.999" if 0.9995 <= value < 1 else f"{value:.3f}"


def trimmed(value: float) -> str:
    """Return a number with two decimals at most and none that is zero."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def short(value: float) -> str:
    """Return a large number to three digits with its unit's prefix, e.g. ``12.5 M``."""
    for scale, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= scale:
            return f"{value / scale:.3g}{prefix}"
    return f"{value:.3g}"


def duration(nanoseconds: float) -> str:
    """Return a time in the unit that suits it."""
    for scale, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if nanoseconds >= scale:
            return f"{nanoseconds / scale:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"
