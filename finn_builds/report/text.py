"""Numbers as a reader wants them."""

from __future__ import annotations

from collections.abc import Sequence


def count(value: float) -> str:
    """Return a number with thousands separated: whole where it is a count, else one decimal."""
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else f"{value:,.1f}"


def fixed(value: float, digits: int) -> str:
    """Return a number with a given number of decimals."""
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
    return _scaled(value, ((1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, "")))


def duration(nanoseconds: float) -> str:
    """Return a time in the unit that suits it."""
    return _scaled(nanoseconds, ((1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1.0, " ns")))


def _scaled(value: float, units: Sequence[tuple[float, str]]) -> str:
    """Return a value to three digits in the largest unit of which it is one, once rounded."""
    scale, unit = next((u for u in units if value >= 0.9995 * u[0]), units[-1])
    return f"{value / scale:.3g}{unit}"
