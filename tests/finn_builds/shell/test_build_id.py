"""The identifier of a build: equal for equal builds, another for anything that matters."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from finn_builds.config.boards import load_board
from finn_builds.shell.package import identified, overlay_description
from finn_builds.shell.spec import ShellSpec
from finn_builds.shell.top import shell_files

ACCELERATOR = {
    "top": "tiny",
    "clock_ns": 10.0,
    "input": {"datatype": "INT4", "elements": 4, "beats": 3, "width": 16},
    "output": {"datatype": "INT10", "elements": 3, "beats": 2, "width": 32},
}


def description(board: str = "Pynq-Z1") -> dict:
    return overlay_description("tiny", ACCELERATOR, {"before": []}, load_board(board))


@pytest.fixture
def rtl(tmp_path: Path) -> Path:
    (tmp_path / "tiny.v").write_text("module tiny; endmodule\n")
    (tmp_path / "weights.dat").write_text("1\n2\n")
    (tmp_path / "component.xml").write_text("<made_today/>")
    return tmp_path


def build_id(told: dict, rtl: Path, clock_ns: float = 10.0) -> int:
    made = identified(told, rtl, clock_ns=clock_ns)
    assert {**made, "shell": {**made["shell"], "build_id": 0}} == told
    return made["shell"]["build_id"]


def test_equal_builds_have_equal_identifiers(rtl):
    first = build_id(description(), rtl)
    assert 0 < first < 1 << 32
    (rtl / "component.xml").write_text("<made_tomorrow/>")
    told = {**description(), "clock": {"actual_mhz": 99.999}, "vivado": "2024.1", "expected": {}}
    assert build_id(told, rtl) == first
    again = identified(description(), rtl, clock_ns=10.0)
    assert identified(again, rtl, clock_ns=10.0) == again


def test_anything_that_matters_makes_another(rtl):
    found = {build_id(description(), rtl), build_id(description("KV260_SOM"), rtl)}
    found.add(build_id(description(), rtl, clock_ns=5.0))
    for key, value in (("host_model", {"before": [1]}), ("top1", True), ("name", "other")):
        found.add(build_id({**copy.deepcopy(description()), key: value}, rtl))
    (rtl / "weights.dat").write_text("1\n3\n")
    found.add(build_id(description(), rtl))
    (rtl / "more.sv").write_text("")
    found.add(build_id(description(), rtl))
    assert len(found) == 8


def test_the_control_block_has_it(rtl):
    told = identified(description(), rtl, clock_ns=10.0)
    text = shell_files(ShellSpec(**told["shell"]))["prunestream_control.v"]
    assert f".BUILD_ID(32'h{told['shell']['build_id']:08X})" in text
