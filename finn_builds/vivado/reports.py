"""Reads Vivado's text reports of utilisation and timing.

The layout is that of ``report_utilization``, ``report_utilization -hierarchical`` and
``report_timing_summary`` from 2019 on. Columns are found by their headings, which differ between
device families; a report without what is asked for is an error, never a zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "UNKNOWN",
    "WORST_SLACKS",
    "ReportError",
    "hierarchy",
    "timing",
    "tool_version",
    "utilisation",
]

#: Headings of the hierarchical table by resource, under FINN's names. Vivado called DSP blocks
#: "DSP48 Blocks" until 2019; only UltraScale+ parts have URAM.
_COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "LUT": ("Total LUTs",),
        "LUTRAM": ("LUTRAMs",),
        "SRL": ("SRLs",),
        "FF": ("FFs",),
        "BRAM_36K": ("RAMB36",),
        "BRAM_18K": ("RAMB18",),
        "URAM": ("URAM",),
        "DSP": ("DSP Blocks", "DSP48 Blocks"),
    }
)

#: Rows of the flat report by resource: "Slice" on 7-series, "CLB" on UltraScale+.
_SITES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "LUT": ("Slice LUTs", "CLB LUTs"),
        "LUTRAM": ("LUT as Distributed RAM",),
        "SRL": ("LUT as Shift Register",),
        "FF": ("Slice Registers", "CLB Registers"),
        "BRAM_36K": ("RAMB36/FIFO",),
        "BRAM_18K": ("RAMB18",),
        "URAM": ("URAM",),
        "DSP": ("DSPs",),
        "CARRY": ("CARRY4", "CARRY8"),
    }
)

#: What a report may lack: the device or the design has none.
_OPTIONAL = frozenset({"LUTRAM", "SRL", "URAM", "CARRY"})

#: Columns of the timing summary: for set-up, hold and pulse width the worst slack, the sum of the
#: negative ones, and endpoints.
_TIMING = (
    "WNS", "TNS", "setup_failing_endpoints", "setup_endpoints",
    "WHS", "THS", "hold_failing_endpoints", "hold_endpoints",
    "WPWS", "TPWS", "pulse_width_failing_endpoints", "pulse_width_endpoints",
)  # fmt: skip
#: The slacks that none may be negative.
WORST_SLACKS = ("WNS", "WHS", "WPWS")


#: Version of a Vivado that does not tell it.
UNKNOWN = "unknown"


class ReportError(ValueError):
    """A report has not the layout that is known of Vivado."""


def _tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a report as rows of cells; leading blanks of a cell are kept."""
    tables: list[list[list[str]]] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("|") and line.rstrip().endswith("|"):
            if not inside:
                tables.append([])
            tables[-1].append(
                [cell.removeprefix(" ").rstrip() for cell in line.rstrip()[:-1].split("|")[1:]]
            )
            inside = True
        elif not line.startswith("+"):
            inside = False
    return tables


def _number(cell: str) -> int | float:
    value = float(cell.strip().replace(",", ""))
    return int(value) if value.is_integer() else value


def hierarchy(text: str) -> dict[str, dict[str, int | float]]:
    """Return what each instance of a hierarchical utilisation report holds, with all below it.

    By path of the instance from below the top, ``a/b/c``; the whole design is ``(top)``. Values by
    resource under FINN's names: ``LUT`` (of these ``LUTRAM`` and ``SRL``), ``FF``, ``BRAM_36K``,
    ``BRAM_18K``, ``URAM``, ``DSP``. The rows of an instance's own logic alone are left out.
    """
    for table in _tables(text):
        heads = [cell.strip() for cell in table[0]]
        if heads[:1] == ["Instance"] and "Total LUTs" in heads:
            return _instances(table[1:], _find_columns(heads))
    raise ReportError("no table of utilisation by hierarchy in the report")


def _find_columns(heads: list[str]) -> dict[str, int]:
    found = {}
    for resource, names in _COLUMNS.items():
        column = next((heads.index(name) for name in names if name in heads), None)
        if column is not None:
            found[resource] = column
        elif resource not in _OPTIONAL:
            raise ReportError(
                f"the table of utilisation by hierarchy has no column {' or '.join(names)}; "
                f"found {', '.join(heads)}"
            )
    return found


def _instances(rows: list[list[str]], columns: dict[str, int]) -> dict[str, dict]:
    found: dict[str, dict[str, int | float]] = {}
    path: list[tuple[int, str]] = []  # blanks in front of each name, whatever their number a level
    for row in rows:
        name = row[0].strip()
        blanks = len(row[0]) - len(row[0].lstrip())
        if name.startswith("(") and name.endswith(")") and path:
            continue  # the instance's own logic, without what is below
        path = [above for above in path if above[0] < blanks] + [(blanks, name)]
        counts = {resource: _number(row[column]) for resource, column in columns.items()}
        found["/".join(part for _, part in path[1:]) or "(top)"] = counts
    return found


def utilisation(text: str) -> dict[str, int | float]:
    """Return the resources of a whole design from a flat utilisation report.

    As an entry of `hierarchy`, and ``CARRY``, the count of carry chains' blocks.
    """
    used: dict[str, int | float] = {}
    for table in _tables(text):
        heads = [cell.strip() for cell in table[0]]
        if heads[:2] in (["Site Type", "Used"], ["Ref Name", "Used"]):
            for row in table[1:]:
                used.setdefault(row[0].strip().rstrip("*"), _number(row[1]))
    found: dict[str, int | float] = {}
    for resource, names in _SITES.items():
        value = next((used[name] for name in names if name in used), None)
        if value is None and resource not in _OPTIONAL:
            raise ReportError(f"the utilisation report has no row {' or '.join(names)}")
        found[resource] = value or 0
    return found


def timing(text: str) -> dict[str, float | int | bool | None]:
    """Return the figures of the summary in the text of ``report_timing_summary``.

    ``WNS``, ``TNS``, ``WHS``, ``THS``, ``WPWS``, ``TPWS`` in ns and the numbers of endpoints; None
    where Vivado says NA, which it does where there is no path of the kind; ``met``, whether no
    constraint is violated and there was at least one to meet.
    """
    match = re.search(r"^\s*WNS\(ns\).*\n[\s-]*\n?^\s*((?:NA|-?\d).*)$", text, re.MULTILINE)
    cells = match[1].split() if match else []
    if len(cells) != len(_TIMING):
        raise ReportError("no design timing summary in the report")
    found: dict[str, float | int | bool | None] = {}
    for key, cell in zip(_TIMING, cells, strict=True):
        if cell == "NA":
            found[key] = None
        elif key.endswith("endpoints"):
            found[key] = int(cell)
        else:
            found[key] = float(cell)
    slacks = [found[key] for key in WORST_SLACKS]
    found["met"] = found["WNS"] is not None and all(s is None or s >= 0 for s in slacks)
    return found


def tool_version(text: str) -> str:
    """Return the version of Vivado in the text of a report or of ``vivado -version``.

    Such as ``2023.2`` or ``2022.2_AR000035739``; ``unknown`` where the text does not say. Reports
    write ``Vivado v.2023.2``, the program ``Vivado v2022.2`` and, since 2023, ``vivado v2025.1``.
    """
    match = re.search(r"\bvivado v\.?(\d\S*)", text, re.IGNORECASE)
    return match[1] if match else UNKNOWN
