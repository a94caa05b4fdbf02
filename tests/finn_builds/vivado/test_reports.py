"""Vivado's reports, in the layouts of 7-series and UltraScale+; the texts are made for the test."""

from __future__ import annotations

import re

import pytest

from finn_builds.vivado.reports import ReportError, hierarchy, timing, tool_version, utilisation
from tests.finn_builds.vivado.conftest import BANNERS
from tests.finn_builds.vivado.report_texts import FLAT, TIMING

HIERARCHY_7 = """\
Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.
------------------------------------------------------
| Tool Version : Vivado v.2022.2 (lin64) Build 3671981
| Design       : top_wrapper
| Design State : Routed
------------------------------------------------------

1. Utilization by Hierarchy
---------------------------

+----------------------+-------------+------------+------------+---------+------+------+--------+--------+------------+
|       Instance       |    Module   | Total LUTs | Logic LUTs | LUTRAMs | SRLs |  FFs | RAMB36 | RAMB18 | DSP Blocks |
+----------------------+-------------+------------+------------+---------+------+------+--------+--------+------------+
| top_wrapper          |       (top) |       6000 |       5800 |     150 |   50 | 7000 |      1 |      3 |         12 |
|   (top_wrapper)      |       (top) |          0 |          0 |       0 |    0 |    0 |      0 |      0 |          0 |
|   top_i              |         top |       6000 |       5800 |     150 |   50 | 7000 |      1 |      3 |         12 |
|     accelerator0     |       wrap  |       4300 |       4300 |       0 |    0 | 3000 |      0 |      0 |         12 |
|       (accelerator0) |       wrap  |          1 |          1 |       0 |    0 |    0 |      0 |      0 |          0 |
|       SparseMVAU_0   |       node  |       4299 |       4299 |       0 |    0 | 3000 |      0 |      0 |         12 |
|     idma0            |       idma  |        500 |        400 |     100 |    0 |  600 |      1 |      0 |          0 |
+----------------------+-------------+------------+------------+---------+------+------+--------+--------+------------+
"""  # noqa: E501 - as Vivado prints it

HIERARCHY_UP = """\
+----------+--------+------------+------------+---------+------+-----+--------+--------+------+------------+
| Instance | Module | Total LUTs | Logic LUTs | LUTRAMs | SRLs | FFs | RAMB36 | RAMB18 | URAM | DSP Blocks |
+----------+--------+------------+------------+---------+------+-----+--------+--------+------+------------+
| design   |  (top) |         10 |         10 |       0 |    0 |   4 |      0 |      0 |    2 |          1 |
+----------+--------+------------+------------+---------+------+-----+--------+--------+------+------------+
"""  # noqa: E501

MET = "  1.234  0.000  0  5000  0.021  0.000  0  5000  3.750  0.000  0  2600"
LATE = " -0.512  -31.250  88  5000  0.021  0.000  0  5000  3.750  0.000  0  2600"
NONE = "  NA  NA  NA  NA  NA  NA  NA  NA  3.750  0.000  0  2600"


def test_hierarchy_of_a_7_series_design():
    found = hierarchy(HIERARCHY_7)
    assert list(found) == [
        "(top)",
        "top_i",
        "top_i/accelerator0",
        "top_i/accelerator0/SparseMVAU_0",
        "top_i/idma0",
    ]
    assert found["(top)"] == {
        "LUT": 6000,
        "LUTRAM": 150,
        "SRL": 50,
        "FF": 7000,
        "BRAM_36K": 1,
        "BRAM_18K": 3,
        "DSP": 12,
    }
    assert found["top_i/idma0"]["LUTRAM"] == 100


@pytest.mark.parametrize("blanks", [1, 3, 4])
def test_the_depth_of_an_instance_is_read_of_any_indentation(blanks):
    lines = []
    for line in HIERARCHY_7.splitlines():
        indented = re.match(r"\|( +)(?=\S)", line)
        if (indented and not line.startswith("|  ")) or not indented:
            lines.append(line)
            continue
        depth = (len(indented[1]) - 1) // 2
        lines.append("| " + " " * blanks * depth + line[indented.end() :])
    assert hierarchy("\n".join(lines)) == hierarchy(HIERARCHY_7)


def test_hierarchy_of_an_ultrascale_design_has_uram():
    assert hierarchy(HIERARCHY_UP)["(top)"]["URAM"] == 2
    old = HIERARCHY_UP.replace(" DSP Blocks ", "DSP48 Blocks")
    assert hierarchy(old)["(top)"]["DSP"] == 1


def test_flat_report():
    assert utilisation(FLAT) == {
        "LUT": 4100,
        "LUTRAM": 60,
        "SRL": 40,
        "FF": 2500,
        "BRAM_36K": 2,
        "BRAM_18K": 1,
        "URAM": 0,
        "DSP": 7,
        "CARRY": 310,
    }
    before_2021 = re.sub(r"(\| +)Prohibited +\| ", r"\1", FLAT.replace("|          0 |", "|"))
    assert "Prohibited" not in before_2021 and utilisation(before_2021) == utilisation(FLAT)
    ultrascale = FLAT.replace("Slice LUTs*", "CLB LUTs").replace("Slice Reg", "CLB Reg")
    assert utilisation(ultrascale)["FF"] == 2500


@pytest.mark.parametrize(
    ("row", "wns", "failing", "met"),
    [
        (MET.replace("  ", "\t"), 1.234, 0, True),
        (f"{MET}   ", 1.234, 0, True),
        (MET, 1.234, 0, True),
        (LATE, -0.512, 88, False),
        (NONE, None, None, False),
    ],
)
def test_timing(row, wns, failing, met):
    found = timing(TIMING.format(row=row))
    assert (found["WNS"], found["setup_failing_endpoints"], found["met"]) == (wns, failing, met)
    assert found["WPWS"] == 3.75


def test_a_hold_violation_is_one():
    assert not timing(TIMING.format(row=MET.replace("0.021", "-0.001")))["met"]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (HIERARCHY_7, "2022.2"),
        *((text, version) for version, text in BANNERS.items()),
        ("Vivado v2024.1 (64-bit)", "2024.1"),
        ("Vivado v2022.2_AR000035739_AR000034905 (64-bit)", "2022.2_AR000035739_AR000034905"),
        ("| Tool Version : Vivado v.2025.1 (win64) Build 6140274", "2025.1"),
        ("", "unknown"),
        ("vivado: command not found", "unknown"),
        ("Vivado version", "unknown"),
    ],
)
def test_version(text, version):
    assert tool_version(text) == version


@pytest.mark.parametrize("read", [hierarchy, utilisation, timing])
def test_other_texts_are_errors(read):
    for text in ("", "| a | b |\n", HIERARCHY_UP.replace("Total LUTs", "LUTs")):
        with pytest.raises(ReportError):
            read(text)


def test_a_missing_row_is_an_error_and_not_zero():
    with pytest.raises(ReportError, match="DSPs"):
        utilisation(FLAT.replace("| DSPs ", "| Other"))
    with pytest.raises(ReportError, match="FFs"):
        hierarchy(HIERARCHY_UP.replace(" FFs ", " XXs "))
